//! The training loop, whatever is trained.

use crate::log::Log;
use crate::optimizer::{Optimizer, norm};
use crate::recipe::Settings;
use crate::state::State;
use crate::{Shown, TrainError, TrainEvent, Training, weights};
use burn::module::Module;
use burn::tensor::Device;
use ddim_data::write_whole;
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

/// What is trained: its loss, and what is made of it at a checkpoint.
pub(crate) trait Task {
    /// What the first weights are, in words; empty for random ones.
    fn origin(&self) -> String {
        String::new()
    }

    /// The loss of a step, the first of which is 1, and its gradient at these weights.
    fn gradient(&mut self, step: u64, weights: &[f32]) -> (f64, Vec<f32>);

    /// Writes the model with these weights to [`model`], and shows how good it is.
    fn publish(&self, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError>;
}

/// Takes the steps that are left, from `first` weights or the checkpoint in `out`.
pub(crate) fn run(
    task: &mut impl Task,
    recipe: &impl Settings,
    first: Vec<f32>,
    out: &Path,
    mut observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    let _lock = lock(out)?;
    let mut run = Run::open(task, recipe, first, out)?;
    let (training, begun) = (recipe.training(), run.state.optimizer.step);
    let mut flow = observe(&TrainEvent::Started { step: begun, steps: training.steps });
    if begun == training.steps {
        // Taken before, but perhaps killed between the state and the model.
        let shown = run.publish()?;
        flow = observe(&TrainEvent::Saved { step: begun, shown });
    }
    while flow.is_continue() && run.state.optimizer.step < training.steps {
        let event = run.step()?;
        flow = observe(&event);
        let step = run.state.optimizer.step;
        if step.is_multiple_of(training.checkpoint_steps) || step == training.steps || flow.is_break() {
            let shown = run.checkpoint()?;
            if observe(&TrainEvent::Saved { step, shown }).is_break() {
                flow = ControlFlow::Break(());
            }
        }
    }
    match run.state.optimizer.step {
        step if step < training.steps => Ok(Trained::Stopped { step }),
        _ => Ok(Trained::Finished { model: model(out) }),
    }
}

/// The network that `init` makes on the device with autodiff, and its first weights, which the seed decides.
pub(crate) fn seeded<M: Module, E>(
    seed: u64,
    device: &Device,
    init: impl FnOnce(&Device) -> Result<M, E>,
) -> Result<(M, Vec<f32>), E> {
    // The backend's generator belongs to the whole process; first weights are the only thing taken from it. They are
    // drawn when they are first looked at, so that is done before anyone else may draw.
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let device = device.clone().autodiff();
    device.seed(seed);
    let network = init(&device)?;
    let first = weights::read(&network);
    Ok((network, first))
}

/// Where a run leaves the model.
pub(crate) fn model(out: &Path) -> PathBuf {
    out.join("model")
}

/// A run under way.
struct Run<'a, T, R> {
    task: &'a mut T,
    recipe: &'a R,
    training: Training,
    out: &'a Path,
    state: State,
    log: Log,
    /// The step at which this process began, and when.
    start: (u64, Instant),
}

/// How much of the moving average of the loss is kept each step.
const SMOOTHING: f64 = 0.99;

impl<'a, T: Task, R: Settings> Run<'a, T, R> {
    fn open(task: &'a mut T, recipe: &'a R, first: Vec<f32>, out: &'a Path) -> Result<Self, TrainError> {
        let path = out.join("train.safetensors");
        let state = State::load(&path, recipe, first.len())?;
        let origin = task.origin();
        if let Some(state) = state.as_ref().filter(|state| state.origin != origin) {
            return Err(TrainError::OtherBeginning { path, before: told(&state.origin), now: told(&origin) });
        }
        let state =
            state.unwrap_or_else(|| State { optimizer: Optimizer::new(first), smoothed_loss: None, origin });
        write_whole(&out.join("recipe.json"), recipe.to_json().as_bytes())?;
        let log = Log::open(&out.join("loss.csv"), state.optimizer.step)?;
        let start = (state.optimizer.step, Instant::now());
        Ok(Run { task, recipe, training: recipe.training(), out, state, log, start })
    }

    fn step(&mut self) -> Result<TrainEvent, TrainError> {
        let optimizer = &mut self.state.optimizer;
        let step = optimizer.step + 1;
        let (loss, gradient) = self.task.gradient(step, &optimizer.weights);
        let norm = norm(&gradient);
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::Diverged { step, loss, norm });
        }
        optimizer.update(&self.training, &gradient, norm);
        let smoothed =
            self.state.smoothed_loss.map_or(loss, |before| SMOOTHING * before + (1.0 - SMOOTHING) * loss);
        self.state.smoothed_loss = Some(smoothed);
        self.log.append(step, loss)?;

        let Training { steps, batch_size, .. } = self.training;
        let (first, since) = self.start;
        let per_step = since.elapsed() / u32::try_from(step - first).unwrap_or(u32::MAX);
        let left = u32::try_from(steps - step).unwrap_or(u32::MAX);
        Ok(TrainEvent::Step {
            step,
            steps,
            loss,
            smoothed_loss: smoothed,
            images_per_second: batch_size as f64 / per_step.max(Duration::from_nanos(1)).as_secs_f64(),
            time_left: per_step.saturating_mul(left),
        })
    }

    /// Saves the state, then what is made from it.
    fn checkpoint(&mut self) -> Result<Shown, TrainError> {
        self.log.flush()?;
        self.state.save(&self.out.join("train.safetensors"), self.recipe)?;
        self.publish()
    }

    fn publish(&self) -> Result<Shown, TrainError> {
        let Optimizer { step, average, .. } = &self.state.optimizer;
        self.task.publish(self.out, *step, average)
    }
}

/// What a run began with, for people.
fn told(origin: &str) -> String {
    if origin.is_empty() { "random weights".to_owned() } else { format!("the model {origin}") }
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
