//! The meaning of the kernel in tensor operations.

use burn::tensor::{DType, Tensor, activation};

use crate::common::cast;

pub(super) fn softmax(scores: Tensor<4>) -> Tensor<4> {
    let dtype = scores.dtype();
    cast(activation::softmax(cast(scores, DType::F32), 3), dtype)
}
