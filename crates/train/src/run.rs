//! The training loop, whatever is trained.

use crate::folder::check_folder;
use crate::log::Log;
use crate::optimizer::{Optimizer, norm};
use crate::recipe::Settings;
use crate::seen::{OtherPictures, Recognised, Seen};
use crate::state::State;
use crate::{Shown, TrainError, TrainEvent, Training};
use ddim_checkpoint::remove_abandoned;
use ddim_data::write_whole;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
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

/// The folder of a run, and what may have changed since it was there last.
#[derive(Debug, Clone, Copy)]
pub struct RunFolder<'a> {
    /// Where it is, or will be.
    pub path: &'a Path,
    /// What to do when its pictures are not those of before.
    pub other_pictures: OtherPictures,
}

/// A folder whose run goes on with the same pictures only.
impl<'a, P: AsRef<Path> + ?Sized> From<&'a P> for RunFolder<'a> {
    fn from(path: &'a P) -> Self {
        RunFolder { path: path.as_ref(), other_pictures: OtherPictures::Refuse }
    }
}

/// What is trained: its loss, and what is made of it at a checkpoint.
pub(crate) trait Task {
    /// What the first weights are, in words; empty for random ones.
    fn origin(&self) -> String {
        String::new()
    }

    /// The pictures that it is trained on.
    fn seen(&self) -> Seen;

    /// The loss of a step, the first of which is 1, and its gradient at these weights.
    fn gradient(&mut self, step: u64, weights: &[f32]) -> (f64, Vec<f32>);

    /// The optimiser of a second network, which [`gradient`](Self::gradient) also takes a step of.
    fn second(&self) -> Option<&Optimizer> {
        None
    }

    /// Goes on with that of a checkpoint, of as many weights.
    fn go_on(&mut self, _second: Optimizer) {}

    /// What the parts of its loss are called, in nats a picture, where it tells them apart.
    fn parts(&self) -> &'static [&'static str] {
        &[]
    }

    /// What they were in the last step.
    fn told(&self) -> &[f64] {
        &[]
    }

    /// Writes the model with these weights to [`model`], and shows how good it is.
    fn publish(&self, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError>;
}

/// Takes the steps that are left, from `first` weights or the checkpoint in `out`.
pub(crate) fn run(
    task: &mut impl Task,
    recipe: &impl Settings,
    first: Vec<f32>,
    folder: RunFolder,
    mut observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    let out = folder.path;
    check_folder(out)?;
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    let _lock = lock(out)?;
    remove_abandoned(&model(out))?;
    let (mut run, pictures) = Run::open(task, recipe, first, folder)?;
    let (training, begun) = (recipe.training(), run.state.optimizer.step);
    let mut flow = observe(&TrainEvent::Started { step: begun, steps: training.steps, pictures });
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

/// Where a run keeps what it goes on from.
pub(crate) const STATE: &str = "train.safetensors";

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
    fn open(
        task: &'a mut T,
        recipe: &'a R,
        first: Vec<f32>,
        folder: RunFolder<'a>,
    ) -> Result<(Self, Recognised), TrainError> {
        let out = folder.path;
        let path = out.join(STATE);
        let (origin, seen) = (task.origin(), task.seen());
        let second = task.second().map(|second| second.weights.len());
        let (state, pictures) = match State::load(&path, recipe, first.len(), second)? {
            None => {
                let (optimizer, seen) = (Optimizer::new(first), Some(seen));
                let state = State { optimizer, second: None, smoothed_loss: None, origin, seen };
                (state, Recognised::Same)
            }
            Some(state) if state.origin != origin => {
                return Err(TrainError::OtherBeginning { path, before: told(&state.origin), now: told(&origin) });
            }
            Some(state) => {
                let pictures = recognise(&state, &seen, folder.other_pictures, &path)?;
                (State { seen: Some(seen), ..state }, pictures)
            }
        };
        state.second.iter().for_each(|second| task.go_on(second.clone()));
        write_whole(&out.join("recipe.json"), recipe.to_json().as_bytes())?;
        let log = Log::open(&out.join("loss.csv"), state.optimizer.step, task.parts())?;
        let start = (state.optimizer.step, Instant::now());
        Ok((Run { task, recipe, training: recipe.training(), out, state, log, start }, pictures))
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
        self.log.append(step, loss, self.task.told())?;
        let parts = self.task.parts().iter().copied().zip(self.task.told().iter().copied()).collect();

        let Training { steps, batch_size, .. } = self.training;
        let (first, since) = self.start;
        let per_step = since.elapsed() / u32::try_from(step - first).unwrap_or(u32::MAX);
        let left = u32::try_from(steps - step).unwrap_or(u32::MAX);
        Ok(TrainEvent::Step {
            step,
            steps,
            loss,
            smoothed_loss: smoothed,
            parts,
            images_per_second: batch_size as f64 / per_step.max(Duration::from_nanos(1)).as_secs_f64(),
            time_left: per_step.saturating_mul(left),
        })
    }

    /// Saves the state, then what is made from it.
    fn checkpoint(&mut self) -> Result<Shown, TrainError> {
        self.log.flush()?;
        self.state.second = self.task.second().cloned();
        self.state.save(&self.out.join("train.safetensors"), self.recipe)?;
        self.publish()
    }

    fn publish(&self) -> Result<Shown, TrainError> {
        let Optimizer { step, average, .. } = &self.state.optimizer;
        self.task.publish(self.out, *step, average)
    }
}

/// Whether a run that has come so far may go on with these pictures.
fn recognise(state: &State, now: &Seen, others: OtherPictures, path: &Path) -> Result<Recognised, TrainError> {
    let Some(before) = &state.seen else { return Ok(Recognised::Unknown) };
    match (before.difference(now), others) {
        (None, _) => Ok(Recognised::Same),
        (Some(difference), OtherPictures::Accept) => Ok(Recognised::Others(difference)),
        (Some(difference), OtherPictures::Refuse) => {
            Err(TrainError::OtherPictures { path: path.to_owned(), difference })
        }
    }
}

/// What a run began with, for people.
fn told(origin: &str) -> String {
    if origin.is_empty() { "random weights".to_owned() } else { format!("the model {origin}") }
}

/// Keeps other runs out of the folder for as long as it lives, also if the process is killed.
pub(crate) fn lock(out: &Path) -> Result<File, TrainError> {
    let path = out.join(".lock");
    match ddim_data::open_locked(&path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(TrainError::Locked { path }),
        Err(source) => Err(TrainError::Io { path, source }),
    }
}

#[cfg(test)]
mod tests;
