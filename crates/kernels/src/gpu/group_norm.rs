//! Group normalisation, what is added before it and the activation behind it, in one kernel.
//!
//! One cube takes one group of one picture: its mean, its variance about that mean, and its values, so that the group is
//! read three times, from a cache after the first. The plain way takes a dozen kernels, and lays the picture out anew on
//! the way in, since convolutions leave the channels of a pixel side by side and statistics of groups want them apart.
//! Here the picture may lie in any order, and is left as convolutions take it, channels innermost.
//!
//! Gain, embedded model, batch 4, llvmpipe: 160 kernels a call in place of 629, without the 3x3 kernels of `winograd`; what the 469
//! took was 270 ms of 1650, this takes 110.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::permute_nhwc_to_nchw;
use burn_cubecl::tensor::CubeTensor;

use super::{Fold, Pictures, memory, over_cube, tensor};
use crate::GroupNorm;

/// The root of the number of units in a cube: as many as every adapter of WebGPU allows.
const SIDE: usize = 16;
const UNITS: usize = SIDE * SIDE;

pub(crate) fn group_norm(
    norm: &GroupNorm,
    x: &Pictures,
    added: Option<&Pictures>,
    weight: &Pictures,
    bias: &Pictures,
) -> Option<Pictures> {
    let [n, channels, height, width] = x.dims();
    let rows_of = |rows: &Pictures| {
        let is_taken = rows.dtype() == DType::F32;
        is_taken.then(|| memory(rows.clone().expand([n, channels, 1, 1]))).flatten()
    };
    let is_a_line = |x: &CubeTensor| x.meta.strides()[2] == width * x.meta.strides()[3];
    if x.dims().contains(&0) {
        return None;
    }
    let x = memory(x.clone()).filter(is_a_line)?;
    let (weight, bias) = (rows_of(weight)?, rows_of(bias)?);
    let has_added = added.is_some();
    let added = added.map_or_else(|| Some(bias.clone()), rows_of)?;

    let shape = Shape::new([n, height, width, channels]);
    let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, x.dtype);
    let out = permute_nhwc_to_nchw(out);
    let each = channels / norm.groups;
    let wide = each.min(UNITS);
    group_norm_kernel::launch(
        &x.client.clone(),
        CubeCount::Static(norm.groups as u32, n as u32, 1),
        CubeDim::new_1d(UNITS as u32),
        x.required_address_type().max(out.required_address_type()),
        x.clone().into_tensor_arg(),
        added.into_tensor_arg(),
        weight.into_tensor_arg(),
        bias.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        each,
        height * width,
        wide,
        UNITS / wide,
        norm.epsilon as f32,
        has_added,
        norm.silu,
        dtype_to_storage_type(x.dtype),
    );
    Some(tensor(out))
}

/// `x` and `out` are `[n, c, h, w]` with `h` and `w` in one line; `added`, `weight` and `bias` are `[n, c, 1, 1]`.
///
/// A unit takes every `lanes`-th pixel of every `wide`-th channel of the group: mostly of one, and units side by side take
/// channels side by side.
#[cube(launch, address_type = "dynamic")]
fn group_norm_kernel<F: Float>(
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
    let picture = CUBE_POS_Y as usize;
    let group = CUBE_POS_X as usize * each;
    let lane = UNIT_POS as usize / wide;
    // Units that are left over have no pixel.
    let first_pixel = select(lane < lanes, lane, pixels);
    let first_channel = group + UNIT_POS as usize % wide;
    let count = f32::cast_from((each * pixels) as u32);

    let mut sum = 0.0f32;
    for channel in range_stepped(first_channel, group + each, wide) {
        let (start, shift) = channel_of::<F>(x, added, picture, channel, has_added);
        for pixel in range_stepped(first_pixel, pixels, lanes) {
            sum += f32::cast_from(x[start + pixel * x.stride(3)]) + shift;
        }
    }
    let mean = over_cube(sum, &mut shared, Fold::Sum, SIDE) / count;

    let mut squares = 0.0f32;
    for channel in range_stepped(first_channel, group + each, wide) {
        let (start, shift) = channel_of::<F>(x, added, picture, channel, has_added);
        for pixel in range_stepped(first_pixel, pixels, lanes) {
            let centred = f32::cast_from(x[start + pixel * x.stride(3)]) + shift - mean;
            squares += centred * centred;
        }
    }
    let variance = over_cube(squares, &mut shared, Fold::Sum, SIDE) / count;
    let inverse_std = 1.0f32 / (variance + epsilon).sqrt();

    for channel in range_stepped(first_channel, group + each, wide) {
        let (start, shift) = channel_of::<F>(x, added, picture, channel, has_added);
        let scale = inverse_std * weight[picture * weight.stride(0) + channel * weight.stride(1)];
        let offset = bias[picture * bias.stride(0) + channel * bias.stride(1)];
        let out_start = picture * out.stride(0) + channel * out.stride(1);
        for pixel in range_stepped(first_pixel, pixels, lanes) {
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
