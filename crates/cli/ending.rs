//! How a command ends: what it gives to the shell, and what it says of an error.

use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use crate::args::WrongUsage;
use crate::{advice, printing, signals};

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything asked for was done.
    Done,
    /// Ctrl-C stopped it; what was finished is kept.
    Interrupted,
}

/// How a run ended that a user may break off.
impl From<ControlFlow<()>> for Ending {
    fn from(ended: ControlFlow<()>) -> Self {
        if ended.is_break() { Self::Interrupted } else { Self::Done }
    }
}

/// Says what went wrong, and what the shell is given for it.
pub(crate) fn exit_code(ended: anyhow::Result<Ending>) -> ExitCode {
    match ended {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(signals::INTERRUPTED),
        // `ddim schedule | head` closes our stdout early: the reader has what it wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printing::say(&format!("error: {}", chain(&error)));
            if error.chain().any(|cause| cause.is::<WrongUsage>()) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// The error and its causes in one line; a cause that its effect already quotes is not said twice.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let message = error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    });
    advice::with_option(message)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no room").context("a.png: no room").context("stopped");
        assert_eq!(chain(&error), "stopped: a.png: no room");
    }
}
