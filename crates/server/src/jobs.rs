//! Requests that go on without a connection.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::progress::{Phase, Ticket};
use crate::service::{Record, seconds};

/// The most jobs that are kept once they have ended.
pub(crate) const KEPT: usize = 64;
/// The most bytes that their pictures and previews take.
const MOST_BYTES: usize = 64 << 20;

/// A request, its record and what became of it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) ticket: Ticket,
    pub(crate) record: Record,
    options: Value,
    created: u64,
    /// Whether somebody has its pictures, or knows why there are none.
    fetched: AtomicBool,
}

impl Job {
    pub(crate) fn new(ticket: Ticket, record: Record, options: Value) -> Self {
        // Nobody finds it by trying.
        let random = || RandomState::new().hash_one(0);
        let id = format!("job-{:016x}{:016x}", random(), random());
        Self { id, ticket, record, options, created: seconds(), fetched: AtomicBool::new(false) }
    }

    /// Somebody has its pictures.
    pub(crate) fn fetched(&self) {
        self.fetched.store(true, Ordering::SeqCst);
    }

    /// Whether its pictures are there and nobody has them.
    pub(crate) fn is_waiting(&self) -> bool {
        self.ticket.phase() == Phase::Finished && !self.fetched.load(Ordering::SeqCst)
    }

    /// How it stands.
    pub(crate) fn to_json(&self) -> Value {
        let (phase, (taken, all)) = (self.ticket.phase(), self.ticket.steps());
        let pictures = self.ticket.pictures();
        let finished = pictures.iter().flatten().count();
        let mut json = json!({
            "id": self.id,
            "object": "job",
            "status": phase.name(),
            "created": self.created,
            "pictures": pictures.len(),
            "finished": finished,
            "steps": { "taken": taken, "all": all },
            "options": self.options,
            "command": self.record.command,
        });
        if let Phase::Failed(problem) = phase {
            json["error"] = json!({ "message": problem, "type": "server_error", "param": null, "code": "failed" });
        }
        json
    }
}

/// All jobs that are known, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<VecDeque<Arc<Job>>>);

impl Jobs {
    /// Keeps one, and forgets old ones that have ended.
    pub(crate) fn keep(&self, job: Job) -> Arc<Job> {
        let job = Arc::new(job);
        let mut jobs = self.lock();
        jobs.push_back(Arc::clone(&job));
        let ended = |job: &Arc<Job>| job.ticket.phase().is_end();
        let mut count = jobs.iter().filter(|job| ended(job)).count();
        let mut bytes: usize = jobs.iter().filter(|job| ended(job)).map(|job| job.ticket.bytes()).sum();
        jobs.retain(|job| {
            let goes = (count > KEPT || bytes > MOST_BYTES) && ended(job);
            if goes {
                count -= 1;
                bytes = bytes.saturating_sub(job.ticket.bytes());
            }
            !goes
        });
        job
    }

    /// The one of this name.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// Those that have not ended.
    pub(crate) fn under_way(&self) -> Vec<Arc<Job>> {
        self.lock().iter().filter(|job| !job.ticket.phase().is_end()).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    fn job(phase: Option<Phase>) -> Job {
        let progress = Progress::new(1, 1, true);
        phase.map(|phase| progress.end(phase));
        Job::new(Ticket(Arc::new(progress)), Record::default(), Value::Null)
    }

    #[test]
    fn old_ones_that_have_ended_are_forgotten() {
        let jobs = Jobs::default();
        let running = jobs.keep(job(None)).id.clone();
        let first = jobs.keep(job(Some(Phase::Finished))).id.clone();
        let last = (0..2 * KEPT).map(|_| jobs.keep(job(Some(Phase::Cancelled))).id.clone()).last().expect("many");
        assert!(jobs.find(&running).is_some() && jobs.find(&first).is_none() && jobs.find(&last).is_some());
        assert_eq!(jobs.lock().len(), KEPT + 1);
    }
}
