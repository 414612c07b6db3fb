//! Device code: group normalisation, what is added before it and the activation behind it, in one kernel.
//!
//! One cube takes one group of one picture: its mean, its variance about that mean, and its values, so that the
//! group is read three times, from a cache after the first. The plain way takes a dozen kernels, and lays the
//! picture out anew on the way in, since convolutions leave the channels of a pixel side by side and statistics of
//! groups want them apart. Here it may lie either way, and is left as convolutions take it, channels innermost.

use burn_cubecl::cubecl::{self, prelude::*};

use crate::common::fold::{Fold, SIDE, UNITS, over_cube};

/// `x` and `out` are `[n, c, h, w]` with `h` and `w` in one line; `added`, `weight` and `bias` are `[n, c, 1, 1]`.
#[cube(launch, address_type = "dynamic")]
pub(crate) fn group_norm_kernel<F: Float>(
    x: &Tensor<F>,
    added: &Tensor<f32>,
    weight: &Tensor<f32>,
    bias: &Tensor<f32>,
    out: &mut Tensor<F>,
    each: usize,
    pixels: usize,
    wide: usize,
    lanes: usize,
    epsilon: f32,
    #[comptime] has_added: bool,
    #[comptime] silu: bool,
    #[define(F)] _dtype: ElemType,
) {
    let mut shared = Shared::new_slice(UNITS + SIDE);
    let share = Share::new(each, pixels, wide, lanes);
    let count = f32::cast_from((each * pixels) as u32);

    let sum = sum_about::<F>(x, added, &share, 0.0f32, false, has_added);
    let mean = over_cube(sum, &mut shared, Fold::Sum, SIDE) / count;
    let squares = sum_about::<F>(x, added, &share, mean, true, has_added);
    let variance = over_cube(squares, &mut shared, Fold::Sum, SIDE) / count;
    let inverse_std = 1.0f32 / (variance + epsilon).sqrt();

    for channel in range_stepped(share.channel, share.end, share.wide) {
        let (start, shift) = channel_of::<F>(x, added, share.picture, channel, has_added);
        let scale = inverse_std * weight[share.picture * weight.stride(0) + channel * weight.stride(1)];
        let offset = bias[share.picture * bias.stride(0) + channel * bias.stride(1)];
        let out_start = share.picture * out.stride(0) + channel * out.stride(1);
        for pixel in range_stepped(share.pixel, share.pixels, share.lanes) {
            let centred = f32::cast_from(x[start + pixel * x.stride(3)]) + shift - mean;
            let mut y = centred * scale + offset;
            if comptime!(silu) {
                y = y / (1.0f32 + (-y).exp());
            }
            let place = out_start + pixel * out.stride(3);
            out[place] = F::cast_from(y);
        }
    }
}

/// What a unit takes of the group of its cube: every `lanes`-th pixel of every `wide`-th channel, mostly of one;
/// units side by side take channels side by side.
#[derive(CubeType)]
struct Share {
    picture: usize,
    /// The first channel.
    channel: usize,
    /// Where the channels of the group end.
    end: usize,
    wide: usize,
    /// The first pixel.
    pixel: usize,
    pixels: usize,
    lanes: usize,
}

#[cube]
impl Share {
    fn new(each: usize, pixels: usize, wide: usize, lanes: usize) -> Share {
        let group = CUBE_POS_X as usize * each;
        let lane = UNIT_POS as usize / wide;
        Share {
            picture: CUBE_POS_Y as usize,
            channel: group + UNIT_POS as usize % wide,
            end: group + each,
            wide,
            // Units that are left over have none.
            pixel: select(lane < lanes, lane, pixels),
            pixels,
            lanes,
        }
    }
}

/// The sum of a unit's values about this mean, or of their squares.
#[cube]
fn sum_about<F: Float>(
    x: &Tensor<F>,
    added: &Tensor<f32>,
    share: &Share,
    mean: f32,
    #[comptime] squared: bool,
    #[comptime] has_added: bool,
) -> f32 {
    let mut sum = 0.0f32;
    for channel in range_stepped(share.channel, share.end, share.wide) {
        let (start, shift) = channel_of::<F>(x, added, share.picture, channel, has_added);
        for pixel in range_stepped(share.pixel, share.pixels, share.lanes) {
            let centred = f32::cast_from(x[start + pixel * x.stride(3)]) + shift - mean;
            sum += if comptime!(squared) { centred * centred } else { centred };
        }
    }
    sum
}

/// Where a channel of a picture begins, and what is added to it.
#[cube]
fn channel_of<F: Float>(
    x: &Tensor<F>,
    added: &Tensor<f32>,
    picture: usize,
    channel: usize,
    #[comptime] has_added: bool,
) -> (usize, f32) {
    let mut shift = 0.0f32;
    if comptime!(has_added) {
        shift = added[picture * added.stride(0) + channel * added.stride(1)];
    }
    (picture * x.stride(0) + channel * x.stride(1), shift)
}
