//! The bound of a model with two layers of latents, `p(x | z1) p(z1 | z2) p(z2)`, in three parts (MATH.md section
//! 38).

use std::ops::ControlFlow;

use ddim_sampler::fill_normals;
use ddim_tensor::Tensor;

use super::activity::{ACTIVE, MutualInformation, mutual_information, unit_variances};
use super::estimate::{Evidence, PictureEvidence};
use super::gaussian::Gaussian;

/// What the encoder of the upper layer is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// A draw of z1: `q(z2 | z1)`.
    #[default]
    Draw,
    /// The mean of z1: `q(z2 | x)`, which no noise of z1 reaches.
    Mean,
}

/// The slopes of the part of z1.
#[derive(Clone, Debug, PartialEq)]
pub struct LowerSlopes {
    /// By the draw of z1.
    pub draw: Vec<f64>,
    /// By each mean of `q(z1 | x)`, where the draw stays.
    pub mean: Vec<f64>,
    /// By each logarithm of its variance, likewise.
    pub log_variance: Vec<f64>,
    /// By each mean of `p(z1 | z2)`.
    pub of_mean: Vec<f64>,
    /// By each logarithm of the variance of that.
    pub of_log_variance: Vec<f64>,
}

impl Told {
    /// `log q(z1 | x) - log p(z1 | z2)`, the part of z1, averaged over as much as is known: the entropy of q where
    /// z2 depends on the draw of z1, and all of it where z2 does not: then it is a divergence.
    pub fn lower(self, q: &Gaussian, draw: &[f64], p: &Gaussian) -> f64 {
        match self {
            Told::Draw => -q.entropy() - p.log_density(draw),
            Told::Mean => q.divergence(p),
        }
    }

    /// Its slopes.
    pub fn lower_slopes(self, q: &Gaussian, draw: &[f64], p: &Gaussian) -> LowerSlopes {
        let n = draw.len();
        let zeros = || vec![0.0; n];
        let mut slopes = LowerSlopes {
            draw: zeros(),
            mean: zeros(),
            log_variance: zeros(),
            of_mean: zeros(),
            of_log_variance: zeros(),
        };
        for (k, z1) in draw.iter().enumerate() {
            let (mean, log, precision) = (q.mean()[k], q.log_variance()[k], (-p.log_variance()[k]).exp());
            // How far z1 lies from what z2 says, and the mean of the square of that.
            let (off, square) = match self {
                Told::Draw => (z1 - p.mean()[k], (z1 - p.mean()[k]).powi(2)),
                Told::Mean => (mean - p.mean()[k], (mean - p.mean()[k]).powi(2) + log.exp()),
            };
            match self {
                Told::Draw => (slopes.draw[k], slopes.log_variance[k]) = (off * precision, -0.5),
                Told::Mean => {
                    (slopes.mean[k], slopes.log_variance[k]) =
                        (off * precision, (log.exp() * precision - 1.0) / 2.0);
                }
            }
            slopes.of_mean[k] = -off * precision;
            slopes.of_log_variance[k] = (1.0 - square * precision) / 2.0;
        }
        slopes
    }

    /// What of z1 the encoder of z2 sees.
    pub fn seen<'a>(self, q: &'a Gaussian, draw: &'a [f64]) -> &'a [f64] {
        match self {
            Told::Draw => draw,
            Told::Mean => q.mean(),
        }
    }
}

/// The upper layer of a model: its prior, and how z1 lies around what is decoded from z2.
#[derive(Clone, Debug, PartialEq)]
pub struct UpperModel {
    /// `p(z2)`.
    pub prior: Gaussian,
    /// Channels, height and width of z2.
    pub latent: [usize; 3],
    /// The logarithm of the variance of each number of z1 under `p(z1 | z2)`.
    pub log_variance: Vec<f64>,
    /// What its encoder is told.
    pub told: Told,
}

/// The three networks around z1 and z2.
pub trait LayerNetworks {
    /// What they fail with.
    type Error;

    /// From z1 `[k, c, h, w]` to pictures.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn decode(&mut self, z1: Tensor) -> Result<Tensor, Self::Error>;

    /// From what the encoder of z2 is told `[k, c, h, w]` to what it says.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn encode_upper(&mut self, told: Tensor) -> Result<Vec<Gaussian>, Self::Error>;

    /// From z2 `[k, c, h, w]` to the means of z1.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn decode_upper(&mut self, z2: Tensor) -> Result<Tensor, Self::Error>;
}

/// Draws of both layers of some pictures.
struct Drawn {
    z1: Vec<Vec<f64>>,
    upper: Vec<Gaussian>,
    z2: Vec<Vec<f64>>,
    conditional: Vec<Gaussian>,
}

/// Streams of noise from here on are for z2.
const UPPER: u32 = 1 << 25;

impl Evidence<'_> {
    /// As [`weigh`](Self::weigh), of a model with an upper layer: [`PictureEvidence::divergence`] is the part of
    /// z1 and [`upper`](PictureEvidence::upper) that of z2, and a weight is `p(x | z1) p(z1 | z2) p(z2) / q(z1 |
    /// x) q(z2 | z1)`. The prior of [`model`](Self::model) is not looked at.
    ///
    /// # Errors
    /// Those of the networks.
    pub fn weigh_layers<L: LayerNetworks>(
        &self,
        upper: &UpperModel,
        posteriors: &[Gaussian],
        draws: usize,
        networks: &mut L,
        observe: impl Fn() -> ControlFlow<()>,
    ) -> Result<Option<Vec<PictureEvidence>>, L::Error> {
        let mut found = vec![PictureEvidence::default(); posteriors.len()];
        let all: Vec<(usize, u32)> =
            (0..posteriors.len()).flat_map(|picture| (0..draws as u32).map(move |draw| (picture, draw))).collect();
        for places in all.chunks(self.together.max(1)) {
            let drawn = self.draw_layers(upper, posteriors, places, networks)?;
            let decoded = networks.decode(self.latents(&drawn.z1))?.into_values();
            let values = decoded.len() / places.len();
            for (k, ((picture, _), decoded)) in places.iter().zip(decoded.chunks_exact(values)).enumerate() {
                let (q1, z1, q2, z2) = (&posteriors[*picture], &drawn.z1[k], &drawn.upper[k], &drawn.z2[k]);
                let (conditional, found) = (&drawn.conditional[k], &mut found[*picture]);
                let likelihood = self.model.log_likelihood(self.picture(*picture), decoded);
                let ratios = conditional.log_density(z1) - q1.log_density(z1) + upper.prior.log_density(z2)
                    - q2.log_density(z2);
                found.reconstruction += likelihood / draws as f64;
                found.divergence += upper.told.lower(q1, z1, conditional) / draws as f64;
                found.upper += q2.divergence(&upper.prior) / draws as f64;
                found.log_weights.push(likelihood + ratios);
            }
            if observe().is_break() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// Draws of both layers, each of a picture and with noise of its own.
    fn draw_layers<L: LayerNetworks>(
        &self,
        upper: &UpperModel,
        posteriors: &[Gaussian],
        places: &[(usize, u32)],
        networks: &mut L,
    ) -> Result<Drawn, L::Error> {
        let z1: Vec<Vec<f64>> =
            places.iter().map(|(picture, draw)| posteriors[*picture].at(&self.noise(*picture, *draw))).collect();
        let told =
            places.iter().zip(&z1).map(|((picture, _), z1)| upper.told.seen(&posteriors[*picture], z1).to_vec());
        let q2 = networks.encode_upper(self.latents(&told.collect::<Vec<_>>()))?;
        let noise = |picture: usize, draw: u32| {
            normals(self.seed, (self.first + picture) as u64, UPPER + draw, upper.latent.iter().product())
        };
        let z2: Vec<Vec<f64>> =
            places.iter().zip(&q2).map(|((picture, draw), q)| q.at(&noise(*picture, *draw))).collect();
        let conditional = upper.conditionals(networks.decode_upper(upper.tensor(&z2))?);
        Ok(Drawn { z1, upper: q2, z2, conditional })
    }
}

impl UpperModel {
    /// With the variance of each channel of z1, of so many pixels, around what z2 says.
    pub fn new(prior: Gaussian, latent: [usize; 3], (variances, pixels): (&[f64], usize), told: Told) -> Self {
        let log_variance = variances.iter().flat_map(|variance| vec![variance.ln(); pixels]).collect();
        UpperModel { prior, latent, log_variance, told }
    }

    /// `p(z1 | z2)` of each z2, from the means of z1.
    fn conditionals(&self, means: Tensor) -> Vec<Gaussian> {
        let each = means.into_values();
        let of = |mean: &[f32]| {
            Gaussian::new(mean.iter().map(|mean| f64::from(*mean)).collect(), self.log_variance.clone())
        };
        each.chunks_exact(self.log_variance.len()).map(of).collect()
    }

    fn tensor(&self, z2: &[Vec<f64>]) -> Tensor {
        let [c, h, w] = self.latent;
        Tensor::new(z2.iter().flatten().map(|z| *z as f32).collect(), [z2.len(), c, h, w])
    }

    /// Mean and variance of each number of z1 before any picture is seen, from so many draws of z2.
    fn marginal<L: LayerNetworks>(&self, draws: usize, seed: u64, networks: &mut L) -> Result<Gaussian, L::Error> {
        let numbers = self.latent.iter().product();
        let z2 = (0..draws as u64).map(|k| self.prior.at(&normals(seed, k, MARGINAL, numbers)));
        let found = self.conditionals(networks.decode_upper(self.tensor(&z2.collect::<Vec<_>>()))?);
        let mean_of = |of: &dyn Fn(&Gaussian) -> f64| found.iter().map(of).sum::<f64>() / draws as f64;
        let both = (0..self.log_variance.len()).map(|k| {
            let mean = mean_of(&|p| p.mean()[k]);
            (mean, mean_of(&|p| (p.mean()[k] - mean).powi(2)) + self.log_variance[k].exp())
        });
        let (mean, variance): (Vec<f64>, Vec<f64>) = both.unzip();
        Ok(Gaussian::new(mean, variance.into_iter().map(f64::ln).collect()))
    }
}

/// A stream that no draw takes.
const MARGINAL: u32 = (1 << 25) - 1;

fn normals(seed: u64, picture: u64, stream: u32, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normals(seed, picture, stream, &mut values);
    values.into_iter().map(f64::from).collect()
}

/// What one layer of latents says of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerActivity {
    /// Its part of the bound, in nats a picture.
    pub divergence: f64,
    /// How many of its numbers move from picture to picture: [`ACTIVE`].
    pub active: usize,
    /// How many it has.
    pub numbers: usize,
    /// How many nats it tells about what lies below: z1 about the picture, z2 about z1.
    pub information: MutualInformation,
}

/// Nats below which a layer says nothing.
const SILENT: f64 = 0.01;

impl LayerActivity {
    /// Whether it says nothing: what it tells and what it costs are 0, or none of its numbers moves.
    pub fn is_unused(&self) -> bool {
        self.active == 0 || self.divergence.abs() < SILENT && self.information.nats < SILENT
    }
}

/// Draws of z1 that the mean of a number of z2 is taken over: it is an expectation over z1 as well.
const OVER_LOWER: u32 = 16;

impl Evidence<'_> {
    /// What z1 and z2 say of these pictures, in this order. None of no pictures. The likelihood is not looked at.
    ///
    /// # Errors
    /// Those of the networks.
    pub fn layer_activity<L: LayerNetworks>(
        &self,
        upper: &UpperModel,
        posteriors: &[Gaussian],
        networks: &mut L,
    ) -> Result<Option<[LayerActivity; 2]>, L::Error> {
        let marginal = upper.marginal(MARGINAL_DRAWS, self.seed, networks)?;
        let moves = unit_variances(posteriors, &marginal);
        let mut means = Vec::with_capacity(posteriors.len());
        let mut first: [Vec<Vec<f64>>; 2] = Default::default();
        let (mut seen, mut parts) = (Vec::new(), [0.0; 2]);
        let share = 1.0 / (posteriors.len().max(1) * OVER_LOWER as usize) as f64;
        for (picture, q1) in posteriors.iter().enumerate() {
            let places: Vec<(usize, u32)> = (0..OVER_LOWER).map(|draw| (picture, draw)).collect();
            let Drawn { z1, upper: q2, z2, conditional } =
                self.draw_layers(upper, posteriors, &places, networks)?;
            for (k, q2) in q2.iter().enumerate() {
                parts[0] += share * upper.told.lower(q1, &z1[k], &conditional[k]);
                parts[1] += share * q2.divergence(&upper.prior);
            }
            first[0].push(z1[0].clone());
            first[1].push(z2[0].clone());
            seen.push(q2[0].clone());
            means.push(q2.iter().map(|q| q.mean().to_vec()).collect::<Vec<_>>());
        }
        let both = mutual_information(posteriors, &first[0]).zip(mutual_information(&seen, &first[1]));
        let of = |divergence, moves: &[f64], information| LayerActivity {
            divergence,
            active: moves.iter().filter(|variance| **variance > ACTIVE).count(),
            numbers: moves.len(),
            information,
        };
        Ok(both.map(|(lower, above)| {
            [of(parts[0], &moves, lower), of(parts[1], &moved(&means, &upper.prior), above)]
        }))
    }
}

/// Draws of the upper prior that mean and variance of z1 are taken from.
const MARGINAL_DRAWS: usize = 1000;

/// The variance over pictures of the expectation of each number of z2, in units of the prior's: of means over
/// several draws of z1, less what those draws add.
fn moved(means: &[Vec<Vec<f64>>], prior: &Gaussian) -> Vec<f64> {
    let of = |k: usize| {
        let pictures: Vec<[f64; 2]> = means.iter().map(|draws| spread(draws.iter().map(|mean| mean[k]))).collect();
        let [_, between] = spread(pictures.iter().map(|[mean, _]| *mean));
        let draws = f64::from(OVER_LOWER);
        let within = pictures.iter().map(|[_, variance]| variance).sum::<f64>() / pictures.len().max(1) as f64;
        // The mean of n draws varies by the variance of one over n, which itself is n / (n - 1) of what it looks
        // like.
        (between - within / (draws - 1.0)) * (-prior.log_variance()[k]).exp()
    };
    (0..prior.mean().len()).map(of).collect()
}

/// Mean and variance of what there is.
fn spread(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    [mean, values.map(|value| (value - mean).powi(2)).sum::<f64>() / n]
}
