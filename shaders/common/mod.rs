//! What the kernels share: device code in `fold`, the host's side in `memory`.

use burn::tensor::{DType, FloatDType, Tensor};

#[cfg(feature = "wgpu")]
pub(crate) mod fold;
#[cfg(feature = "wgpu")]
pub(crate) mod memory;
#[cfg(test)]
pub(crate) mod tests;

/// The tensor in this type: itself, where it is of it.
pub(crate) fn cast<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if x.dtype() == dtype { x } else { x.cast(FloatDType::from(dtype)) }
}
