//! Device code: scores to the weights of attention, in one kernel: a cube takes a row.
//!
//! As tensor operations it is six kernels, and two more where scores have 16 bits, each of which reads all scores.

use burn_cubecl::cubecl::{self, prelude::*};

use crate::common::fold::{Fold, over_cube};

/// The root of the number of units in a cube: rows of attention are short, the pixels of a coarse level.
pub(crate) const ROW_SIDE: usize = 8;
pub(crate) const ROW_UNITS: usize = ROW_SIDE * ROW_SIDE;

/// Both are `[n, heads, rows, len]`, one row after another.
#[cube(launch, address_type = "dynamic")]
pub(crate) fn softmax_kernel<F: Float>(
    scores: &Tensor<F>,
    out: &mut Tensor<F>,
    len: usize,
    #[define(F)] _dtype: ElemType,
) {
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
