//! The thread that draws, and the door to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ddim::{Model, Options};

use crate::progress::{Phase, Progress, Ticket};
use crate::scheduler::{Scheduler, end};
use crate::{Refusal, Stats};

/// How much is done at once, and how much may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a network call: a picture is one, and two where it is guided. At least 1. On a GPU every call has
    /// as many, so that a picture has the same bits whatever else is drawn.
    pub at_once: usize,
    /// Requests that wait or are drawn.
    pub queue: usize,
    /// Pictures of a request.
    pub pictures: usize,
    /// Calls of the network for one of them, corrections included.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { at_once: 16, queue: 64, pictures: 64, calls: 10_000 }
    }
}

/// A model that draws many requests at once, each as it would alone: every call of the network has rows of as many
/// of them as there is room for, whatever their methods, lengths and places on their way.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use ddim::{Model, Options, device};
/// use ddim_server::{Engine, Limits, Phase};
///
/// let model = Arc::new(Model::embedded("fashion-mnist", &device::cpu())?);
/// let engine = Engine::new(Arc::clone(&model), Limits::default());
/// let short = Options { steps: 3, ..Options::default() };
/// let long = Options { steps: 5, solver: "unipc".parse()?, seed: 7, ..Options::default() };
/// let (first, second) = (engine.submit(&short, false)?, engine.submit(&long, false)?);
/// assert_eq!(second.wait(Duration::MAX), Phase::Finished);
/// let drawn = second.pictures()[0].clone().expect("it is finished");
/// assert_eq!(drawn.pixels, model.sample(&long)?.bytes(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    model: Arc<Model>,
    limits: Limits,
    stats: Stats,
    inbox: Mutex<Inbox>,
    /// Something has come, or is to end.
    wake: Condvar,
    /// A request has ended.
    less: Condvar,
}

#[derive(Debug, Default)]
struct Inbox {
    waiting: Vec<(Options, Arc<Progress>)>,
    /// Requests that have not ended.
    unfinished: usize,
    /// Nothing more is accepted.
    is_closed: bool,
    /// What there is is given up.
    is_over: bool,
}

impl Engine {
    /// Starts its thread.
    ///
    /// # Panics
    ///
    /// If the system has no thread for it, and for calls without a row.
    pub fn new(model: Arc<Model>, limits: Limits) -> Self {
        assert!(limits.at_once > 0, "a call of the network has a row");
        let (stats, inbox) = (Stats::default(), Mutex::default());
        let shared = Arc::new(Shared { model, limits, stats, inbox, wake: Condvar::new(), less: Condvar::new() });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("ddim-engine".to_owned()).spawn(move || own.draw());
        Self { shared, thread: Some(thread.expect("a thread to draw in")) }
    }

    /// Accepts a request, whose `batch_size` means nothing; of one that is `watched` every step is written down.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn submit(&self, options: &Options, watched: bool) -> Result<Ticket, Refusal> {
        let accepted = self.accept(options, watched);
        if let Err(refusal) = &accepted {
            self.shared.stats.ended(refusal.outcome());
        }
        accepted
    }

    /// Whether it could be accepted, if there is room; how many steps it has.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn check(&self, options: &Options) -> Result<usize, Refusal> {
        let Limits { pictures, calls, .. } = self.shared.limits;
        if !(1..=pictures).contains(&options.count) {
            return Err(Refusal::Pictures { found: options.count, most: pictures });
        }
        let labels = options.labels.len();
        if labels > options.count {
            return Err(Refusal::Labels { found: labels, pictures: options.count });
        }
        let run = self.shared.model.run(options)?;
        if let Some(found) = run.calls().filter(|found| *found > calls) {
            return Err(Refusal::Calls { found, most: calls });
        }
        self.shared.model.check_guidance(&run.guidance)?;
        Ok(run.route.plan().map_or(0, |plan| plan.steps().len()))
    }

    fn accept(&self, options: &Options, watched: bool) -> Result<Ticket, Refusal> {
        let queue = self.shared.limits.queue;
        let options = Options { batch_size: 1, ..options.clone() };
        let steps = self.check(&options)?;
        let progress = Arc::new(Progress::new(options.count, steps, watched));
        let mut inbox = self.shared.lock();
        if inbox.is_closed {
            return Err(Refusal::Ending);
        }
        if inbox.unfinished >= queue {
            return Err(Refusal::Full(queue));
        }
        inbox.unfinished += 1;
        inbox.waiting.push((options, Arc::clone(&progress)));
        self.shared.wake.notify_one();
        Ok(Ticket(progress))
    }

    /// What draws.
    pub fn model(&self) -> &Model {
        &self.shared.model
    }

    /// What may be asked for.
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// What was counted.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Requests that wait or are drawn.
    pub fn requests(&self) -> usize {
        self.shared.lock().unfinished
    }

    /// Accepts nothing more, waits so long for what there is, and cancels what is left then: so many requests.
    pub fn finish(&self, grace: Duration) -> usize {
        let mut inbox = self.shared.lock();
        inbox.is_closed = true;
        let waited = self.shared.less.wait_timeout_while(inbox, grace, |inbox| inbox.unfinished > 0);
        let (mut inbox, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let left = inbox.unfinished;
        inbox.is_over = true;
        self.shared.wake.notify_one();
        let ended = self.shared.less.wait_while(inbox, |inbox| inbox.unfinished > 0);
        drop(ended);
        left
    }
}

impl Drop for Engine {
    /// Gives up what there is, and waits for the call under way.
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
        if let Some(thread) = self.thread.take() {
            // It has caught its panics.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn draw(&self) {
        let mut scheduler = Scheduler::new(&self.model, &self.stats, self.limits.at_once);
        while let Some(new) = self.next(scheduler.len()) {
            let before = scheduler.len() + new.len();
            let arrived: Vec<Arc<Progress>> = new.iter().map(|(_, progress)| Arc::clone(progress)).collect();
            let drawn = catch_unwind(AssertUnwindSafe(|| {
                new.into_iter().for_each(|(options, progress)| self.begin(&mut scheduler, &options, progress));
                scheduler.tick();
            }));
            if drawn.is_err() {
                let failed = Phase::Failed("a mistake of this program: its log says more".to_owned());
                scheduler.end_all(&failed);
                arrived.iter().for_each(|progress| end(progress, failed.clone(), &self.stats));
                scheduler = Scheduler::new(&self.model, &self.stats, self.limits.at_once);
            }
            self.less_by(before - scheduler.len());
        }
        let (left, new) = (scheduler.len(), std::mem::take(&mut self.lock().waiting));
        scheduler.end_all(&Phase::Cancelled);
        new.iter().for_each(|(_, progress)| end(progress, Phase::Cancelled, &self.stats));
        self.less_by(left + new.len());
    }

    /// What has come, once there is something to do; none at the end.
    fn next(&self, under_way: usize) -> Option<Vec<(Options, Arc<Progress>)>> {
        let idle = |inbox: &mut Inbox| under_way == 0 && inbox.waiting.is_empty() && !inbox.is_over;
        let mut inbox = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        (!inbox.is_over).then(|| std::mem::take(&mut inbox.waiting))
    }

    fn begin<'m>(&'m self, scheduler: &mut Scheduler<'m>, options: &Options, progress: Arc<Progress>) {
        match self.model.run(options) {
            Ok(run) => scheduler.add(run, progress),
            Err(error) => end(&progress, Phase::Failed(error.to_string()), &self.stats),
        }
    }

    fn less_by(&self, ended: usize) {
        if ended > 0 {
            self.lock().unfinished -= ended;
            self.less.notify_all();
        }
    }
}
