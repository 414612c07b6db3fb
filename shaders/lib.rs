//! What runs on a GPU: a folder a kernel.
//!
//! Each folder holds the same four parts: `kernel`, device code and nothing else, in the language that burn
//! compiles for every GPU (WGSL, SPIR-V, Metal, CUDA); `launch`, which looks whether the kernel takes these
//! tensors, and starts it; `plain`, the meaning in tensor operations; and tests that compare the two. `README.md`
//! has a row a kernel, `wgsl/` what a GPU is given.
//!
//! * [`step`]: a step of the sampler.
//! * [`group_norm`]: a group normalisation, what is added before it and SiLU behind it.
//! * [`softmax`]: the weights of attention.
//! * [`convolve`]: a 3x3 convolution with a quarter of the multiplications, also of a picture doubled before, and
//!   what is added to it.
//!
//! A call always gives a result: by the kernel where it takes the tensors, and plainly where they are elsewhere
//! (another backend, a graph of automatic differentiation, burn's `fusion`, a build without the feature `wgpu`) or
//! of a type, layout or size that it is not made for. The two differ by rounding. This crate knows no other of the
//! workspace.

mod common;
mod group_norm;
mod softmax;
mod step;
#[cfg(all(test, feature = "wgpu"))]
#[path = "wgsl/tests.rs"]
mod wgsl;
mod winograd;

pub use group_norm::{Activation, GroupNorm, group_norm};
pub use softmax::softmax;
pub use step::{Step, StepCoefficients, step};
pub use winograd::{Kernels, Size, convolve};
