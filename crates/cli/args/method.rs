//! How a method is asked for: solver, eta and spacing, in words.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ddim::{Reuse, ReuseError};
use ddim_schedule::solvers::{self, Ddim, SigmaHat};
use ddim_schedule::{Eta, ScheduleError, Solver, Spacing, Tolerance, nearest_names};

use super::words::{self, FromWord};

/// Help for `--solver`, with every solver there is.
pub(super) fn every_solver() -> String {
    let mut text =
        "The method; options follow a colon, as in dpm++:order=3,variant=heun; names of k-diffusion and diffusers \
                    are understood, as in euler_a, dpmpp_2m_sde or DPMSolverMultistepScheduler [default: ddim, or the \
                    method that --scheduler-config names]\n\
                    - adaptive: chooses the length of its steps by a tolerance (sample only); rtol=0.001, atol=0.001"
            .to_owned();
    for solver in solvers::all() {
        text.push_str(&format!("\n- {}: {}", solver.name(), solver.about()));
        let options: Vec<String> =
            solver.options().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !options.is_empty() {
            text.push_str(&format!("; {}", options.join(", ")));
        }
    }
    text
}

/// What `--reuse` can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReuseChoice {
    /// All layers run in every call, whatever an earlier run did.
    Nothing,
    /// Features are kept.
    Of(Reuse),
}

impl fmt::Display for ReuseChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Of(reuse) => reuse.fmt(f),
        }
    }
}

impl FromStr for ReuseChoice {
    type Err = ReuseError;

    fn from_str(text: &str) -> Result<Self, ReuseError> {
        if text == "none" { Ok(Self::Nothing) } else { text.parse().map(Self::Of) }
    }
}

/// What `--eta` can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum EtaChoice {
    /// A number.
    Value(Eta),
    /// The method with the larger standard deviation, which is not a value of eta.
    Hat,
}

impl EtaChoice {
    /// DDIM with this noise.
    pub(crate) fn solver(self) -> Box<dyn Solver> {
        match self {
            Self::Value(eta) => Ddim { eta }.into(),
            Self::Hat => SigmaHat.into(),
        }
    }
}

impl fmt::Display for EtaChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(eta) => write!(f, "{}", eta.value()),
            Self::Hat => f.write_str("hat"),
        }
    }
}

impl FromStr for EtaChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "hat" {
            return Ok(Self::Hat);
        }
        let value: f64 = text.parse().map_err(|_| "not a number; give a value from 0 to 1, or hat".to_owned())?;
        Eta::new(value).map(Self::Value).map_err(|error| format!("{error} (--eta hat)"))
    }
}

/// What `--spacing` can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SpacingChoice {
    /// A published way.
    Named(Spacing),
    /// What `ddim tune` has found: for the model, or in this file.
    Tuned(Option<PathBuf>),
}

impl fmt::Display for SpacingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(spacing) => write!(f, "{spacing}"),
            Self::Tuned(None) => f.write_str("tuned"),
            Self::Tuned(Some(file)) => write!(f, "tuned:{}", file.display()),
        }
    }
}

impl FromStr for SpacingChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("tuned:")) {
            ("tuned", _) => Ok(Self::Tuned(None)),
            (_, Some(file)) => Ok(Self::Tuned(Some(file.into()))),
            _ => text.parse().map(Self::Named).map_err(|error: ScheduleError| {
                match nearest_names(text, ["tuned"]) {
                    near if near.is_empty() => format!("{error}; or tuned, tuned:FILE"),
                    _ => format!("{error}; or tuned, tuned:FILE; the nearest is tuned"),
                }
            }),
        }
    }
}

impl FromWord for SpacingChoice {
    fn from_word(word: &OsStr) -> Result<Self, String> {
        match words::strip_prefix(word, "tuned:") {
            Some(file) => Ok(Self::Tuned(Some(file.into()))),
            None => words::text(word)?.parse(),
        }
    }
}

/// What `--solver` can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SolverChoice {
    /// A method with a plan.
    Planned(Box<dyn Solver>),
    /// Steps as long as this tolerance allows.
    Adaptive(Tolerance),
}

impl fmt::Display for SolverChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned(solver) => solver.fmt(f),
            Self::Adaptive(tolerance) => {
                write!(f, "adaptive:rtol={},atol={}", tolerance.relative(), tolerance.absolute())
            }
        }
    }
}

impl FromStr for SolverChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        if name != "adaptive" {
            return text.parse().map(Self::Planned).map_err(|error| match error {
                ScheduleError::UnknownSolver { text, known } => {
                    ScheduleError::UnknownSolver { text, known: format!("{known}, adaptive") }.to_string()
                }
                _ => error.to_string(),
            });
        }
        let usual = Tolerance::default();
        let (mut relative, mut absolute) = (usual.relative(), usual.absolute());
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (option, value) = option.split_once('=').unwrap_or((option, ""));
            let number = value
                .trim()
                .parse()
                .map_err(|_| format!("{value:?} is not a tolerance; use a number such as 1e-3"));
            match option.trim() {
                "rtol" => relative = number?,
                "atol" => absolute = number?,
                "tol" => (relative, absolute) = (number.clone()?, number?),
                other => {
                    return Err(format!(
                        "solver adaptive has no option {other:?}: it has rtol, atol, and tol for both"
                    ));
                }
            }
        }
        Tolerance::new(relative, absolute).map(Self::Adaptive).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuned_is_a_spacing_of_the_model_or_of_a_file() {
        assert_eq!("tuned".parse(), Ok(SpacingChoice::Tuned(None)));
        assert_eq!("tuned:a/b.json".parse(), Ok(SpacingChoice::Tuned(Some("a/b.json".into()))));
        assert_eq!("quad".parse(), Ok(SpacingChoice::Named(Spacing::Quad)));
    }

    #[test]
    fn adaptive_takes_tolerances() {
        let of = |text: &str| text.parse::<SolverChoice>();
        let tolerance = |relative, absolute| Tolerance::new(relative, absolute).map(SolverChoice::Adaptive);
        assert_eq!(of("adaptive"), Ok(SolverChoice::Adaptive(Tolerance::default())));
        assert_eq!(of("adaptive:rtol=1e-2").ok(), tolerance(1e-2, 1e-3).ok());
        assert_eq!(of("adaptive:tol=0.01").ok(), tolerance(1e-2, 1e-2).ok());
        let error = of("adaptve").expect_err("mistyped");
        assert!(error.ends_with(", adaptive; the nearest is adaptive"), "{error}");
        for refused in ["adaptive:rtol=x", "adaptive:atol=0", "adaptive:order=3", "adaptiv", "adaptive:rtol=nan"] {
            assert!(of(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn eta_is_a_number_in_range_or_hat() {
        assert_eq!("hat".parse(), Ok(EtaChoice::Hat));
        assert_eq!("0".parse(), Ok(EtaChoice::Value(Eta::DDIM)));
        for refused in ["1.2", "-0.1", "NaN", "inf", "x", ""] {
            assert!(refused.parse::<EtaChoice>().is_err(), "{refused}");
        }
    }
}
