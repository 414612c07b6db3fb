//! The UNet2D family: networks that take a picture, a time and perhaps a label to a tensor of the picture's size.
//!
//! A network is described by a [`UNet2DConfig`], which reads and writes the `unet/config.json` of diffusers'
//! `UNet2DModel` (0.42.1) with every block that needs no more than a picture, a time and a label. An option, a
//! key or a block that is not understood is an error that names it.
//!
//! [`UNet2DConfig::graph`] writes the network down as a [`ddim_graph::Graph`], which engines run; its parameters
//! have the names and shapes of diffusers' files.
//!
//! ```
//! use ddim_unet::UNet2DConfig;
//!
//! let config = UNet2DConfig {
//!     block_out_channels: vec![8, 16, 16, 16],
//!     layers_per_block: 1,
//!     norm_num_groups: 4,
//!     ..UNet2DConfig::default()
//! };
//! let graph = config.graph()?;
//! println!("{} weights, {} multiplications", graph.parameter_count(), graph.multiplications([32, 32]).unwrap());
//! # Ok::<(), ddim_unet::ConfigError>(())
//! ```
//!
//! The crate knows no engine, no weight, and nothing of diffusion: no schedule, no noise, no sampling.

mod config;
mod graph;
mod options;

pub use config::UNet2DConfig;
pub use ddim_options::{Activation, ConfigError, SampleSize};
pub use options::{
    ClassEmbedType, DownBlockType, MidBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UpBlockType,
};
