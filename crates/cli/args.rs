//! What can be typed: every command, option and help text. Values are checked here as far as that needs no file.

mod autoencoding;
mod bench;
mod bound;
mod corrections;
mod diagnosis;
mod distances;
mod distilling;
mod divergence;
mod editing;
mod effect;
mod elbo;
mod eval_table;
mod evaluation;
mod inversion;
mod labels;
mod method;
mod numbers;
mod pictures;
mod plan;
mod sampling;
mod serving;
mod set_name;
mod sharing;
mod training;
mod tuning;
mod usage;
mod warming;
mod words;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::autoencoding::{AutoencodeArgs, Latents};
pub(crate) use self::bench::{BenchArgs, Budget, ClockChoice, Counts};
pub(crate) use self::bound::{BoundArgs, DecoderChoice};
pub(crate) use self::diagnosis::DoctorArgs;
pub(crate) use self::distances::{DistanceArgs, FeatureChoice, Metric};
pub(crate) use self::distilling::DistillArgs;
pub(crate) use self::divergence::DivergenceArgs;
pub(crate) use self::editing::{InpaintChoice, interval};
pub(crate) use self::elbo::ElboArgs;
pub(crate) use self::evaluation::{EvalArgs, FlowArgs};
pub(crate) use self::inversion::{
    DecodeArgs, EncodeArgs, EndArgs, InterpolateArgs, NoisePoint, PictureArgs, ReconstructArgs,
};
pub(crate) use self::labels::{LabelArgs, LabelWord};
pub(crate) use self::method::{EtaChoice, ReuseChoice, SolverChoice, SpacingChoice};
pub(crate) use self::numbers::MOST;
pub(crate) use self::pictures::{OnCorrupt, PictureRules};
pub(crate) use self::plan::{ModelArgs, PlanArgs, ScheduleArgs};
pub(crate) use self::sampling::{OutputArgs, SampleArgs};
pub(crate) use self::serving::ServeArgs;
pub(crate) use self::set_name::{Part, SetHome, SetName, embedded_sets};
pub(crate) use self::sharing::{MergeArgs, Shard, ShardChoice};
pub(crate) use self::training::{RecipeArgs, TrainArgs};
pub(crate) use self::tuning::TuneArgs;
pub(crate) use self::usage::{WrongUsage, misused};
pub(crate) use self::warming::WarmupArgs;
pub(crate) use self::words::FromWord;
use crate::device::{DeviceChoice, DeviceParser};
use crate::printing;
use crate::seeds;

/// Draws pictures with trained diffusion models: DDIM and DDPM, on any GPU and on a plain CPU.
#[derive(Debug, Parser)]
#[command(
    name = "ddim",
    version,
    propagate_version = true,
    after_help = "Start here:\n  \
        ddim sample --eta 0 --steps 20        pictures from the embedded model, in samples.png\n  \
        ddim sample --help                    everything that can be asked for\n\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,

    #[command(subcommand)]
    pub(crate) command: Command,

    /// The seed of a command that drew one and does not say it itself.
    #[arg(skip)]
    pub(crate) drawn_seed: Option<u64>,
}

/// The words with each value that begins with a minus joined to its option, as in `--num=-1`: so the option itself says what
/// is wrong with it, in place of nobody knowing an option -1.
fn with_negative_values(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut are_options = true;
    for word in words {
        are_options &= word != "--";
        match joined.last_mut().filter(|option| are_options && is_option(option)) {
            Some(option) if is_negative(&word) => {
                option.push("=");
                option.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// Whether a word is an option without its value; of short ones only those that take a value.
fn is_option(word: &OsStr) -> bool {
    let long = |text: &str| text.strip_prefix("--").is_some_and(|name| !name.is_empty() && !name.contains('='));
    word.to_str().is_some_and(|text| long(text) || matches!(text, "-n" | "-o"))
}

fn is_negative(word: &OsStr) -> bool {
    let Some(value) = word.to_str().and_then(|text| text.strip_prefix('-')) else { return false };
    value.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || ["inf", "infinity", "nan"].iter().any(|name| value.eq_ignore_ascii_case(name))
}

fn drawn_seed(matches: &ArgMatches) -> Option<u64> {
    let (_, of_command) = matches.subcommand()?;
    let mut typed = of_command.try_get_raw("seed").ok()??;
    let seed = of_command.try_get_one::<u64>("seed").ok()??;
    (typed.next()? == seeds::RANDOM).then_some(*seed)
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw pictures with a model
    #[command(after_long_help = sampling::SAMPLE_EXAMPLES)]
    Sample(Box<SampleArgs>),
    /// Draw pictures for others over HTTP: OpenAI's images API, jobs, metrics
    #[command(after_long_help = serving::EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Put together the parts of a run that several machines have drawn
    #[command(after_long_help = sharing::EXAMPLES)]
    Merge(MergeArgs),
    /// Take pictures to the noise that they would be drawn from
    #[command(after_long_help = inversion::ENCODE_EXAMPLES)]
    Encode(Box<EncodeArgs>),
    /// Draw the pictures back from what `encode` has written
    #[command(after_long_help = inversion::DECODE_EXAMPLES)]
    Decode(Box<DecodeArgs>),
    /// Encode and decode pictures, and say how far they come back, for one number of steps after the other
    #[command(after_long_help = inversion::RECONSTRUCT_EXAMPLES)]
    Reconstruct(Box<ReconstructArgs>),
    /// Draw the pictures between two pictures, or between four
    #[command(after_long_help = inversion::INTERPOLATE_EXAMPLES)]
    Interpolate(Box<InterpolateArgs>),
    /// Take pictures through an autoencoder and back, and say how close they come
    #[command(after_long_help = autoencoding::EXAMPLES)]
    Autoencode(Box<AutoencodeArgs>),
    /// Show the timesteps and coefficients that a run would use; needs no model and no GPU
    #[command(after_long_help = plan::SCHEDULE_EXAMPLES)]
    Schedule(ScheduleArgs),
    /// Show what a model folder holds: parameters, blocks, schedule, unmatched tensors
    Inspect(InspectArgs),
    /// Show the devices that can be used here
    Devices(DevicesArgs),
    /// Check that a device computes what the CPU computes, part by part of the network and in a short run
    #[command(after_long_help = diagnosis::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Find the fastest kernels of a model on a GPU beforehand; the choice is kept for later runs
    #[command(after_long_help = warming::EXAMPLES)]
    Warmup(WarmupArgs),
    /// Train a model on a set of images
    #[command(after_long_help = training::EXAMPLES)]
    Train(TrainArgs),
    /// Train students of a model that draw in fewer steps
    #[command(after_long_help = distilling::EXAMPLES)]
    Distill(DistillArgs),
    /// Measure a model by bits per dimension of pictures, or two sets of pictures by how far they are apart
    #[command(after_long_help = evaluation::EXAMPLES)]
    Eval(Box<EvalArgs>),
    /// Compare few steps with 1000-step DDPM: time, memory, quality
    #[command(after_long_help = bench::EXAMPLES)]
    Bench(BenchArgs),
    /// Find the timesteps and the method with which few steps of a model come closest to many
    #[command(after_long_help = tuning::EXAMPLES)]
    Tune(TuneArgs),
    /// Print a completion script for a shell
    #[command(after_long_help = "Examples:\n  \
        ddim completions bash > ~/.local/share/bash-completion/completions/ddim\n  \
        ddim completions fish > ~/.config/fish/completions/ddim.fish")]
    Completions(CompletionsArgs),
    /// Print a page of the manual: of the program, or of one of its commands
    #[command(after_long_help = "Examples:\n  \
        ddim man sample > sample.1 && man -l sample.1      read it\n  \
        ddim man > /usr/local/share/man/man1/ddim.1        keep it")]
    Man(ManArgs),
}

impl Cli {
    /// The program as it is typed, and as its help shows it.
    pub(crate) fn program() -> clap::Command {
        let needs_all = |command: clap::Command| command.mut_arg("on_corrupt", |arg| arg.hide(true));
        Self::command().mut_subcommand("eval", eval_table::laid_out).mut_subcommand("interpolate", needs_all)
    }

    /// What these words ask for.
    pub(crate) fn typed_as<Word: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = Word>,
    ) -> Result<Self, clap::Error> {
        let mut program = Self::program();
        let words = with_negative_values(words.into_iter().map(Into::into));
        let matches = program.try_get_matches_from_mut(words).map_err(|error| without_hidden(error, &program))?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut program))?;
        cli.drawn_seed = drawn_seed(&matches);
        if let Some((name, typed)) = matches.subcommand() {
            effect::check(name, typed).map_err(without_effect)?;
        }
        match (&mut cli.command, matches.subcommand()) {
            (Command::Eval(eval), Some((_, matches))) => {
                eval.typed = eval_table::Typed::of(matches);
                eval.check()
            }
            (Command::Sample(sample), Some((_, matches))) => {
                sample.typed = sampling::Typed::of(matches);
                Ok(())
            }
            (Command::Bench(bench), Some((_, matches))) => bench.check(matches),
            _ => Ok(()),
        }
        .map_err(without_effect)?;
        Ok(cli)
    }
}

/// The error without a tip that names an option which the help does not show.
fn without_hidden(mut error: clap::Error, program: &clap::Command) -> clap::Error {
    let Some(ContextValue::String(tip)) = error.get(ContextKind::SuggestedArg) else { return error };
    let name = tip.trim_start_matches('-');
    let is = |arg: &&clap::Arg| arg.get_long() == Some(name);
    let is_shown = |command: &clap::Command| command.get_arguments().filter(is).any(|arg| !arg.is_hide_set());
    if !program.get_subcommands().any(is_shown) && !is_shown(program) {
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

/// The error for an option that would change nothing.
pub(crate) fn without_effect(problem: impl std::fmt::Display) -> clap::Error {
    Cli::program().error(ErrorKind::ArgumentConflict, printing::escaped(&problem.to_string()))
}

/// How much is said on stderr.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Verbosity {
    /// Say more on stderr; twice for everything (RUST_LOG sets it in detail)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    /// Say nothing on stderr but errors, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Verbosity {
    /// The log filter, in the language of `RUST_LOG`.
    pub(crate) fn filter(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            // burn's runtime tells at length what a device refused, and then the error says it once more.
            (false, 0) => "warn,cubecl=off,ddim=info",
            // It also complains of each table that it keeps in memory, where `ddim::device` looks for it.
            (false, 1) => "warn,cubecl_environment=error,ddim=debug",
            (false, _) => "debug,cubecl_environment=error,naga=warn",
        }
    }
}

/// Options of `ddim inspect`.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// A model: a folder in the diffusers layout, a part of one, the folder of a training run, or the name of an embedded
    /// model
    pub(crate) model: PathBuf,

    /// Which of its weights, where there are several: `ema`, `model` or a name [default: the moving average]
    #[arg(long, value_name = "NAME")]
    pub(crate) weights: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `ddim devices`.
#[derive(Args, Debug)]
pub(crate) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `ddim completions`.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Options of `ddim man`.
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The command [default: the program as a whole]
    pub(crate) command: Option<String>,
}

/// Where a run computes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceArgs {
    /// Where to compute: `auto` takes a GPU where there is one and the CPU otherwise, and never fails; a number picks
    /// one of several, as in vulkan:1
    #[arg(long, value_parser = DeviceParser, default_value_t = DeviceChoice::AUTO)]
    pub(crate) device: DeviceChoice,
}

/// Where a run computes, and how much at once.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Device")]
pub(crate) struct ComputingArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Pictures computed at once; fewer need less memory
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = numbers::batch_size)]
    pub(crate) batch_size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str]) -> Vec<OsString> {
        with_negative_values(words.iter().map(OsString::from))
    }

    #[test]
    fn a_value_with_a_minus_belongs_to_its_option() {
        assert_eq!(joined(&["--num", "-1", "-n", "-.5", "--eta", "-inf"]), ["--num=-1", "-n=-.5", "--eta=-inf"]);
        for alone in [["-v", "-1"], ["--eta=0", "-1"], ["--json", "-n"], ["--", "-1"], ["a", "-1"], ["--out", "-"]]
        {
            assert_eq!(joined(&alone), alone);
        }
        assert_eq!(joined(&["--", "--num", "-1"]), ["--", "--num", "-1"]);
    }

    #[test]
    fn every_number_says_itself_what_is_wrong_with_it() {
        let mut checked = 0;
        let mut program = Cli::command();
        program.build();
        for command in program.clone().get_subcommands() {
            for option in command.get_opts().filter_map(|option| option.get_long()) {
                let words = ["ddim", command.get_name(), &format!("--{option}"), "-1"].map(OsString::from);
                let tried = Cli::command().try_get_matches_from(with_negative_values(words.into_iter()));
                let Err(error) = tried else { continue };
                let text = error.to_string();
                assert!(!text.contains("argument '-1'"), "{} --{option}: {text}", command.get_name());
                checked += usize::from(text.contains("invalid value '-1'"));
            }
        }
        assert!(checked > 60, "{checked}");
    }

    #[test]
    fn a_tip_names_what_the_help_shows() {
        let said = |words: &str| Cli::typed_as(words.split(' ')).expect_err("unknown").to_string();
        for hidden in ["ddim sample --convertt", "ddim encode a.png --konvert"] {
            let text = said(hidden);
            assert!(text.contains("unexpected argument") && !text.contains("tip"), "{text}");
        }
        assert!(said("ddim sample --stepss 3").contains("a similar argument exists: '--steps'"));
    }

    #[test]
    fn a_drawn_seed_is_known() {
        let seed = |words: &str| {
            let matches = Cli::command().try_get_matches_from(words.split_whitespace()).expect("valid");
            drawn_seed(&matches)
        };
        assert!(seed("ddim doctor --seed random").is_some());
        assert_eq!((seed("ddim doctor --seed 7"), seed("ddim doctor"), seed("ddim devices")), (None, None, None));
    }
}
