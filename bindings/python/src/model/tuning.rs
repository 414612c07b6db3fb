//! Timesteps that suit a model.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use ddim::{TuneOptions, TuneProgress, Tuning, solvers};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Model;
use crate::errors::{panicked, raised, value};
use crate::options::Options;
use crate::threads::{Hear, Watch, pool, watched};

/// What is heard while it goes on: network calls so far, and the least distance that was found.
type Heard = (usize, Option<f64>);

/// `Model.tune`.
pub(super) fn tune<'py>(
    model: &Model,
    py: Python<'py>,
    steps: &[usize],
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut options = Options::new(py, options)?;
    let progress = options.any("progress")?.map(Bound::unbind);
    let asked = asked(&mut options)?;
    options.finish("tune()")?;
    model.check_memory(py, asked.batch_size.min(asked.pictures.max(asked.held_out)), &ddim::Guidance::OFF)?;
    let hear = progress
        .as_ref()
        .map(|progress| move |py: Python<'_>, (calls, best): Heard| progress.call1(py, (calls, best)).map(drop));
    let hear = hear.as_ref().map(|hear| hear as Hear<'_, Heard>);
    let found = watched(py, hear, |watch| search(model, steps, &asked, watch))??;
    let all = PyDict::new(py);
    for tuning in &found {
        all.set_item(tuning.tau.len(), entry(py, tuning)?)?;
    }
    Ok(all)
}

fn asked(options: &mut Options<'_>) -> PyResult<TuneOptions> {
    let usual = TuneOptions::default();
    let chosen = match options.list::<String>("solvers")? {
        None => usual.solvers,
        Some(names) => names.iter().map(|name| solvers::parse(name).map_err(value)).collect::<PyResult<_>>()?,
    };
    Ok(TuneOptions {
        solvers: chosen,
        pictures: options.take("pictures")?.unwrap_or(usual.pictures),
        held_out: options.take("held_out")?.unwrap_or(usual.held_out),
        seed: options.take("seed")?.unwrap_or(usual.seed),
        rounds: options.take("rounds")?.unwrap_or(usual.rounds),
        batch_size: options.take("batch_size")?.unwrap_or(usual.batch_size),
        ..TuneOptions::default()
    })
}

/// The search, on the pool; this thread passes on what it says.
fn search(model: &Model, steps: &[usize], asked: &TuneOptions, watch: &Watch<'_, Heard>) -> PyResult<Vec<Tuning>> {
    let (pool, stop) = (pool()?, &AtomicBool::new(false));
    let (says, said) = sync_channel::<Heard>(0);
    let found = thread::scope(|scope| {
        let observe = move |seen: &TuneProgress| {
            // Fails only where nobody listens any more.
            let _ = says.send((seen.calls, seen.best));
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let work = scope.spawn(move || pool.install(move || model.model.tune(steps, asked, observe)));
        for heard in said {
            stop.fetch_or(watch.stops(|| heard), Ordering::Relaxed);
        }
        work.join()
    });
    found.map_err(|payload| panicked(payload.as_ref()))?.map_err(raised)
}

/// What `sample` and a scheduler take, and how good that is.
fn entry<'py>(py: Python<'py>, tuning: &Tuning) -> PyResult<Bound<'py, PyDict>> {
    let (entry, measures) = (PyDict::new(py), &tuning.measures);
    entry.set_item("solver", tuning.solver.to_string())?;
    entry.set_item("timesteps", tuning.tau.as_slice().to_vec())?;
    entry.set_item("distance", (measures.tuned.mean, measures.tuned.standard_error))?;
    let published = |(spacing, found): &(ddim::Spacing, ddim::Distance)| {
        (spacing.to_string(), found.mean, found.standard_error)
    };
    entry.set_item("published", measures.fixed.iter().map(published).collect::<Vec<_>>())?;
    Ok(entry)
}
