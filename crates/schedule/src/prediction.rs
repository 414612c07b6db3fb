//! What the network's output stands for.

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
