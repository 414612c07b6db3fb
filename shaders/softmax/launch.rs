//! Whether the kernel takes these tensors, and its launch: a cube for each row.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::Tensor;
use burn_cubecl::cubecl::prelude::CubeDim;
use burn_cubecl::kernel::into_contiguous;

use super::kernel::{ROW_UNITS, softmax_kernel};
use crate::common::memory::{cubes, empty, memory_of, tensor_of};

/// `None` for tensors that it does not take.
pub(super) fn softmax(scores: &Tensor<4>) -> Option<Tensor<4>> {
    let [n, heads, rows, len] = scores.dims();
    if scores.dims().contains(&0) {
        return None;
    }
    let scores = into_contiguous(memory_of(scores)?);
    let count = cubes(&scores, [rows, heads, n])?;
    let out = empty(&scores, scores.shape());
    softmax_kernel::launch(
        &scores.client.clone(),
        count,
        CubeDim::new_1d(ROW_UNITS as u32),
        scores.required_address_type(),
        scores.clone().into_tensor_arg(),
        out.clone().into_tensor_arg(),
        len,
        dtype_to_storage_type(scores.dtype),
    );
    Some(tensor_of(out))
}
