//! A model and its pictures.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use ddim_checkpoint::Checkpoint;
use ddim_sampler::{Call, Noise, Observation, Outcome, PictureNoise, SampleError, guide};
use ddim_schedule::{Convention, Eta, Method, NoiseSchedule, Plan, Settings};

use crate::conditions::Conditions;
use crate::{Error, Options, Pictures, device};

/// A trained model on a device, ready to draw.
///
/// Drawing takes `&self` and holds no lock: several threads can share one.
#[derive(Clone, Debug)]
pub struct Model {
    checkpoint: Checkpoint,
    schedule: NoiseSchedule,
    device: Device,
}

/// One batch for [`Model::draw`].
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where the run starts, usually standard normal noise, `[n, c, h, w]`.
    pub x: Tensor<4>,
    /// One label a picture; empty for a model without classes.
    pub labels: Vec<usize>,
    /// Classifier-free guidance scale; 1 is none.
    pub guidance: f64,
    /// The network always sees this many pictures, filled up with repeats. On a GPU the same size gives the
    /// same bits; on the CPU every size does, and 0 leaves the batch as it is.
    pub padded_to: usize,
}

/// What the observer of [`Model::sample_with`] sees after a step.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The batch's first picture.
    pub first_picture: usize,
    /// How many pictures were asked for.
    pub count: usize,
    /// The step just taken.
    pub step: Observation<'a>,
}

impl Model {
    /// A model compiled into the program; see [`ddim_checkpoint::embedded_names`].
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] for a name that is not embedded.
    pub fn embedded(name: &str, device: &Device) -> Result<Self, Error> {
        Self::from_checkpoint(ddim_checkpoint::embedded(name, device)?, device)
    }

    /// The model in a folder, in the diffusers layout.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if a file is missing or broken, naming it.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::from_checkpoint(ddim_checkpoint::load(folder.as_ref(), device)?, device)
    }

    /// A model made or changed by the caller, whose weights live on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::SchedulerConfig`] if its scheduler configuration names no noise schedule.
    pub fn from_checkpoint(checkpoint: Checkpoint, device: &Device) -> Result<Self, Error> {
        let schedule = checkpoint.scheduler.noise_schedule()?;
        Ok(Self { checkpoint, schedule, device: device.clone() })
    }

    /// The network, its scheduler configuration and its card.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The noise schedule it was trained with.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What its classes draw, by label; empty for a model without class names.
    pub fn classes(&self) -> &[String] {
        &self.checkpoint.card.classes
    }

    /// How many classes can be asked for; 0 for a model without classes.
    pub fn class_count(&self) -> usize {
        let rows = self.checkpoint.unet.config().num_class_embeds.unwrap_or(0);
        rows - usize::from(rows > 0 && self.checkpoint.card.null_class.is_some())
    }

    /// Channels, height and width of its pictures.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] if its configuration does not say.
    pub fn shape(&self) -> Result<[usize; 3], Error> {
        let config = self.checkpoint.unet.config();
        let [height, width] = config.sample_size.ok_or(Error::NoSize)?.height_width();
        Ok([config.in_channels, height, width])
    }

    /// The convention that holds unless another is asked for: its card's; that of diffusers for a folder
    /// without a card.
    pub fn convention(&self) -> Convention {
        self.checkpoint.card.convention.unwrap_or(Convention::Diffusers)
    }

    /// Compiles the options into a plan.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] for steps, a spacing or an eta that cannot be had.
    pub fn plan(&self, options: &Options) -> Result<Plan, Error> {
        let method = Method::Ddim { eta: Eta::new(options.eta)? };
        let convention = options.convention.unwrap_or(self.convention());
        let published = self.checkpoint.scheduler.settings(options.steps)?;
        let mut settings = match convention {
            Convention::Diffusers => Settings { method, ..published },
            own => Settings { prediction: published.prediction, ..Settings::new(own, method, options.steps) },
        };
        if let Some(spacing) = &options.spacing {
            settings.spacing = spacing.clone();
        }
        Ok(Plan::new(&self.schedule, &settings)?)
    }

    /// Draws pictures.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but [`Error::Stopped`].
    pub fn sample(&self, options: &Options) -> Result<Pictures, Error> {
        self.sample_with(options, |_| ControlFlow::Continue(()))
    }

    /// Draws pictures and shows every step to `observe`, which may stop the run.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::Stopped`] if `observe` breaks before the last step of the last batch.
    pub fn sample_with(
        &self,
        options: &Options,
        mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Pictures, Error> {
        let plan = self.plan(options)?;
        let [c, h, w] = self.shape()?;
        if options.batch_size == 0 {
            return Err(Error::BatchSize);
        }
        let mut finished = Vec::new();
        for first_picture in (0..options.count).step_by(options.batch_size) {
            let pictures = first_picture..options.count.min(first_picture + options.batch_size);
            let n = pictures.len();
            let mut noise = PictureNoise::new(options.seed, pictures.clone().map(|k| k as u64));
            let batch = Batch {
                x: noise.initial([n, c, h, w], &self.device),
                labels: self.labels(&options.classes, pictures),
                guidance: options.guidance,
                padded_to: if device::is_cpu(&self.device) { 0 } else { options.batch_size },
            };
            let observe = |step: &Observation| observe(&Progress { first_picture, count: options.count, step: *step });
            match self.draw(&plan, batch, &mut noise, observe)? {
                Outcome::Finished(x) => finished.push(x),
                Outcome::Stopped { .. } => return Err(Error::Stopped { pictures: first_picture }),
            }
        }
        let rounding = plan.convention().pixel_rounding();
        let empty = || Tensor::empty([0, c, h, w], &self.device);
        let tensor = if finished.is_empty() { empty() } else { Tensor::cat(finished, 0) };
        Ok(Pictures::new(tensor, rounding))
    }

    /// Draws one batch with a plan, a start and noise of the caller's own.
    ///
    /// # Errors
    ///
    /// [`Error::Class`], [`Error::NoClasses`], [`Error::NoGuidance`] or [`Error::GuidanceScale`] for what the
    /// model cannot do, and [`Error::Sample`] if the run fails.
    pub fn draw(
        &self,
        plan: &Plan,
        batch: Batch,
        noise: &mut dyn Noise,
        observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        self.check(&batch)?;
        let [n, ..] = batch.x.dims();
        let rows = n.max(batch.padded_to);
        let labels = self.network_labels(&batch, rows);
        let mut conditions = Conditions::new(&self.checkpoint.unet, &self.device, plan, &labels);
        let unet = &self.checkpoint.unet;
        let network = |x: Tensor<4>, call: Call| {
            let conditioning = conditions.step(call.index);
            let x = padded(x, rows);
            let out = if batch.guidance == 1.0 {
                unet.forward(x, &conditioning)
            } else {
                guide(unet.forward(Tensor::cat(vec![x.clone(), x], 0), &conditioning), batch.guidance)
            };
            if rows == n { out } else { out.slice([0..n]) }
        };
        let run: Result<Outcome, SampleError> = ddim_sampler::sample(plan, batch.x, network, noise, observe);
        Ok(run?)
    }

    fn check(&self, batch: &Batch) -> Result<(), Error> {
        let classes = self.class_count();
        if !batch.guidance.is_finite() {
            return Err(Error::GuidanceScale(batch.guidance));
        }
        if batch.guidance != 1.0 && self.checkpoint.card.null_class.is_none() {
            return Err(Error::NoGuidance);
        }
        match batch.labels.iter().find(|&&label| label >= self.label_count()) {
            Some(_) if classes == 0 => Err(Error::NoClasses),
            Some(&class) => Err(Error::Class { class, classes }),
            None => Ok(()),
        }
    }

    /// All rows of the label table, the one for "no label" included.
    fn label_count(&self) -> usize {
        self.checkpoint.unet.config().num_class_embeds.unwrap_or(0)
    }

    /// The labels of these pictures: the classes asked for, or all of them, in turn.
    fn labels(&self, classes: &[usize], pictures: std::ops::Range<usize>) -> Vec<usize> {
        match (classes, self.class_count()) {
            ([], 0) => Vec::new(),
            ([], count) => pictures.map(|k| k % count).collect(),
            (classes, _) => pictures.map(|k| classes[k % classes.len()]).collect(),
        }
    }

    /// What the network is given: padded like the batch, and with the unlabelled half if there is guidance.
    fn network_labels(&self, batch: &Batch, rows: usize) -> Vec<usize> {
        let mut labels = batch.labels.clone();
        if let Some(&last) = labels.last() {
            labels.resize(rows, last);
        }
        if let (true, Some(null)) = (batch.guidance != 1.0, self.checkpoint.card.null_class) {
            labels.resize(2 * rows, null);
        }
        labels
    }
}

/// Fills a batch up to `rows` pictures with repeats of its first.
fn padded(x: Tensor<4>, rows: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    if n == rows {
        return x;
    }
    let filler = x.clone().slice([0..1]).expand([rows - n, c, h, w]);
    Tensor::cat(vec![x, filler], 0)
}
