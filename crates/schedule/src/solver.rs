//! What a solver is: a function from levels to rows of coefficients.

use std::any::Any;
use std::fmt;
use std::str::FromStr;

use crate::solvers::{self, SigmaHat};
use crate::{Level, Marginal, Path, ScheduleError, SolverOption, StepNoise};

/// A method for the reverse process: it turns the levels of a run into coefficients.
///
/// A solver sees numbers only. It may write each step in x0, in eps or in both, use predictions of earlier
/// calls, and call the network at levels between those of the path; how a network's output becomes (x0, eps)
/// is none of its business. A new solver is one file with one implementation of this trait, on a type that can be
/// cloned and compared; [`solvers`](crate::solvers) holds the ones that are here.
pub trait Solver: Any + fmt::Debug + Send + Sync + SolverValue {
    /// Its name on command lines and in records.
    fn name(&self) -> &'static str;

    /// What it is, in a few words with its paper, for help texts.
    fn about(&self) -> &'static str;

    /// Everything else that decides its rows: a line an option.
    fn table(&mut self) -> Vec<SolverOption<'_>> {
        Vec::new()
    }

    /// How the state is scaled.
    fn coordinates(&self) -> Coordinates {
        Coordinates::Preserving
    }

    /// What it remembers of earlier calls.
    fn keeps(&self) -> Kept {
        Kept::Nothing
    }

    /// The fewest steps that it can be asked for: as many as there are calls that a step looks at.
    fn min_steps(&self) -> usize {
        1
    }

    /// Which of the published samplers it is.
    fn lineage(&self) -> Lineage {
        Lineage::Equations
    }

    /// The rows, in order of use, one for each call of the network.
    ///
    /// # Errors
    /// When the path has levels on which the method is not defined.
    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError>;

    /// The rows from a picture to the noise that it would be drawn from.
    ///
    /// # Errors
    /// [`ScheduleError::OneWay`] for a method that cannot go back, which are all but DDIM without noise.
    fn rows_back(&self, _path: &Path) -> Result<Vec<Row>, ScheduleError> {
        Err(ScheduleError::OneWay { method: self.name() })
    }

    /// Its options with their values, for records.
    ///
    /// ```
    /// use ddim_schedule::{Solver, solvers};
    /// assert_eq!(solvers::parse("iddim:mix=0.2")?.options(), [("mix", "0.2".to_owned())]);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    fn options(&self) -> Vec<(&'static str, String)> {
        self.cloned().table().into_iter().map(|option| (option.name, option.value)).collect()
    }

    /// Changes one of its options.
    ///
    /// ```
    /// use ddim_schedule::{Solver, solvers};
    /// let error = solvers::parse("ipndm")?.set("order", "9").unwrap_err();
    /// assert_eq!(error.to_string(), "solver ipndm has no option order=9: it has order=1|2|3|4");
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    ///
    /// # Errors
    /// [`ScheduleError::SolverOption`] for a name that it does not have or a value that it does not allow.
    fn set(&mut self, option: &str, value: &str) -> Result<(), ScheduleError> {
        let solver = self.name();
        let mut table = self.table();
        let done = table.iter_mut().find(|known| known.name == option).and_then(|known| known.set(value));
        done.ok_or_else(|| {
            let known: Vec<String> =
                table.iter().map(|known| format!("{}={}", known.name, known.allowed)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let (option, value) = (option.to_owned(), value.to_owned());
            ScheduleError::SolverOption { solver, option, value, known }
        })
    }
}

impl dyn Solver {
    /// This solver as one of that type, if it is.
    ///
    /// ```
    /// use ddim_schedule::solvers::{self, Ddim, Euler};
    /// let solver = solvers::parse("ddim:eta=0.5")?;
    /// assert_eq!(solver.as_a::<Ddim>().map(|ddim| ddim.eta.value()), Some(0.5));
    /// assert!(solver.as_a::<Euler>().is_none());
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn as_a<S: Solver>(&self) -> Option<&S> {
        (self as &dyn Any).downcast_ref()
    }
}

/// That a solver is a value. Every type that can be cloned and compared has it.
pub trait SolverValue {
    /// The same once more.
    fn cloned(&self) -> Box<dyn Solver>;

    /// Whether another is of the same type and has the same options.
    fn equals(&self, other: &dyn Solver) -> bool;
}

impl<S: Solver + Clone + PartialEq> SolverValue for S {
    fn cloned(&self) -> Box<dyn Solver> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Solver) -> bool {
        other.as_a() == Some(self)
    }
}

impl Clone for Box<dyn Solver> {
    fn clone(&self) -> Self {
        (**self).cloned()
    }
}

impl PartialEq for dyn Solver {
    fn eq(&self, other: &dyn Solver) -> bool {
        self.equals(other)
    }
}

/// So that a type with a solver in it can derive `PartialEq`: <https://github.com/rust-lang/rust/issues/31740>.
impl PartialEq<&Self> for Box<dyn Solver> {
    fn eq(&self, other: &&Self) -> bool {
        self.equals(&***other)
    }
}

impl<S: Solver> From<S> for Box<dyn Solver> {
    fn from(solver: S) -> Self {
        Box::new(solver)
    }
}

/// What it is read from: its name, with those of its options that are not as usual.
///
/// ```
/// use ddim_schedule::{Eta, Solver, solvers::Ddim};
/// let half: Box<dyn Solver> = Ddim { eta: Eta::new(0.5)? }.into();
/// assert_eq!(half.to_string(), "ddim:eta=0.5");
/// assert_eq!("euler:churn=40,churn_at=before".parse::<Box<dyn Solver>>()?.to_string(), "euler:churn=40");
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
impl fmt::Display for dyn Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.as_a::<SigmaHat>().is_some() {
            return f.write_str(SigmaHat::TYPED);
        }
        let usual = solvers::parse(self.name()).map(|usual| usual.options()).unwrap_or_default();
        f.write_str(self.name())?;
        let options = self.options();
        let unusual = options.iter().filter(|option| !usual.contains(option));
        for (k, (name, value)) in unusual.enumerate() {
            write!(f, "{}{name}={value}", if k == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// As [`solvers::parse`].
impl FromStr for Box<dyn Solver> {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        solvers::parse(text)
    }
}

/// Which of the published samplers a solver is. Published code agrees on the formulas and differs in what it does
/// around each of them: see [`Convention`](crate::Convention).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// DDIM (Song et al. 2021).
    Ddim,
    /// Ancestral sampling (Ho et al. 2020), and sigma-hat, which has its variance.
    Ddpm,
    /// A solver of the differential equations behind them.
    Equations,
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
