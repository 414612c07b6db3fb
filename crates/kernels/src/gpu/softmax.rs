//! Scaled scores to the weights of attention, in one kernel: a cube takes a row.
//!
//! As tensor operations it is six kernels, and two more where scores have 16 bits, each of which reads and writes all scores.
//!
//! Gain, embedded model, batch 4, llvmpipe: 160 kernels a call in place of 180, in the same time.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

use super::{Fold, Pictures, memory, over_cube, tensor};

/// The root of the number of units in a cube: rows of attention are short, the pixels of a coarse level.
const SIDE: usize = 8;
const UNITS: usize = SIDE * SIDE;

pub(crate) fn softmax(scores: &Pictures, scale: f64) -> Option<Pictures> {
    let [n, heads, rows, len] = scores.dims();
    if scores.dims().contains(&0) {
        return None;
    }
    let scores = into_contiguous(memory(scores.clone())?);
    let out =
        empty_device_contiguous_dtype(scores.client.clone(), scores.device.clone(), scores.shape(), scores.dtype);
    softmax_kernel::launch(
        &scores.client.clone(),
        CubeCount::Static(rows as u32, (n * heads) as u32, 1),
        CubeDim::new_1d(UNITS as u32),
        scores.required_address_type(),
        scores.clone().into_tensor_arg(),
        out.clone().into_tensor_arg(),
        len,
        scale as f32,
        dtype_to_storage_type(scores.dtype),
    );
    Some(tensor(out))
}

/// Both are `[n, heads, rows, len]`, one row after another.
#[cube(launch, address_type = "dynamic")]
fn softmax_kernel<F: Float>(
    scores: &Tensor<F>,
    out: &mut Tensor<F>,
    len: usize,
    scale: f32,
    #[define(F)] _dtype: ElemType,
) {
    let mut shared = Shared::new_slice(UNITS + SIDE);
    let start = (CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * len;

    // A unit without a value has the row's first: it is no larger than the largest.
    let mut largest = f32::cast_from(scores[start]) * scale;
    for place in range_stepped(UNIT_POS as usize, len, UNITS) {
        largest = max(largest, f32::cast_from(scores[start + place]) * scale);
    }
    let largest = over_cube(largest, &mut shared, Fold::Largest, SIDE);

    let mut sum = 0.0f32;
    for place in range_stepped(UNIT_POS as usize, len, UNITS) {
        sum += (f32::cast_from(scores[start + place]) * scale - largest).exp();
    }
    let sum = over_cube(sum, &mut shared, Fold::Sum, SIDE);

    for place in range_stepped(UNIT_POS as usize, len, UNITS) {
        let weight = (f32::cast_from(scores[start + place]) * scale - largest).exp() / sum;
        out[start + place] = F::cast_from(weight);
    }
}
