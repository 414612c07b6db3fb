//! Scores to the weights of attention.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
pub(crate) mod kernel;
#[cfg(feature = "wgpu")]
mod launch;
mod plain;
#[cfg(test)]
mod tests;

/// The softmax of each row of `[n, heads, rows, columns]` in 16 or 32 bits (Vaswani et al. 2017, arXiv:1706.03762,
/// Eq. 1), its sums in f32.
///
/// The kernel takes as many rows, heads and pictures as one launch has cubes each way.
pub fn softmax(scores: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "wgpu")]
    if let Some(weights) = launch::softmax(&scores) {
        return weights;
    }
    plain::softmax(scores)
}
