//! What the network's output stands for, and what is done with the picture it predicts.

use std::fmt;
use std::str::FromStr;

use crate::{Marginal, ScheduleError};

/// What the network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise in the picture.
    Epsilon,
    /// The clean picture.
    X0,
    /// `v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0` (Salimans & Ho 2022).
    V,
}

impl Prediction {
    /// How (x0, eps) follow from the noisy picture and the network's output at `alpha_bar`.
    ///
    /// For [`Prediction::Epsilon`] at `alpha_bar = 0` x0 is undefined and its coefficients are infinite; a
    /// [`Plan`](crate::Plan) never asks for them.
    ///
    /// ```
    /// use ddim_schedule::{Marginal, Prediction};
    /// let (x0, eps, q) = (0.5, -1.25, Marginal::new(0.36));
    /// let (x, v) = (q.noisy(x0, eps), q.velocity(x0, eps));
    /// let from = Prediction::V.coefficients(0.36);
    /// assert!((from.x0_from_x * x + from.x0_from_out * v - x0).abs() < 1e-15);
    /// assert!((from.eps_from_x * x + from.eps_from_out * v - eps).abs() < 1e-15);
    /// ```
    pub fn coefficients(self, alpha_bar: f64) -> PredictionCoefficients {
        let q = Marginal::new(alpha_bar);
        let [x0_from_x, x0_from_out, eps_from_x, eps_from_out] = match self {
            Self::Epsilon => [1.0 / q.signal, -q.noise / q.signal, 0.0, 1.0],
            Self::X0 => [0.0, 1.0, q.eps_from_x, q.eps_from_x0],
            Self::V => [q.signal, -q.noise, q.noise, q.signal],
        };
        PredictionCoefficients { x0_from_x, x0_from_out, eps_from_x, eps_from_out }
    }
}

/// `x0 = x0_from_x x + x0_from_out out` and `eps = eps_from_x x + eps_from_out out`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionCoefficients {
    /// The noisy picture's share of x0.
    pub x0_from_x: f64,
    /// The network output's share of x0.
    pub x0_from_out: f64,
    /// The noisy picture's share of eps.
    pub eps_from_x: f64,
    /// The network output's share of eps.
    pub eps_from_out: f64,
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epsilon => "epsilon",
            Self::X0 => "x0",
            Self::V => "v",
        })
    }
}

impl FromStr for Prediction {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        match text {
            "epsilon" => Ok(Self::Epsilon),
            "x0" => Ok(Self::X0),
            "v" => Ok(Self::V),
            _ => Err(ScheduleError::UnknownName {
                what: "prediction",
                text: text.to_owned(),
                known: "epsilon, x0, v",
            }),
        }
    }
}

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
    /// `eps = (x - sqrt(alpha_bar) x0)/sqrt(1 - alpha_bar)`, see [`Marginal`].
    Rederived,
}
