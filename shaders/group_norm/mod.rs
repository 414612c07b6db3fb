//! Group normalisation, what is added before it and the activation behind it.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
pub(crate) mod kernel;
#[cfg(feature = "wgpu")]
mod launch;
mod plain;
#[cfg(test)]
mod tests;

/// A group normalisation, Wu and He 2018 (arXiv:1803.08494), Eq. 1 to 3, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// In how many groups the channels lie.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// What becomes of the result.
    pub activation: Activation,
}

/// What a [`GroupNorm`] does to its result `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// It stays `y`.
    Identity,
    /// It becomes `y sigmoid(y)`.
    Silu,
}

/// `(x + added - mean) / sqrt(variance + epsilon) * weight + bias`, over each group of channels, and the
/// activation.
///
/// `x` is `[n, c, h, w]` in 16 or 32 bits, and so is the result; `added`, `weight` and `bias` are `[1 or n, c, 1,
/// 1]`. Statistics are f32.
///
/// The kernel takes f32 for `added`, `weight` and `bias`, and an `x` in which the pixels of a channel are a line,
/// at equal distances.
///
/// # Panics
/// If the groups do not divide the channels, or the shapes do not fit.
pub fn group_norm(
    norm: &GroupNorm,
    x: Tensor<4>,
    added: Option<&Tensor<4>>,
    weight: &Tensor<4>,
    bias: &Tensor<4>,
) -> Tensor<4> {
    #[cfg(feature = "wgpu")]
    if let Some(normalized) = launch::group_norm(norm, &x, added, weight, bias) {
        return normalized;
    }
    plain::group_norm(norm, x, added, weight, bias)
}
