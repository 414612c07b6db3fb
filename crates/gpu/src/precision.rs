//! Tensors of 16 bits.

use burn::tensor::{DType, Device, FloatDType, Tensor};
use ddim_graph::Precision;

/// Whether the device computes in it.
pub fn computes_in(device: &Device, precision: Precision) -> bool {
    device.supports_dtype(dtype(precision))
}

/// The type of a tensor.
pub(crate) fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 => FloatDType::F32,
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    }
}

/// The tensor in this type: itself, where it is of it.
pub(crate) fn cast<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if x.dtype() == dtype { x } else { x.cast(FloatDType::from(dtype)) }
}
