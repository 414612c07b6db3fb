//! Which reverse step is taken.

use std::str::FromStr;
use std::sync::Arc;

use crate::{Eta, ScheduleError, Solver, solvers};

/// The reverse process.
#[derive(Debug, Clone)]
pub enum Method {
    /// Eq. (12) of the DDIM paper with the sigma of Eq. (16).
    Ddim {
        /// How much of that noise.
        eta: Eta,
    },
    /// Ancestral sampling: the posterior mean of Ho et al. 2020, Eq. (7), with a choice of variance.
    Ddpm {
        /// The variance of each step.
        variance: Variance,
    },
    /// The paper's sigma-hat (section 5): the deterministic part of `eta = 1` with the larger noise
    /// `sqrt(1 - alpha_bar_t / alpha_bar_prev)`.
    SigmaHat,
    /// A solver of the differential equations behind them.
    Solver(Arc<dyn Solver>),
}

impl Method {
    /// A solver with these options.
    ///
    /// ```
    /// use ddim_schedule::{Method, solvers::Euler};
    /// assert_eq!(Method::solver(Euler::default()).name(), "euler");
    /// ```
    pub fn solver(solver: impl Solver + 'static) -> Self {
        Self::Solver(Arc::new(solver))
    }

    /// Its name in records.
    ///
    /// ```
    /// assert_eq!(ddim_schedule::Method::SigmaHat.name(), "sigma_hat");
    /// ```
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ddim { .. } => "ddim",
            Self::Ddpm { .. } => "ddpm",
            Self::SigmaHat => "sigma_hat",
            Self::Solver(solver) => solver.name(),
        }
    }
}

/// `ddim` (eta 0), `ddpm` (the fixed small variance), or a solver with its options, also by a name that it has in
/// another program: see [`solvers::parse`](crate::solvers::parse).
///
/// ```
/// use ddim_schedule::{Eta, Method};
/// assert_eq!("ddim".parse(), Ok(Method::Ddim { eta: Eta::DDIM }));
/// # let _: Method = "euler:churn=40".parse()?;
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
impl FromStr for Method {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = solvers::translated(text)?;
        Ok(match text.as_ref() {
            "ddim" => Self::Ddim { eta: Eta::DDIM },
            "ddpm" => Self::Ddpm { variance: Variance::FixedSmall },
            solver => Self::Solver(solvers::parse(solver)?.into()),
        })
    }
}

/// Solvers are equal if they have the same name and the same options.
impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ddim { eta }, Self::Ddim { eta: other }) => eta == other,
            (Self::Ddpm { variance }, Self::Ddpm { variance: other }) => variance == other,
            (Self::SigmaHat, Self::SigmaHat) => true,
            (Self::Solver(a), Self::Solver(b)) => (a.name(), a.options()) == (b.name(), b.options()),
            _ => false,
        }
    }
}

/// The variance of a DDPM step. Variants that others name "log" add the same noise as these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// The posterior's variance, `(1 - alpha_bar_prev)/(1 - alpha_bar_t) beta`: right for a fixed x0.
    FixedSmall,
    /// `beta = 1 - alpha_bar_t / alpha_bar_prev`: right for pictures that are themselves white noise.
    FixedLarge,
    /// The network's second half of channels is the variance itself.
    Learned,
    /// The network's second half of channels is the logarithm of the variance.
    LearnedLog,
    /// The network's second half of channels, from -1 to 1, goes from small to large on a log scale
    /// (Nichol & Dhariwal 2021, Eq. 15).
    LearnedRange,
}

impl Variance {
    /// Whether the network has to have twice the picture's channels.
    ///
    /// ```
    /// use ddim_schedule::Variance;
    /// assert!(Variance::LearnedRange.is_learned());
    /// assert!(!Variance::FixedLarge.is_learned());
    /// ```
    pub fn is_learned(self) -> bool {
        matches!(self, Self::Learned | Self::LearnedLog | Self::LearnedRange)
    }
}
