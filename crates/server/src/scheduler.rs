//! Which pictures take a step next.

use std::sync::Arc;
use std::time::Instant;

use ddim::sampler::{Outcome as Ended, Taken};
use ddim::{Begun, Error, Model, Pictures, Run};
use ddim_data::Picture;

use crate::progress::{Phase, Progress};
use crate::stats::{Outcome, Stats};

/// Calls in which a request has no row, for each row that it then seems to need less.
const CALLS_A_ROW: usize = 8;

/// Requests under way. Every [`tick`](Self::tick) is one call of the network for rows of several of them: of those
/// first that need the fewest rows to their end, so that the mean time of waiting is short. A request becomes more
/// urgent with the calls that it has no row in, so that none waits for ever: no longer than [`CALLS_A_ROW`] calls
/// for each row that it needs, and for those that came before it.
pub(crate) struct Scheduler<'m> {
    model: &'m Model,
    stats: &'m Stats,
    /// Rows of a call, at most, but for a picture that needs more for itself alone.
    at_once: usize,
    /// In order of arrival.
    requests: Vec<Request<'m>>,
}

/// A request, and its pictures that are under way.
struct Request<'m> {
    run: Run<'m>,
    progress: Arc<Progress>,
    /// The first picture that has not begun.
    next: usize,
    /// Those that have, in order.
    begun: Vec<(usize, Begun)>,
    /// Calls in which it had no row.
    waited: usize,
    failed: Option<Error>,
}

impl<'m> Scheduler<'m> {
    pub(crate) fn new(model: &'m Model, stats: &'m Stats, at_once: usize) -> Self {
        Self { model, stats, at_once, requests: Vec::new() }
    }

    /// Takes up a run.
    pub(crate) fn add(&mut self, run: Run<'m>, progress: Arc<Progress>) {
        self.requests.push(Request { run, progress, next: 0, begun: Vec::new(), waited: 0, failed: None });
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// One call of the network, after which requests that have ended are gone.
    pub(crate) fn tick(&mut self) {
        self.sweep();
        let taken = self.choose();
        let steps = self.call(&taken);
        for (request, place, step) in steps {
            self.requests[request].note(place, step, self.model);
        }
        self.requests.iter_mut().for_each(|request| request.settle(self.model, self.stats));
        self.sweep();
    }

    /// Ends everything so.
    pub(crate) fn end_all(&mut self, phase: &Phase) {
        self.requests.drain(..).for_each(|request| end(&request.progress, phase.clone(), self.stats));
    }

    /// Takes away what has ended, and what nobody wants.
    fn sweep(&mut self) {
        self.requests.retain(|request| match request.ended() {
            None => true,
            Some(phase) => {
                end(&request.progress, phase, self.stats);
                false
            }
        });
    }

    /// For each request, how many of its pictures take a step.
    fn choose(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.requests.len()).collect();
        // The earlier one where two are as urgent.
        order.sort_by_key(|k| self.requests[*k].urgency());
        let (mut room, mut taken) = (self.at_once, vec![0; order.len()]);
        for k in order {
            taken[k] = self.requests[k].take(&mut room, self.at_once);
        }
        taken
    }

    /// Has the first so many pictures of each request take a step: all in one call, but for those that keep
    /// features, which have calls of their own.
    fn call(&mut self, taken: &[usize]) -> Vec<(usize, usize, Result<Option<Taken>, Error>)> {
        let (mut joined, mut alone, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (k, (request, taken)) in self.requests.iter_mut().zip(taken).enumerate() {
            for (place, (_, begun)) in request.begun[..*taken].iter_mut().enumerate() {
                if begun.joins() {
                    joined.push(begun);
                    places.push((k, place));
                } else {
                    alone.push((k, place, begun));
                }
            }
        }
        let mut steps = Vec::new();
        if !joined.is_empty() {
            let (rows, start) = (joined.iter().map(|begun| begun.rows()).sum(), Instant::now());
            let results = self.model.step_together(&mut joined, self.at_once);
            self.stats.called(rows, start.elapsed());
            steps.extend(places.into_iter().zip(results).map(|((k, place), step)| (k, place, step)));
        }
        for (k, place, begun) in alone {
            let (rows, start) = (begun.rows(), Instant::now());
            let step = begun.step(self.model);
            self.stats.called(rows, start.elapsed());
            steps.push((k, place, step));
        }
        steps
    }
}

impl Request<'_> {
    /// Rows to its end, fewer by those that it has waited for.
    fn urgency(&self) -> usize {
        let calls = self.run.calls().unwrap_or(0);
        let steps = self.progress_steps();
        // Corrections are calls, too.
        let left = |begun: &Begun| calls * (steps - begun.steps.steps_taken()) / steps.max(1);
        let under_way: usize = self.begun.iter().map(|(_, begun)| left(begun)).sum();
        let rows = self.rows_of_a_picture() * (under_way + calls * (self.run.pictures - self.next));
        rows.saturating_sub(self.waited / CALLS_A_ROW)
    }

    fn progress_steps(&self) -> usize {
        self.run.route.plan().map_or(0, |plan| plan.steps().len())
    }

    /// At most.
    fn rows_of_a_picture(&self) -> usize {
        if self.run.guidance.is_off() { 1 } else { 2 }
    }

    /// How many of its pictures have room in a call, begun where they were not; a picture that needs more than all
    /// of a call gets one of its own.
    fn take(&mut self, room: &mut usize, all: usize) -> usize {
        let mut taken = 0;
        while self.failed.is_none() {
            let has_begun = self.begun.get(taken);
            let rows = has_begun.map_or(self.rows_of_a_picture(), |(_, begun)| begun.rows());
            if rows > *room && *room < all || has_begun.is_none() && !self.begin() {
                break;
            }
            *room = room.saturating_sub(rows);
            taken += 1;
            if *room == 0 {
                break;
            }
        }
        self.waited += usize::from(taken == 0);
        taken
    }

    /// Begins the next picture, if there is one.
    fn begin(&mut self) -> bool {
        if self.next == self.run.pictures {
            return false;
        }
        match self.run.begin(&[self.next]) {
            Ok(begun) => self.begun.push((self.next, begun)),
            Err(error) => self.failed = Some(error),
        }
        self.next += 1;
        self.failed.is_none()
    }

    /// Writes down what a picture under way has done.
    fn note(&mut self, place: usize, step: Result<Option<Taken>, Error>, model: &Model) {
        let picture = self.begun[place].0;
        match step {
            Ok(None) => {}
            Ok(Some(Taken { index, x0 })) => {
                let shows = self.progress.is_watched() && model.first_stage().is_none();
                let preview = shows.then(|| self.picture(Pictures::new(x0, self.run.route.rounding())));
                self.progress.step(picture, index + 1, preview);
            }
            Err(error) => self.failed = Some(error.in_batch(|_| picture)),
        }
    }

    /// Hands over the pictures that want no more calls.
    fn settle(&mut self, model: &Model, stats: &Stats) {
        let (finished, under_way): (Vec<_>, Vec<_>) =
            self.begun.drain(..).partition(|(_, begun)| begun.rows() == 0);
        self.begun = under_way;
        for (picture, begun) in finished {
            match drawn(begun, model) {
                Ok(x) => {
                    let pixels = self.picture(Pictures::new(x, self.run.route.rounding()));
                    self.progress.finish(picture, pixels);
                    stats.drawn();
                }
                Err(error) => self.failed = Some(error.in_batch(|_| picture)),
            }
        }
    }

    fn picture(&self, pictures: Pictures) -> Picture {
        let (width, height, channels) = (pictures.width(), pictures.height(), pictures.channels());
        Picture { width, height, channels, pixels: pictures.bytes(0) }
    }

    /// How it has ended, if it has.
    fn ended(&self) -> Option<Phase> {
        match &self.failed {
            Some(error) => Some(Phase::Failed(error.to_string())),
            None if self.begun.is_empty() && self.next == self.run.pictures => Some(Phase::Finished),
            None if self.progress.is_cancelled() => Some(Phase::Cancelled),
            None => None,
        }
    }
}

/// What was drawn, as pictures.
fn drawn(begun: Begun, model: &Model) -> Result<ddim::Tensor, Error> {
    match begun.steps.finish()? {
        Ended::Finished(x) | Ended::Stopped { x, .. } => model.decoded(x),
    }
}

/// Writes down how a request ended.
pub(crate) fn end(progress: &Progress, phase: Phase, stats: &Stats) {
    let outcome = match &phase {
        Phase::Finished => Outcome::Finished,
        Phase::Failed(_) => Outcome::Failed,
        Phase::Queued | Phase::Running | Phase::Cancelled => Outcome::Cancelled,
    };
    if progress.end(phase) {
        stats.ended(outcome);
    }
}

#[cfg(test)]
mod tests;
