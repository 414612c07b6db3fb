//! The variance of the sampler's steps.

use ddim_schedule::StepNoise;
use ddim_tensor::Tensor;

use super::BoundStep;

/// The logarithm of the variance of `p`.
pub(crate) enum LogVariance {
    /// The same for all values of a picture.
    Fixed(Vec<f64>),
    /// One for each value, as the network says.
    Pixelwise(Tensor),
}

impl LogVariance {
    /// Of the steps of a plan, which all draw alike, for pictures of so many channels.
    pub(crate) fn of(steps: &[&BoundStep], out: &Tensor, channels: usize) -> Self {
        let fixed = |step: &&BoundStep| match step.drawn {
            StepNoise::Fixed { sigma } => 2.0 * sigma.ln(),
            _ => f64::NAN,
        };
        let learned = || out.channels(channels..2 * channels);
        // log sigma^2 = middle + half_range w for an output w from -1 to 1.
        let range = |of: fn(f64, f64) -> f64| {
            let each = steps.iter().map(|step| match step.drawn {
                StepNoise::LearnedRange { log_small, log_large } => of(log_small, log_large),
                _ => f64::NAN,
            });
            out.column(each)
        };
        match steps[0].drawn {
            StepNoise::None | StepNoise::Fixed { .. } => Self::Fixed(steps.iter().map(fixed).collect()),
            StepNoise::Learned => Self::Pixelwise(learned().ln()),
            StepNoise::LearnedLog => Self::Pixelwise(learned()),
            StepNoise::LearnedRange { .. } => Self::Pixelwise(
                learned() * range(|small, large| 0.5 * (large - small))
                    + range(|small, large| 0.5 * (large + small)),
            ),
        }
    }
}
