//! The training loop.

use crate::batch::Batches;
use crate::log::Log;
use crate::objective::Loss;
use crate::optimizer::{Optimizer, norm};
use crate::shards::Shards;
use crate::state::State;
use crate::{Recipe, RecipeError, TrainError, TrainEvent, preview, weights};
use burn::tensor::Device;
use ddim_checkpoint::{Card, Checkpoint, SchedulerConfig};
use ddim_data::{Alpha, ImageSet, Size, encode_png, write_whole};
use ddim_schedule::Convention;
use ddim_unet::UNet2D;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trained {
    /// All steps were taken. The folder of the model, with the averaged weights.
    Finished {
        /// The folder, in the diffusers layout.
        model: PathBuf,
    },
    /// The observer stopped it; the same call goes on from there.
    Stopped {
        /// Steps taken so far.
        step: u64,
    },
}

/// Trains a network on pictures, or goes on with a run that lies in `out`.
///
/// The network learns to say which noise was added to a picture (Ho et al. 2020, arXiv:2006.11239, algorithm 1 and
/// Eq. 14), or, as the recipe's scheduler says, the picture or v; under [`Objective::Implicit`](crate::Objective) it
/// learns the same without being told the noise.
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
/// A recipe that makes no sense, pictures that do not fit it, a folder in use by another run, a checkpoint of another
/// recipe, a loss that is no number, and whatever the file system refuses.
pub fn train(
    recipe: &Recipe,
    set: &ImageSet,
    out: &Path,
    device: &Device,
    mut observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    recipe.check()?;
    let set = without_alpha(recipe, set);
    check_fit(recipe, &set)?;
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    let _lock = lock(out)?;
    let mut run = Run::open(recipe, &set, out, device)?;
    let scheduler = recipe.scheduler()?;
    let schedule = scheduler.noise_schedule().map_err(RecipeError::from)?;
    let batches = Batches::new(recipe, &set, schedule, scheduler.prediction());
    let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
    let mut shards =
        Shards::new(run.unet.clone(), loss, device, recipe.shards, recipe.batch_size / recipe.shards)?;

    let mut flow = observe(&TrainEvent::Started { step: run.state.optimizer.step, steps: recipe.steps });
    if run.state.optimizer.step == recipe.steps {
        // Taken before, but perhaps killed between the state and the model.
        run.publish(&scheduler)?;
    }
    while flow.is_continue() && run.state.optimizer.step < recipe.steps {
        let event = run.step(&batches, &mut shards)?;
        flow = observe(&event);
        let step = run.state.optimizer.step;
        if step.is_multiple_of(recipe.checkpoint_steps) || step == recipe.steps || flow.is_break() {
            run.checkpoint(&scheduler)?;
            if observe(&TrainEvent::Saved { step, samples: run.samples() }).is_break() {
                flow = ControlFlow::Break(());
            }
        }
    }
    match run.state.optimizer.step {
        step if step < recipe.steps => Ok(Trained::Stopped { step }),
        _ => Ok(Trained::Finished { model: run.model() }),
    }
}

/// A run under way.
struct Run<'a> {
    recipe: &'a Recipe,
    set: &'a ImageSet,
    out: &'a Path,
    device: &'a Device,
    /// Whose weights are replaced by those of the state.
    unet: UNet2D,
    state: State,
    log: Log,
    /// The step at which this process began, and when.
    start: (u64, Instant),
}

/// How much of the moving average of the loss is kept each step.
const SMOOTHING: f64 = 0.99;

impl<'a> Run<'a> {
    fn open(recipe: &'a Recipe, set: &'a ImageSet, out: &'a Path, device: &'a Device) -> Result<Self, TrainError> {
        let (unet, weights) = initialised(recipe, device)?;
        let state = State::load(&out.join("train.safetensors"), recipe, weights.len())?;
        let state = state.unwrap_or_else(|| State { optimizer: Optimizer::new(weights), smoothed_loss: None });
        let text = recipe.to_json();
        write_whole(&out.join("recipe.json"), text.as_bytes())?;
        let log = Log::open(&out.join("loss.csv"), state.optimizer.step)?;
        let start = (state.optimizer.step, Instant::now());
        Ok(Run { recipe, set, out, device, unet, state, log, start })
    }

    fn step(&mut self, batches: &Batches, shards: &mut Shards) -> Result<TrainEvent, TrainError> {
        let optimizer = &mut self.state.optimizer;
        let step = optimizer.step + 1;
        let (loss, gradient) = shards.gradient(batches, step, &optimizer.weights);
        let norm = norm(&gradient);
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::Diverged { step, loss, norm });
        }
        optimizer.update(self.recipe, &gradient, norm);
        let smoothed =
            self.state.smoothed_loss.map_or(loss, |before| SMOOTHING * before + (1.0 - SMOOTHING) * loss);
        self.state.smoothed_loss = Some(smoothed);
        self.log.append(step, loss)?;

        let (first, since) = self.start;
        let per_step = since.elapsed() / u32::try_from(step - first).unwrap_or(u32::MAX);
        let left = u32::try_from(self.recipe.steps - step).unwrap_or(u32::MAX);
        Ok(TrainEvent::Step {
            step,
            steps: self.recipe.steps,
            loss,
            smoothed_loss: smoothed,
            images_per_second: self.recipe.batch_size as f64 / per_step.max(Duration::from_nanos(1)).as_secs_f64(),
            time_left: per_step.saturating_mul(left),
        })
    }

    /// Saves the state, then what is made from it.
    fn checkpoint(&mut self, scheduler: &SchedulerConfig) -> Result<(), TrainError> {
        self.log.flush()?;
        self.state.save(&self.out.join("train.safetensors"), self.recipe)?;
        self.publish(scheduler)
    }

    /// Writes the sample grid and the model.
    fn publish(&self, scheduler: &SchedulerConfig) -> Result<(), TrainError> {
        let plain = self.device.clone().without_autodiff();
        let unet = weights::replaced(self.unet.clone(), &self.state.optimizer.average, &plain);
        let [height, width, _] = self.set.shape;
        let sheet = preview::draw(&unet, scheduler, self.recipe.class_count(), [height, width], &plain)?;
        write_whole(&self.samples(), &encode_png(&sheet, &self.recipe.to_json())?)?;
        let checkpoint = Checkpoint { unet, scheduler: scheduler.clone(), card: self.card() };
        Ok(ddim_checkpoint::save(&checkpoint, &self.model())?)
    }

    fn card(&self) -> Card {
        let recipe = self.recipe;
        let names = if recipe.classes.is_empty() { &self.set.class_names } else { &recipe.classes };
        let mut extra = recipe.card.clone();
        extra.insert("trained_steps".to_owned(), self.state.optimizer.step.into());
        extra.insert("trained_images".to_owned(), (self.state.optimizer.step * recipe.batch_size as u64).into());
        Card {
            name: recipe.name.clone(),
            classes: names.iter().take(recipe.class_count().unwrap_or(0)).cloned().collect(),
            null_class: recipe.class_count(),
            convention: Some(Convention::Exact),
            extra,
        }
    }

    fn samples(&self) -> PathBuf {
        self.out.join("samples.png")
    }

    fn model(&self) -> PathBuf {
        self.out.join("model")
    }
}

/// The network with its first weights, which the seed decides, on the device with autodiff.
pub(crate) fn initialised(recipe: &Recipe, device: &Device) -> Result<(UNet2D, Vec<f32>), TrainError> {
    // The backend's generator belongs to the whole process; first weights are the only thing taken from it.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let device = device.clone().autodiff();
    device.seed(recipe.seed);
    let unet = recipe.unet.init(&device).map_err(RecipeError::from)?;
    let weights = weights::read(&unet);
    Ok((unet, weights))
}

/// The set with its alpha channel as the recipe wants it; copied only where that changes something.
fn without_alpha<'a>(recipe: &Recipe, set: &'a ImageSet) -> Cow<'a, ImageSet> {
    match (recipe.alpha, set.shape) {
        (Alpha::Drop | Alpha::Over(_), [_, _, 4]) => Cow::Owned(set.clone().with_alpha(recipe.alpha)),
        _ => Cow::Borrowed(set),
    }
}

fn check_fit(recipe: &Recipe, set: &ImageSet) -> Result<(), TrainError> {
    let unet = &recipe.unet;
    let [height, width, channels] = set.shape;
    if channels != unet.in_channels || unet.check_size(height, width).is_err() {
        let multiple = unet.size_multiple();
        return Err(TrainError::Size { found: Size(set.shape), channels: unet.in_channels, multiple });
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

/// Keeps other runs out of the folder for as long as it lives, also if the process is killed.
fn lock(out: &Path) -> Result<File, TrainError> {
    let path = out.join(".lock");
    let file = File::create(&path).map_err(TrainError::io(&path))?;
    match ddim_data::lock(&file) {
        Ok(()) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(TrainError::Locked { path }),
        Err(source) => Err(TrainError::Io { path, source }),
    }
}

#[cfg(test)]
mod tests;
