//! Group normalisation (Wu and He 2018, arXiv:1803.08494, Eq. 1 to 3), with the modulation before or behind it and the
//! activation behind both.

use burn::nn::{GroupNorm, GroupNormConfig};
use burn::tensor::Tensor;
use ddim_shaders::{GroupNorm as GroupNormalization, group_norm};

use crate::conditioning::Modulation;
use crate::options::Activation;

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

    /// \[n, c, h, w\] to the same shape.
    pub(crate) fn apply(self, x: Tensor<4>) -> Tensor<4> {
        let (inside, behind) = match self.activation {
            Some(Activation::Silu) => (ddim_shaders::Activation::Silu, None),
            other => (ddim_shaders::Activation::Identity, other),
        };
        let norm = GroupNormalization { groups: self.groups, epsilon: self.epsilon, activation: inside };
        let y = group_norm(&norm, x, self.added.as_ref(), &self.weight, &self.bias);
        match behind {
            Some(activation) => activation.apply(y),
            None => y,
        }
    }
}
