//! Drawing a run batch by batch.

use std::ops::ControlFlow;

use ddim_sampler::{Between, Noise, Observation, Outcome, PictureNoise};
use ddim_schedule::Plan;

use crate::{Batch, Error, Model, Options, Pictures};

/// What an observer sees after a step.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The batch's first picture.
    pub first_picture: usize,
    /// How many pictures were asked for.
    pub count: usize,
    /// The step just taken.
    pub step: Observation<'a>,
}

/// A run that is drawn batch by batch: see [`Model::batches`].
#[derive(Debug)]
pub struct Batches<'a> {
    model: &'a Model,
    options: &'a Options,
    plan: Plan,
    /// Channels, height, width.
    shape: [usize; 3],
    /// The first picture of the next batch.
    next: usize,
}

impl Model {
    /// Draws pictures.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but [`Error::Stopped`].
    pub fn sample(&self, options: &Options) -> Result<Pictures, Error> {
        self.sample_with(options, |_| ControlFlow::Continue(()))
    }

    /// Draws pictures and shows every step to `observe`, which may stop the run. The pictures that were finished
    /// by then are in the error.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use ddim::{Error, Model, Options, device};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?;
    /// let options = Options { steps: 2, count: 100, batch_size: 1, ..Options::default() };
    /// let outcome = model.sample_with(&options, |progress| match progress.first_picture {
    ///     3 => ControlFlow::Break(()), // three are enough
    ///     _ => ControlFlow::Continue(()),
    /// });
    /// match outcome {
    ///     Err(Error::Stopped { finished }) => assert_eq!(finished.len(), 3),
    ///     all_of_them => assert_eq!(all_of_them?.len(), 100),
    /// }
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::Stopped`] if `observe` breaks before the last step of the last batch.
    pub fn sample_with(
        &self,
        options: &Options,
        mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Pictures, Error> {
        let mut batches = self.batches(options)?;
        let none = batches.none();
        let mut finished = Vec::new();
        while let Some(batch) = batches.next_with(&mut observe) {
            match batch {
                Ok(pictures) => finished.push(pictures),
                Err(Error::Stopped { .. }) => return Err(Error::Stopped { finished: none.joined(finished) }),
                Err(error) => return Err(error),
            }
        }
        Ok(none.joined(finished))
    }

    /// The same pictures batch by batch, each as soon as it is finished: for runs that do not fit in memory, and
    /// for pictures that are to survive whatever happens to the next ones.
    ///
    /// ```
    /// # use ddim::{Model, Options, device};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?;
    /// let options = Options { steps: 2, count: 5, batch_size: 2, ..Options::default() };
    /// let sizes = model.batches(&options)?.map(|batch| Ok(batch?.len()));
    /// let sizes: Vec<usize> = sizes.collect::<Result<_, ddim::Error>>()?;
    /// assert_eq!(sizes, [2, 2, 1]);
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the options; what fails later, the batch says.
    pub fn batches<'a>(&'a self, options: &'a Options) -> Result<Batches<'a>, Error> {
        let plan = self.plan(options)?;
        let shape = self.shape()?;
        options.start.check(shape)?;
        options.corrector.map_or(Ok(()), |langevin| langevin.check(&plan))?;
        self.check_labels(&options.labels)?;
        if options.batch_size == 0 {
            return Err(Error::BatchSize);
        }
        Ok(Batches { model: self, options, plan, shape, next: 0 })
    }
}

impl Batches<'_> {
    /// The next batch, whose steps `observe` sees and may stop; `None` after the last one, and after an error.
    pub fn next_with(
        &mut self,
        mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Option<Result<Pictures, Error>> {
        let count = self.options.count;
        let first_picture = self.next;
        if first_picture >= count {
            return None;
        }
        self.next = count.min(first_picture.saturating_add(self.options.batch_size));
        let drawn = self.draw(first_picture, |step| observe(&Progress { first_picture, count, step: *step }));
        if drawn.is_err() {
            self.next = count;
        }
        Some(drawn)
    }

    /// Draws the pictures from the first one up to the next batch.
    fn draw(
        &self,
        first_picture: usize,
        observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Pictures, Error> {
        let (Self { model, options, plan, .. }, [c, h, w]) = (self, self.shape);
        let pictures = first_picture..self.next;
        let indices: Vec<usize> = pictures.clone().collect();
        let mut noise = PictureNoise::new(options.seed, pictures.clone().map(|k| k as u64));
        let z = noise.initial([indices.len(), c, h, w], model.device());
        let batch = Batch {
            x: options.start.state(plan, &indices, z),
            labels: model.labels(&options.labels, pictures),
            guidance: options.guidance,
            padded_to: model.padding(options.batch_size),
        };
        let known = options.start.known(&indices, model.device());
        let between = Between { langevin: options.corrector, known };
        let outcome = model.draw_with(plan, batch, between, &mut noise, observe);
        match outcome.map_err(|error| error.in_batch(|place| first_picture + place))? {
            Outcome::Finished(x) => Ok(Pictures::new(x, plan.convention().pixel_rounding())),
            Outcome::Stopped { .. } => Err(Error::Stopped { finished: self.none() }),
        }
    }

    fn none(&self) -> Pictures {
        Pictures::none(self.shape, self.plan.convention().pixel_rounding(), self.model.device())
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Pictures, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with(|_| ControlFlow::Continue(()))
    }
}
