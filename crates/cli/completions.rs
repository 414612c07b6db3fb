//! `ddim completions`: a completion script for a shell, on stdout.

use std::io::{self, Write};

use crate::args::{Cli, CompletionsArgs};
use crate::ending::Ending;

/// Prints the script that makes the shell complete `ddim` commands.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::program(), "ddim", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Ending::Done)
}
