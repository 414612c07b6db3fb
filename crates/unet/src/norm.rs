//! Group normalisation (Wu and He 2018, arXiv:1803.08494, Eq. 1 to 3) in few tensor operations.

use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{DType, Tensor};

use crate::precision::cast;

/// A group normalisation with weight 1 and bias 0.
pub(crate) fn init(channels: usize, groups: usize, eps: f64, device: &burn::tensor::Device) -> GroupNorm {
    GroupNormConfig::new(groups, channels).with_epsilon(eps).init(device)
}

/// weight * (x - mean) / sqrt(variance + eps) + bias, over each group of channels of \[n, c, h, w\].
pub(crate) fn group_norm(norm: &GroupNorm, x: Tensor<4>) -> Tensor<4> {
    let (weight, bias) = weight_and_bias(norm);
    normalize(norm, x, weight, bias)
}

/// scale * group_norm(x) + shift, with scale and shift of shape \[1 or n, c, 1, 1\].
///
/// Scale and shift join weight and bias before they meet the picture: s (w y + b) + t = (s w) y + (s b + t).
pub(crate) fn modulated_group_norm(
    norm: &GroupNorm,
    x: Tensor<4>,
    scale: Tensor<4>,
    shift: Tensor<4>,
) -> Tensor<4> {
    let (weight, bias) = weight_and_bias(norm);
    let bias = scale.clone() * bias + shift;
    normalize(norm, x, scale * weight, bias)
}

/// The affine part, each of shape \[1, c, 1, 1\].
fn weight_and_bias(norm: &GroupNorm) -> (Tensor<4>, Tensor<4>) {
    let shape = [1, norm.num_channels, 1, 1];
    match (&norm.gamma, &norm.beta) {
        (Some(weight), Some(bias)) => (weight.val().reshape(shape), bias.val().reshape(shape)),
        _ => unreachable!("every group normalisation here is made with weight and bias"),
    }
}

/// Six passes over the picture: 1 / sqrt(variance + eps) is folded into `weight` while both are small.
fn normalize(norm: &GroupNorm, x: Tensor<4>, weight: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let [rows, ..] = weight.dims();
    let (groups, each) = (norm.num_groups, channels / norm.num_groups);

    // 16 bits are too few to add up squares.
    let dtype = x.dtype();
    let x = cast(x, DType::F32).reshape([batch, groups, each * height * width]);
    let mean = x.clone().mean_dim(2);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(2);
    let inverse_std = (variance + norm.epsilon).sqrt().recip();

    let scale = inverse_std.reshape([batch, groups, 1, 1]) * weight.reshape([rows, groups, each, 1]);
    let bias = bias.reshape([rows, groups, each, 1]);
    let x = centred.reshape([batch, groups, each, height * width]) * scale + bias;
    cast(x.reshape([batch, channels, height, width]), dtype)
}
