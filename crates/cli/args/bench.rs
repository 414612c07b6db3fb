//! Options of `ddim bench`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use ddim::Reuse;
use ddim_features::Preparation;
use ddim_schedule::{Convention, Solver, Spacing};

use super::distances::preparation;
use super::method::EtaChoice;
use super::numbers::at_least_one;
use super::{ComputingArgs, FeatureChoice, LabelArgs, ModelArgs, PictureRules, SetHome, SetName};
use crate::device::Precision;
use crate::seeds;

/// Shown under `ddim bench --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim bench                                           the table of the DDIM paper, in bench/
  ddim bench --budget 1h --out long                    the same with more pictures
  ddim bench --num 2000,1000:256 --out results         2000 pictures a cell, 256 of 1000 steps
  ddim bench --steps 5,10,20 --eta 0 --solver dpm++ --solver unipc:order=3 --budget 2m
  ddim bench --steps 10,20 --eta 0 --reuse up_blocks.1:2 --reuse up_blocks.1:4
  ddim bench --frontier --num 1000 --reference embedded:held-out   what gives the most for its time
  ddim bench --model path/to/model --spacing quad --device auto --json

Everything is measured beside DDPM (eta 1) in as many steps as the model was trained with, which is drawn first. \
After Ctrl-C the same command goes on at the first batch that is not whole. \
The folder holds report.html, quality.svg, frontier.svg (with --frontier), time.svg, strip.svg, strip.png, table.csv, and rows.jsonl with one line a \
finished cell.";

/// Options of `ddim bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// What gives the most for its time: solvers in few steps, with tuned timesteps where the model has them, beside DDPM
    /// in all steps with as many pictures. Says what nothing else is both as fast and as good as, and what is the fastest
    /// that is as good as DDPM within the error; other --steps, --eta, --solver and --spacing may be given
    #[arg(long, help_heading = "Method")]
    pub(crate) frontier: bool,

    /// Numbers of steps [default: 10,20,50,100,1000, as far as the model has them; with --frontier
    /// 1,2,3,4,5,6,8,10,15,20,50]
    #[arg(long, alias = "num-inference-steps", value_name = "LIST", value_delimiter = ',', value_parser = at_least_one,
        help_heading = "Method")]
    pub(crate) steps: Vec<usize>,

    /// Noise in each step, from 0 (DDIM) to 1 (DDPM); `hat` for the larger variance of DDPM [default: 0,0.2,0.5,1,hat;
    /// with --frontier 0 beside solvers, and none where --solver is given]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Method"
    )]
    pub(crate) eta: Vec<EtaChoice>,

    /// A solver to measure as well, with its options, as `ddim sample --help` lists them; may be given several times
    #[arg(long, visible_alias = "sampler", value_name = "NAME", help_heading = "Method")]
    pub(crate) solver: Vec<Box<dyn Solver>>,

    /// Measure each method also with the output of a part of the network kept from call to call, as in up_blocks.1:3: see
    /// `ddim sample --help`; may be given several times
    #[arg(long, value_name = "PART:CALLS", help_heading = "Method")]
    pub(crate) reuse: Vec<Reuse>,

    /// How the steps are spread: see `ddim sample --help` [default: the convention's]
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    pub(crate) spacing: Option<Spacing>,

    /// Whose habits of spacing, clipping and rounding to follow: exact, diffusers, ermongroup, openai
    /// [default: what the model was made for]
    #[arg(long, value_name = "NAME", help_heading = "Method")]
    pub(crate) convention: Option<Convention>,

    /// Pictures of each cell, and STEPS:N for those of so many steps, as in 2000,1000:256. Times are compared, so that no
    /// batch of any cell is larger than the smallest number
    #[arg(long, short, value_name = "LIST", conflicts_with = "budget", help_heading = "Pictures")]
    pub(crate) num: Option<Counts>,

    /// How long to draw, as in 90s, 10m, 1h30m: the numbers of pictures are chosen for it [default: 10m]
    #[arg(long, value_name = "TIME", help_heading = "Pictures")]
    pub(crate) budget: Option<Budget>,

    /// Seed of the noise; picture k is that of `ddim sample --seed`
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = seeds::number, help_heading = "Pictures")]
    pub(crate) seed: u64,

    /// The pictures of DDPM in all steps, where they were drawn before (with --shard on many machines, say): a folder of
    /// `ddim sample --eta 1`, with its run.json. They are judged in place of new ones; one batch is drawn, for its time
    #[arg(long, value_name = "FOLDER", help_heading = "Pictures")]
    pub(crate) drawn: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) judging: JudgingArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// Numbers in which the network computes; the sampler around it takes f32
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Device")]
    pub(crate) precision: Precision,

    /// The folder for results; one that holds the same run is completed [default: bench, or bench-2 and so on where that
    /// holds another run]
    #[arg(long, short, value_name = "FOLDER", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Replace the results of another run
    #[arg(long, help_heading = "Output")]
    pub(crate) force: bool,

    /// Print JSON, at the end
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// What tells the time; for tests
    #[arg(long, value_enum, default_value_t = ClockChoice::System, hide = true)]
    pub(crate) clock: ClockChoice,
}

impl BenchArgs {
    /// Refuses options that would change nothing.
    pub(super) fn check(&self, matches: &ArgMatches) -> Result<(), String> {
        let is_inception = matches!(self.judging.features, Some(FeatureChoice::Inception(_)));
        match matches.value_source("resize") {
            Some(ValueSource::CommandLine) if !is_inception => {
                Err("--resize is for --features inception:FILE: it would change nothing here".to_owned())
            }
            _ if self.frontier && self.num.as_ref().is_some_and(|num| !num.of_steps.is_empty()) => Err(
                "--num with STEPS:N: --frontier compares the qualities of equally many pictures; give one number"
                    .to_owned(),
            ),
            _ => self.judging.check_rules(),
        }
    }
}

/// What the pictures are judged by.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Quality")]
pub(crate) struct JudgingArgs {
    /// What pictures are compared by: classifier (the embedded one), classifier:FOLDER, inception:FILE or pixels
    /// [default: classifier for an embedded model, pixels for others with a --reference of pictures]. With neither this nor
    /// --reference, pictures of other models are compared with those that all steps make of the same noise
    #[arg(long, value_name = "NAME")]
    pub(crate) features: Option<FeatureChoice>,

    /// What they are compared with: a set of pictures, embedded:train, embedded:held-out, embedded:ddpm, or an .npz that
    /// `ddim eval SET --save-stats` made of the same features [default: embedded:train, for its classifier]
    #[arg(long, value_name = "SET")]
    pub(crate) reference: Option<SetName>,

    /// How Inception's pictures become 299x299: as torch-fidelity, pytorch-fid or clean-fid does it
    #[arg(long, value_name = "NAME", default_value = "torch-fidelity", value_parser = preparation)]
    pub(crate) resize: Preparation,

    /// How the pictures of --reference come to the size and colours that the model draws.
    #[command(flatten, next_help_heading = "Pictures of --reference")]
    pub(crate) rules: PictureRules,
}

impl JudgingArgs {
    /// Refuses rules for pictures where none are read.
    fn check_rules(&self) -> Result<(), String> {
        let are_read = self.reference.as_ref().is_some_and(|set| matches!(set.home, SetHome::Path(_)));
        match self.rules.typed().filter(|_| !are_read) {
            Some(option) => Err(format!("{option} is for the pictures of --reference: name some")),
            None => Ok(()),
        }
    }
}

/// What tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockChoice {
    /// The system
    System,
    /// A millisecond passes whenever the time is asked for, and no memory is measured: every run says the same
    Fake,
}

/// How many pictures the cells have, by their steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those of cells that are not named.
    pub(crate) usual: Option<usize>,
    /// Steps, and how many pictures of so many.
    pub(crate) of_steps: Vec<(usize, usize)>,
}

impl FromStr for Counts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut counts = Self { usual: None, of_steps: Vec::new() };
        for part in text.split(',') {
            match part.split_once(':') {
                Some((steps, count)) => counts.of_steps.push((at_least_one(steps)?, at_least_one(count)?)),
                None if counts.usual.is_some() => {
                    return Err("two numbers for all cells; give one, and STEPS:N for the others".to_owned());
                }
                None => counts.usual = Some(at_least_one(part)?),
            }
        }
        Ok(counts)
    }
}

/// A time to spend, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget(pub(crate) f64);

/// As it is typed, rounded up to whole minutes, or to seconds below two of those.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = (self.0 / 60.0).ceil();
        match self.0 {
            seconds if seconds <= 120.0 => write!(f, "{}s", seconds.ceil()),
            seconds if seconds <= 3600.0 => write!(f, "{minutes}m"),
            _ => write!(f, "{}h{}m", (minutes / 60.0).floor(), minutes % 60.0),
        }
    }
}

/// In seconds: whoever types more has typed a digit too many, and no clock counts endlessly.
const A_YEAR: f64 = 366.0 * 24.0 * 3600.0;

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "give hours, minutes or seconds, as in 90s, 10m, 1h30m".to_owned();
        let mut seconds = 0.0;
        for part in text.split_inclusive(|character: char| character.is_ascii_alphabetic()) {
            let unit = match part.chars().last() {
                Some('h') => 3600.0,
                Some('m') => 60.0,
                Some('s') => 1.0,
                _ => return Err(refused()),
            };
            let number: f64 = part[..part.len() - 1].parse().map_err(|_| refused())?;
            seconds += number * unit;
        }
        match seconds {
            _ if seconds > A_YEAR => Err("at most a year, 366 days, is possible".to_owned()),
            _ if seconds > 0.0 => Ok(Self(seconds)),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_one_for_all_and_others_by_steps() {
        let of = |text: &str| text.parse::<Counts>();
        assert_eq!(of("2000"), Ok(Counts { usual: Some(2000), of_steps: Vec::new() }));
        let mixed = Counts { usual: Some(2000), of_steps: vec![(1000, 256), (100, 512)] };
        assert_eq!(of("2000,1000:256,100:512"), Ok(mixed));
        assert_eq!(of("10:4"), Ok(Counts { usual: None, of_steps: vec![(10, 4)] }));
        for refused in ["", "0", "10,20", "10:0", "x:3", "10:", "-5"] {
            assert!(of(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn budgets_have_units() {
        let of = |text: &str| text.parse::<Budget>().map(|budget| budget.0);
        assert_eq!((of("90s"), of("10m"), of("1h30m"), of("0.5m")), (Ok(90.0), Ok(600.0), Ok(5400.0), Ok(30.0)));
        let again = |seconds: f64| Budget(seconds).to_string();
        assert_eq!([again(90.2), again(121.0), again(5400.0), again(3600.0)], ["91s", "3m", "1h30m", "60m"]);
        for refused in ["", "10", "m", "0s", "-5m", "10d", "infs", "nans", "5m3", "9999h", "99999999999999999999h"]
        {
            assert!(of(refused).is_err(), "{refused}");
        }
    }
}
