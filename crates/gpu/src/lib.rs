//! The engine for GPUs and for training: runs a [`Graph`](ddim_graph::Graph) on burn tensors.
//!
//! A [`Network`] is a graph with weights on a device. What it is made for decides how the weights lie ([`Form`]):
//! as they are, laid out and transformed for the kernels of `ddim-shaders`, or as leaves of automatic
//! differentiation. On wgpu those kernels run; on every other device their plain meaning, with the same numbers up
//! to rounding.
//!
//! ```
//! use std::sync::Arc;
//!
//! use burn::tensor::{Device, Tensor};
//! use ddim_gpu::{Form, Network};
//! use ddim_graph::Labels;
//! use ddim_unet::UNet2DConfig;
//!
//! let config = UNet2DConfig {
//!     block_out_channels: vec![8, 16, 16, 16],
//!     layers_per_block: 1,
//!     norm_num_groups: 4,
//!     ..UNet2DConfig::default()
//! };
//! let graph = Arc::new(config.graph()?);
//! let zeros = |parameter| vec![0.0; graph.parameter(parameter).len()].into();
//! let device = Device::flex();
//! let network = Network::new(Arc::clone(&graph), zeros, &device, Form::default());
//!
//! // Once for a whole sampling plan if wanted.
//! let plan = network.condition(&[999.0, 499.0], &Labels::None);
//! let mut x = Tensor::<4>::ones([2, 3, 16, 8], &device);
//! for step in 0..plan.len() {
//!     x = network.forward(x, &plan.rows(step..step + 1));
//! }
//! assert_eq!(x.dims(), [2, 3, 16, 8]);
//! # Ok::<(), ddim_unet::ConfigError>(())
//! ```
//!
//! The crate knows no architecture and no diffusion.

mod conditioning;
mod fused;
mod layer;
mod network;
mod pass;
mod precision;
mod rows;
mod weights;

pub use conditioning::Conditioning;
pub use ddim_graph::Precision;
pub use network::{Form, Network};
pub use precision::computes_in;
