//! Drawing a run batch by batch.

use std::ops::ControlFlow;

use ddim_sampler::Observation;

use crate::walk::{Ended, Queue};
use crate::{Error, Model, Options, Pictures, Run, Seen};

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
pub struct Batches<'m> {
    run: Run<'m>,
    queue: Queue,
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
        let count = options.count;
        let drawn = self.run(options)?.all(|pictures, seen| progress(pictures[0], count, seen, &mut observe));
        Ok(drawn?.0)
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
    pub fn batches(&self, options: &Options) -> Result<Batches<'_>, Error> {
        let run = self.run(options)?;
        let queue = Queue::new((0..run.pictures).collect());
        Ok(Batches { run, queue })
    }
}

impl<'m> Run<'m> {
    /// Its pictures batch by batch, each as soon as it is finished.
    pub fn batches(&self) -> Batches<'m> {
        Batches { run: self.clone(), queue: Queue::new((0..self.pictures).collect()) }
    }
}

impl Batches<'_> {
    /// The next batch, whose steps `observe` sees and may stop; `None` after the last one, and after an error.
    pub fn next_with(
        &mut self,
        mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Option<Result<Pictures, Error>> {
        let Self { run, queue } = self;
        let count = run.pictures;
        let drawn = run.next_batch(queue, None, |pictures, seen| progress(pictures[0], count, seen, &mut observe));
        Some(match drawn? {
            Ok(Ended::Finished(drawn)) => Ok(Pictures::new(drawn.x, run.route.rounding())),
            Ok(Ended::Left(_)) => {
                queue.clear();
                run.none().and_then(|finished| Err(Error::Stopped { finished }))
            }
            Err(error) => Err(error),
        })
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Pictures, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with(|_| ControlFlow::Continue(()))
    }
}

/// Shows a step of a plan.
fn progress(
    first_picture: usize,
    count: usize,
    seen: Seen<'_>,
    mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match seen {
        Seen::Step(step) => observe(&Progress { first_picture, count, step }),
        Seen::Start(_) | Seen::Attempt(_) => ControlFlow::Continue(()),
    }
}
