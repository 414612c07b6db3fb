//! Whether a server goes on, and what it has to say before it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by all connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Whether only programs of this machine reach it.
    is_local: bool,
    is_ending: AtomicBool,
    is_closed: AtomicBool,
    /// Requests that were read and are not answered yet, those whose client listens to a job among them.
    busy: Mutex<usize>,
    answered: Condvar,
}

/// A request that is being answered.
pub(crate) struct Busy<'a>(&'a Life);

impl Life {
    /// Of a server that listens for this machine alone, or for others.
    pub(crate) fn new(is_local: bool) -> Self {
        Self { is_local, ..Self::default() }
    }

    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// From now on no request follows another.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// From now on no connection is taken.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Counts a request until what is returned is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        *self.lock() += 1;
        Busy(self)
    }

    /// Waits until all requests are answered, and no longer than this.
    pub(crate) fn wait(&self, most: Duration) {
        let waited = self.answered.wait_timeout_while(self.lock(), most, |busy| *busy > 0);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.answered.notify_all();
    }
}
