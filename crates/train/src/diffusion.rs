//! Training a diffusion model.

use crate::backward::Backward;
use crate::batch::{Batch, Batches};
use crate::objective::Loss;
use crate::run::{self, RunFolder, Task, Trained};
use crate::seen::Seen;
use crate::shards::Shards;
use crate::{Recipe, RecipeError, Shown, TrainError, TrainEvent, flat, preview};
use ddim_checkpoint::{Card, Checkpoint, Denoiser, SchedulerConfig};
use ddim_data::{Alpha, ImageSet, Size, encode_png, write_whole};
use ddim_schedule::{Convention, NoiseSchedule, Timestep};
use ddim_tensor::Device;
use ddim_unet::{SampleSize, UNet2DConfig};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

/// Where the weights of a run come from.
#[derive(Debug, Clone)]
pub enum Beginning {
    /// From the recipe's seed.
    Random,
    /// From a model with the recipe's network.
    Model(Checkpoint),
}

/// Trains a network on pictures, or goes on with a run that lies in `out`, whatever it began with.
///
/// The network learns to say which noise was added to a picture (Ho et al. 2020, arXiv:2006.11239, algorithm 1 and
/// Eq. 14), or, as the recipe's scheduler says, the picture or v; under [`Objective::Implicit`](crate::Objective)
/// it learns the same without being told the noise.
///
/// | file in `out` | |
/// |---|---|
/// | `recipe.json` | the recipe |
/// | `loss.csv` | the loss of each step |
/// | `train.safetensors` | the checkpoint: weights, their average, the state of the optimiser, the step |
/// | `samples.png` | pictures drawn at the last checkpoint, always from the same noise |
/// | `model/` | the model, with the averaged weights, as of the last checkpoint |
///
/// All randomness is a function of the seed and the step, so a run that was killed at any moment goes on from its
/// last checkpoint with the same loss curve, bit for bit on a CPU.
///
/// # Errors
/// A recipe that makes no sense, pictures that do not fit it, a folder in use by another run or with files of
/// somebody else that a run would write over, a checkpoint of another recipe, of other pictures or of another
/// beginning, a model to begin with whose network or prediction is another, a loss that is not a number, and
/// whatever the file system refuses.
pub fn train<'a>(
    recipe: &Recipe,
    set: &ImageSet,
    beginning: &Beginning,
    out: impl Into<RunFolder<'a>>,
    device: &Device,
    observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    recipe.check()?;
    let set = without_alpha(recipe.alpha, set);
    check_fit(recipe, &set)?;
    let (unet, first) = match beginning {
        Beginning::Random => initialised(recipe)?,
        Beginning::Model(model) => taken_over(model, recipe)?,
    };
    run::run(&mut Diffusion::new(recipe, &set, beginning, device, unet)?, recipe, first, out.into(), observe)
}

/// A diffusion model in training.
pub(crate) struct Diffusion<'a> {
    recipe: &'a Recipe,
    set: &'a ImageSet,
    beginning: &'a Beginning,
    /// Without autodiff.
    device: &'a Device,
    unet: Denoiser,
    scheduler: SchedulerConfig,
    batches: Batches<'a>,
    backward: Backward,
    shards: Shards,
}

impl<'a> Diffusion<'a> {
    pub(crate) fn new(
        recipe: &'a Recipe,
        set: &'a ImageSet,
        beginning: &'a Beginning,
        device: &'a Device,
        unet: Denoiser,
    ) -> Result<Self, TrainError> {
        let scheduler = recipe.scheduler()?;
        let schedule = scheduler.noise_schedule().map_err(RecipeError::from)?;
        let batches = Batches::new(recipe, set, schedule, scheduler.prediction())?;
        let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
        let shards = Shards::new(recipe.shards, recipe.batch_size / recipe.shards)?;
        let backward = Backward::new(&unet, loss, device)?;
        Ok(Diffusion { recipe, set, beginning, device, unet, scheduler, batches, backward, shards })
    }

    /// Trained at these timesteps only.
    pub(crate) fn at(self, timesteps: Vec<Timestep>) -> Self {
        Diffusion { batches: self.batches.at(timesteps), ..self }
    }

    /// The noise that it is trained with.
    pub(crate) fn schedule(&self) -> Result<NoiseSchedule, TrainError> {
        Ok(self.scheduler.noise_schedule().map_err(RecipeError::from)?)
    }

    /// The loss of a step and its gradient, of batches that were given another aim.
    pub(crate) fn gradient_towards(
        &mut self,
        step: u64,
        weights: &[f32],
        aim: impl Fn(Batch) -> Batch + Sync,
    ) -> (f64, Vec<f32>) {
        self.backward.load(weights);
        self.shards.gradient(|rows| self.backward.gradient(&aim(self.batches.rows(step, rows)), weights))
    }

    /// The model with these weights.
    pub(crate) fn checkpoint(&self, step: u64, weights: &[f32]) -> Checkpoint {
        let unet = self.unet.with_weights(self.backward.weights(weights));
        let [height, width, _] = self.set.shape;
        let denoiser = unet.with_sample_size(SampleSize::of([height, width]));
        let (scheduler, card) = (self.scheduler.clone(), self.card(step));
        Checkpoint { denoiser, first_stage: None, scheduler, card, warnings: Vec::new() }
    }

    /// Writes a model, and pictures that it draws.
    pub(crate) fn write(&self, model: Checkpoint, out: &Path) -> Result<Shown, TrainError> {
        let sheet = preview::draw(model.clone(), self.recipe.class_count(), self.device)?;
        let samples = out.join("samples.png");
        write_whole(&samples, &encode_png(&sheet, &self.recipe.to_json())?)?;
        ddim_checkpoint::save(&model, &run::model(out))?;
        Ok(Shown::Samples(samples))
    }

    /// What the classes are called, as far as that is known.
    fn class_names(&self) -> &[String] {
        let classes = self.recipe.class_count().unwrap_or(0);
        let names = if self.recipe.classes.is_empty() { &self.set.class_names } else { &self.recipe.classes };
        &names[..names.len().min(classes)]
    }

    /// The card of the model after so many steps.
    fn card(&self, step: u64) -> Card {
        let recipe = self.recipe;
        let mut extra = recipe.card.clone();
        extra.insert("trained_steps".to_owned(), step.into());
        extra.insert("trained_images".to_owned(), (step * recipe.batch_size as u64).into());
        if let Beginning::Model(model) = self.beginning {
            extra.insert("began_with".to_owned(), origin(&model.card));
        }
        Card {
            name: recipe.name.clone(),
            classes: self.class_names().to_vec(),
            null_class: recipe.class_count(),
            convention: Some(Convention::Exact),
            extra,
            ..Card::default()
        }
    }
}

impl Task for Diffusion<'_> {
    fn origin(&self) -> String {
        match self.beginning {
            Beginning::Random => String::new(),
            Beginning::Model(model) => origin(&model.card).to_string(),
        }
    }

    fn seen(&self) -> Seen {
        let labels = self.set.labels.as_deref().filter(|_| self.recipe.class_count().is_some());
        // Names that the recipe gives may change, as the recipe may.
        let names = if self.recipe.classes.is_empty() { self.class_names() } else { &[] };
        Seen::new(self.set, self.batches.images(), labels, names)
    }

    fn gradient(&mut self, step: u64, weights: &[f32]) -> (f64, Vec<f32>) {
        self.gradient_towards(step, weights, |batch| batch)
    }

    fn publish(&self, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError> {
        self.write(self.checkpoint(step, weights), out)
    }
}

/// The network with its first weights, which the seed decides.
pub(crate) fn initialised(recipe: &Recipe) -> Result<(Denoiser, Vec<f32>), TrainError> {
    let graph = recipe.unet.graph().map_err(RecipeError::from)?;
    let unet =
        Denoiser::new(recipe.unet.clone(), flat::initial(&graph, recipe.seed)).map_err(RecipeError::from)?;
    let first = flat::read(&graph, unet.weights());
    Ok((unet, first))
}

/// The network of a model, and its weights.
fn taken_over(model: &Checkpoint, recipe: &Recipe) -> Result<(Denoiser, Vec<f32>), TrainError> {
    check_same(model, recipe)?;
    Ok((model.denoiser.clone(), flat::read(model.denoiser.graph(), model.denoiser.weights())))
}

/// Whether a model is what the recipe trains: the same network, but for keys that shape no weights, and the same
/// prediction.
fn check_same(model: &Checkpoint, recipe: &Recipe) -> Result<(), TrainError> {
    let other = |key: &str, theirs: String, ours: String| {
        Err(TrainError::OtherNetwork { model: model.card.name.clone(), key: key.to_owned(), theirs, ours })
    };
    let (theirs, ours) = (model.scheduler.prediction(), recipe.scheduler()?.prediction());
    if theirs != ours {
        return other("prediction_type", format!("{theirs:?}"), format!("{ours:?}"));
    }
    let Some(unet) = model.denoiser.config().as_unet() else {
        let class = |class: &str| format!("a {class}");
        return other("_class_name", class(model.denoiser.config().class()), class("UNet2DModel"));
    };
    let same = UNet2DConfig { sample_size: recipe.unet.sample_size, dropout: recipe.unet.dropout, ..unet.clone() };
    let (theirs, ours) = (json!(same), json!(recipe.unet));
    let keys = ours.as_object().into_iter().flat_map(Map::keys);
    match keys.into_iter().find(|key| theirs.get(key) != ours.get(key)) {
        Some(key) => other(key, theirs[key].to_string(), ours[key].to_string()),
        None => Ok(()),
    }
}

/// What a model that another began with is remembered by: its name, and how long it was trained itself.
fn origin(card: &Card) -> Value {
    let mut origin = Map::from_iter([("name".to_owned(), card.name.clone().into())]);
    let known = ["trained_steps", "trained_images", "began_with"].into_iter();
    origin.extend(known.filter_map(|key| Some((key.to_owned(), card.extra.get(key)?.clone()))));
    Value::Object(origin)
}

/// The set with its alpha channel as the recipe wants it; copied only where that changes something.
pub(crate) fn without_alpha(alpha: Alpha, set: &ImageSet) -> Cow<'_, ImageSet> {
    match (alpha, set.shape) {
        (Alpha::Drop | Alpha::Over(_), [_, _, 4]) => Cow::Owned(set.clone().with_alpha(alpha)),
        _ => Cow::Borrowed(set),
    }
}

pub(crate) fn check_fit(recipe: &Recipe, set: &ImageSet) -> Result<(), TrainError> {
    let unet = &recipe.unet;
    let [height, width, channels] = set.shape;
    if channels != unet.in_channels || unet.check_size(height, width).is_err() {
        let multiple = unet.size_multiple();
        return Err(TrainError::Size { found: Size(set.shape), channels: unet.in_channels, multiple });
    }
    if let Some(recipe) = recipe.size().filter(|size| *size != [height, width]) {
        return Err(TrainError::OtherSize { found: [height, width], recipe });
    }
    if unet.out_channels != channels {
        return Err(TrainError::OutChannels { found: unet.out_channels, channels });
    }
    match (recipe.class_count(), &set.labels) {
        (Some(classes), None) => Err(TrainError::NoLabels { classes }),
        (Some(classes), Some(_)) if set.classes() > classes => {
            Err(TrainError::Classes { found: set.classes(), classes })
        }
        _ => Ok(()),
    }
}
