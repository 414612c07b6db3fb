//! What is trained of a first stage, as one list of numbers: encoder, decoder, variance of pixels, prior.

use super::upper::UpperParts;
use crate::flat::{self, Trainee};
use crate::{AutoencoderRecipe, PriorChoice, TrainError, VarianceChoice};
use ddim_eval::Gaussian;
use ddim_graph::Graph;
use std::ops::Range;
use std::sync::Arc;

/// Half of an autoencoder, and where its weights lie in the list.
pub(super) struct Half {
    trainee: Trainee,
    pub(super) network: ddim_cpu::Network,
    pub(super) place: Range<usize>,
}

/// Everything that is trained.
pub(super) struct Parts {
    pub(super) encoder: Half,
    pub(super) decoder: Half,
    /// The logarithms of the variances of pixels; none where they are fixed.
    pub(super) variance: Range<usize>,
    /// Mean and logarithm of the variance of the prior; none where it is fixed.
    pub(super) prior: Range<usize>,
    /// The layer above the latents, where there is one.
    pub(super) upper: Option<UpperParts>,
    initial_variance: f64,
    /// \[c, h, w\] of pictures and of latents.
    pub(super) picture: [usize; 3],
    pub(super) latent: [usize; 3],
}

/// A variance is at least that of rounding to 8 bits, a uniform number as wide as a grey level of pictures in [-1,
/// 1]: a pixel that is always black would drive it to 0 and the bound to infinity.
pub(super) const LEAST_VARIANCE: f64 = (2.0 / 255.0) * (2.0 / 255.0) / 12.0;

impl Parts {
    /// For pictures of this height, width and channels; also the list of first weights.
    pub(super) fn new(
        recipe: &AutoencoderRecipe,
        [height, width, channels]: [usize; 3],
    ) -> Result<(Self, Vec<f32>), TrainError> {
        let config = recipe.config();
        let factor = config.factor();
        let (picture, latent) =
            ([channels, height, width], [config.latent_channels(), height / factor, width / factor]);
        let refused = |problem| TrainError::Recipe(crate::RecipeError::Autoencoder(problem));
        let seed = recipe.training.seed;
        let mut first = Vec::new();
        let encoder = half(config.encoder().map_err(refused)?, seed, [height, width], &mut first)?;
        // Numbers of its own for each half.
        let decoder = half(config.decoder().map_err(refused)?, !seed, [latent[1], latent[2]], &mut first)?;
        let mut add = |numbers: Vec<f32>| {
            first.extend(numbers);
            first.len()
        };
        let begin = decoder.place.end;
        let initial = recipe.initial_variance.max(LEAST_VARIANCE).ln() as f32;
        let variance = begin..add(match recipe.variance {
            VarianceChoice::Fixed => Vec::new(),
            VarianceChoice::Scalar => vec![initial],
            VarianceChoice::Pixel => vec![initial; picture.iter().product()],
        });
        let prior = variance.end..add(match recipe.prior {
            PriorChoice::Fixed => Vec::new(),
            PriorChoice::Learned => vec![0.0; 2],
        });
        let above = |upper| UpperParts::new(upper, latent, seed, &mut first);
        let upper = recipe.upper.as_ref().map(above).transpose()?;
        let initial_variance = recipe.initial_variance;
        Ok((Parts { encoder, decoder, variance, prior, upper, initial_variance, picture, latent }, first))
    }

    /// Gives the engines the weights of a step.
    pub(super) fn load(&mut self, weights: &[f32]) {
        let upper = self.upper.iter_mut().flat_map(|upper| [&mut upper.encoder, &mut upper.decoder]);
        [&mut self.encoder, &mut self.decoder].into_iter().chain(upper).for_each(|half| half.load(weights));
    }

    /// How many latent numbers a picture has.
    pub(super) fn numbers(&self) -> usize {
        self.latent.iter().product()
    }

    /// How many values a picture has.
    pub(super) fn values(&self) -> usize {
        self.picture.iter().product()
    }

    /// The logarithms of the variances of pixels at these weights: one, or one for each value.
    pub(super) fn log_variances(&self, weights: &[f32]) -> Vec<f64> {
        match &weights[self.variance.clone()] {
            [] => vec![self.initial_variance.ln()],
            learned => learned.iter().map(|log| f64::from(*log).max(LEAST_VARIANCE.ln())).collect(),
        }
    }

    /// Mean and logarithm of the variance of the prior at these weights.
    pub(super) fn prior(&self, weights: &[f32]) -> [f64; 2] {
        match weights[self.prior.clone()] {
            [mean, log_variance] => [mean.into(), log_variance.into()],
            _ => [0.0; 2],
        }
    }

    /// The same of all latent numbers of a picture.
    pub(super) fn prior_of_picture(&self, weights: &[f32]) -> Gaussian {
        let [mean, log_variance] = self.prior(weights);
        Gaussian::new(vec![mean; self.numbers()], vec![log_variance; self.numbers()])
    }
}

impl Half {
    /// Gives its engine the weights of a step.
    pub(super) fn load(&mut self, weights: &[f32]) {
        self.trainee.load(&mut self.network, &weights[self.place.clone()]);
    }

    /// All weights of its graph, with those of the list.
    pub(super) fn weights(&self, list: &[f32]) -> Vec<Vec<f32>> {
        self.trainee.replaced(&list[self.place.clone()])
    }

    /// Its graph.
    pub(super) fn graph(&self) -> &Arc<Graph> {
        self.network.graph()
    }

    /// Where the weights of its last layer lie in the list.
    pub(super) fn last(&self) -> Range<usize> {
        let place = self.trainee.last_weights();
        self.place.start + place.start..self.place.start + place.end
    }

    /// The gradient of its place in the list.
    pub(super) fn of_trained(&self, parameters: Vec<Vec<f32>>) -> Vec<f32> {
        self.trainee.of_trained(parameters)
    }
}

/// A half with its first weights, which are added to the list.
pub(super) fn half(graph: Graph, seed: u64, size: [usize; 2], list: &mut Vec<f32>) -> Result<Half, TrainError> {
    let graph = Arc::new(graph);
    let weights = flat::initial(&graph, seed);
    let begin = list.len();
    list.extend(flat::read(&graph, &weights));
    let trainee = Trainee::new(graph, Arc::new(weights));
    let network = trainee.processor(size)?;
    Ok(Half { trainee, network, place: begin..list.len() })
}
