//! A batch of a run that asks for its network calls, for whoever answers them in a way of their own.

use std::sync::Arc;

use ddim_sampler::{self as sampler, Between, Noise, SampleError, Saved, Taken, Wanted};
use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::answers::Answers;
use crate::{Error, Labels, Model, Route, Run};

/// Some pictures of a [`Run`], under way: [`steps`](Self::steps) say which network call they want next, and are
/// fed its output. So a server answers many with one call, an asynchronous program waits in between, and what was
/// [saved](sampler::Run::save) [goes on](Run::resume) tomorrow.
///
/// It owns all it needs, and may be sent to another thread. How an output of the caller's own is guided is
/// the caller's business, too: [`Guidance`](crate::Guidance) has the formulas. [`step`](Self::step) answers with
/// the run's model. In the end its state is what the network draws: pictures, or latents, of which
/// [`Model::decoded`](crate::Model::decoded) makes pictures.
///
/// ```
/// use ddim::{Model, Options, device};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
/// let model = Model::load(folder, &device::cpu())?;
/// let run = model.run(&Options { steps: 3, count: 2, ..Options::default() })?;
/// let mut batch = run.begin(&[0, 1])?;
/// let labels = batch.labels.clone();
/// let network = model.network(batch.steps.x().dims(), &labels)?;
/// while let Some(wanted) = batch.steps.wants() {
///     let out = network(wanted.x, wanted.call.time); // here, on another machine, or together with others
///     batch.feed(out)?;
/// }
/// let pictures = model.sample(&Options { steps: 3, count: 2, ..Options::default() })?;
/// assert_eq!(batch.steps.x().values(), pictures.tensor().values());
/// # Ok::<(), ddim::Error>(())
/// ```
#[non_exhaustive]
pub struct Begun {
    /// Where it is, and what it wants.
    pub steps: sampler::Run,
    /// The noise of its pictures.
    pub noise: Box<dyn Noise + Send>,
    /// What they are told, one label a picture.
    pub labels: Labels,
    /// What the model itself answers.
    pub(crate) answers: Answers,
}

impl Begun {
    /// Answers the call that is wanted with the run's own model, guided as the run says, and takes the step if
    /// that was its last; nothing once it is finished. So a program that has other things to do draws a call at a
    /// time.
    ///
    /// ```
    /// use ddim::{Model, Options, device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let mut batch = model.run(&Options { steps: 3, ..Options::default() })?.begin(&[0])?;
    /// while let Some(taken) = batch.step(&model)? {
    ///     let preview = taken.x0; // [n, c, h, w]: draw it, and see to everything else
    /// }
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`sampler::Run::feed`].
    ///
    /// # Panics
    ///
    /// For another model than that of the run, if its network takes other conditions.
    pub fn step(&mut self, model: &Model) -> Result<Option<Taken>, Error> {
        while let Some(Wanted { x, call, .. }) = self.steps.wants() {
            let out = self.answers.call(model.engine(), self.steps.plan(), x, call);
            if let Some(taken) = self.feed(out)? {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    /// Takes the network's output for the call that is wanted, and the step if that was its last.
    ///
    /// # Errors
    ///
    /// Those of [`sampler::Run::feed`].
    ///
    /// # Panics
    ///
    /// As [`sampler::Run::feed`] does.
    pub fn feed(&mut self, out: Tensor) -> Result<Option<Taken>, SampleError> {
        self.steps.feed(out, self.noise.as_mut())
    }
}

impl Run<'_> {
    /// These of its pictures, at their start.
    ///
    /// # Errors
    ///
    /// [`Error::NeedsSteps`] for a run to a tolerance, [`Error::NoSize`], those of [`Model::network_of`], and
    /// [`Error::Sample`] for corrections that its plan cannot have.
    ///
    /// # Panics
    ///
    /// For a picture that has no noise of its own.
    pub fn begin(&self, pictures: &[usize]) -> Result<Begun, Error> {
        let (plan, between) = self.way(pictures)?;
        let mut noise = self.noise.of(pictures, self.model.device());
        let batch = self.at_start(pictures, noise.as_mut())?;
        let answers = Answers::new(self.model, &plan, &batch)?;
        let steps = sampler::Run::with(plan, batch.x, between)?;
        Ok(Begun { steps, noise, labels: batch.labels, answers })
    }

    /// The same where they were saved.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), [`Error::Sample`] for what was saved of another run, and [`Error::Kept`]
    /// where the next call needs [features](Run::reuse) of an earlier one, which are not saved.
    ///
    /// # Panics
    ///
    /// As [`begin`](Self::begin) does.
    pub fn resume(&self, pictures: &[usize], saved: Saved) -> Result<Begun, Error> {
        let ((plan, between), device) = (self.way(pictures)?, self.model.device());
        let steps = sampler::Run::restored(plan.clone(), between, saved, device)?;
        let noise = self.noise.of(pictures, device);
        let batch = self.batch_in(pictures, steps.x().clone());
        let answers = Answers::new(self.model, &plan, &batch)?;
        steps.wants().map_or(Ok(()), |wanted| answers.check_begin(wanted.call.index))?;
        Ok(Begun { steps, noise, labels: batch.labels, answers })
    }

    /// The steps of these pictures, and what is done between them.
    fn way(&self, pictures: &[usize]) -> Result<(Arc<Plan>, Between), Error> {
        let Route::Plan(plan) = &self.route else { return Err(Error::NeedsSteps) };
        let known = self.start.known(pictures, self.model.device());
        Ok((Arc::new(plan.clone()), Between { langevin: self.corrector, known }))
    }
}
