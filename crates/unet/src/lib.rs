//! The UNet2D family: networks that take a picture, a time and perhaps a label to a tensor of the picture's size.
//!
//! A network is described by a [`UNet2DConfig`], which reads and writes the `unet/config.json` of diffusers'
//! `UNet2DModel` (0.42.1) with every block that needs no more than a picture, a time and a label. An option, a
//! key or a block that is not understood is an error that names it.
//!
//! What depends on times and labels only is computed apart from the picture, by [`UNet2D::condition`], once for a
//! whole sampling plan if wanted:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ddim_unet::{Labels, UNet2DConfig};
//!
//! let config = UNet2DConfig {
//!     block_out_channels: vec![8, 16, 16, 16],
//!     layers_per_block: 1,
//!     norm_num_groups: 4,
//!     ..UNet2DConfig::default()
//! };
//! let device = Device::flex();
//! let unet = config.init(&device)?;
//!
//! let plan = unet.condition(&[999.0, 499.0], &Labels::None, &device);
//! let mut x = Tensor::<4>::ones([2, 3, 16, 8], &device);
//! for step in 0..plan.len() {
//!     x = unet.forward(x, &plan.rows(step..step + 1));
//! }
//! assert_eq!(x.dims(), [2, 3, 16, 8]);
//! # Ok::<(), ddim_unet::ConfigError>(())
//! ```
//!
//! The crate knows nothing of diffusion: no schedule, no noise, no sampling.

#![allow(
    clippy::large_enum_variant,
    reason = "a tensor handle is 256 bytes, and a network has a handful of enums that hold one"
)]

mod attention;
mod blocks;
mod compiled;
mod conditioning;
mod config;
mod embedding;
mod error;
mod norm;
mod options;
mod pass;
mod precision;
mod prepared;
mod resample;
mod resnet;
mod unet;

pub use compiled::{CompiledGradients, CompiledUNet};
pub use conditioning::Conditioning;
pub use config::UNet2DConfig;
pub use ddim_cpu::{Convolution, Cost};
pub use embedding::Labels;
pub use error::ConfigError;
pub use options::{
    Activation, ClassEmbedType, DownBlockType, MidBlockType, ResampleType, SampleSize, TimeEmbeddingType,
    TimeScaleShift, UpBlockType,
};
pub use precision::Precision;
pub use prepared::PreparedUNet;
pub use unet::UNet2D;
