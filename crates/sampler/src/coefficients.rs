//! The scalars of a step that is linear but for a clamp.

/// `x0 = limit(x0_from_x x + x0_from_out out)` and
/// `next = next_from_x x + next_from_out out + next_from_x0 x0 + sigma added`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepCoefficients<N = f64> {
    pub(crate) x0_from_x: N,
    pub(crate) x0_from_out: N,
    /// The predicted clean image is clamped to `[-x0_limit, x0_limit]`; infinity leaves it as it is.
    pub(crate) x0_limit: N,
    pub(crate) next_from_x: N,
    pub(crate) next_from_out: N,
    pub(crate) next_from_x0: N,
    /// Weight of what is added: the standard deviation, where that is noise.
    pub(crate) sigma: N,
}

impl StepCoefficients {
    /// As they meet f32 tensors.
    pub(crate) fn rounded(&self) -> StepCoefficients<f32> {
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

#[cfg(feature = "gpu")]
impl From<StepCoefficients> for ddim_shaders::StepCoefficients {
    fn from(c: StepCoefficients) -> Self {
        Self {
            x0_from_x: c.x0_from_x,
            x0_from_out: c.x0_from_out,
            x0_limit: c.x0_limit,
            next_from_x: c.next_from_x,
            next_from_out: c.next_from_out,
            next_from_x0: c.next_from_x0,
            sigma: c.sigma,
        }
    }
}
