//! Fast twins of single operations of the sampler and of the network.
//!
//! Everything here has a twin in plain tensor operations, in `ddim-sampler` or in `ddim-unet`, and a test that compares the
//! two: without this crate every result is the same, only slower. It is the one crate that may name a backend to compute with; it
//! knows no other crate of the workspace.
//!
//! On the host (burn's `flex` backend), with the bits of the twin:
//!
//! * [`step_on_host`]: one reverse step in a single pass over memory.
//!
//! On a GPU, up to rounding, with the feature `wgpu`; each gives `None` for tensors that are elsewhere, that belong to a graph
//! of automatic differentiation, that burn's `fusion` has not given memory yet, or that are more than one launch takes:
//!
//! * [`step_on_gpu`]: the same in a single kernel.
//! * [`group_norm_on_gpu`]: a group normalisation, what is added before it and SiLU behind it, in one kernel.
//! * [`convolve_on_gpu`]: a 3x3 convolution with a quarter of the multiplications, also of a picture doubled before, and what is added to
//!   it.
//! * [`softmax_on_gpu`]: the weights of attention in one kernel.

use burn::tensor::{Device, Tensor};

#[cfg(feature = "wgpu")]
mod gpu;
#[cfg(not(feature = "wgpu"))]
#[path = "no_gpu.rs"]
mod gpu;
mod host_step;

pub use host_step::{HostStep, StepCoefficients, step_on_host};

/// Whether tensors of this device live in host memory, without autodiff: code of the processor's own can take them up.
pub fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// A group normalisation, Wu and He 2018 (arXiv:1803.08494), Eq. 1 to 3, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// In how many groups the channels lie.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the result `y` becomes `y sigmoid(y)`.
    pub silu: bool,
}

/// `(x + added - mean) / sqrt(variance + epsilon) * weight + bias`, and the activation.
///
/// `x` is `[n, c, h, w]` in 16 or 32 bits, and so is the result; `added`, `weight` and `bias` are `[1 or n, c, 1, 1]` in f32, as
/// are all sums.
pub fn group_norm_on_gpu(
    norm: &GroupNorm,
    x: &Tensor<4>,
    added: Option<&Tensor<4>>,
    weight: &Tensor<4>,
    bias: &Tensor<4>,
) -> Option<Tensor<4>> {
    gpu::group_norm(norm, x, added, weight, bias)
}

/// The softmax of each row of `[n, heads, rows, columns]` in 16 or 32 bits, its sums in f32.
pub fn softmax_on_gpu(scores: &Tensor<4>) -> Option<Tensor<4>> {
    gpu::softmax(scores)
}

/// Kernels of a 3x3 convolution as [`convolve_on_gpu`] takes them: four times as many values.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "wgpu"), expect(dead_code, reason = "there is nothing to convolve with"))]
pub struct TransformedKernels(Tensor<3>);

/// Transforms kernels `[out, in, 3, 3]`. `None` also where burn's own convolution is better off: in 16 bits, on tensor cores, with few
/// channels on either side or a number of them that is not divisible by 4, and where the device has no tensor of that size.
pub fn transformed_for_gpu(weight: &Tensor<4>) -> Option<TransformedKernels> {
    gpu::transformed(weight)
}

/// The convolution of `x`, `[n, in, h, w]`, with a border of one zero around it and these kernels; of each
/// pixel of `x` four times, `[n, in, 2h, 2w]`, if `doubled`. `bias` has a value for each output, and `added` is of the shape of the result.
/// All is f32. `None` also for other types and shapes, and for pictures whose transformed tiles are larger than the device's tensors.
pub fn convolve_on_gpu(
    x: &Tensor<4>,
    kernels: &TransformedKernels,
    bias: &Tensor<1>,
    added: Option<&Tensor<4>>,
    doubled: bool,
) -> Option<Tensor<4>> {
    gpu::convolve(x, kernels, bias, added, doubled)
}

/// What a step on a GPU gives.
pub struct GpuStep {
    /// The next state.
    pub next: Tensor<4>,
    /// The predicted clean image, limited.
    pub x0: Tensor<4>,
    /// Shape `[n, parts of a picture]`: not finite where a prediction before the limit, or a next value, is not.
    pub sums: Tensor<2>,
}

/// Takes a step with all tensors `[n, c, h, w]` in f32.
pub fn step_on_gpu(
    x: &Tensor<4>,
    out: &Tensor<4>,
    added: Option<&Tensor<4>>,
    coefficients: &StepCoefficients,
) -> Option<GpuStep> {
    gpu::step(x, out, added, coefficients)
}
