//! The second layer of latents above a first stage.

use std::sync::OnceLock;

use ddim_autoencoder::UpperConfig;
use ddim_sampler::Noise;
use ddim_tensor::Tensor;

use super::{FirstStage, Half, Posterior, check_channels};
use crate::Error;

/// Its two networks, made ready for where they run when they are first asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct UpperHalves {
    encoder: OnceLock<Half>,
    decoder: OnceLock<Half>,
}

impl FirstStage {
    /// The options of the layer above its latents, where there is one.
    pub fn upper(&self) -> Option<&UpperConfig> {
        self.autoencoder.upper.as_ref().map(|upper| &upper.config)
    }

    /// What the encoder of the upper layer says of z2, from z1 or its mean, `[n, channels, h, w]`.
    ///
    /// # Errors
    ///
    /// [`Error::StageChannels`] for z1 of other channels, [`Error::NoUpper`] without such a layer and for sides
    /// that its patches do not divide.
    pub fn encode_upper(&self, z1: Tensor) -> Result<Posterior, Error> {
        let upper = self.autoencoder.upper.as_ref().ok_or(Error::NoUpper)?;
        let [_, channels, height, width] = z1.dims();
        check_channels("latents", channels, upper.config.in_channels)?;
        upper.config.latent_shape([channels, height, width]).ok_or(Error::NoUpper)?;
        Ok(Posterior::new(self.run(&self.halves.encoder, &upper.encoder, &z1)?))
    }

    /// The means of z1 that z2, `[n, channels, h, w]`, stands for.
    ///
    /// # Errors
    ///
    /// [`Error::StageChannels`] for z2 of other channels, [`Error::NoUpper`] without such a layer.
    pub fn decode_upper(&self, z2: Tensor) -> Result<Tensor, Error> {
        let upper = self.autoencoder.upper.as_ref().ok_or(Error::NoUpper)?;
        check_channels("latents", z2.dims()[1], upper.config.latent_channels)?;
        self.run(&self.halves.decoder, &upper.decoder, &z2)
    }

    /// z1 of the means that z2 stands for and of standard normal noise of the same shape: `p(z1 | z2)`.
    ///
    /// # Errors
    ///
    /// [`Error::NoUpper`] without such a layer.
    pub fn below(&self, means: Tensor, noise: Tensor) -> Result<Tensor, Error> {
        let upper = self.upper().ok_or(Error::NoUpper)?;
        let deviations: Vec<f64> = upper.variance.iter().map(|variance| variance.sqrt()).collect();
        Ok(means + noise * self.row(&deviations))
    }

    /// Latents of so many pictures of the prior, each of this shape (channels, height, width): of z2 where there
    /// is an upper layer, and then of z1.
    ///
    /// # Errors
    ///
    /// [`Error::NoPrior`] where latents have none, [`Error::NoUpper`] for a shape that the upper layer cannot
    /// have.
    pub fn latents_of_prior(
        &self,
        noise: &mut dyn Noise,
        pictures: usize,
        below: [usize; 3],
    ) -> Result<Tensor, Error> {
        let prior = self.prior().ok_or(Error::NoPrior { class: self.config().class() })?;
        let Some(upper) = self.upper() else {
            let noise = noise.initial(of(pictures, below), self.device());
            return Ok(noise * self.row(&prior.deviation) + self.row(&prior.mean));
        };
        let above = upper.latent_shape(below).ok_or(Error::NoUpper)?;
        let z2 = noise.initial(of(pictures, above), self.device());
        let means = self.decode_upper(z2 * self.row(&prior.deviation) + self.row(&prior.mean))?;
        self.below(means, noise.step(0, of(pictures, below), self.device()))
    }
}

fn of(pictures: usize, [channels, height, width]: [usize; 3]) -> [usize; 4] {
    [pictures, channels, height, width]
}
