//! What a solver is: a function from levels to rows of coefficients.

use std::fmt;

use crate::{Level, Marginal, Path, ScheduleError, StepNoise};

/// A numerical method for the reverse process: it turns the levels of a run into coefficients.
///
/// A solver sees numbers only. It may write each step in x0, in eps or in both, use predictions of earlier
/// calls, and call the network at levels between those of the path; how a network's output becomes (x0, eps)
/// is none of its business. A new solver is one file with one implementation of this trait.
pub trait Solver: fmt::Debug + Send + Sync {
    /// Its name on command lines and in records.
    fn name(&self) -> &'static str;

    /// What it is, in a few words with its paper, for help texts.
    fn about(&self) -> &'static str;

    /// Everything else that decides its rows, by name, for records.
    fn options(&self) -> Vec<(&'static str, String)>;

    /// Changes one of its options.
    ///
    /// # Errors
    /// [`ScheduleError::SolverOption`] for a name that it does not have or a value that it does not allow.
    fn set(&mut self, option: &str, value: &str) -> Result<(), ScheduleError>;

    /// How the state is scaled.
    fn coordinates(&self) -> Coordinates;

    /// What it remembers of earlier calls.
    fn keeps(&self) -> Kept;

    /// The fewest steps that it can be asked for: as many as there are calls that a step looks at.
    fn min_steps(&self) -> usize {
        1
    }

    /// The rows, in order of use, one for each call of the network.
    ///
    /// # Errors
    /// When the path has levels on which the method is not defined.
    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError>;
}

/// How the state of a run is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    /// `x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps`: the variance stays near 1.
    Preserving,
    /// `x = x0 + noise_level eps`: the variance explodes, and the network's input is scaled back.
    Exploding,
}

impl Coordinates {
    /// How a state at this level is mixed of x0 and eps.
    pub fn marginal(self, level: Level) -> Marginal {
        match self {
            Self::Preserving => Marginal::new(level.alpha_bar),
            Self::Exploding => Marginal::exploding(level.alpha_bar),
        }
    }
}

/// What is remembered of a network call for later steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: one-step methods.
    Nothing,
    /// The predicted x0, limited.
    X0,
    /// The eps of the step.
    Eps,
    /// The network's output itself.
    Output,
}

/// One call of the network, and the update that follows it:
///
/// `x_next = c_x x + c_x0 x0 + c_eps eps + c_start x_start + sum_k history[k-1] kept_k + sigma z`,
///
/// where `kept_k` is what was kept of the call `k` calls earlier, and `x_start` the state that the run began
/// with.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where the state is when the network is called.
    pub from: Level,
    /// Where the update takes it.
    pub to: Level,
    /// Coefficient of the state.
    pub c_x: f64,
    /// Coefficient of the predicted x0.
    pub c_x0: f64,
    /// Coefficient of eps.
    pub c_eps: f64,
    /// Coefficient of the first state of the run.
    pub c_start: f64,
    /// Coefficients of what was kept of earlier calls, the latest first.
    pub history: Vec<f64>,
    /// How large sigma is.
    pub noise: StepNoise,
}

impl Row {
    /// A row that does nothing yet: all coefficients are 0.
    pub fn new(from: Level, to: Level) -> Self {
        let history = Vec::new();
        Self { from, to, c_x: 0.0, c_x0: 0.0, c_eps: 0.0, c_start: 0.0, history, noise: StepNoise::None }
    }
}
