//! Pictures of a first stage alone: latents of its prior, decoded.

use ddim_autoencoder::AutoencoderConfig;
use ddim_sampler::Noise;
use ddim_tensor::Tensor;

use super::FirstStage;
use crate::Error;

/// What latents are like before any picture is seen: `N(mean, deviation^2)` of each number of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// The mean of each channel.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel.
    pub deviation: Vec<f64>,
}

/// Pictures that were drawn, and what they were decoded from.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Latents as the decoder takes them, `[n, channels, h, w]`.
    pub latents: Tensor,
    /// Around \[-1, 1\], not limited, `[n, channels, h, w]`.
    pub pictures: Tensor,
}

impl FirstStage {
    /// The prior of its latents: the one that `ddim.json` says it was trained with, or the normal distribution
    /// that its scale takes to N(0, I) (MATH.md section 35); with an upper layer that of z2, N(0, I) where nothing
    /// is said. None where latents are not numbers with a density.
    pub fn prior(&self) -> Option<Prior> {
        let channels = self.upper().map_or(self.config().latent_channels(), |upper| upper.latent_channels);
        match (self.config(), self.likelihood()) {
            (AutoencoderConfig::Vq(_) | AutoencoderConfig::Tiny(_), _) => None,
            (AutoencoderConfig::Kl(_), Some(trained)) => Some(Prior {
                mean: vec![trained.prior_mean; channels],
                deviation: vec![trained.prior_variance.sqrt(); channels],
            }),
            (AutoencoderConfig::Kl(_), None) if self.upper().is_some() => {
                Some(Prior { mean: vec![0.0; channels], deviation: vec![1.0; channels] })
            }
            (AutoencoderConfig::Kl(_), None) => {
                Some(Prior { mean: self.scale().mean().to_vec(), deviation: self.scale().std().to_vec() })
            }
        }
    }

    /// Channels, height and width of the latents of pictures as large as those that it was trained with.
    ///
    /// # Errors
    ///
    /// [`Error::NoStageSize`] if its configuration does not say.
    pub fn latent_shape(&self) -> Result<[usize; 3], Error> {
        let (config, factor) = (self.config(), self.config().factor());
        let [height, width] = config.sample_size().ok_or(Error::NoStageSize)?;
        Ok([config.latent_channels(), height / factor, width / factor])
    }

    /// Channels, height and width of the pictures that become of those.
    ///
    /// # Errors
    ///
    /// Those of [`latent_shape`](Self::latent_shape).
    pub fn picture_shape(&self) -> Result<[usize; 3], Error> {
        let ([_, height, width], factor) = (self.latent_shape()?, self.config().factor());
        Ok([self.config().out_channels(), factor * height, factor * width])
    }

    /// So many pictures from this noise: `mean + deviation noise` of the prior, decoded; with an upper layer z2
    /// from the initial noise, then z1 around what z2 stands for, from that of the first step. What is decoded is
    /// the mean of a picture's density; no noise of pixels is added.
    ///
    /// ```
    /// use ddim::{Device, FirstStage};
    /// use ddim_sampler::PictureNoise;
    ///
    /// # let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent/models");
    /// # let folder = format!("{goldens}/kl_attention_quant");
    /// let stage = FirstStage::load(folder, &Device::Cpu)?;
    /// let drawn = stage.sample(&mut PictureNoise::new(7, [0, 1]), 2)?;
    /// assert_eq!(drawn.latents.dims(), [2, 4, 8, 8]);
    /// assert_eq!(drawn.pictures.dims(), [2, 3, 32, 32]);
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoPrior`] where latents have none, [`Error::NoStageSize`], and [`Error::NotFinite`] where the
    /// decoder gives what is not a number.
    pub fn sample(&self, noise: &mut dyn Noise, pictures: usize) -> Result<Sampled, Error> {
        let latents = self.latents_of_prior(noise, pictures, self.latent_shape()?)?;
        Ok(Sampled { pictures: self.decode_to_numbers(latents.clone())?, latents })
    }

    /// As [`decode`](Self::decode), and an error where something comes out that is not a number.
    pub(crate) fn decode_to_numbers(&self, latents: Tensor) -> Result<Tensor, Error> {
        let pictures = self.decode(latents)?;
        match pictures.sums().iter().position(|sum| !sum.is_finite()) {
            None => Ok(pictures),
            Some(picture) => Err(Error::NotFinite { picture }),
        }
    }
}
