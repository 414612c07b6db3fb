//! The layers of a UNet on a plain CPU.
//!
//! A [`Tape`] is a list of layers; a [`Network`] is a tape with weights, packed for the vectors of this processor.
//! Pictures lie with their channels innermost from the first layer to the last; every layer is one pass over memory,
//! and what can be done while a value is in a register is done there: bias, time shift, residual and scale where a
//! convolution writes, the nonlinearity where a normalisation does. Threads take whole pictures through all layers, so
//! that these stay in the cache of one core; only where there are fewer pictures than threads do they share layers.
//!
//! Products are of numbers in f32, or in bf16 with sums in f32 ([`Precision`]): 1.5 times as fast with AVX-512's
//! instruction for it, and half as fast everywhere else.
//!
//! Each output is summed up in one order, whatever the batch, the chunk and the number of threads: pictures are the
//! same bit for bit.

#![allow(unsafe_code, reason = "vectors and tiles shared between threads; every block says why it is sound")]
#![deny(unsafe_op_in_unsafe_fn)]

mod attention;
mod block;
mod cell;
mod gradient;
mod isa;
mod kernel;
mod lanes;
mod layout;
mod network;
mod norm;
mod plan;
mod product;
mod profile;
mod run;
mod spread;
mod tape;
mod tile;
mod winograd;

pub use gradient::Gradients;
pub use isa::Isa;
pub use layout::Halo;
pub use network::{Convolution, Network, Precision, Rows};
pub use norm::Activation;
pub use profile::Cost;
pub use spread::Resample;
pub use tape::{Conv, Modulation, Norm, Order, Parameter, Part, Tape, Value};
