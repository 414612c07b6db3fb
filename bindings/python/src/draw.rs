//! Drawing with a model: the pictures of a request, batch by batch and step by step.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ddim::sampler::{Between, Guidance, Langevin, Noise as _, Observation, Outcome, PictureNoise, Run};
use ddim::schedule::Plan;
use ddim::{Batch, Error, Labels, Reuse, Start, Tensor};
use pyo3::prelude::*;

use crate::errors::raised;
use crate::step::Step;
use crate::threads::{Watch, pool};

/// Pictures to draw, and how.
pub(crate) struct Job {
    pub(crate) model: Arc<ddim::Model>,
    pub(crate) plan: Arc<Plan>,
    /// The number of each picture, by which labels and starts are used in turn.
    pub(crate) indices: Vec<usize>,
    pub(crate) streams: Vec<(u64, u64)>,
    /// What the runs start from, in place of noise from the streams.
    pub(crate) given: Option<Tensor>,
    /// Used in turn.
    pub(crate) labels: Labels,
    pub(crate) guidance: Guidance,
    pub(crate) langevin: Option<Langevin>,
    pub(crate) reuse: Option<Reuse>,
    pub(crate) start: Start,
    pub(crate) shape: [usize; 3],
    pub(crate) batch_size: usize,
}

impl Job {
    /// All pictures, `[n, c, h, w]`; none where it was stopped.
    pub(crate) fn draw(&self, watch: &Watch<'_, Step>) -> PyResult<Option<Tensor>> {
        let count = self.indices.len();
        let mut parts = Vec::new();
        for first in (0..count).step_by(self.batch_size) {
            let range = first..count.min(first + self.batch_size);
            let observe = |seen: &Observation<'_>| heard(watch, seen, first, count);
            match self.draw_batch(range, observe)? {
                Some(part) => parts.push(pool()?.install(|| self.model.decoded(part)).map_err(raised)?),
                None => return Ok(None),
            }
        }
        let [c, h, w] = self.model.picture_shape().map_err(raised)?;
        Ok(Some(match parts.is_empty() {
            true => Tensor::full(0.0, [0, c, h, w]),
            false => Tensor::cat(&parts),
        }))
    }

    /// What the network draws for this part of the request, pictures or latents; none where `observe` stopped it.
    pub(crate) fn draw_batch(
        &self,
        range: Range<usize>,
        observe: impl FnMut(&Observation<'_>) -> ControlFlow<()>,
    ) -> PyResult<Option<Tensor>> {
        let (model, plan, [c, h, w]) = (&*self.model, &*self.plan, self.shape);
        let indices = &self.indices[range.clone()];
        let mut noise = PictureNoise::from_streams(self.streams[range.clone()].iter().copied());
        let (x, known) = pool()?.install(|| {
            let z = match &self.given {
                Some(given) => given.pictures(range.clone()).to(model.device()),
                None => noise.initial([indices.len(), c, h, w], model.device()),
            };
            (self.start.state(plan, indices, z), self.start.known(indices, model.device()))
        });
        let batch = Batch {
            x,
            labels: self.labels.in_turn(indices.iter().copied()),
            guidance: self.guidance,
            reuse: self.reuse.clone(),
            padded_to: model.padding(self.batch_size),
        };
        let between = Between { langevin: self.langevin, known };
        walk(model, plan, batch, between, &mut noise, observe, range.start)
    }
}

/// Takes a batch through a plan, call by call, each on the pool: whoever observes may wait as long as he likes,
/// and keeps no thread of it. Nothing is computed outside of the pool, where it would wait in a forked child for
/// threads of its parent.
pub(crate) fn walk(
    model: &ddim::Model,
    plan: &Plan,
    batch: Batch,
    between: Between,
    noise: &mut PictureNoise,
    mut observe: impl FnMut(&Observation<'_>) -> ControlFlow<()>,
    first: usize,
) -> PyResult<Option<Tensor>> {
    let pool = pool()?;
    let failed = |error: Error| raised(error.in_batch(|place| first + place));
    let mut network = pool.install(|| model.network_of(plan, &batch)).map_err(failed)?;
    let mut run = Run::with(plan, batch.x, between).map_err(|error| failed(error.into()))?;
    loop {
        let taken = pool.install(|| {
            let wanted = run.wants()?;
            let out = network(wanted.x, wanted.call);
            Some(run.feed(out, noise))
        });
        let Some(taken) = taken else { break };
        let Some(taken) = taken.map_err(|error| failed(error.into()))? else { continue };
        if observe(&run.observation(&taken)).is_break() {
            return Ok(None);
        }
    }
    match pool.install(|| run.finish()).map_err(|error| failed(error.into()))? {
        Outcome::Finished(x) => Ok(Some(x)),
        Outcome::Stopped { .. } => Ok(None),
    }
}

/// Whether a run goes on after a step, which the Python thread that waits is told of.
pub(crate) fn heard(
    watch: &Watch<'_, Step>,
    seen: &Observation<'_>,
    first: usize,
    count: usize,
) -> ControlFlow<()> {
    if watch.stops(|| Step::seen(seen, first, count)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
