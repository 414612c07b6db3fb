//! What is done with the predicted picture before the step.

use crate::ScheduleError;

/// What is done with the predicted x0 before the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum X0Limit {
    /// Nothing.
    Free,
    /// Every value is clamped to `[-range, range]`.
    Clip {
        /// The largest value left; pictures lie in `[-1, 1]`.
        range: f64,
    },
    /// For each picture: `s` is the `ratio` quantile of its absolute values, held within `[1, max]`; the
    /// picture is clamped to `[-s, s]` and divided by `s` (Saharia et al. 2022, section 2.3).
    DynamicThreshold {
        /// The quantile, usually 0.995.
        ratio: f64,
        /// The largest `s`. At 1 this is the same as clipping to `[-1, 1]`.
        max: f64,
    },
}

impl X0Limit {
    /// Refuses numbers that would limit nothing or everything.
    pub(crate) fn check(&self) -> Result<(), ScheduleError> {
        match *self {
            Self::Clip { range } if !(range > 0.0 && range.is_finite()) => Err(ScheduleError::Limit {
                what: "the range x0 is clipped to",
                value: range,
                allowed: "above 0 and finite; pictures lie in [-1, 1], so 1 is usual",
            }),
            Self::DynamicThreshold { ratio, .. } if !(0.0..=1.0).contains(&ratio) => Err(ScheduleError::Limit {
                what: "the quantile for dynamic thresholding",
                value: ratio,
                allowed: "in [0, 1]; 0.995 is usual",
            }),
            Self::DynamicThreshold { max, .. } if !(max >= 1.0 && max.is_finite()) => Err(ScheduleError::Limit {
                what: "the largest threshold",
                value: max,
                allowed: "at least 1 and finite",
            }),
            _ => Ok(()),
        }
    }
}

/// Which eps a step uses when x0 was limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpsSource {
    /// The one the network predicted; it no longer fits the limited x0.
    Network,
    /// The one that leads from the limited x0 to the noisy picture:
    /// `eps = (x - sqrt(alpha_bar) x0)/sqrt(1 - alpha_bar)`, see [`Marginal`](crate::Marginal).
    Rederived,
}
