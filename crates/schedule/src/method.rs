//! Which reverse step is taken.

use std::fmt;
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

/// What [`Method`] is read from: `ddim`, with those of its options that are not as usual, as in `euler:churn=40`.
/// The variance of `ddpm` belongs to a model, and is not said.
///
/// ```
/// use ddim_schedule::{Eta, Method};
/// assert_eq!(Method::Ddim { eta: Eta::new(0.5)? }.to_string(), "ddim:eta=0.5");
/// assert_eq!("euler:churn=40,churn_at=before".parse::<Method>()?.to_string(), "euler:churn=40");
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = match self {
            Self::Ddim { eta: Eta::DDIM } | Self::Ddpm { .. } => return f.write_str(self.name()),
            Self::Ddim { eta } => return write!(f, "ddim:eta={}", eta.value()),
            Self::SigmaHat => return f.write_str("ddim:eta=hat"),
            Self::Solver(solver) => solver.options(),
        };
        let usual = solvers::parse(self.name()).map(|usual| usual.options()).unwrap_or_default();
        f.write_str(self.name())?;
        let unusual = options.iter().filter(|option| !usual.contains(option));
        for (k, (name, value)) in unusual.enumerate() {
            write!(f, "{}{name}={value}", if k == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// `ddim` (eta 0), `ddim:eta=0.5`, `ddim:eta=hat` ([`Method::SigmaHat`]), `ddpm` (the fixed small variance), or a
/// solver with its options, also by a name that it has in another program: see
/// [`solvers::parse`](crate::solvers::parse).
///
/// ```
/// use ddim_schedule::{Eta, Method};
/// assert_eq!("ddim".parse(), Ok(Method::Ddim { eta: Eta::DDIM }));
/// assert_eq!("ddim:eta=hat".parse(), Ok(Method::SigmaHat));
/// # let _: Method = "euler:churn=40".parse()?;
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
impl FromStr for Method {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = solvers::translated(text)?;
        Ok(match text.split_once(':').unwrap_or((&text, "")) {
            ("ddim", options) => return ddim(options),
            ("ddpm", "") => Self::Ddpm { variance: Variance::FixedSmall },
            _ => Self::Solver(solvers::parse(&text)?.into()),
        })
    }
}

/// DDIM with these options, as in `eta=0.5`.
fn ddim(options: &str) -> Result<Method, ScheduleError> {
    let mut method = Method::Ddim { eta: Eta::DDIM };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (option, value) = option.split_once('=').unwrap_or((option, ""));
        method = match (option.trim(), value.trim()) {
            ("eta", "hat") => Method::SigmaHat,
            ("eta", number) if number.parse::<f64>().is_ok() => {
                Method::Ddim { eta: Eta::new(number.parse().expect("a number"))? }
            }
            (option, value) => {
                let (option, value) = (option.to_owned(), value.to_owned());
                let known = "eta from 0 to 1, or eta=hat".to_owned();
                return Err(ScheduleError::SolverOption { solver: "ddim", option, value, known });
            }
        };
    }
    Ok(method)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_read_from_what_it_writes() {
        let texts =
            ["ddim", "ddim:eta=0.5", "ddim:eta=1", "ddim:eta=hat", "ddpm", "dpm++:order=3", "euler:churn=40"];
        let all = solvers::all();
        for text in texts.into_iter().chain(all.iter().map(|solver| solver.name())) {
            let method: Method = text.parse().expect("a method");
            assert_eq!(method.to_string(), text);
            assert_eq!(method.to_string().parse(), Ok(method), "{text}");
        }
        assert_eq!("ddim:eta=0".parse::<Method>().expect("a method").to_string(), "ddim");
    }

    #[test]
    fn an_option_of_ddim_is_eta() {
        let error = |text: &str| text.parse::<Method>().expect_err("refused").to_string();
        assert_eq!(error("ddim:mix=1"), "solver ddim has no option mix=1: it has eta from 0 to 1, or eta=hat");
        assert!(error("ddim:eta=x").starts_with("solver ddim has no option eta=x"));
        assert!(error("ddim:eta=1.5").contains("1.5"));
    }
}
