//! Pictures there and back through an autoencoder.

use std::ops::ControlFlow;

use ddim_sampler::{Noise, PictureNoise};
use ddim_tensor::Tensor;

use super::{Codes, Encoded, FirstStage};
use crate::{Error, squared_errors};

/// Which latents of a distribution are decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatentChoice {
    /// The likeliest ones, which are its mean.
    #[default]
    Mode,
    /// Some drawn from it, with the noise of picture k of this seed for the k-th picture.
    Sample {
        /// The seed.
        seed: u64,
    },
}

/// What became of pictures, all in host memory.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// The pictures that came back, `[n, channels, h, w]`, around \[-1, 1\] and not limited.
    pub pictures: Tensor,
    /// What they were decoded from, `[n, latent channels, h, w]`, before it was looked up where there is a table.
    pub latents: Tensor,
    /// Means and standard deviations of the latents, where they are distributions.
    pub distribution: Option<[Tensor; 2]>,
    /// The divergence of each picture's distribution from N(0, I), in nats.
    pub divergence: Option<Vec<f64>>,
    /// The rows that were looked up, where there is a table.
    pub codes: Option<Codes>,
}

impl FirstStage {
    /// Encodes pictures `[n, channels, h, w]` in \[-1, 1\] and decodes them, some at once; `observe` sees after
    /// each batch how many are done and may stop, which gives nothing.
    ///
    /// # Errors
    ///
    /// Those of [`encode`](Self::encode); [`Error::StageEnds`] where other channels come back.
    ///
    /// # Panics
    ///
    /// No pictures, or none at once.
    pub fn reconstruct(
        &self,
        pictures: &Tensor,
        choice: LatentChoice,
        batch_size: usize,
        mut observe: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Reconstruction>, Error> {
        let (from, to) = (self.config().in_channels(), self.config().out_channels());
        if from != to {
            return Err(Error::StageEnds { from, to });
        }
        let n = pictures.dims()[0];
        assert!(n > 0 && batch_size > 0, "{n} pictures, {batch_size} at once");
        let mut parts = Vec::new();
        for first in (0..n).step_by(batch_size) {
            let batch = first..n.min(first + batch_size);
            let last = batch.end;
            let numbers = batch.clone().map(|k| k as u64);
            parts.push(self.there_and_back(pictures.pictures(batch).to(self.device()), choice, numbers)?);
            if observe(last).is_break() && last < n {
                return Ok(None);
            }
        }
        Ok(Some(Reconstruction::joined(parts)))
    }

    fn there_and_back(
        &self,
        pictures: Tensor,
        choice: LatentChoice,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<Reconstruction, Error> {
        let encoded = self.encode(pictures)?;
        let latents = match (&encoded, choice) {
            (Encoded::Distribution(posterior), LatentChoice::Sample { seed }) => {
                let mean = posterior.mean();
                posterior.sample(PictureNoise::new(seed, numbers).initial(mean.dims(), &mean.device()))
            }
            _ => encoded.mode(),
        };
        let (distribution, divergence) = match &encoded {
            Encoded::Distribution(posterior) => {
                (Some([posterior.mean(), posterior.deviation()].map(on_host)), Some(posterior.divergence()))
            }
            Encoded::Table(_) | Encoded::Latents(_) => (None, None),
        };
        let codes = self.codebook().map(|codebook| codebook.nearest(&latents));
        let pictures = on_host(self.decode(latents.clone())?);
        Ok(Reconstruction { pictures, latents: on_host(latents), distribution, divergence, codes })
    }

    /// Mean and standard deviation of all latents as a diffusion model has them: over the pictures, channels and
    /// pixels, and over each distribution where they are such. A prior N(0, I) has 0 and 1.
    pub fn scaled_moments(&self, of: &Reconstruction) -> [f64; 2] {
        let (mean, deviation) = match &of.distribution {
            Some([mean, deviation]) => (mean, Some(deviation)),
            None => (&of.latents, None),
        };
        let u = on_host(self.for_diffusion(mean.clone().to(self.device())));
        let n = u.dims().iter().product::<usize>() as f64;
        let first = u.sums().into_iter().sum::<f64>() / n;
        let mut second = u.square().sums().into_iter().sum::<f64>();
        if let Some(deviation) = deviation {
            let inverse: Vec<f64> = self.scale().std().iter().map(|std| std.recip()).collect();
            let spread = deviation.clone().to(self.device()) * self.row(&inverse);
            second += spread.square().sums().into_iter().sum::<f64>();
        }
        [first, (second / n - first * first).max(0.0).sqrt()]
    }
}

impl Reconstruction {
    /// The mean squared error of each picture, in units in which pictures go from 0 to 1; what came back is
    /// limited to them.
    ///
    /// # Panics
    ///
    /// Pictures of another shape.
    pub fn squared_errors(&self, pictures: &Tensor) -> Vec<f64> {
        squared_errors(pictures, &self.pictures.clone().clamp(-1.0, 1.0))
    }

    fn joined(parts: Vec<Self>) -> Self {
        let cat = |tensors: Vec<Tensor>| Tensor::cat(&tensors);
        let column = |of: fn(&Self) -> &Tensor| cat(parts.iter().map(|part| of(part).clone()).collect());
        let halves = |k: usize| {
            let each: Option<Vec<Tensor>> =
                parts.iter().map(|part| part.distribution.as_ref().map(|both| both[k].clone())).collect();
            each.map(cat)
        };
        let divergence: Option<Vec<Vec<f64>>> = parts.iter().map(|part| part.divergence.clone()).collect();
        let codes: Option<Vec<Codes>> = parts.iter().map(|part| part.codes.clone()).collect();
        Reconstruction {
            pictures: column(|part| &part.pictures),
            latents: column(|part| &part.latents),
            distribution: halves(0).zip(halves(1)).map(|(mean, deviation)| [mean, deviation]),
            divergence: divergence.map(|parts| parts.concat()),
            codes: codes.map(Codes::joined),
        }
    }
}

/// The peak signal-to-noise ratio of a squared error, in decibels: -10 log10 of it, in units in which pictures go
/// from 0 to 1.
pub fn decibels(squared_error: f64) -> f64 {
    -10.0 * squared_error.log10()
}

fn on_host(tensor: Tensor) -> Tensor {
    tensor.to(&ddim_tensor::Device::Cpu)
}
