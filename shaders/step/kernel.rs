//! Device code: one reverse step in one kernel: prediction, limit, next state, and whether all of them are finite.
//!
//! A cube takes a part of a picture. As tensor operations a step is some nine kernels, each of which reads a whole
//! picture.

use burn_cubecl::cubecl::std::FastDivmod;
use burn_cubecl::cubecl::{self, prelude::*};

use crate::common::fold::{Fold, SIDE, UNITS, over_cube};

/// Values of a picture that a unit takes.
pub(crate) const EACH: usize = 4;

/// As `StepCoefficients` has them.
#[derive(CubeType, CubeLaunch)]
pub(crate) struct Coefficients {
    x0_from_x: f32,
    x0_from_out: f32,
    x0_limit: f32,
    next_from_x: f32,
    next_from_out: f32,
    next_from_x0: f32,
    sigma: f32,
}

/// `x`, `out` and `added` are `[n, c, h, w]` with `h` and `w` in one line, `next` and `x0` one picture after
/// another, `sums` is `[n, parts]`.
#[cube(launch, address_type = "dynamic")]
pub(crate) fn step_kernel(
    x: &Tensor<f32>,
    out: &Tensor<f32>,
    added: &Tensor<f32>,
    next: &mut Tensor<f32>,
    x0: &mut Tensor<f32>,
    sums: &mut Tensor<f32>,
    by_pixel: FastDivmod<usize>,
    len: usize,
    c: Coefficients,
    #[comptime] has_added: bool,
) {
    let mut shared = Shared::new_slice(UNITS + SIDE);
    let picture = CUBE_POS_Y as usize;
    let part = CUBE_POS_X as usize;
    let mut bad = 0.0f32;
    #[unroll]
    for round in 0..EACH {
        let place = (part * EACH + round) * UNITS + UNIT_POS as usize;
        if place < len {
            let (channel, pixel) = by_pixel.div_mod(place);
            let state = x[at(x, picture, channel, pixel)];
            let output = out[at(out, picture, channel, pixel)];
            let free = state * c.x0_from_x + output * c.x0_from_out;
            let limited = free.clamp(-c.x0_limit, c.x0_limit);
            let mut sum = state * c.next_from_x + output * c.next_from_out + limited * c.next_from_x0;
            if comptime!(has_added) {
                sum += added[at(added, picture, channel, pixel)] * c.sigma;
            }
            next[picture * len + place] = sum;
            x0[picture * len + place] = limited;
            bad += one_if_bad(free) + one_if_bad(sum);
        }
    }
    let bad = over_cube(bad, &mut shared, Fold::Sum, SIDE);
    if UNIT_POS == 0 {
        sums[picture * CUBE_COUNT_X as usize + part] = f32::reinterpret(select(bad > 0.0f32, INFINITY, 0u32));
    }
}

/// The place of a value.
#[cube]
fn at(tensor: &Tensor<f32>, picture: usize, channel: usize, pixel: usize) -> usize {
    picture * tensor.stride(0) + channel * tensor.stride(1) + pixel * tensor.stride(3)
}

/// The bits of infinity: all of the exponent. A NaN has them too, and no other number.
const INFINITY: u32 = 0x7F80_0000;

/// 1 for an infinity or a NaN, else 0: told by the bits, since a compiler may believe that there are no such
/// numbers.
#[cube]
fn one_if_bad(value: f32) -> f32 {
    select(u32::reinterpret(value) & INFINITY == INFINITY, 1.0f32, 0.0f32)
}
