//! What is known of a request: how far it is, its pictures, and what happened to it step by step.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ddim_data::Picture;

/// The most events that are kept of a request; the oldest go first.
const MOST_EVENTS: usize = 16_384;

/// The most bytes of previews that are kept of a request; then the oldest events lose theirs.
const MOST_PREVIEWS: usize = 4 << 20;

/// How a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No call was made for it yet.
    Queued,
    /// Some of its pictures are under way.
    Running,
    /// All its pictures are finished.
    Finished,
    /// It cannot be drawn, for this reason.
    Failed(String),
    /// Nobody wants it any more, or the server ended.
    Cancelled,
}

impl Phase {
    /// Its name in answers.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Finished | Self::Failed(_) | Self::Cancelled)
    }
}

/// Something that happened to a request.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counted from 1.
    pub number: u64,
    /// What it was.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum What {
    /// A picture has taken a step.
    Step {
        /// Which picture of the request.
        picture: usize,
        /// The step, counted from 1.
        step: usize,
        /// What it predicts the picture will be; none of latents, and none where there were too many to keep.
        preview: Option<Arc<Picture>>,
    },
    /// A picture is finished.
    Picture(usize),
    /// Nothing more will happen.
    End(Phase),
}

/// A request that was accepted. Whoever drops it before it has ended cancels it.
#[derive(Debug)]
pub struct Ticket(pub(crate) Arc<Progress>);

/// What the engine writes down, and a [`Ticket`] reads.
#[derive(Debug)]
pub(crate) struct Progress {
    cancelled: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether steps are written down.
    is_watched: bool,
    steps: usize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    pictures: Vec<Option<Arc<Picture>>>,
    steps_taken: usize,
    events: VecDeque<Event>,
    happened: u64,
    /// Bytes of the previews that are kept.
    previews: usize,
}

impl Progress {
    /// Of so many pictures in so many steps each.
    pub(crate) fn new(pictures: usize, steps: usize, is_watched: bool) -> Self {
        let state = State {
            phase: Phase::Queued,
            pictures: vec![None; pictures],
            steps_taken: 0,
            events: VecDeque::new(),
            happened: 0,
            previews: 0,
        };
        Self {
            cancelled: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
            is_watched,
            steps,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Whether somebody may look at its steps.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// A picture has taken this step, counted from 1.
    pub(crate) fn step(&self, picture: usize, step: usize, preview: Option<Picture>) {
        let mut state = self.lock();
        state.phase = Phase::Running;
        state.steps_taken += 1;
        if self.is_watched {
            state.note(What::Step { picture, step, preview: preview.map(Arc::new) });
            self.changed.notify_all();
        }
    }

    /// A picture is finished.
    pub(crate) fn finish(&self, picture: usize, pixels: Picture) {
        let mut state = self.lock();
        state.pictures[picture] = Some(Arc::new(pixels));
        state.note(What::Picture(picture));
        self.changed.notify_all();
    }

    /// Nothing more happens; false if that was so before.
    pub(crate) fn end(&self, phase: Phase) -> bool {
        let mut state = self.lock();
        if state.phase.is_end() {
            return false;
        }
        state.phase = phase.clone();
        state.note(What::End(phase));
        self.changed.notify_all();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, what: What) {
        self.happened += 1;
        self.previews += bytes(&what);
        self.events.push_back(Event { number: self.happened, what });
        if self.events.len() > MOST_EVENTS
            && let Some(gone) = self.events.pop_front()
        {
            self.previews -= bytes(&gone.what);
        }
        for event in &mut self.events {
            if self.previews <= MOST_PREVIEWS {
                break;
            }
            self.previews -= bytes(&event.what);
            if let What::Step { preview, .. } = &mut event.what {
                *preview = None;
            }
        }
    }
}

/// What is kept of an event's preview.
fn bytes(what: &What) -> usize {
    match what {
        What::Step { preview: Some(preview), .. } => preview.pixels.len(),
        _ => 0,
    }
}

impl Ticket {
    /// How it stands.
    pub fn phase(&self) -> Phase {
        self.0.lock().phase.clone()
    }

    /// How it stands, at the latest after this time or once it has ended.
    pub fn wait(&self, most: Duration) -> Phase {
        let state = self.0.lock();
        let waited = self.0.changed.wait_timeout_while(state, most, |state| !state.phase.is_end());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.phase.clone()
    }

    /// Asks for nothing more of it: from the next call of the network on it has no rows.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
    }

    /// Its pictures, as far as they are finished.
    pub fn pictures(&self) -> Vec<Option<Arc<Picture>>> {
        self.0.lock().pictures.clone()
    }

    /// Bytes of its pictures and of the previews that are kept.
    pub(crate) fn bytes(&self) -> usize {
        let state = self.0.lock();
        state.previews + state.pictures.iter().flatten().map(|picture| picture.pixels.len()).sum::<usize>()
    }

    /// Steps taken by all its pictures together, and all that there are.
    pub fn steps(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.steps_taken, state.pictures.len() * self.0.steps)
    }

    /// Steps of a picture.
    pub fn steps_of_picture(&self) -> usize {
        self.0.steps
    }

    /// What has happened since the event of this number: at once where there is something, else what happens
    /// within this time. Steps are written down for requests that were handed in to be watched.
    pub fn events_after(&self, number: u64, most: Duration) -> Vec<Event> {
        let state = self.0.lock();
        let is_quiet = |state: &mut State| state.happened <= number && !state.phase.is_end();
        let waited = self.0.changed.wait_timeout_while(state, most, is_quiet);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.events.iter().filter(|event| event.number > number).cloned().collect()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(side: usize) -> Picture {
        Picture { width: side, height: side, channels: 1, pixels: vec![0; side * side] }
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let ticket = Ticket(Arc::new(Progress::new(1, 1_000_000, true)));
        for step in 1..=9 {
            ticket.0.step(0, step, Some(picture(1024)));
        }
        let has_preview = |event: &Event| matches!(&event.what, What::Step { preview: Some(_), .. });
        let events = ticket.events_after(0, Duration::ZERO);
        assert_eq!((events.len(), events.iter().filter(|event| has_preview(event)).count()), (9, 4));
        assert!(has_preview(&events[8]) && !has_preview(&events[0]));
        for step in 10..=MOST_EVENTS + 5 {
            ticket.0.step(0, step, None);
        }
        let events = ticket.events_after(0, Duration::ZERO);
        assert_eq!((events.len(), events[0].number), (MOST_EVENTS, 6));
        assert_eq!(ticket.0.lock().previews, 4 << 20);
    }

    #[test]
    fn the_first_end_counts() {
        let ticket = Ticket(Arc::new(Progress::new(1, 2, false)));
        ticket.0.step(0, 1, None);
        assert_eq!((ticket.phase(), ticket.steps()), (Phase::Running, (1, 2)));
        assert!(ticket.0.end(Phase::Cancelled) && !ticket.0.end(Phase::Finished));
        assert_eq!(ticket.wait(Duration::ZERO), Phase::Cancelled);
        assert_eq!(ticket.events_after(0, Duration::ZERO).len(), 1, "steps are not written down");
    }
}
