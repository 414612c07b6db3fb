//! One batch through the network, step by step.

use std::ops::ControlFlow;

use ddim_graph::Times;
use ddim_sampler::{Between, Call, Guidance, GuidanceInterval, GuidedChannels, Noise, Observation, Outcome, Run};
use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::answers::Answers;
use crate::timing::Stopwatch;
use crate::{Error, LabelKind, Labels, Model, Reuse, device};

/// One batch for [`Model::draw`].
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where the run starts, usually standard normal noise times [`Plan::start_scale`], `[n, c, h, w]`.
    pub x: Tensor,
    /// One label a picture; none for a model without.
    pub labels: Labels,
    /// Classifier-free guidance.
    pub guidance: Guidance,
    /// Features that calls keep for later ones; none runs all layers in every call.
    pub reuse: Option<Reuse>,
    /// The network always sees this many pictures, filled up with repeats: see [`Model::padding`].
    pub padded_to: usize,
}

impl Model {
    /// Draws one batch with a plan, a start and noise of the caller's own.
    ///
    /// # Errors
    ///
    /// [`Error::BatchShape`], [`Error::Network`], [`Error::LabelCount`], those of
    /// [`check_labels`](Self::check_labels) and [`check_guidance`](Self::check_guidance), or [`Error::Time`] for
    /// what the model cannot do, [`Error::Room`] for more pictures than the device can take, and [`Error::Sample`]
    /// if the run fails.
    ///
    /// # Panics
    ///
    /// If `noise` has none for a step that draws some, or noise of another shape than `batch.x`.
    pub fn draw(
        &self,
        plan: &Plan,
        batch: Batch,
        noise: &mut dyn Noise,
        observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        self.draw_with(plan, batch, Between::default(), noise, observe)
    }

    /// The same with this done between the steps: Langevin corrections, a known part that is put back, or both.
    ///
    /// # Errors
    ///
    /// Those of [`draw`](Self::draw); also [`Error::Sample`] for corrections of a plan that looks back.
    ///
    /// # Panics
    ///
    /// As [`draw`](Self::draw) does, and if `noise` has none for corrections or a known part.
    pub fn draw_with(
        &self,
        plan: &Plan,
        batch: Batch,
        between: Between,
        noise: &mut dyn Noise,
        observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        self.draw_watched(plan, batch, between, noise, &mut Stopwatch::none(self.device()), observe)
    }

    /// The same with its calls timed.
    pub(crate) fn draw_watched(
        &self,
        plan: &Plan,
        batch: Batch,
        between: Between,
        noise: &mut dyn Noise,
        watch: &mut Stopwatch<'_>,
        observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let mut network = self.network_of(plan, &batch)?;
        let watched = |x, call| watch.call(|| network(x, call));
        Ok(Run::with(plan, batch.x, between)?.drive(watched, noise, observe)?)
    }

    /// The network that a [`Run`] of this plan calls for this batch: padded, told its labels, and guided. For
    /// whoever drives the run himself; [`draw`](Self::draw) does both.
    ///
    /// ```
    /// use ddim::sampler::{Noise, PictureNoise, Run};
    /// use ddim::{Batch, Model, Options, device};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let plan = model.plan(&Options { steps: 3, ..Options::default() })?;
    /// let mut noise = PictureNoise::new(7, [0]);
    /// let x = noise.initial([1, 3, 16, 16], model.device()) * plan.start_scale();
    /// let (labels, guidance) = (ddim::Labels::NONE, 1.0.into());
    /// let batch = Batch { x: x.clone(), labels, guidance, reuse: None, padded_to: 0 };
    /// let mut network = model.network_of(&plan, &batch)?;
    /// let mut run = Run::new(&plan, x);
    /// while let Some(wanted) = run.wants() {
    ///     run.feed(network(wanted.x, wanted.call), &mut noise)?;
    /// }
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw), but [`Error::Sample`].
    pub fn network_of<'a>(
        &'a self,
        plan: &'a Plan,
        batch: &Batch,
    ) -> Result<impl FnMut(Tensor, Call) -> Tensor + use<'a>, Error> {
        let (engine, mut answers) = (self.engine(), Answers::new(self, plan, batch)?);
        Ok(move |x: Tensor, call: Call| answers.call(engine, plan, x, call))
    }

    /// The [`Batch::padded_to`] that gives a picture the same bits in every batch of at most `batch_size`: that
    /// size on a GPU, where the kernels chosen depend on it; none on the CPU, where every size does.
    pub fn padding(&self, batch_size: usize) -> usize {
        if device::is_cpu(self.device()) { 0 } else { batch_size }
    }

    /// Whether the network has an embedding for every timestep of the plan.
    ///
    /// # Errors
    ///
    /// [`Error::Time`], which names the first that it has none for.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Error> {
        plan.steps().iter().try_for_each(|step| self.check_time(step.time))
    }

    /// Whether the network has an embedding for this time.
    ///
    /// # Errors
    ///
    /// [`Error::Time`] if it has none.
    pub fn check_time(&self, time: f64) -> Result<(), Error> {
        if embeds(self.checkpoint().denoiser.graph().times(), time) {
            Ok(())
        } else {
            Err(Error::Time { time, allowed: self.embedded_times() })
        }
    }

    /// The times that the network has an embedding for, in words.
    pub(crate) fn embedded_times(&self) -> String {
        match self.checkpoint().denoiser.graph().times() {
            Times::Finite => "finite ones".to_owned(),
            Times::Positive => "those above 0".to_owned(),
            Times::Whole { below } => format!("whole ones below {below}"),
        }
    }

    /// Whether the model can be guided like this.
    ///
    /// # Errors
    ///
    /// [`Error::GuidanceScale`] for a scale that is not finite, [`Error::GuidanceRescale`] for a share outside of
    /// [0, 1], [`Error::GuidedChannels`] for channels that are not there, [`Error::GuidanceInterval`] for one
    /// without levels; [`Error::NoGuidance`] and [`Error::NoNullLabel`] if the model has no label that means none.
    pub fn check_guidance(&self, guidance: &Guidance) -> Result<(), Error> {
        let Guidance { scale, interval, rescale, channels } = *guidance;
        let all = self.checkpoint().denoiser.config().in_channels();
        if !scale.is_finite() {
            return Err(Error::GuidanceScale(scale));
        }
        if !(0.0..=1.0).contains(&rescale) {
            return Err(Error::GuidanceRescale(rescale));
        }
        if let GuidedChannels::First(first) = channels
            && !(1..=all).contains(&first)
        {
            return Err(Error::GuidedChannels { first, channels: all });
        }
        match interval {
            GuidanceInterval::NoiseLevels { above, up_to } if !(above >= 0.0 && above < up_to) => {
                Err(Error::GuidanceInterval { above, up_to })
            }
            _ if guidance.is_off() || self.null_class().is_some() => Ok(()),
            _ => Err(match self.label_kind() {
                kind @ (LabelKind::Numbers | LabelKind::Rows { .. }) => Error::NoNullLabel(kind),
                LabelKind::None | LabelKind::Classes => Error::NoGuidance,
            }),
        }
    }

    /// Whether this model can draw this batch.
    pub(crate) fn check_batch(&self, batch: &Batch) -> Result<(), Error> {
        self.check_guidance(&batch.guidance)?;
        self.check_start(batch.x.dims())?;
        self.check_labels_of(&batch.labels, batch.x.dims()[0])
    }

    pub(crate) fn check_start(&self, found: [usize; 4]) -> Result<(), Error> {
        let config = self.checkpoint().denoiser.config();
        let [n, channels, height, width] = found;
        if n == 0 || channels != config.in_channels() {
            return Err(Error::BatchShape { found, channels: config.in_channels() });
        }
        Ok(config.check_size(height, width)?)
    }

    /// Whether the network takes these labels for so many pictures.
    pub(crate) fn check_labels_of(&self, labels: &Labels, pictures: usize) -> Result<(), Error> {
        self.check_labels(labels)?;
        match labels.len() {
            found if self.label_kind() != LabelKind::None && found != pictures => {
                Err(Error::LabelCount { found, pictures })
            }
            _ => Ok(()),
        }
    }

    /// Whether the device has tensors that are large enough for the batch, which guidance doubles.
    pub(crate) fn check_room(&self, batch: &Batch) -> Result<(), Error> {
        let [n, _, height, width] = batch.x.dims();
        let copies = if batch.guidance.is_off() { 1 } else { 2 };
        self.check_room_for(n.max(batch.padded_to), copies, [height, width])
    }

    /// Whether the device has tensors that are large enough for so many pictures, each so many times.
    pub(crate) fn check_room_for(
        &self,
        pictures: usize,
        copies: usize,
        [height, width]: [usize; 2],
    ) -> Result<(), Error> {
        let Some(largest) = device::largest_tensor(self.device()) else { return Ok(()) };
        let largest_value = self.checkpoint().denoiser.graph().largest_value([height, width]);
        let values = largest_value.expect("a size that was looked at before") as u64;
        // Normalisations and attention make f32 of shorter floats.
        let each = values.saturating_mul(copies as u64).saturating_mul(size_of::<f32>() as u64);
        match usize::try_from(largest / each).unwrap_or(usize::MAX) {
            fit if fit < pictures => {
                Err(Error::Room { pictures, needed: each.saturating_mul(pictures as u64), largest, fit })
            }
            _ => Ok(()),
        }
    }
}

fn embeds(times: Times, time: f64) -> bool {
    match times {
        Times::Finite => time.is_finite(),
        Times::Positive => time.is_finite() && time > 0.0,
        Times::Whole { below } => time >= 0.0 && time < below as f64 && time.fract() == 0.0,
    }
}
