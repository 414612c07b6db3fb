//! A row of a plan, as Python reads it.

use ddim::schedule::{Step, StepNoise};
use pyo3::prelude::*;

/// One row of a plan: the update that follows a network call.
///
/// `x0 = x0_from_x x + x0_from_out out`, limited as the plan says; `eps = eps_from_x x + eps_from_out out`, or
/// `rederived_from_x x + rederived_from_x0 x0` where the plan rederives it; then
/// `x_next = c_x x + c_x0 x0 + c_eps eps + c_start x_start + sum(history[k] kept[k]) + sigma z`, where `out` is
/// what the network gives for `input_scale x` at `time`, `x_start` the state that the run began with, and
/// `kept[k]` what the plan keeps of the call `k + 1` calls earlier.
#[pyclass(frozen, get_all, module = "ddim")]
pub(crate) struct Row {
    /// The time that the network is told.
    time: f64,
    /// What the state is multiplied with before the network sees it.
    input_scale: f64,
    /// That of the state before the step.
    alpha_bar: f64,
    /// That of the state after it.
    alpha_bar_prev: f64,
    /// The state's share of x0.
    x0_from_x: f64,
    /// The network output's share of x0.
    x0_from_out: f64,
    /// The state's share of eps.
    eps_from_x: f64,
    /// The network output's share of eps.
    eps_from_out: f64,
    /// The state's share of the eps that fits a limited x0.
    rederived_from_x: f64,
    /// The limited x0's share of the eps that fits it.
    rederived_from_x0: f64,
    /// The state's share of the next one.
    c_x: f64,
    /// The share of the limited x0.
    c_x0: f64,
    /// The share of eps.
    c_eps: f64,
    /// The share of the state that the run began with.
    c_start: f64,
    /// The shares of what is kept of earlier calls, the latest first.
    history: Vec<f64>,
    /// The standard deviation of the noise that is added; None where the network has learned it.
    sigma: Option<f64>,
    /// How a learned variance is read: None, ("variance",), ("log",) or ("range", log_small, log_large).
    learned: Option<(String, Vec<f64>)>,
}

impl Row {
    pub(super) fn of(step: &Step) -> Self {
        let (sigma, learned) = match step.noise {
            StepNoise::None => (Some(0.0), None),
            StepNoise::Fixed { sigma } => (Some(sigma), None),
            StepNoise::LearnedRange { log_small, log_large } => {
                (None, Some(("range", vec![log_small, log_large])))
            }
            StepNoise::Learned => (None, Some(("variance", Vec::new()))),
            StepNoise::LearnedLog => (None, Some(("log", Vec::new()))),
        };
        Self {
            time: step.time,
            input_scale: step.input_scale,
            alpha_bar: step.alpha_bar,
            alpha_bar_prev: step.alpha_bar_prev,
            x0_from_x: step.prediction.x0_from_x,
            x0_from_out: step.prediction.x0_from_out,
            eps_from_x: step.prediction.eps_from_x,
            eps_from_out: step.prediction.eps_from_out,
            rederived_from_x: step.marginal.eps_from_x,
            rederived_from_x0: step.marginal.eps_from_x0,
            c_x: step.c_x,
            c_x0: step.c_x0,
            c_eps: step.c_eps,
            c_start: step.c_start,
            history: step.history.clone(),
            sigma,
            learned: learned.map(|(kind, numbers)| (kind.to_owned(), numbers)),
        }
    }
}

#[pymethods]
impl Row {
    fn __repr__(&self) -> String {
        let Self { time, c_x, c_x0, c_eps, .. } = self;
        format!("<ddim.Row time {time}: c_x {c_x}, c_x0 {c_x0}, c_eps {c_eps}>")
    }
}
