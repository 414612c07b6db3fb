//! Ctrl-C: the first one asks the run to stop at its next step, the second one ends the program at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Exit code of a run that was interrupted: 128 + SIGINT, as shells expect.
pub(crate) const INTERRUPTED: u8 = 130;

/// Says whether the user asked to stop. Cheap to ask; clones share one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C, and for the signals a system sends to end a program.
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let seen = interrupt.clone();
        ctrlc::set_handler(move || {
            if seen.0.swap(true, Ordering::SeqCst) {
                process::exit(i32::from(INTERRUPTED));
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_answer() {
        let first = Interrupt::default();
        let second = first.clone();
        assert!(!second.requested());
        first.0.store(true, Ordering::SeqCst);
        assert!(second.requested());
    }
}
