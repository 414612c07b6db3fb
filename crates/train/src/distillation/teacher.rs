//! The model that a student learns from.

use super::target::{self, Route};
use crate::backward::labels;
use crate::batch::Batch;
use crate::{DistillationRecipe, Recipe, RecipeError, TrainError};
use ddim::Model;
use ddim_checkpoint::{Checkpoint, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing};
use ddim_data::ImageSet;
use ddim_schedule::{Level, Marginal, NoiseSchedule, Prediction};
use ddim_tensor::{Device, Tensor};
use ddim_unet::UNet2DConfig;
use serde_json::{Map, Value};

/// A teacher that predicts eps is asked for x0 only where the signal is at least a tenth of the noise: an error of
/// eps is multiplied by noise over signal. Where it is less, the student is shown the picture itself, whose mean
/// it learns.
const LEAST_SNR: f64 = 0.01;

/// A teacher on a device, and what of it a stage hands on.
pub(crate) struct Teacher {
    model: Model,
    prediction: Prediction,
    recipe: DistillationRecipe,
    /// Two steps for each timestep of the student; none where the student only learns to predict something else.
    routes: Vec<Route>,
}

impl Teacher {
    /// For one stage.
    pub(crate) fn new(
        model: &Checkpoint,
        recipe: &DistillationRecipe,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let prediction = model.scheduler.prediction();
        let model = Model::from_checkpoint(model.clone(), device)?;
        let routes = match recipe.from == recipe.to {
            true => Vec::new(),
            false => target::routes(recipe.from, model.schedule()).map_err(RecipeError::from)?,
        };
        Ok(Teacher { model, prediction, recipe: recipe.clone(), routes })
    }

    /// The batch with what the student should say in place of what was in the pictures, and what an error counts.
    pub(crate) fn aim(&self, mut batch: Batch) -> Batch {
        let student = of_student(self.prediction);
        let x: Vec<f64> = batch.x_t.iter().copied().map(f64::from).collect();
        let x0 = match self.routes.is_empty() {
            true => self.own(&batch, &x),
            false => {
                let routes: Vec<Route> = batch.times.iter().map(|time| self.route(*time)).collect();
                target::x0_of_two_steps(&routes, &x, self.prediction, |x, times| self.say(&batch, x, times))
            }
        };
        let target = target::output_of_x0(&batch.alpha_bars, &x, &x0, student);
        batch.target = target.into_iter().map(|value| value as f32).collect();
        let weight = |alpha_bar: &f64| self.recipe.weight.of_output(student, *alpha_bar) as f32;
        batch.weights = batch.alpha_bars.iter().map(weight).collect();
        batch
    }

    fn route(&self, time: f64) -> Route {
        let route = self.routes.iter().find(|route| route.start.time == time);
        *route.expect("batches are drawn at the student's timesteps")
    }

    /// The x0 that it predicts where it knows, else the picture's own.
    fn own(&self, batch: &Batch, x: &[f64]) -> Vec<f64> {
        let levels = batch.times.iter().zip(&batch.alpha_bars);
        let levels: Vec<Level> =
            levels.map(|(time, alpha_bar)| Level { time: *time, alpha_bar: *alpha_bar }).collect();
        let mut x0 = target::x0_of_output(&levels, x, &self.say(batch, x, &batch.times), self.prediction);
        let size = x.len() / levels.len();
        let pictures = x0.chunks_exact_mut(size).zip(x.chunks_exact(size)).zip(batch.target.chunks_exact(size));
        for (((x0, x), v), level) in pictures.zip(&levels) {
            let marginal = Marginal::new(level.alpha_bar);
            if self.prediction == Prediction::Epsilon && level.alpha_bar < LEAST_SNR * (1.0 - level.alpha_bar) {
                let own = x.iter().zip(v).map(|(x, v)| marginal.signal * x - marginal.noise * f64::from(*v));
                x0.iter_mut().zip(own).for_each(|(x0, own)| *x0 = own);
            }
        }
        x0
    }

    /// What it says about pictures at these times.
    fn say(&self, batch: &Batch, x: &[f64], times: &[f64]) -> Vec<f64> {
        let values = x.iter().map(|value| *value as f32).collect();
        let x = Tensor::new(values, batch.shape()).to(self.model.device());
        let engine = self.model.engine();
        let out = engine.forward(x, &engine.condition(times, &labels(batch)));
        out.into_values().into_iter().map(f64::from).collect()
    }
}

/// What its student predicts: v, or x0 as the teacher does. An error of eps would be divided by a signal of almost
/// nothing in a student's first step.
pub(crate) fn of_student(teacher: Prediction) -> Prediction {
    if teacher == Prediction::X0 { Prediction::X0 } else { Prediction::V }
}

/// Whether a teacher's students must first learn to predict something else.
pub(crate) fn converts(teacher: &Checkpoint) -> bool {
    teacher.scheduler.prediction() == Prediction::Epsilon
}

/// The recipe by which a student of this teacher is trained, but for what it should say.
pub(crate) fn student(recipe: &DistillationRecipe, teacher: &Checkpoint) -> Result<Recipe, TrainError> {
    let unet = check(recipe, teacher)?;
    let training = recipe.training.clone();
    let scheduler: Map<String, Value> =
        serde_json::from_str(&scheduler(&teacher.scheduler).to_json()).expect("a scheduler is an object");
    let classes = unet.num_class_embeds.map_or(0, |rows| rows.saturating_sub(1));
    let names = Some(teacher.card.classes.clone()).filter(|names| names.len() == classes);
    let student = Recipe {
        name: recipe.name.clone(),
        unet: UNet2DConfig { dropout: 0.0, ..unet.clone() },
        scheduler,
        classes: names.unwrap_or_default(),
        images: recipe.images,
        alpha: recipe.alpha,
        flip: recipe.flip,
        objective: crate::Objective::Denoising,
        steps: training.steps,
        batch_size: training.batch_size,
        shards: training.shards,
        learning_rate: training.learning_rate,
        warmup_steps: training.warmup_steps,
        decay: training.decay,
        weight_decay: training.weight_decay,
        betas: training.betas,
        clip_norm: training.clip_norm,
        ema_decay: training.ema_decay,
        label_dropout: recipe.label_dropout,
        seed: training.seed,
        checkpoint_steps: training.checkpoint_steps,
        card: recipe.card.clone(),
    };
    student.check()?;
    Ok(student)
}

/// That of a student: its own words are those of DDIM without noise, nothing clipped, which its steps were made
/// for.
fn scheduler(teacher: &SchedulerConfig) -> SchedulerConfig {
    let prediction_type = match of_student(teacher.prediction()) {
        Prediction::X0 => PredictionType::Sample,
        _ => PredictionType::VPrediction,
    };
    SchedulerConfig {
        class_name: SchedulerClass::Ddim,
        prediction_type,
        clip_sample: false,
        thresholding: false,
        set_alpha_to_one: true,
        steps_offset: 0,
        timestep_spacing: Some(TimestepSpacing::Trailing),
        other: Map::new(),
        ..teacher.clone()
    }
}

/// Whether the teacher is one that can be learned from in this way; its network.
fn check<'a>(recipe: &DistillationRecipe, teacher: &'a Checkpoint) -> Result<&'a UNet2DConfig, TrainError> {
    let refuse = |problem: String| Err(TrainError::Teacher { model: teacher.card.name.clone(), problem });
    let prediction = teacher.scheduler.prediction();
    if teacher.first_stage.is_some() {
        return refuse(
            "its network draws latents, and pictures are distilled; name a model without an autoencoder"
                .to_owned(),
        );
    }
    let Some(unet) = teacher.denoiser.config().as_unet() else {
        let class = teacher.denoiser.config().class();
        return refuse(format!("its network is a {class}; those of a UNet2DModel can be distilled"));
    };
    if !matches!(prediction, Prediction::Epsilon | Prediction::X0 | Prediction::V) {
        return refuse(format!("it predicts {prediction}; teachers predict epsilon, sample or v_prediction"));
    }
    if unet.out_channels != unet.in_channels {
        let [out, channels] = [unet.out_channels, unet.in_channels];
        return refuse(format!(
            "it gives {out} channels for pictures of {channels}, as models that learned a variance do; one that \
             predicts the picture or its noise alone is needed"
        ));
    }
    let null_class = unet.num_class_embeds.map(|rows| rows.saturating_sub(1));
    if teacher.card.null_class != null_class && null_class.is_some() {
        let rows = null_class.map_or(0, |last| last + 1);
        return refuse(format!(
            "it has {rows} classes, the last of which does not mean \"any class\" (null_class of its ddim.json)"
        ));
    }
    let train_steps = teacher.scheduler.num_train_timesteps;
    if recipe.from > train_steps {
        return refuse(format!(
            "it has {train_steps} timesteps, and `from` is {}; take a smaller one",
            recipe.from
        ));
    }
    let made_for = teacher.card.made_for.as_ref().map(|made_for| made_for.timesteps.len());
    if let Some(steps) = made_for.filter(|steps| *steps != recipe.from) {
        return refuse(format!(
            "it was made for {steps} step{}, and `from` is {}; begin from {steps}",
            if steps == 1 { "" } else { "s" },
            recipe.from
        ));
    }
    Ok(unet)
}

/// Whether classes are called by the same names, where both say.
pub(crate) fn check_names(teacher: &Checkpoint, set: &ImageSet) -> Result<(), TrainError> {
    let (theirs, ours) = (&teacher.card.classes, &set.class_names);
    if set.labels.is_none() || theirs.is_empty() || ours.is_empty() {
        return Ok(());
    }
    match ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs) {
        None => Ok(()),
        Some((ours, theirs)) => {
            let problem =
                format!("its class {theirs:?} is called {ours:?} in the pictures; the classes must be the same");
            Err(TrainError::Teacher { model: teacher.card.name.clone(), problem })
        }
    }
}

/// The timesteps of a student of so many steps.
pub(crate) fn timesteps(recipe: &DistillationRecipe, schedule: &NoiseSchedule) -> Result<Vec<usize>, TrainError> {
    Ok(target::timesteps(recipe.to, schedule).map_err(RecipeError::from)?)
}
