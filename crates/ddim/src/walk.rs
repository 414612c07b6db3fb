//! How a run is walked: batch by batch, each picture with its own noise and label.

use std::ops::ControlFlow;

use ddim_sampler::{AdaptiveObservation, AdaptiveOutcome, Between, Effort, Noise, Observation, Outcome};
use ddim_schedule::Direction;
use ddim_tensor::Tensor;

use crate::timing::{Clock, Laps, Stopwatch};
use crate::{Batch, Error, Pictures, Route, Run, Start};

/// Who is shown a run: every step, and every finished batch.
pub trait Observer {
    /// What it may fail with, besides what drawing fails with.
    type Error: From<Error>;

    /// Sees the start or a step of the batch of these pictures. A break leaves the batch.
    fn see(&mut self, _pictures: &[usize], _seen: Seen<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Takes a batch that is finished. A break ends the run here, if anything is left of it.
    ///
    /// # Errors
    ///
    /// Whatever it fails with ends the run, too.
    fn take(&mut self, batch: Drawn) -> Result<ControlFlow<()>, Self::Error>;
}

/// What an observer sees of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// The state that it begins with, `[n, c, h, w]`.
    Start(&'a Tensor),
    /// A step that was taken.
    Step(Observation<'a>),
    /// An attempt at a step of a run to a tolerance.
    Attempt(AdaptiveObservation<'a>),
}

/// A batch that was drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Which pictures of the run these are.
    pub indices: Vec<usize>,
    /// The pictures, `[n, c, h, w]`, neither clipped nor rounded; noise, where the run goes that way.
    pub x: Tensor,
    /// The latents that they were decoded from, as the sampler left them, where the network draws those.
    pub latents: Option<Tensor>,
    /// What each has cost, where no plan says so.
    pub effort: Vec<Effort>,
    /// Where the time went; nothing where no clock was given.
    pub laps: Laps,
}

/// Pictures still to be drawn.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pictures: Vec<usize>,
    next: usize,
}

impl Queue {
    pub(crate) fn new(pictures: Vec<usize>) -> Self {
        Self { pictures, next: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.pictures.len()
    }

    /// Gives up what is left.
    pub(crate) fn clear(&mut self) {
        self.next = self.pictures.len();
    }

    /// The next at most so many.
    fn take(&mut self, most: usize) -> Option<Vec<usize>> {
        let batch = self.pictures[self.next..].chunks(most).next()?.to_vec();
        self.next += batch.len();
        Some(batch)
    }
}

/// How a batch ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All its pictures are finished.
    Finished(Drawn),
    /// The observer left it.
    Left(Laps),
}

impl Run<'_> {
    /// Draws these pictures, batch by batch; breaks if the observer did.
    ///
    /// # Errors
    ///
    /// Those of [`Model::draw`](crate::Model::draw) and [`Model::draw_adaptive`](crate::Model::draw_adaptive), in
    /// words of the run; [`Error::NoSize`] and [`Error::BatchSize`]; and whatever the observer fails with.
    ///
    /// # Panics
    ///
    /// For a picture that has no noise of its own, and noise that has none for a step that draws some.
    pub fn walk<O: Observer + ?Sized>(
        &self,
        pictures: &[usize],
        observer: &mut O,
    ) -> Result<ControlFlow<()>, O::Error> {
        self.walk_with(pictures, None, observer)
    }

    /// The same by this clock: each batch says where its time went ([`timed`](Self::timed) has what that costs).
    ///
    /// # Errors
    ///
    /// As [`walk`](Self::walk).
    ///
    /// # Panics
    ///
    /// As [`walk`](Self::walk) does.
    pub fn walk_timed<O: Observer + ?Sized>(
        &self,
        pictures: &[usize],
        clock: &dyn Clock,
        observer: &mut O,
    ) -> Result<ControlFlow<()>, O::Error> {
        self.walk_with(pictures, Some(clock), observer)
    }

    /// The loop.
    fn walk_with<O: Observer + ?Sized>(
        &self,
        pictures: &[usize],
        clock: Option<&dyn Clock>,
        observer: &mut O,
    ) -> Result<ControlFlow<()>, O::Error> {
        let mut queue = Queue::new(pictures.to_vec());
        while let Some(ended) = self.next_batch(&mut queue, clock, |pictures, seen| observer.see(pictures, seen)) {
            let Ended::Finished(drawn) = ended? else { return Ok(ControlFlow::Break(())) };
            if observer.take(drawn)?.is_break() && !queue.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Draws all pictures and shows every step to `observe`, with the batch's pictures; it may stop the run.
    ///
    /// # Errors
    ///
    /// As [`walk`](Self::walk); [`Error::Stopped`] with what was finished if `observe` breaks.
    pub fn all(
        &self,
        observe: impl FnMut(&[usize], Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(Pictures, Vec<Effort>), Error> {
        let none = self.none()?;
        let mut all = All { observe, finished: Vec::new(), effort: Vec::new() };
        let ended = self.walk(&(0..self.pictures).collect::<Vec<_>>(), &mut all)?;
        let rounding = self.route.rounding();
        let finished = all.finished.into_iter().map(|x| Pictures::new(x, rounding)).collect();
        let finished = none.joined(finished);
        if ended.is_break() { Err(Error::Stopped { finished }) } else { Ok((finished, all.effort)) }
    }

    /// No pictures of its shape.
    pub(crate) fn none(&self) -> Result<Pictures, Error> {
        Ok(Pictures::none(self.picture_shape()?, self.route.rounding(), self.model.device()))
    }

    /// Draws these pictures as one batch and tells where the time went. No pictures come out if `observe` left the
    /// batch. The device is waited for before and after every call of the network, so that what was asked of it
    /// outside is not counted inside. That costs nothing on the CPU; a GPU cannot prepare the next call meanwhile,
    /// and may be a little faster without a clock.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::time::Instant;
    /// use ddim::{Model, Options, device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let run = model.run(&Options { steps: 3, count: 2, ..Options::default() })?;
    /// let (x, laps) = run.timed(&[0, 1], &Instant::now(), |_| ControlFlow::Continue(()))?;
    /// assert!(x.is_some() && laps.calls == 3 && laps.network <= laps.total);
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`walk`](Self::walk).
    ///
    /// # Panics
    ///
    /// As [`walk`](Self::walk) does.
    pub fn timed(
        &self,
        batch: &[usize],
        clock: &dyn Clock,
        mut observe: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Result<(Option<Tensor>, Laps), Error> {
        match self.batch(batch, Some(clock), |_, seen| observe(seen))? {
            Ended::Finished(drawn) => Ok((Some(drawn.x), drawn.laps)),
            Ended::Left(laps) => Ok((None, laps)),
        }
    }

    /// Draws the next batch of the queue: the one place where a run is walked.
    pub(crate) fn next_batch(
        &self,
        queue: &mut Queue,
        clock: Option<&dyn Clock>,
        observe: impl FnMut(&[usize], Seen<'_>) -> ControlFlow<()>,
    ) -> Option<Result<Ended, Error>> {
        if self.batch_size == 0 {
            queue.clear();
            return Some(Err(Error::BatchSize));
        }
        let pictures = queue.take(self.batch_size)?;
        let ended = self.batch(&pictures, clock, observe);
        if ended.is_err() {
            queue.clear();
        }
        Some(ended)
    }

    /// Draws these pictures together, with errors in words of the run.
    fn batch(
        &self,
        pictures: &[usize],
        clock: Option<&dyn Clock>,
        observe: impl FnMut(&[usize], Seen<'_>) -> ControlFlow<()>,
    ) -> Result<Ended, Error> {
        let ended = self.drawn(pictures, clock, observe);
        ended.map_err(|error| error.in_batch(|place| pictures[place]))
    }

    fn drawn(
        &self,
        pictures: &[usize],
        clock: Option<&dyn Clock>,
        mut observe: impl FnMut(&[usize], Seen<'_>) -> ControlFlow<()>,
    ) -> Result<Ended, Error> {
        let (model, device) = (self.model, self.model.device());
        let mut noise = self.noise.of(pictures, device);
        let batch = self.at_start(pictures, noise.as_mut())?;
        if observe(pictures, Seen::Start(&batch.x)).is_break() {
            return Ok(Ended::Left(Laps::default()));
        }
        let mut watch = Stopwatch::start(device, clock);
        let (finished, effort) = match &self.route {
            Route::Plan(plan) => {
                let between = Between { langevin: self.corrector, known: self.start.known(pictures, device) };
                let step = |step: &Observation<'_>| observe(pictures, Seen::Step(*step));
                match model.draw_watched(plan, batch, between, noise.as_mut(), &mut watch, step)? {
                    Outcome::Finished(x) => (Some(x), Vec::new()),
                    Outcome::Stopped { .. } => (None, Vec::new()),
                }
            }
            Route::Flow { flow, tolerance } => {
                let step = |step: &AdaptiveObservation<'_>| observe(pictures, Seen::Attempt(*step));
                match model.draw_adaptive_watched(flow, *tolerance, batch, &mut watch, step)? {
                    AdaptiveOutcome::Finished { pictures: x, effort } => (Some(x), effort),
                    AdaptiveOutcome::Stopped { effort } => (None, effort),
                }
            }
        };
        let finished = finished.map(|x| self.decoded(x)).transpose()?;
        let laps = watch.stop()?;
        Ok(match finished {
            Some((x, latents)) => Ended::Finished(Drawn { indices: pictures.to_vec(), x, latents, effort, laps }),
            None => Ended::Left(laps),
        })
    }

    /// What the run ends with as pictures, and the latents that they were decoded from.
    fn decoded(&self, x: Tensor) -> Result<(Tensor, Option<Tensor>), Error> {
        let draws_latents = self.model.first_stage().is_some();
        match draws_latents && self.route.settings().direction == Direction::Decode {
            true => Ok((self.model.decoded(x.clone())?, Some(x))),
            false => Ok((x, None)),
        }
    }

    /// The batch of these pictures at its start.
    pub(crate) fn at_start(&self, pictures: &[usize], noise: &mut dyn Noise) -> Result<Batch, Error> {
        let is_plain = matches!(self.start, Start::Noise) && self.corrector.is_none() && self.reuse.is_none();
        if self.route.plan().is_none() && !is_plain {
            return Err(Error::NeedsSteps);
        }
        let [c, h, w] = self.shape()?;
        let z = noise.initial([pictures.len(), c, h, w], self.model.device());
        let x = match &self.route {
            Route::Plan(plan) => self.start.state(plan, pictures, z),
            Route::Flow { .. } => z,
        };
        Ok(self.batch_in(pictures, x))
    }

    /// The batch of these pictures in this state.
    pub(crate) fn batch_in(&self, pictures: &[usize], x: Tensor) -> Batch {
        Batch {
            x,
            labels: self.labels.in_turn(pictures.iter().copied()),
            guidance: self.guidance,
            reuse: self.reuse.clone(),
            padded_to: self.model.padding(self.batch_size),
        }
    }
}

/// Keeps all that is finished.
struct All<F> {
    observe: F,
    finished: Vec<Tensor>,
    effort: Vec<Effort>,
}

impl<F: FnMut(&[usize], Seen<'_>) -> ControlFlow<()>> Observer for All<F> {
    type Error = Error;

    fn see(&mut self, pictures: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        (self.observe)(pictures, seen)
    }

    fn take(&mut self, batch: Drawn) -> Result<ControlFlow<()>, Error> {
        self.finished.push(batch.x);
        self.effort.extend(batch.effort);
        Ok(ControlFlow::Continue(()))
    }
}
