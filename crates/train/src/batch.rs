//! From pictures to what the network is shown and what it should say.

use crate::draw::{Draws, Purpose};
use crate::{Flip, Objective, Recipe, TrainError};
use ddim_data::ImageSet;
use ddim_sampler::{fill_normals, fill_signs};
use ddim_schedule::{Marginal, NoiseSchedule, Prediction, Timestep};
use std::ops::Range;

/// Part of a batch, on the host; rows are pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Batch {
    /// Noisy pictures \[n, c, h, w\].
    pub(crate) x_t: Vec<f32>,
    /// What the network should say, of the same shape; under the implicit objective the directions along which its
    /// slope is taken.
    pub(crate) target: Vec<f32>,
    /// The timestep of each picture.
    pub(crate) times: Vec<f64>,
    /// `alpha_bar` of each picture.
    pub(crate) alpha_bars: Vec<f64>,
    /// The class of each picture; empty without classes.
    pub(crate) labels: Vec<usize>,
    /// What the squared error of each picture counts; empty where all count 1.
    pub(crate) weights: Vec<f32>,
    /// \[c, h, w\].
    shape: [usize; 3],
}

impl Batch {
    /// Of the noisy pictures and of the targets: \[n, c, h, w\].
    pub(crate) fn shape(&self) -> [usize; 4] {
        let [c, h, w] = self.shape;
        [self.times.len(), c, h, w]
    }

    /// What the squared error of a picture counts.
    pub(crate) fn weight(&self, picture: usize) -> f32 {
        self.weights.get(picture).copied().unwrap_or(1.0)
    }

    /// The noisy pictures, and the targets or directions, as tensors.
    #[cfg(feature = "gpu")]
    pub(crate) fn tensors(&self, device: &burn::tensor::Device) -> [burn::tensor::Tensor<4>; 2] {
        [&self.x_t, &self.target].map(|values| {
            let data = burn::tensor::TensorData::new(values.clone(), self.shape());
            burn::tensor::Tensor::from_data(data, device)
        })
    }
}

/// Makes the batches of a run.
pub(crate) struct Batches<'a> {
    set: &'a ImageSet,
    /// The pictures that are used.
    images: Range<usize>,
    schedule: NoiseSchedule,
    /// Those that are trained at, each as often as the others.
    timesteps: Vec<Timestep>,
    prediction: Prediction,
    objective: Objective,
    draws: Draws,
    noise_seed: u64,
    batch_size: usize,
    flip: Flip,
    /// The last row of the class table, or none.
    null_class: Option<usize>,
    label_dropout: f64,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(
        recipe: &Recipe,
        set: &'a ImageSet,
        schedule: NoiseSchedule,
        prediction: Prediction,
    ) -> Result<Self, TrainError> {
        let draws = Draws::new(recipe.seed);
        Ok(Batches {
            set,
            images: recipe.images.of(set.len())?,
            timesteps: (0..schedule.train_steps()).collect(),
            schedule,
            prediction,
            objective: recipe.objective,
            draws,
            noise_seed: draws.bits(Purpose::Noise, 0),
            batch_size: recipe.batch_size,
            flip: recipe.flip,
            null_class: recipe.class_count(),
            label_dropout: recipe.label_dropout,
        })
    }

    /// The same at some timesteps only, at least one.
    pub(crate) fn at(self, timesteps: Vec<Timestep>) -> Self {
        Batches { timesteps, ..self }
    }

    /// Which pictures are used.
    pub(crate) fn images(&self) -> Range<usize> {
        self.images.clone()
    }

    /// Some rows of the batch of a step; the first step is 1.
    pub(crate) fn rows(&self, step: u64, rows: Range<usize>) -> Batch {
        let [height, width, channels] = self.set.shape;
        let mut batch = Batch { shape: [channels, height, width], ..Batch::default() };
        for row in rows {
            self.append(&mut batch, step, row);
        }
        batch
    }

    fn append(&self, batch: &mut Batch, step: u64, row: usize) {
        let position = (step - 1) * self.batch_size as u64 + row as u64;
        let picture = self.images.start + self.draws.picture(position, self.images.len());
        let timestep = self.timestep(step, row);
        batch.times.push(timestep as f64);
        if let Some(null_class) = self.null_class {
            batch.labels.push(self.label(position, picture, null_class));
        }
        let x0 = clean(self.set, self.flip, self.draws, picture, position);
        let mut eps = vec![0.0; x0.len()];
        fill_normals(self.noise_seed, position, 0, &mut eps);
        let alpha_bar = self.schedule.alpha_bar(timestep);
        batch.alpha_bars.push(alpha_bar);
        let q = Marginal::new(alpha_bar);
        let (signal, noise) = (q.signal as f32, q.noise as f32);
        batch.x_t.extend(x0.iter().zip(&eps).map(|(x0, eps)| signal * x0 + noise * eps));
        match self.prediction {
            _ if self.objective == Objective::Implicit => {
                fill_signs(self.noise_seed, position, 1, &mut eps);
                batch.target.extend(eps);
            }
            Prediction::Epsilon => batch.target.extend(eps),
            Prediction::X0 => batch.target.extend(x0),
            Prediction::V => batch.target.extend(x0.iter().zip(&eps).map(|(x0, eps)| signal * eps - noise * x0)),
            Prediction::Edm { .. } | Prediction::Score => unreachable!("a recipe cannot ask for it"),
        }
    }

    /// Uniform over the timesteps. The rows of a batch share one draw and stand evenly apart, so that each batch
    /// covers the whole range and its loss varies less (Kingma et al. 2021, arXiv:2107.00630, appendix I.1).
    fn timestep(&self, step: u64, row: usize) -> Timestep {
        let u = self.draws.unit(Purpose::Timestep, step) + row as f64 / self.batch_size as f64;
        let count = self.timesteps.len();
        self.timesteps[((u.fract() * count as f64) as usize).min(count - 1)]
    }

    fn label(&self, position: u64, picture: usize, null_class: usize) -> usize {
        if self.draws.unit(Purpose::LabelDropout, position) < self.label_dropout {
            return null_class;
        }
        self.set.labels.as_ref().map_or(null_class, |labels| labels[picture])
    }
}

/// A picture as \[c, h, w\] in \[-1, 1\], perhaps mirrored where it is used `position`-th.
pub(crate) fn clean(set: &ImageSet, flip: Flip, draws: Draws, picture: usize, position: u64) -> Vec<f32> {
    let [height, width, channels] = set.shape;
    let pixels = set.image(picture);
    let mirrored = match flip {
        Flip::None => false,
        Flip::Horizontal => draws.bits(Purpose::Flip, position) & 1 == 1,
    };
    let mut out = Vec::with_capacity(pixels.len());
    for channel in 0..channels {
        for row in 0..height {
            let at = |column: usize| f32::from(pixels[(row * width + column) * channels + channel]) / 127.5 - 1.0;
            match mirrored {
                false => out.extend((0..width).map(at)),
                true => out.extend((0..width).rev().map(at)),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
