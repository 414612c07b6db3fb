//! Autoencoders: networks that take pictures to smaller ones, the latents, and back. To draw latents takes a
//! fraction of the time (Rombach et al. 2022, arXiv:2112.10752), so an autoencoder is the first stage of many
//! models.
//!
//! Three families, with the options, parameters and names of diffusers (0.42.1):
//!
//! | | a picture becomes | |
//! |---|---|---|
//! | [`AutoencoderKLConfig`] | a normal distribution of each number | Kingma and Welling 2014, arXiv:1312.6114 |
//! | [`VQModelConfig`] | a row of a table for each pixel | van den Oord et al. 2017, arXiv:1711.00937 |
//! | [`AutoencoderTinyConfig`] | numbers, fast: for previews | Bohan 2023, "Tiny AutoEncoder" |
//!
//! Above an `AutoencoderKL` there may be a second layer of latents, [`UpperConfig`].
//!
//! Each is two graphs, an encoder and a decoder, which engines run:
//!
//! ```
//! use ddim_autoencoder::{AutoencoderConfig, AutoencoderKLConfig};
//!
//! let config = AutoencoderConfig::from(AutoencoderKLConfig {
//!     block_out_channels: vec![32, 64],
//!     ..AutoencoderKLConfig::with_levels(2)
//! });
//! config.validate()?;
//! assert_eq!(config.factor(), 2);
//! let (encoder, decoder) = (config.encoder()?, config.decoder()?);
//! assert_eq!(encoder.sizes([32, 24]).unwrap().last(), Some(&[16, 12]));
//! assert_eq!(decoder.sizes([16, 12]).unwrap().last(), Some(&[32, 24]));
//! # Ok::<(), ddim_autoencoder::ConfigError>(())
//! ```
//!
//! The crate knows no engine, no weight, and nothing of diffusion but that someone may want latents of another
//! scale: [`Scale`].

mod blocks;
mod config;
mod graph;
mod kl;
mod scale;
mod tiny;
mod upper;
mod vq;

pub use blocks::{DownBlockType, UpBlockType};
pub use config::AutoencoderConfig;
pub use ddim_options::{Activation, ConfigError, SampleSize};
pub use kl::AutoencoderKLConfig;
pub use scale::Scale;
pub use tiny::AutoencoderTinyConfig;
pub use upper::{Ladder, UpperConfig};
pub use vq::{CODEBOOK, VQModelConfig};
