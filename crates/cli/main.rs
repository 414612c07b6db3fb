//! The command line of `ddim`: it reads what was typed, calls the libraries, and prints.
//!
//! Results go to stdout, everything else to stderr.
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod advice;
mod args;
mod autoencode;
mod bench;
mod classes;
mod completions;
mod decode;
mod device;
mod devices;
mod doctor;
mod drawing;
mod editing;
mod encode;
mod ending;
mod eval;
mod features;
mod files;
mod images;
mod inspect;
mod interpolate;
mod job;
mod kernels;
mod labels;
mod layers;
mod looks;
mod man;
mod memory;
mod merge;
mod model;
mod noise;
mod output;
mod plan;
mod printing;
mod prior;
mod progress;
mod reading;
mod reconstruct;
mod request;
mod run_record;
mod sample;
mod schedule;
mod seeds;
mod serve;
mod shard;
mod signals;
mod student;
mod train;
mod tune;
mod tuned;
mod warmup;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Cli, Command, Verbosity};
use crate::ending::{Ending, exit_code};
use crate::signals::Interrupt;

fn main() -> ExitCode {
    let cli = parse();
    log_to_stderr(&cli.verbosity);
    if let Some(seed) = cli.drawn_seed {
        seeds::say(seed);
    }
    let ended = Interrupt::install().and_then(|interrupt| run(cli, &interrupt));
    if matches!(ended, Ok(Ending::Interrupted)) {
        signals::end();
    }
    let code = exit_code(ended);
    // Drivers have crashed in programs that ended while they computed.
    ddim::device::wait_for_all();
    code
}

/// What was typed. A refusal shows it, and so shows what would control a terminal.
fn parse() -> Cli {
    Cli::typed_as(env::args_os()).unwrap_or_else(|refused| {
        let shown = |word: OsString| match word.to_str().map(printing::escaped) {
            Some(escaped) => OsString::from(escaped.as_ref()),
            None => word,
        };
        Cli::typed_as(env::args_os().map(shown)).err().unwrap_or(refused).exit()
    })
}

fn run(cli: Cli, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    match cli.command {
        Command::Sample(args) => sample::run(*args, interrupt),
        Command::Serve(args) => serve::run(&args, interrupt),
        Command::Merge(args) => merge::run(&args),
        Command::Encode(args) => encode::run(*args, interrupt),
        Command::Decode(args) => decode::run(*args, interrupt),
        Command::Reconstruct(args) => reconstruct::run(&args, interrupt),
        Command::Interpolate(args) => interpolate::run(*args, interrupt),
        Command::Autoencode(args) => autoencode::run(&args, interrupt),
        Command::Schedule(args) => schedule::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Warmup(args) => warmup::run(&args, interrupt),
        Command::Train(args) => train::run(&args, interrupt),
        Command::Distill(args) => train::distill(&args, interrupt),
        Command::Eval(args) => eval::run(&args, interrupt),
        Command::Bench(args) => bench::run(&args, interrupt),
        Command::Tune(args) => tune::run(&args, interrupt),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Sends logs to stderr: our own from `info` on, those of libraries from `warn` on.
/// `RUST_LOG` wins over `-v` and `-q`.
fn log_to_stderr(verbosity: &Verbosity) {
    let lines = fmt::layer()
        .with_writer(printing::Log)
        .with_ansi(false)
        .with_target(false)
        .with_level(false)
        .without_time()
        // A closed stderr is no reason to panic, least of all in a thread that others wait for.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(lines).with(log_filter(verbosity, env::var("RUST_LOG").ok())).init();
}

/// What is said, module by module. What cannot be understood is as good as nothing.
fn log_filter(verbosity: &Verbosity, rust_log: Option<String>) -> Targets {
    let asked = rust_log.filter(|asked| !asked.is_empty()).and_then(|asked| asked.parse().ok());
    asked.unwrap_or_else(|| verbosity.filter().parse().expect("the language of `RUST_LOG`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::program().debug_assert();
    }

    /// How far `program -v...` lets the program itself, burn's runtime and any other library speak.
    #[test]
    fn verbosity_and_rust_log_say_who_speaks() {
        use tracing::Level;

        let speaks = |words: &str, rust_log: Option<&str>| {
            let cli = Cli::typed_as(format!("ddim {words} devices").split_whitespace()).expect(words);
            let filter = log_filter(&cli.verbosity, rust_log.map(str::to_owned));
            ["ddim::device", "cubecl_wgpu::compute", "cubecl_environment", "wgpu_core", "naga::front"].map(
                |target| {
                    let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
                    levels
                        .into_iter()
                        .find(|level| filter.would_enable(target, level))
                        .map(|level| level.to_string())
                },
            )
        };
        for (words, rust_log, expected) in [
            ("", None, ["INFO", "", "", "WARN", "WARN"]),
            ("-q", None, ["ERROR"; 5]),
            ("-v", None, ["DEBUG", "WARN", "ERROR", "WARN", "WARN"]),
            ("-vv", None, ["DEBUG", "DEBUG", "ERROR", "DEBUG", "WARN"]),
            ("", Some("off,ddim::device=trace"), ["TRACE", "", "", "", ""]),
            ("-q", Some("debug"), ["DEBUG"; 5]),
            ("-q", Some(""), ["ERROR"; 5]),
            ("-q", Some("ddim=loud"), ["ERROR"; 5]),
        ] {
            let spoken = speaks(words, rust_log).map(Option::unwrap_or_default);
            assert_eq!(spoken, expected, "{words} {rust_log:?}");
        }
    }

    /// The commands in the help texts and in the README: a line that starts with `ddim`, up to a wide gap or a comment.
    #[test]
    fn every_example_is_a_valid_command_line() {
        let continued = include_str!("../../README.md").split(" \\\n").map(str::trim_start);
        let readme = continued.collect::<Vec<_>>().join(" ");
        let mut program = Cli::program();
        let start = program.render_help().to_string();
        let helps = program.get_subcommands().filter_map(|command| command.get_after_long_help());
        let texts = helps.map(ToString::to_string).chain([start, readme]);
        let examples: Vec<String> =
            texts.flat_map(|text| text.lines().filter_map(example).collect::<Vec<_>>()).collect();
        assert!(examples.len() > 20, "{examples:?}");
        for example in examples {
            let parsed = Cli::typed_as(example.split_whitespace());
            let asks_for_help = |error: &clap::Error| error.exit_code() == 0;
            assert!(parsed.as_ref().err().is_none_or(asks_for_help), "{example}: {:?}", parsed.err());
        }
    }

    fn example(line: &str) -> Option<String> {
        let line = line.trim().trim_start_matches("$ ").replace("cargo run --release -- ", "ddim ");
        let command = line.split("  ").next()?.split(" #").next()?.split(" > ").next()?;
        (command.starts_with("ddim ") && !command.contains('=')).then(|| command.to_owned())
    }
}
