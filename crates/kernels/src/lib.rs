//! Fast twins of the sampler's tensor arithmetic.
//!
//! Everything here has a plain-tensor twin in `ddim-sampler` that gives the same bits, and a test that
//! compares the two. Without this crate every result is the same, only slower. It is the one crate that
//! may name a backend to compute with; it knows no other crate of the workspace.
//!
//! * [`step_on_host`]: one reverse step in a single pass over memory, where tensors already live in host
//!   memory (burn's `flex` backend).

use burn::tensor::Device;

mod host_step;

pub use host_step::{HostStep, StepCoefficients, step_on_host};

/// Whether tensors of this device live in host memory, without autodiff: code of the processor's own can take them up.
pub fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}
