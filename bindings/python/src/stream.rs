//! A run as an iterator over its steps.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::draw::Job;
use crate::errors::panicked;
use crate::step::Step;
use crate::threads;

/// The steps of a run, one after the other: see `Model.stream`. Each is computed when it is asked for, or a little
/// earlier; whoever leaves the loop ends the run.
#[pyclass(frozen, module = "ddim")]
pub(crate) struct Stream {
    /// A step, or why there are no more.
    steps: Mutex<Receiver<PyResult<Step>>>,
    n_steps: usize,
    process: u32,
}

impl Stream {
    pub(crate) fn of(job: Job) -> PyResult<Self> {
        let n_steps = job.plan.steps().len();
        let count = job.indices.len();
        let (send, steps) = sync_channel(0);
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(|| {
                job.draw_batch(0..count, |seen| match send.send(Ok(Step::seen(seen, 0, count))) {
                    Ok(()) => ControlFlow::Continue(()),
                    // Nobody listens any more.
                    Err(_) => ControlFlow::Break(()),
                })
            }));
            let error = match result {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => error,
                Err(payload) => panicked(payload.as_ref()),
            };
            let _ = send.send(Err(error));
        };
        let thread = thread::Builder::new().name("ddim-stream".to_owned()).spawn(work);
        thread.map_err(|error| PyRuntimeError::new_err(format!("no thread can be had: {error}")))?;
        Ok(Self { steps: Mutex::new(steps), n_steps, process: process::id() })
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Step>> {
        if self.process != process::id() {
            let said = "the stream belongs to the process that was forked: begin another here";
            return Err(PyRuntimeError::new_err(said));
        }
        threads::next(py, &self.steps)?.transpose()
    }

    fn __repr__(&self) -> String {
        format!("<ddim.Stream of {} steps>", self.n_steps)
    }
}
