//! Where the work is done: a pool of threads that belongs to this process, and a Python thread that waits for it.
//!
//! A forked child has none of its parent's threads, so the pool is remembered with the process it is of; that of a
//! parent is never joined in a child. And Python tells its main thread alone about signals, so whoever waits for
//! work looks for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::panicked;

/// How often a waiting thread looks for signals.
const LOOK: Duration = Duration::from_millis(20);

/// The most threads that can be asked for.
const MOST_THREADS: usize = 4096;

struct Owned {
    process: u32,
    threads: usize,
    pool: ThreadPool,
    /// Those made before, of other numbers of threads, which may be asked for again, and of parents.
    before: Option<&'static Owned>,
}

/// Never freed: whoever has it may still use it, and in a child it cannot be joined.
static POOL: AtomicPtr<Owned> = AtomicPtr::new(std::ptr::null_mut());

/// As many as were asked for; 0 leaves it to the machine and RAYON_NUM_THREADS.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// How many threads draw from now on, in this process and in those that it forks.
///
/// `threads`: 1 to 4096, or 0 for as many as the machine has (or RAYON_NUM_THREADS says). Pictures have the same
/// bits on any number of threads.
///
/// Raises ValueError for more.
///
/// >>> import ddim
/// >>> ddim.set_threads(2)
#[pyfunction]
#[pyo3(signature = (threads, /))]
pub(crate) fn set_threads(threads: usize) -> PyResult<()> {
    if threads > MOST_THREADS {
        return Err(PyValueError::new_err(format!("{threads} threads: at most {MOST_THREADS} are possible")));
    }
    THREADS.store(threads, Ordering::Relaxed);
    Ok(())
}

/// The pool of this process.
#[allow(unsafe_code, reason = "the pointer is null or from a box that is never freed")]
pub(crate) fn pool() -> PyResult<&'static ThreadPool> {
    let (process, threads) = (process::id(), THREADS.load(Ordering::Relaxed));
    // SAFETY: it is null, or came from a leaked box below and is shared only.
    let latest: Option<&'static Owned> = unsafe { POOL.load(Ordering::Acquire).as_ref() };
    let mut all = std::iter::successors(latest, |owned| owned.before);
    if let Some(owned) = all.find(|owned| (owned.process, owned.threads) == (process, threads)) {
        return Ok(&owned.pool);
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|k| format!("ddim-{k}")).build();
    let pool = pool.map_err(|error| PyRuntimeError::new_err(format!("no threads can be had: {error}")))?;
    let owned: &'static Owned = Box::leak(Box::new(Owned { process, threads, pool, before: latest }));
    POOL.store(std::ptr::from_ref(owned).cast_mut(), Ordering::Release);
    Ok(&owned.pool)
}

/// Short work, without Python's lock: nobody looks for signals meanwhile.
pub(crate) fn quick<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    let pool = pool()?;
    let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| pool.install(work))));
    done.map_err(|payload| panicked(payload.as_ref()))
}

/// What long work knows of whoever waits for it.
pub(crate) struct Watch<'a, S> {
    stop: &'a AtomicBool,
    says: Option<(SyncSender<S>, &'a Receiver<()>)>,
}

impl<S> Watch<'_, S> {
    /// Whether it is to end, after it has said this where somebody listens.
    pub(crate) fn stops(&self, say: impl FnOnce() -> S) -> bool {
        if let Some((says, heard)) = &self.says
            && !self.stop.load(Ordering::Relaxed)
        {
            // Both fail only where nobody waits any more.
            let _ = says.send(say()).is_ok() && heard.recv().is_ok();
        }
        self.stop.load(Ordering::Relaxed)
    }
}

/// What hears of long work, on the thread that asked for it, and may raise.
pub(crate) type Hear<'a, S> = &'a (dyn Fn(Python<'_>, S) -> PyResult<()> + Sync);

/// Long work, on a thread of its own; `hear` gets what it says, on this thread, and may raise. A signal stops the
/// work at its next step and is raised here.
///
/// # Errors
/// What `hear` or a signal handler raises, and a panic of the work.
pub(crate) fn watched<S: Send, R: Send>(
    py: Python<'_>,
    hear: Option<Hear<'_, S>>,
    work: impl FnOnce(&Watch<'_, S>) -> R + Send,
) -> PyResult<R> {
    let stop = AtomicBool::new(false);
    let ((says, said), (answer, heard)) = (sync_channel(0), sync_channel(0));
    let (done, finished) = sync_channel(1);
    let stop = &stop;
    let result = py.detach(move || {
        thread::scope(|scope| {
            let says = hear.map(|_| says);
            scope.spawn(move || {
                let watch = Watch { stop, says: says.map(|says| (says, &heard)) };
                let result = catch_unwind(AssertUnwindSafe(|| work(&watch)));
                // The other end waits for it.
                let _ = done.send(result);
            });
            wait(stop, hear, &said, &answer, &finished)
        })
    });
    match result? {
        Ok(result) => Ok(result),
        Err(payload) => Err(panicked(payload.as_ref())),
    }
}

/// Waits for the end of the work, hears what it says and looks for signals; the first error is remembered until
/// the work has stopped.
fn wait<S, R>(
    stop: &AtomicBool,
    hear: Option<Hear<'_, S>>,
    said: &Receiver<S>,
    answer: &SyncSender<()>,
    finished: &Receiver<R>,
) -> PyResult<R> {
    let mut raised = None;
    let mut note = |result: PyResult<()>| {
        if let Err(error) = result {
            stop.store(true, Ordering::Relaxed);
            raised.get_or_insert(error);
        }
    };
    let result = loop {
        let heard = match hear {
            None => Err(RecvTimeoutError::Disconnected),
            Some(_) => said.recv_timeout(LOOK),
        };
        match (heard, hear) {
            (Ok(what), Some(hear)) => {
                note(Python::attach(|py| hear(py, what)));
                // It may have ended for another reason.
                let _ = answer.send(());
            }
            (Err(RecvTimeoutError::Timeout), _) => note(Python::attach(|py| py.check_signals())),
            _ => match finished.recv_timeout(LOOK) {
                Ok(result) => break result,
                Err(RecvTimeoutError::Timeout) => note(Python::attach(|py| py.check_signals())),
                Err(RecvTimeoutError::Disconnected) => unreachable!("the work sends its end or its panic"),
            },
        }
    };
    match raised {
        Some(error) => Err(error),
        None => Ok(result),
    }
}

/// Takes the next of what a thread sends, without Python's lock and with an eye on signals; none at its end.
pub(crate) fn next<T: Send>(py: Python<'_>, from: &Mutex<Receiver<T>>) -> PyResult<Option<T>> {
    loop {
        let got = py.detach(|| from.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK));
        match got {
            Ok(next) => return Ok(Some(next)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
        }
    }
}
