//! What the network's output stands for.

use std::fmt;
use std::str::FromStr;

use crate::{Coordinates, Level, ScheduleError};

/// What the network predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prediction {
    /// The noise in the picture.
    Epsilon,
    /// The clean picture.
    X0,
    /// `v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0` (Salimans & Ho 2022).
    V,
    /// `F` of `x0 = c_skip y + c_out F(c_in y, ln(noise_level)/4)` for `y = x0 + noise_level eps` (Karras et al.
    /// 2022, Table 1, last column).
    Edm {
        /// The standard deviation of the data.
        sigma_data: f64,
    },
    /// The score of `y = x0 + noise_level eps`, told `y` and `noise_level` themselves: variance-exploding models
    /// of Song et al. 2021 (score SDE), appendix C.
    Score,
}

/// A call of the network at some level: what it is given, and what its output stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The time it is told.
    pub time: f64,
    /// What the state is multiplied with before the network sees it.
    pub input_scale: f64,
    /// (x0, eps) from the state and the output.
    pub coefficients: PredictionCoefficients,
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
        self.view(Level { time: 0.0, alpha_bar }, Coordinates::Preserving).coefficients
    }

    /// The call at a level, for a state in these coordinates.
    ///
    /// ```
    /// use ddim_schedule::{Coordinates, Level, Prediction};
    /// let view = Prediction::V.view(Level { time: 500.0, alpha_bar: 0.2 }, Coordinates::Exploding);
    /// assert_eq!((view.time, view.input_scale), (500.0, 0.2_f64.sqrt()));
    /// ```
    pub fn view(self, level: Level, coordinates: Coordinates) -> View {
        let (signal, noise, noise_level) = (level.signal(), level.noise(), level.noise_level());
        let preserving = |[x0_from_x, x0_from_out, eps_from_x, eps_from_out]: [f64; 4]| {
            let coefficients = PredictionCoefficients { x0_from_x, x0_from_out, eps_from_x, eps_from_out };
            let view = View { time: level.time, input_scale: 1.0, coefficients };
            if coordinates == Coordinates::Preserving { view } else { view.of_scaled_state(signal) }
        };
        let exploding = |time, c_in, c_skip, c_out| {
            let coefficients = PredictionCoefficients {
                x0_from_x: c_skip,
                x0_from_out: c_out,
                eps_from_x: (1.0 - c_skip) / noise_level,
                eps_from_out: -c_out / noise_level,
            };
            let view = View { time, input_scale: c_in, coefficients };
            if coordinates == Coordinates::Exploding { view } else { view.of_scaled_state(1.0 / signal) }
        };
        match self {
            Self::Epsilon => preserving([1.0 / signal, -noise / signal, 0.0, 1.0]),
            Self::X0 => preserving([0.0, 1.0, 1.0 / noise, -signal / noise]),
            Self::V => preserving([signal, -noise, noise, signal]),
            Self::Edm { sigma_data } => {
                let total = noise_level * noise_level + sigma_data * sigma_data;
                let (c_skip, c_out) = (sigma_data * sigma_data / total, noise_level * sigma_data / total.sqrt());
                exploding(noise_level.ln() / 4.0, 1.0 / total.sqrt(), c_skip, c_out)
            }
            Self::Score => exploding(noise_level, 1.0, 1.0, noise_level * noise_level),
        }
    }
}

impl View {
    /// The same call for a state that is `1/scale` times as large.
    fn of_scaled_state(self, scale: f64) -> Self {
        let from = self.coefficients;
        let coefficients = PredictionCoefficients {
            x0_from_x: from.x0_from_x * scale,
            eps_from_x: from.eps_from_x * scale,
            ..from
        };
        Self { input_scale: self.input_scale * scale, coefficients, ..self }
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
            Self::Edm { sigma_data } => return write!(f, "edm:{sigma_data}"),
            Self::Score => "score",
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
            "score" => Ok(Self::Score),
            _ => edm(text).ok_or_else(|| ScheduleError::UnknownName {
                what: "prediction",
                text: text.to_owned(),
                known: "epsilon, x0, v, edm:0.5 (the deviation of the data), score",
            }),
        }
    }
}

/// "edm:0.5", with a deviation above 0.
fn edm(text: &str) -> Option<Prediction> {
    let sigma_data: f64 = text.strip_prefix("edm:")?.parse().ok()?;
    (sigma_data > 0.0 && sigma_data.is_finite()).then_some(Prediction::Edm { sigma_data })
}
