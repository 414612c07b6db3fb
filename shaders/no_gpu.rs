//! What stands for the kernels of `gpu` where there are none: everything goes the plain way.

use burn::tensor::Tensor;

use crate::{GpuStep, GroupNorm, StepCoefficients, TransformedKernels};

pub(crate) fn group_norm(
    _: &GroupNorm,
    _: &Tensor<4>,
    _: Option<&Tensor<4>>,
    _: &Tensor<4>,
    _: &Tensor<4>,
) -> Option<Tensor<4>> {
    None
}

pub(crate) fn softmax(_: &Tensor<4>) -> Option<Tensor<4>> {
    None
}

pub(crate) fn transformed(_: &Tensor<4>) -> Option<TransformedKernels> {
    None
}

pub(crate) fn convolve(
    _: &Tensor<4>,
    _: &TransformedKernels,
    _: &Tensor<1>,
    _: Option<&Tensor<4>>,
    _: bool,
) -> Option<Tensor<4>> {
    None
}

pub(crate) fn step(_: &Tensor<4>, _: &Tensor<4>, _: Option<&Tensor<4>>, _: &StepCoefficients) -> Option<GpuStep> {
    None
}
