//! Scores to the weights of attention, in one kernel: a cube takes a row.
//!
//! As tensor operations it is six kernels, and two more where scores have 16 bits, each of which reads all scores.
//!
//! Gain, embedded model, batch 4, llvmpipe: 5 kernels fewer for each attention, in the same time.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;

use super::{Fold, Pictures, cubes, empty, memory_of, over_cube, tensor_of};

/// The root of the number of units in a cube: rows of attention are short, the pixels of a coarse level.
const ROW_SIDE: usize = 8;
const ROW_UNITS: usize = ROW_SIDE * ROW_SIDE;

pub(crate) fn softmax(scores: &Pictures) -> Option<Pictures> {
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

/// Both are `[n, heads, rows, len]`, one row after another.
#[cube(launch, address_type = "dynamic")]
fn softmax_kernel<F: Float>(scores: &Tensor<F>, out: &mut Tensor<F>, len: usize, #[define(F)] _dtype: ElemType) {
    let mut shared = Shared::new_slice(ROW_UNITS + ROW_SIDE);
    let start =
        ((CUBE_POS_Z * CUBE_COUNT_Y + CUBE_POS_Y) as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * len;

    // A unit without a value has the row's first: it is no larger than the largest.
    let mut largest = f32::cast_from(scores[start]);
    for place in range_stepped(UNIT_POS as usize, len, ROW_UNITS) {
        largest = max(largest, f32::cast_from(scores[start + place]));
    }
    let largest = over_cube(largest, &mut shared, Fold::Largest, ROW_SIDE);

    let mut sum = 0.0f32;
    for place in range_stepped(UNIT_POS as usize, len, ROW_UNITS) {
        sum += (f32::cast_from(scores[start + place]) - largest).exp();
    }
    let sum = over_cube(sum, &mut shared, Fold::Sum, ROW_SIDE);

    for place in range_stepped(UNIT_POS as usize, len, ROW_UNITS) {
        let weight = (f32::cast_from(scores[start + place]) - largest).exp() / sum;
        out[start + place] = F::cast_from(weight);
    }
}
