//! Options of `ddim tune`, and how its result is asked for.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use ddim_schedule::{Method, ScheduleError, Spacing, Tolerance, nearest_names};

use super::numbers::{at_least_one, count};
use super::words::{self, FromWord};
use super::{ComputingArgs, LabelArgs};
use crate::seeds;

/// Shown under `ddim tune --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim tune --model path/to/model --steps 5,10       writes path/to/model/tuned.json
  ddim sample --model path/to/model --spacing tuned --steps 10
  ddim tune --steps 7 --out seven.json               the embedded model has no folder
  ddim sample --spacing tuned:seven.json --steps 7

A distance is the root mean square difference of a picture in [0, 1] to the solution of the model's own equation \
from the same noise; of these the mean is printed. Ten steps of the embedded model take some 40,000 network calls, \
five half of that. Ctrl-C keeps the best so far.";

/// Options of `ddim tune`.
#[derive(Args, Debug)]
pub(crate) struct TuneArgs {
    /// A model, as in `ddim sample` [default: the first embedded model]
    #[arg(long, value_name = "PATH|NAME", help_heading = "Model")]
    pub(crate) model: Option<PathBuf>,

    /// Which of its weights, where there are several: `ema`, `model` or a name [default: the moving average]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) weights: Option<String>,

    /// The numbers of steps to tune for, as in 5,10
    #[arg(long, alias = "num-inference-steps", value_name = "LIST", value_delimiter = ',', required = true,
        value_parser = at_least_one)]
    pub(crate) steps: Vec<usize>,

    /// A method to choose from; may be given several times [default: ddim, dpm++, ipndm and unipc]
    #[arg(long, visible_alias = "sampler", value_name = "NAME")]
    pub(crate) solver: Vec<Method>,

    /// Pictures that the search looks at
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_one)]
    pub(crate) pictures: usize,

    /// Other pictures, that the result is measured on
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(crate) held_out: usize,

    /// How often the search halves its stride; each time costs two runs for every timestep, or a few more
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count)]
    pub(crate) rounds: usize,

    /// Seed of the noise; `random` draws one
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = seeds::number)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// Where to write; entries of a file that is there are kept [default: tuned.json in the model's folder]
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Print what was found as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
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
    Planned(Method),
    /// Steps as long as this tolerance allows.
    Adaptive(Tolerance),
}

impl fmt::Display for SolverChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned(method) => method.fmt(f),
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
            let number =
                value.trim().parse().map_err(|_| format!("{value:?} is no tolerance; use a number such as 1e-3"));
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
}
