//! Networks on a plain CPU: an engine for the graphs of `ddim-graph`.
//!
//! A [`Network`] is a [`Graph`] with weights, packed for the vectors of this processor. Pictures lie with their
//! channels innermost from the first layer to the last; every layer is one pass over memory, and what can be done
//! while a value is in a register is done there: bias, time shift, residual and scale where a convolution writes,
//! the nonlinearity where a normalisation does. Threads take whole pictures through all layers, so that these stay
//! in the cache of one core; only where there are fewer pictures than threads do they share layers.
//!
//! ```
//! use ddim_cpu::{Convolution, Isa, Labels, Network, Precision};
//! use ddim_graph::{Activation, Asked, Border, Builder, Convolution as Layer};
//!
//! let mut builder = Builder::new();
//! let x = builder.input(3);
//! let time = builder.waves(Asked::Time, vec![1.0, 0.1], 4, true);
//! let time = builder.linear(time, "time", 8);
//! let shift = builder.modulation(time);
//! let conv = |name: &str, to: usize| Layer::new(name, to).kernel(3).border(Border::even(1));
//! let h = builder.convolve(x, conv("conv_in", 8).shift(Some(shift)));
//! let h = builder.normalize(h, "norm", 2, 1e-5, None, Activation::Silu);
//! let out = builder.convolve(h, conv("conv_out", 3));
//! let graph = std::sync::Arc::new(builder.finish(out));
//!
//! let weights = |parameter| vec![0.01; graph.parameter(parameter).len()].into();
//! let (isa, size) = (Isa::detect(), [8, 8]);
//! let network = Network::new(graph.clone(), weights, isa, Convolution::Winograd, Precision::F32, size)?;
//! let conditioning = network.condition(&[999.0, 499.0], &Labels::None);
//! let pictures = vec![0.5; 4 * 3 * 8 * 8];
//! let first = network.forward(&pictures, [4, 3, 8, 8], &conditioning.rows(0..1).modulations());
//! assert_eq!(first.len(), pictures.len());
//! # Ok::<(), ddim_cpu::Unsupported>(())
//! ```
//!
//! Products are of numbers in f32, or in bf16 with sums in f32 ([`Precision`]): 1.5 times as fast with AVX-512's
//! instruction for it on AMD's processors, as fast on Intel's, and half as fast everywhere else ([`Isa::bf16`]).
//!
//! Each output is summed up in one order, whatever the batch, the chunk and the number of threads: pictures are
//! the same bit for bit.

#![allow(unsafe_code, reason = "vectors and tiles shared between threads; every block says why it is sound")]
#![deny(unsafe_op_in_unsafe_fn)]

mod activation;
mod attention;
mod block;
mod cell;
mod conditioning;
mod gradient;
mod isa;
mod kept;
mod kernel;
mod lanes;
mod layout;
mod lower;
mod network;
mod norm;
mod pixel;
mod plan;
mod pool;
mod product;
mod profile;
mod run;
mod spread;
mod tape;
mod tile;
mod trace;
mod unsupported;
mod winograd;

pub use conditioning::Conditioning;
pub use ddim_graph::{Graph, Labels, Parameter};
pub use gradient::{Gradients, PulledBack, Wanted};
pub use isa::{Bf16, Isa};
pub use kept::Kept;
pub use network::{Convolution, Network, Precision, Rows, Seen};
pub use profile::Cost;
pub use trace::Trace;
pub use unsupported::{Unsupported, check};
