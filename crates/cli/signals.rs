//! Ctrl-C: the first one asks the run to stop at its next step, the second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{process, thread};

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
            // Without a thread nothing is said, and the run stops all the same.
            let _ = thread::Builder::new().spawn(say_if_it_takes_long);
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Most runs end within a step; where that takes longer, the user should know that Ctrl-C was seen.
fn say_if_it_takes_long() {
    thread::sleep(Duration::from_millis(500));
    tracing::warn!("stopping after what is under way; Ctrl-C again stops at once");
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
