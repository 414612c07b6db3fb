//! The meaning of the kernel in tensor operations.

use burn::tensor::{DType, Tensor, activation};

use super::{Activation, GroupNorm};
use crate::common::cast;

/// Six passes over the picture, since 1 / sqrt(variance + epsilon) is folded into `weight` while both are small;
/// the activation is one more.
pub(super) fn group_norm(
    norm: &GroupNorm,
    x: Tensor<4>,
    added: Option<&Tensor<4>>,
    weight: &Tensor<4>,
    bias: &Tensor<4>,
) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let (groups, each) = (norm.groups, channels / norm.groups);
    let per_group = |rows: &Tensor<4>| {
        let [n, ..] = rows.dims();
        cast(rows.clone(), DType::F32).reshape([n, groups, each, 1])
    };

    // 16 bits are too few to add up squares.
    let dtype = x.dtype();
    let x = match added {
        Some(added) => x + cast(added.clone(), dtype),
        None => x,
    };
    let x = cast(x, DType::F32).reshape([batch, groups, each * height * width]);
    let mean = x.clone().mean_dim(2);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(2);
    let inverse_std = (variance + norm.epsilon).sqrt().recip();

    let scale = inverse_std.reshape([batch, groups, 1, 1]) * per_group(weight);
    let x = centred.reshape([batch, groups, each, height * width]) * scale + per_group(bias);
    let y = cast(x.reshape([batch, channels, height, width]), dtype);
    match norm.activation {
        Activation::Identity => y,
        Activation::Silu => activation::silu(y),
    }
}
