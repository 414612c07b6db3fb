//! Group normalisation (Wu and He 2018, arXiv:1803.08494, Eq. 1 to 3), with the modulation before or behind it and the
//! activation behind both.

use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::{DType, Tensor};
use ddim_shaders::group_norm_on_gpu;

use crate::conditioning::Modulation;
use crate::options::Activation;
use crate::precision::cast;

/// A group normalisation with weight 1 and bias 0.
pub(crate) fn init(channels: usize, groups: usize, eps: f64, device: &burn::tensor::Device) -> GroupNorm {
    GroupNormConfig::new(groups, channels).with_epsilon(eps).init(device)
}

/// activation(weight * (x + added - mean) / sqrt(variance + eps) + bias), over each group of channels of \[n, c, h, w\].
pub(crate) struct Normalization {
    groups: usize,
    epsilon: f64,
    /// As weight and bias, of shape \[1 or n, c, 1, 1\].
    added: Option<Tensor<4>>,
    weight: Tensor<4>,
    bias: Tensor<4>,
    activation: Option<Activation>,
}

impl Normalization {
    /// Without modulation and activation.
    pub(crate) fn of(norm: &GroupNorm) -> Self {
        let shape = [1, norm.num_channels, 1, 1];
        let (Some(weight), Some(bias)) = (&norm.gamma, &norm.beta) else {
            unreachable!("every group normalisation here is made with weight and bias")
        };
        Normalization {
            groups: norm.num_groups,
            epsilon: norm.epsilon,
            added: None,
            weight: weight.val().reshape(shape),
            bias: bias.val().reshape(shape),
            activation: None,
        }
    }

    /// Scale and shift join weight and bias before they meet the picture: s (w y + b) + t = (s w) y + (s b + t).
    pub(crate) fn modulated(self, modulation: &Modulation) -> Self {
        match modulation {
            Modulation::Shift(shift) => Normalization { added: Some(shift.clone()), ..self },
            Modulation::ScaleShift { scale, shift } => Normalization {
                weight: scale.clone() * self.weight,
                bias: scale.clone() * self.bias + shift.clone(),
                ..self
            },
        }
    }

    /// With this behind it.
    pub(crate) fn then(self, activation: Activation) -> Self {
        Normalization { activation: Some(activation), ..self }
    }

    /// \[n, c, h, w\] to the same shape: in one kernel on a GPU, which knows one activation.
    pub(crate) fn apply(self, x: Tensor<4>) -> Tensor<4> {
        let silu = self.activation == Some(Activation::Silu);
        let kernel = ddim_shaders::GroupNorm { groups: self.groups, epsilon: self.epsilon, silu };
        let y = match group_norm_on_gpu(&kernel, &x, self.added.as_ref(), &self.weight, &self.bias) {
            Some(activated) if silu => return activated,
            Some(y) => y,
            None => self.apply_plain(x),
        };
        match self.activation {
            Some(activation) => activation.apply(y),
            None => y,
        }
    }

    /// All but the activation, as tensor operations: six passes over the picture, since 1 / sqrt(variance + eps) is folded into
    /// `weight` while both are small.
    fn apply_plain(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let (groups, each) = (self.groups, channels / self.groups);
        let per_group = |rows: &Tensor<4>| {
            let [n, ..] = rows.dims();
            rows.clone().reshape([n, groups, each, 1])
        };

        // 16 bits are too few to add up squares.
        let dtype = x.dtype();
        let x = match &self.added {
            Some(added) => x + cast(added.clone(), dtype),
            None => x,
        };
        let x = cast(x, DType::F32).reshape([batch, groups, each * height * width]);
        let mean = x.clone().mean_dim(2);
        let centred = x - mean;
        let variance = centred.clone().square().mean_dim(2);
        let inverse_std = (variance + self.epsilon).sqrt().recip();

        let scale = inverse_std.reshape([batch, groups, 1, 1]) * per_group(&self.weight);
        let x = centred.reshape([batch, groups, each, height * width]) * scale + per_group(&self.bias);
        cast(x.reshape([batch, channels, height, width]), dtype)
    }
}
