//! Progressive distillation: students that draw in fewer steps than their teacher.

mod target;
mod teacher;

use self::teacher::{Teacher, check_names, converts};
use crate::diffusion::{Beginning, Diffusion, check_fit, without_alpha};
use crate::run::{self, RunFolder, STATE, Task, Trained};
use crate::seen::Seen;
use crate::state::State;
use crate::{DistillationRecipe, Shown, TrainError, TrainEvent, flat};
use ddim_checkpoint::{Checkpoint, MadeFor, read_text, weights_fingerprint};
use ddim_data::{ImageSet, write_whole};
use ddim_tensor::Device;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Trains students of a model, each of which draws in half as many steps as the one before, or goes on with a
/// distillation that lies in `out`.
///
/// Each student begins with the weights of its teacher and learns to land with one step of DDIM where its teacher
/// lands with two (Salimans & Ho 2022, arXiv:2202.00512, algorithm 2); then it is the teacher of the next. It is
/// trained at the timesteps that it is drawn with, and predicts v, or x0 where its teacher does. A teacher that
/// predicts eps has a first student with as many steps as itself, which only learns to say the same in v.
///
/// | file in `out` | |
/// |---|---|
/// | `recipe.json` | the recipe |
/// | `8-steps/`, `4-steps/`, ... | a run for each student, as [`train`](crate::train) leaves one |
/// | `model/` | the student of the last stage that was finished |
///
/// A student's folder is that of an ordinary model; its card says which timesteps it was made for. Events count
/// the steps of all stages.
///
/// # Errors
/// A teacher whose network draws latents, predicts a variance too, or what cannot be turned into v; a number of
/// steps that halving does not reach; and those of [`train`](crate::train).
pub fn distill<'a>(
    recipe: &DistillationRecipe,
    set: &ImageSet,
    teacher: &Checkpoint,
    out: impl Into<RunFolder<'a>>,
    device: &Device,
    mut observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    recipe.check()?;
    let (set, folder) = (without_alpha(recipe.alpha, set), out.into());
    let stages = stages(recipe, teacher)?;
    check_names(teacher, &set)?;
    check_fit(&teacher::student(&stages[0], teacher)?, &set)?;
    check_distillation_folder(folder.path)?;
    // What is refused leaves all that lies there as it was.
    with_student(&stages[0], &set, teacher, device, |_| Ok(()))?;
    std::fs::create_dir_all(folder.path).map_err(TrainError::io(folder.path))?;
    let _lock = run::lock(folder.path)?;
    check_stages(&stages, teacher, folder.path)?;
    write_whole(&folder.path.join("recipe.json"), recipe.to_json().as_bytes())?;
    let steps = stages.iter().map(|stage| stage.training.steps).sum();
    let model = run::model(folder.path);
    let (mut teacher, mut before, mut started) = (teacher.clone(), 0, false);
    for (number, stage) in stages.iter().enumerate() {
        let folder = RunFolder { path: &stage_folder(folder.path, stage), ..folder };
        let told = told(stage, (number + 1, stages.len()), folder.path);
        let mut ear = Ear { observe: &mut observe, started: &mut started, stage: Some(told), before, steps };
        let mut left = false;
        let trained = run_stage(stage, &set, &teacher, folder, device, |event| {
            let flow = ear.hear(event);
            left |= flow.is_break();
            flow
        })?;
        match trained {
            Trained::Stopped { step } => return Ok(Trained::Stopped { step: before + step }),
            Trained::Finished { model } => teacher = ddim_checkpoint::load(&model)?,
        }
        // One that was finished by an earlier process is there already, or a later one is.
        let is_last = number + 1 == stages.len();
        if ear.has_told() || is_last || !model.exists() {
            ddim_checkpoint::save(&teacher, &model)?;
        }
        before += stage.training.steps;
        if left && !is_last {
            return Ok(Trained::Stopped { step: before });
        }
    }
    Ok(Trained::Finished { model })
}

/// The optimiser steps of all stages that lead from this teacher to the last student.
///
/// # Errors
/// A teacher that [`distill`] refuses.
pub fn distillation_steps(recipe: &DistillationRecipe, teacher: &Checkpoint) -> Result<u64, TrainError> {
    let stages = stages(recipe, teacher)?;
    teacher::student(&stages[0], teacher)?;
    Ok(stages.iter().map(|stage| stage.training.steps).sum())
}

/// Looks at the folder of a distillation before anything is written there. [`distill`] does so itself; this is for
/// whoever wants to know it before the pictures are read.
///
/// # Errors
/// [`TrainError::Occupied`] when a recipe or a model lies there that is not of a distillation.
pub fn check_distillation_folder(out: &Path) -> Result<(), TrainError> {
    let file = out.join("recipe.json");
    if read_text(&file).is_ok_and(|text| DistillationRecipe::from_json(&text).is_ok()) {
        return Ok(());
    }
    match [file, run::model(out)].into_iter().find(|file| file.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(TrainError::Occupied { path }),
    }
}

/// Whether the students that lie there are the first ones of these stages, made with the same recipe.
fn check_stages(stages: &[DistillationRecipe], teacher: &Checkpoint, out: &Path) -> Result<(), TrainError> {
    let weights = flat::read(teacher.denoiser.graph(), teacher.denoiser.weights()).len();
    let mut before_there = true;
    for stage in stages {
        let path = stage_folder(out, stage).join(STATE);
        let there = State::load(&path, stage, weights, None)?.is_some();
        if there && !before_there {
            return Err(TrainError::OtherRecipe { path, key: "from".to_owned() });
        }
        before_there = there;
    }
    Ok(())
}

/// The recipes of the stages that lead from this teacher to the last student.
fn stages(recipe: &DistillationRecipe, teacher: &Checkpoint) -> Result<Vec<DistillationRecipe>, TrainError> {
    let first = converts(teacher).then_some(recipe.from);
    let students: Vec<usize> = first.into_iter().chain(recipe.students()).collect();
    let teachers = first.into_iter().chain([recipe.from]).chain(recipe.students());
    if students.is_empty() {
        let problem = format!(
            "it predicts {} already, and both it and its student draw in {} step{}: nothing is left to learn",
            teacher.scheduler.prediction(),
            recipe.to,
            if recipe.to == 1 { "" } else { "s" }
        );
        return Err(TrainError::Teacher { model: teacher.card.name.clone(), problem });
    }
    Ok(teachers.zip(students).map(|(from, to)| recipe.stage(from, to)).collect())
}

/// Where the run of a stage lies.
fn stage_folder(out: &Path, stage: &DistillationRecipe) -> PathBuf {
    out.join(format!("{}-step{}", stage.to, if stage.to == 1 { "" } else { "s" }))
}

fn told(stage: &DistillationRecipe, (number, of): (usize, usize), folder: &Path) -> TrainEvent {
    let teacher = if stage.from == stage.to { None } else { Some(stage.from) };
    TrainEvent::Stage { number, of, teacher, student: stage.to, folder: folder.to_owned() }
}

/// One student.
fn run_stage(
    stage: &DistillationRecipe,
    set: &ImageSet,
    teacher: &Checkpoint,
    folder: RunFolder,
    device: &Device,
    observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    let first = flat::read(teacher.denoiser.graph(), teacher.denoiser.weights());
    with_student(stage, set, teacher, device, |student| run::run(student, stage, first, folder, observe))
}

/// Does something with the student of a stage, as it begins.
fn with_student<T>(
    stage: &DistillationRecipe,
    set: &ImageSet,
    teacher: &Checkpoint,
    device: &Device,
    work: impl FnOnce(&mut Distillation<'_>) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let recipe = teacher::student(stage, teacher)?;
    check_fit(&recipe, set)?;
    let beginning = Beginning::Model(teacher.clone());
    let denoiser = &teacher.denoiser;
    let student = Diffusion::new(&recipe, set, &beginning, device, denoiser.clone())?;
    let timesteps = teacher::timesteps(stage, &student.schedule()?)?;
    work(&mut Distillation {
        student: student.at(timesteps.clone()),
        teacher: Teacher::new(teacher, stage, device)?,
        weights: weights_fingerprint(denoiser.graph(), denoiser.weights()),
        timesteps,
    })
}

/// A student in training.
struct Distillation<'a> {
    student: Diffusion<'a>,
    teacher: Teacher,
    /// The fingerprint of the teacher's weights.
    weights: String,
    /// Where the student is trained, noisy to clean.
    timesteps: Vec<usize>,
}

impl Task for Distillation<'_> {
    fn origin(&self) -> String {
        format!("{} with weights {}", self.student.origin(), self.weights)
    }

    fn seen(&self) -> Seen {
        self.student.seen()
    }

    fn gradient(&mut self, step: u64, weights: &[f32]) -> (f64, Vec<f32>) {
        let teacher = &self.teacher;
        self.student.gradient_towards(step, weights, |batch| teacher.aim(batch))
    }

    fn publish(&self, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError> {
        let mut student = self.student.checkpoint(step, weights);
        student.card.made_for = Some(MadeFor { solver: "ddim".to_owned(), timesteps: self.timesteps.clone() });
        self.student.write(student, out)
    }
}

/// Tells an observer of a stage as a part of the whole. A stage that was finished by an earlier process is passed
/// over.
struct Ear<'a, O> {
    observe: &'a mut O,
    /// Whether it has heard that the whole begins.
    started: &'a mut bool,
    /// What begins the stage, until it has been told.
    stage: Option<TrainEvent>,
    /// Steps of the stages before.
    before: u64,
    /// Steps of all stages.
    steps: u64,
}

impl<O: FnMut(&TrainEvent) -> ControlFlow<()>> Ear<'_, O> {
    /// Whether the stage has begun, or gone on, in this process.
    fn has_told(&self) -> bool {
        self.stage.is_none()
    }

    fn hear(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        let (before, all) = (self.before, self.steps);
        match event {
            TrainEvent::Started { step, steps, pictures } => {
                if step == steps {
                    return ControlFlow::Continue(());
                }
                let stage = self.stage.take().expect("a stage is started once");
                if !std::mem::replace(self.started, true) {
                    let pictures = pictures.clone();
                    (self.observe)(&TrainEvent::Started { step: before + step, steps: all, pictures })?;
                }
                (self.observe)(&stage)
            }
            // Finished before.
            TrainEvent::Saved { .. } if self.stage.is_some() => ControlFlow::Continue(()),
            TrainEvent::Saved { step, shown } => {
                (self.observe)(&TrainEvent::Saved { step: before + step, shown: shown.clone() })
            }
            TrainEvent::Step { step, steps, time_left, .. } => {
                let mut event = event.clone();
                if let TrainEvent::Step { step: whole, steps: of, time_left: left, .. } = &mut event {
                    let (rest, all_left) = ((steps - step).max(1), all - before - step);
                    (*whole, *of) = (before + step, all);
                    *left = time_left.mul_f64(all_left as f64 / rest as f64);
                }
                (self.observe)(&event)
            }
            TrainEvent::Stage { .. } => (self.observe)(event),
        }
    }
}

#[cfg(test)]
mod tests;
