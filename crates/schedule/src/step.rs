//! One row of a plan, ready for a network.

use crate::{Coordinates, Marginal, Prediction, PredictionCoefficients, Row};

/// One row: a network call, and the update that follows it,
/// `x_next = c_x x + c_x0 x0 + c_eps eps + c_start x_start + sum_k history[k-1] kept_k + sigma z` with
/// `z ~ N(0, I)`; see [`Row`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The time given to the network: a timestep of its training, or a real number between two of them.
    pub time: f64,
    /// What x is multiplied with before it is given to the network.
    pub input_scale: f64,
    /// `alpha_bar` where the step starts.
    pub alpha_bar: f64,
    /// `alpha_bar` where it ends.
    pub alpha_bar_prev: f64,
    /// (x0, eps) from x and the network's output.
    pub prediction: PredictionCoefficients,
    /// How x is mixed of x0 and eps where the step starts.
    pub marginal: Marginal,
    /// Coefficient of x.
    pub c_x: f64,
    /// Coefficient of the predicted x0.
    pub c_x0: f64,
    /// Coefficient of eps.
    pub c_eps: f64,
    /// Coefficient of the state that the run started from.
    pub c_start: f64,
    /// Coefficients of what was kept of earlier calls, the latest first; those left out are 0.
    pub history: Vec<f64>,
    /// How large sigma is.
    pub noise: StepNoise,
}

/// The standard deviation of the fresh noise of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepNoise {
    /// None is drawn.
    None,
    /// The same for every value.
    Fixed {
        /// Above 0.
        sigma: f64,
    },
    /// `log sigma^2 = frac log_large + (1 - frac) log_small`, `frac = (out + 1)/2`, where `out` is the
    /// second half of the network's channels (Nichol & Dhariwal 2021, Eq. 15).
    LearnedRange {
        /// Logarithm of the smaller variance.
        log_small: f64,
        /// Logarithm of the larger variance.
        log_large: f64,
    },
    /// `sigma^2` is the second half of the network's channels.
    Learned,
    /// `log sigma^2` is the second half of the network's channels.
    LearnedLog,
}

impl StepNoise {
    /// Noise of this standard deviation; none where it is 0.
    ///
    /// ```
    /// use ddim_schedule::StepNoise;
    /// assert_eq!(StepNoise::fixed(0.0), StepNoise::None);
    /// assert_eq!(StepNoise::fixed(0.5), StepNoise::Fixed { sigma: 0.5 });
    /// ```
    pub fn fixed(sigma: f64) -> Self {
        if sigma > 0.0 { Self::Fixed { sigma } } else { Self::None }
    }
}

impl Step {
    /// A solver's row for a network that predicts this.
    pub(crate) fn new(row: Row, prediction: Prediction, coordinates: Coordinates) -> Self {
        let view = prediction.view(row.from, coordinates);
        Self {
            time: view.time,
            input_scale: view.input_scale,
            alpha_bar: row.from.alpha_bar,
            alpha_bar_prev: row.to.alpha_bar,
            prediction: view.coefficients,
            marginal: coordinates.marginal(row.from),
            c_x: row.c_x,
            c_x0: row.c_x0,
            c_eps: row.c_eps,
            c_start: row.c_start,
            history: row.history,
            noise: row.noise,
        }
    }
}
