//! 3x3 convolutions with a quarter of the multiplications.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
pub(crate) mod kernel;
#[cfg(feature = "wgpu")]
mod launch;
mod plain;
#[cfg(test)]
mod tests;

/// The kernels and the bias of a 3x3 convolution, `[out, in, 3, 3]` and `[out]`, and what they were transformed
/// to, if anything.
#[derive(Clone, Debug)]
pub struct Kernels {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    /// `[36, in, out]`.
    transformed: Option<Tensor<3>>,
}

impl Kernels {
    /// As a network holds them: every convolution with them is plain, and automatic differentiation finds them.
    pub fn plain(weight: Tensor<4>, bias: Option<Tensor<1>>) -> Self {
        Kernels { weight, bias, transformed: None }
    }

    /// Transformed, for many convolutions: four times as many values beside them. Only on a GPU, and not where
    /// burn's own convolution is better off: in 16 bits, on tensor cores, with few channels on either side or a
    /// number of them that is not divisible by 4, without a bias, and where the device has no tensor of that size.
    pub fn prepared(weight: Tensor<4>, bias: Option<Tensor<1>>) -> Self {
        #[cfg(feature = "wgpu")]
        let transformed = bias.as_ref().and_then(|_| launch::transformed(&weight));
        #[cfg(not(feature = "wgpu"))]
        let transformed = None;
        Kernels { weight, bias, transformed }
    }

    /// Whether convolutions with them take fewer multiplications.
    pub fn are_transformed(&self) -> bool {
        self.transformed.is_some()
    }
}

/// Of what size the result of a convolution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// Of that of the picture.
    Same,
    /// Of twice its height and width: each pixel is taken four times.
    Doubled,
}

/// The convolution of `x`, `[n, in, h, w]`, with a border of one zero around it, and `added` to it, which has the
/// shape of the result.
///
/// The kernel takes f32 with transformed kernels, if the tiles of one picture are no larger than the device's
/// tensors.
///
/// # Panics
/// If the channels or the shapes do not fit.
pub fn convolve(x: Tensor<4>, kernels: &Kernels, size: Size, added: Option<Tensor<4>>) -> Tensor<4> {
    #[cfg(feature = "wgpu")]
    if let Some(convolved) = launch::convolve(&x, kernels, size, added.as_ref()) {
        return convolved;
    }
    plain::convolve(x, kernels, size, added)
}
