//! Ctrl-C, and the signals that end a program: the run stops at its next step and says how to go on. One that comes to no
//! step within a second ends where it is, unless it holds what is finished and not yet saved. The second Ctrl-C ends at once.

mod system;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::system::Ignored;
use crate::{files, printing, progress};

/// Exit code of a run that was interrupted: 128 + SIGINT, as shells expect.
pub(crate) const INTERRUPTED: u8 = 130;

/// How long a run has to come to its next step.
const TO_A_STEP: Duration = Duration::from_millis(700);
/// How long one that has come to it has to end by itself.
const TO_THE_END: Duration = Duration::from_secs(4);
/// How long the last words may take: whoever reads them may have stopped reading.
const TO_SPEAK: Duration = Duration::from_millis(200);
/// A signal so soon after another is the same one: `timeout` sends it to the program and once more to its group.
const ECHO: Duration = Duration::from_millis(200);

/// Says whether the user asked to stop. Cheap to ask; clones share one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the user asked to stop.
    asked: AtomicBool,
    /// Whether the run knows.
    heard: AtomicBool,
    parting: Mutex<Parting>,
}

/// What an end between two steps would mean.
#[derive(Clone, Debug)]
pub(crate) enum Parting {
    /// Nothing is lost: the program may end anywhere.
    Free {
        /// What to print then: what was found so far.
        results: String,
        /// What to say then.
        words: String,
    },
    /// What is finished lies in memory: the run comes to its next step, and saves it there.
    Saves {
        /// What to say at once.
        words: String,
    },
}

impl Parting {
    /// Nothing is lost, and this is said.
    pub(crate) fn free(words: impl Into<String>) -> Self {
        Self::Free { results: String::new(), words: words.into() }
    }

    /// The run goes on to its next step for what `words` tell.
    pub(crate) fn saves(words: impl Into<String>) -> Self {
        Self::Saves { words: words.into() }
    }
}

impl Default for Parting {
    fn default() -> Self {
        Self::free("interrupted; nothing was written")
    }
}

impl Interrupt {
    /// Listens for Ctrl-C, and for the signals a system sends to end a program; those that were ignored stay so.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let (interrupt, ignored) = (Self::default(), Ignored::at_start());
        let (seen, mut first) = (interrupt.clone(), None::<Instant>);
        ctrlc::set_handler(move || match first {
            None => {
                first = Some(Instant::now());
                seen.0.asked.store(true, Ordering::SeqCst);
                let seen = seen.clone();
                // Without a thread nothing is said, and the run stops at its next step all the same.
                let _ = thread::Builder::new().spawn(move || seen.watch());
            }
            Some(first) if first.elapsed() < ECHO => {}
            Some(_) => at_once(),
        })
        .context("cannot listen for Ctrl-C")?;
        ignored.stay_ignored();
        Ok(interrupt)
    }

    /// What an observer answers: to go on until Ctrl-C was pressed.
    pub(crate) fn go_on(&self) -> ControlFlow<()> {
        if self.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether Ctrl-C was pressed. Whoever hears so ends soon.
    pub(crate) fn requested(&self) -> bool {
        let asked = self.0.asked.load(Ordering::SeqCst);
        if asked {
            self.0.heard.store(true, Ordering::SeqCst);
        }
        asked
    }

    /// Says what an end would mean from now on.
    pub(crate) fn leave(&self, parting: Parting) {
        *self.0.parting.lock().unwrap_or_else(PoisonError::into_inner) = parting;
    }

    /// Ends the run if it does not end by itself.
    fn watch(&self) {
        thread::sleep(TO_A_STEP);
        // Held to the end: nothing is finished any more.
        let parting = self.0.parting.lock().unwrap_or_else(PoisonError::into_inner);
        match &*parting {
            Parting::Saves { words } => tracing::warn!("{words}; Ctrl-C again ends at once"),
            Parting::Free { .. } if self.0.heard.load(Ordering::SeqCst) => {
                drop(parting);
                thread::sleep(TO_THE_END);
                farewell("", "interrupted");
            }
            Parting::Free { results, words } => farewell(results, words),
        }
    }
}

/// Ends the process with code 130 after `main` has done all it had to.
pub(crate) fn end() -> ! {
    // Whoever reads has stopped reading: nothing is left to say.
    let _ = io::stdout().flush();
    system::end(INTERRUPTED)
}

/// Ends where the run is, with these results on stdout and these words on stderr.
fn farewell(results: &str, words: &str) -> ! {
    if files::is_writing() {
        thread::sleep(TO_SPEAK);
    }
    if files::is_writing() {
        tracing::warn!("a file is being written; Ctrl-C again ends at once, without it");
    }
    let _nothing_is_written = files::leave_nothing_behind();
    speak(results.to_owned(), words.to_owned());
    system::end(INTERRUPTED)
}

/// Says it in a thread of its own: the run may hold what it takes to print, for ever if nobody reads.
fn speak(results: String, words: String) {
    let (done, wait) = mpsc::channel();
    let speaker = thread::Builder::new().spawn(move || {
        progress::clear();
        let _ = printing::results(&results);
        tracing::warn!("{words}");
        let _ = done.send(());
    });
    if speaker.is_ok() {
        // In time or not: this is the end.
        let _ = wait.recv_timeout(TO_SPEAK);
    }
}

/// The second Ctrl-C: waits for nothing.
fn at_once() -> ! {
    let _guard = (!files::is_writing()).then(files::leave_nothing_behind);
    system::end(INTERRUPTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_answer() {
        let first = Interrupt::default();
        let second = first.clone();
        assert!(!second.requested() && !first.0.heard.load(Ordering::SeqCst));
        first.0.asked.store(true, Ordering::SeqCst);
        assert!(second.requested() && first.0.heard.load(Ordering::SeqCst));
    }

    #[test]
    fn the_last_parting_counts() {
        let interrupt = Interrupt::default();
        interrupt.clone().leave(Parting::saves("first the pictures"));
        let parting = interrupt.0.parting.lock().expect("nobody panics");
        assert!(matches!(&*parting, Parting::Saves { words } if words == "first the pictures"));
    }
}
