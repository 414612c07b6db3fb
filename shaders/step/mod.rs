//! One reverse step of the sampler: prediction, limit and next state.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
pub(crate) mod kernel;
#[cfg(feature = "wgpu")]
mod launch;
mod plain;
#[cfg(test)]
mod tests;

/// The scalars of one step:
/// `x0 = limit(x0_from_x x + x0_from_out out)` and
/// `next = next_from_x x + next_from_out out + next_from_x0 x0 + sigma added`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCoefficients<N = f64> {
    /// Weight of the state in the predicted clean image.
    pub x0_from_x: N,
    /// Weight of the network's output in the predicted clean image.
    pub x0_from_out: N,
    /// The predicted clean image is clamped to `[-x0_limit, x0_limit]`; infinity leaves it as it is.
    pub x0_limit: N,
    /// Weight of the state in the next state.
    pub next_from_x: N,
    /// Weight of the network's output in the next state.
    pub next_from_out: N,
    /// Weight of the limited clean image in the next state.
    pub next_from_x0: N,
    /// Weight of what is added: the standard deviation, where that is noise.
    pub sigma: N,
}

impl StepCoefficients {
    /// As they meet f32 tensors.
    pub fn rounded(&self) -> StepCoefficients<f32> {
        StepCoefficients {
            x0_from_x: self.x0_from_x as f32,
            x0_from_out: self.x0_from_out as f32,
            x0_limit: self.x0_limit as f32,
            next_from_x: self.next_from_x as f32,
            next_from_out: self.next_from_out as f32,
            next_from_x0: self.next_from_x0 as f32,
            sigma: self.sigma as f32,
        }
    }
}

/// What a step gives.
pub struct Step {
    /// The next state.
    pub next: Tensor<4>,
    /// The predicted clean image, limited.
    pub x0: Tensor<4>,
    /// `[n, parts of a picture]`: not finite where a prediction before the limit, or a next value, is not.
    /// (Plainly it is a sum of them, so it can also be infinite where values are near the largest number.)
    pub sums: Tensor<2>,
}

/// Takes a step with all tensors `[n, c, h, w]`.
///
/// The kernel takes f32, and pictures in which the pixels of a channel are a line, at equal distances.
///
/// # Panics
/// If the shapes differ.
pub fn step(x: Tensor<4>, out: Tensor<4>, added: Option<Tensor<4>>, coefficients: &StepCoefficients) -> Step {
    assert_eq!(x.dims(), out.dims(), "the network's output must have the shape of its input");
    if let Some(added) = &added {
        assert_eq!(x.dims(), added.dims(), "what is added must have the shape of the state");
    }
    #[cfg(feature = "wgpu")]
    if let Some(step) = launch::step(&x, &out, added.as_ref(), coefficients) {
        return step;
    }
    plain::step(x, out, added, coefficients)
}
