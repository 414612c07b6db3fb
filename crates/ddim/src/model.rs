//! A model and its pictures.

use std::path::Path;
use std::sync::OnceLock;

use ddim_checkpoint::Checkpoint;
use ddim_engine::{Engine, EngineOptions, Precision, Way};
use ddim_schedule::{Convention, NoiseSchedule, Plan, Settings};
use ddim_tensor::{Device, Tensor};

use crate::{Error, FirstStage, LabelKind, Options, Start, settings};

/// A trained model on a device, ready to draw.
///
/// ```
/// use ddim::{Model, Options, device};
///
/// let model = Model::embedded("fashion-mnist", &device::cpu())?; // or Model::load("path/to/a/folder", ..)
/// let labels = vec![model.class("sneaker")?].into();
/// let options = Options { steps: 5, count: 2, labels, ..Options::default() };
/// let pictures = model.sample(&options)?;
/// let levels: Vec<u8> = pictures.bytes(0); // row by row; `pictures.image(0)?.save(..)` with the feature `images`
/// # assert_eq!(levels.len(), pictures.width() * pictures.height());
/// # Ok::<(), ddim::Error>(())
/// ```
///
/// Drawing takes `&self` and holds no lock: several threads can share one.
#[derive(Clone, Debug)]
pub struct Model {
    checkpoint: Checkpoint,
    schedule: NoiseSchedule,
    device: Device,
    /// The autoencoder whose latents the network draws.
    first_stage: Option<FirstStage>,
    /// The network, made ready for where it runs when that is first asked for: in what precision is known then.
    engine: OnceLock<Engine>,
    way: Way,
    /// What the network computes in.
    precision: Precision,
}

/// How many pictures are taken to latents together: enough for all threads.
const ENCODED_AT_ONCE: usize = 16;

impl Model {
    /// A model compiled into the program; see [`ddim_checkpoint::embedded_names`].
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] for a name that is not embedded.
    pub fn embedded(name: &str, device: &Device) -> Result<Self, Error> {
        Self::from_checkpoint(ddim_checkpoint::embedded(name)?, device)
    }

    /// The model that a path means: its folder, in the diffusers layout, a part of it, its weight file, or the
    /// folder of the run that made it ([`ddim_checkpoint::ModelFiles::open`]). What was passed over in its files
    /// is in [`Checkpoint::warnings`].
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if a file is missing or broken, naming it.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::from_checkpoint(ddim_checkpoint::load(path.as_ref())?, device)
    }

    /// A model made or changed by the caller.
    ///
    /// # Errors
    ///
    /// [`Error::SchedulerConfig`] if its scheduler configuration names no noise schedule; [`Error::NullClass`] if
    /// its card names a label that the network has not; [`Error::Network`] if its pictures cannot be halved at
    /// every level.
    pub fn from_checkpoint(checkpoint: Checkpoint, device: &Device) -> Result<Self, Error> {
        let (config, graph) = (checkpoint.denoiser.config(), checkpoint.denoiser.graph());
        let labels = graph.classes().unwrap_or(0);
        if let Some(null_class) = checkpoint.card.null_class.filter(|null| *null >= labels) {
            return Err(Error::NullClass { null_class, labels });
        }
        if let Some([height, width]) = config.sample_size() {
            config.check_size(height, width)?;
        }
        Engine::check(graph, device, Precision::F32)?;
        let schedule = checkpoint.scheduler.noise_schedule()?;
        let first_stage =
            checkpoint.first_stage.clone().map(|stage| FirstStage::new(stage, device)).transpose()?;
        let (precision, way, engine) = (Precision::F32, Way::Fast, OnceLock::new());
        Ok(Self { checkpoint, schedule, device: device.clone(), first_stage, engine, way, precision })
    }

    /// The same model without what makes it fast on its device, the same up to rounding: every product of a
    /// convolution added up on the CPU, tensor operations one by one on a GPU, where normalisations, softmax and
    /// the sampler's step stay single kernels. See [`Way::Plain`].
    pub fn uncompiled(mut self) -> Self {
        (self.way, self.engine) = (Way::Plain, OnceLock::new());
        self
    }

    /// The same model with a network that computes in this precision; the sampler around it stays f32.
    ///
    /// # Errors
    ///
    /// [`Error::Precision`] where the device does not compute in it.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self, Error> {
        if precision == self.precision {
            return Ok(self);
        }
        if !self.computes_in(precision) {
            let others = [Precision::F32, Precision::F16, Precision::Bf16].into_iter();
            let others = others.filter(|other| self.computes_in(*other)).map(Precision::name).collect();
            return Err(Error::Precision { precision, others });
        }
        (self.precision, self.engine) = (precision, OnceLock::new());
        Ok(self)
    }

    /// Whether its device can.
    fn computes_in(&self, precision: Precision) -> bool {
        Engine::check(self.checkpoint.denoiser.graph(), &self.device, precision).is_ok()
    }

    /// The network, ready for where it runs. The first call makes it so: it takes a moment, and on a GPU longer.
    pub fn engine(&self) -> &Engine {
        self.engine.get_or_init(|| {
            let denoiser = &self.checkpoint.denoiser;
            let size = denoiser.config().sample_size();
            let options = EngineOptions { precision: self.precision, way: self.way, size };
            let engine = Engine::new(denoiser.graph().clone(), denoiser.shared(), &self.device, &options);
            engine.expect("graph and precision were checked")
        })
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
        self.class_labels().len()
    }

    /// The labels of these classes: all that the network has but [`null_class`](Self::null_class).
    pub fn class_labels(&self) -> Vec<usize> {
        (0..self.label_count()).filter(|label| Some(*label) != self.null_class()).collect()
    }

    /// The label that was trained to mean any class, for guidance.
    pub fn null_class(&self) -> Option<usize> {
        self.checkpoint.card.null_class
    }

    /// How many labels its table of classes has, that for "any" included; 0 for a network without classes,
    /// whatever other labels it takes.
    pub fn label_count(&self) -> usize {
        match self.label_kind() {
            LabelKind::Classes => self.checkpoint.denoiser.graph().classes().unwrap_or(0),
            LabelKind::None | LabelKind::Numbers | LabelKind::Rows { .. } => 0,
        }
    }

    /// The autoencoder whose latents it draws, and which makes pictures of them; none where it draws pictures.
    pub fn first_stage(&self) -> Option<&FirstStage> {
        self.first_stage.as_ref()
    }

    /// Channels, height and width of its pictures.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] if its configuration does not say.
    pub fn picture_shape(&self) -> Result<[usize; 3], Error> {
        Ok(self.pictures_of(self.shape()?))
    }

    /// The shape of the pictures that become of states of this shape.
    pub(crate) fn pictures_of(&self, [channels, height, width]: [usize; 3]) -> [usize; 3] {
        match &self.first_stage {
            None => [channels, height, width],
            Some(stage) => {
                let factor = stage.config().factor();
                [stage.config().out_channels(), factor * height, factor * width]
            }
        }
    }

    /// Pictures `[n, channels, h, w]` of what was drawn: the same where that is pictures, decoded where it is
    /// latents; around \[-1, 1\], not limited.
    ///
    /// # Errors
    ///
    /// [`Error::StageChannels`] for latents of other channels, and [`Error::NotFinite`] where the decoder gives
    /// what is not a number.
    pub fn decoded(&self, drawn: Tensor) -> Result<Tensor, Error> {
        let Some(stage) = &self.first_stage else { return Ok(drawn) };
        stage.decode_to_numbers(stage.of_diffusion(drawn))
    }

    /// What the network draws in place of these pictures `[n, channels, h, w]` in \[-1, 1\]: the same, or their
    /// likeliest latents.
    ///
    /// # Errors
    ///
    /// Those of [`FirstStage::encode`].
    pub fn encoded(&self, pictures: Tensor) -> Result<Tensor, Error> {
        let Some(stage) = &self.first_stage else { return Ok(pictures) };
        let n = pictures.dims()[0];
        let some = |first: usize| -> Result<Tensor, Error> {
            let some = pictures.pictures(first..n.min(first + ENCODED_AT_ONCE)).to(stage.device());
            Ok(stage.for_diffusion(stage.encode(some)?.mode()).to(&pictures.device()))
        };
        Ok(Tensor::cat(&(0..n).step_by(ENCODED_AT_ONCE).map(some).collect::<Result<Vec<_>, _>>()?))
    }

    /// Channels, height and width of what its network draws: its pictures, or the latents that become them.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] if its configuration does not say.
    pub fn shape(&self) -> Result<[usize; 3], Error> {
        let config = self.checkpoint.denoiser.config();
        let [height, width] = config.sample_size().ok_or(Error::NoSize)?;
        Ok([config.in_channels(), height, width])
    }

    /// The convention that holds unless another is asked for: its card's; that of diffusers for a folder
    /// without a card.
    pub fn convention(&self) -> Convention {
        self.checkpoint.card.convention.unwrap_or(Convention::Diffusers)
    }

    /// What the model is drawn with where nobody says otherwise: [`Options::default`], in the steps that its card
    /// says it was made for, as students of a distillation do, or in all that it was trained with where those are
    /// fewer.
    ///
    /// ```
    /// let model = ddim::Model::embedded("fashion-mnist", &ddim::device::cpu())?;
    /// assert_eq!(model.options().steps, 20); // it draws in any number
    /// # Ok::<(), ddim::Error>(())
    /// ```
    pub fn options(&self) -> Options {
        let usual = Options::default();
        let made_for = self.checkpoint.card.made_for.as_ref().map(|made_for| made_for.timesteps.len());
        Options { steps: made_for.unwrap_or(usual.steps).min(self.schedule.train_steps()), ..usual }
    }

    /// Compiles the options into a plan.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] for steps, a spacing, an eta, a strength or a resampling that cannot be had;
    /// [`Error::NothingToChange`] for a part of a run from noise; [`Error::Time`] for a timestep that the network
    /// has no embedding for.
    pub fn plan(&self, options: &Options) -> Result<Plan, Error> {
        let convention = options.convention.unwrap_or(self.convention());
        let scheduler = &self.checkpoint.scheduler;
        let strength = options.strength.share(&options.start);
        if let (Start::Noise, true) = (&options.start, strength < 1.0) {
            return Err(Error::NothingToChange { strength });
        }
        let settings =
            settings(scheduler, convention, options.solver.clone(), options.steps, options.spacing.clone())?;
        let settings = Settings { strength, resampling: options.resampling, ..settings };
        let plan = Plan::new(&self.schedule, &settings)?;
        self.check_plan(&plan)?;
        Ok(plan)
    }
}
