//! `ddim train`: a model from a set of images.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use burn::tensor::Device;
use ddim_data::ImageSet;
use ddim_train::{Accuracy, Beginning, ClassifierRecipe, Images, Recipe, RecipeError, Shown, TrainEvent, Trained};
use indicatif::ProgressBar;
use serde_json::json;

use crate::args::TrainArgs;
use crate::signals::{Interrupt, Parting};
use crate::{Ending, device, model, printing, progress};

/// Trains, or goes on with the run that lies in `--out`, and says where the model is.
///
/// # Errors
/// When the recipe, the images or the folder are refused, or training fails.
pub(crate) fn run(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    if args.classifier { classifier(args, interrupt) } else { diffusion(args, interrupt) }
}

/// A diffusion model.
fn diffusion(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let file = args.recipe.as_deref().context("--recipe: name a file")?;
    let mut recipe = read_recipe(file, Recipe::from_json)?;
    recipe.objective = args.objective.unwrap_or(recipe.objective);
    recipe.images = args.images.unwrap_or(recipe.images);
    supervise(args, interrupt, recipe.steps, |set, device, observe| {
        let beginning = beginning(args.init.as_deref(), device)?;
        Ok(ddim_train::train(&recipe, set, &beginning, args.out.as_path(), device, observe)?)
    })
}

/// What `--init` names.
fn beginning(init: Option<&Path>, device: &Device) -> anyhow::Result<Beginning> {
    let load = |name| model::checkpoint(name, &device.clone().autodiff()).context("--init");
    Ok(init.map(load).transpose()?.map_or(Beginning::Random, Beginning::Model))
}

/// A classifier, by default of all images but the last twelfth, which judges it.
fn classifier(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let recipe = args.recipe.as_deref().map(|file| read_recipe(file, ClassifierRecipe::from_json)).transpose()?;
    let steps = recipe.as_ref().map_or_else(ClassifierRecipe::default, Clone::clone).training.steps;
    supervise(args, interrupt, steps, |set, device, observe| {
        let mut recipe = recipe.clone().unwrap_or_else(|| ClassifierRecipe {
            images: Images::without_the_last(set.len()),
            ..ClassifierRecipe::default()
        });
        recipe.images = args.images.unwrap_or(recipe.images);
        Ok(ddim_train::train_classifier(&recipe, set, args.out.as_path(), device, observe)?)
    })
}

type Observer<'a> = &'a mut dyn FnMut(&TrainEvent) -> ControlFlow<()>;

/// Opens images and device, and shows how `train` goes.
fn supervise(
    args: &TrainArgs,
    interrupt: &Interrupt,
    steps: u64,
    train: impl FnOnce(&ImageSet, &Device, Observer) -> anyhow::Result<Trained>,
) -> anyhow::Result<Ending> {
    let images = ddim_data::open(&args.data).context("--data")?;
    let device = device::choose(args.device.device)?;
    tracing::info!("device: {}", device.description);
    tracing::info!("images: {} of {} in {}", images.len(), size(images.shape), args.data.display());

    let bar = progress::bar(steps, "steps");
    let mut last = Last::default();
    let trained = train(&images, &device.device, &mut |event| {
        show(event, &bar);
        last.hear(event);
        interrupt.leave(parting(event, &args.out));
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    match trained? {
        Trained::Stopped { step } => {
            tracing::warn!("{}", how_to_go_on(step, steps, &args.out));
            Ok(Ending::Interrupted)
        }
        Trained::Finished { model } => {
            report(args, steps, &model, last)?;
            Ok(Ending::Done)
        }
    }
}

/// What was heard last; a run that was finished before has no step to tell a loss.
#[derive(Debug, Default)]
struct Last {
    loss: Option<f64>,
    accuracy: Option<Accuracy>,
}

impl Last {
    fn hear(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Step { smoothed_loss, .. } => self.loss = Some(*smoothed_loss),
            TrainEvent::Saved { shown: Shown::Accuracy(accuracy), .. } => self.accuracy = Some(*accuracy),
            TrainEvent::Started { .. } | TrainEvent::Saved { .. } => {}
        }
    }
}

fn read_recipe<R>(file: &Path, parse: impl Fn(&str) -> Result<R, RecipeError>) -> anyhow::Result<R> {
    let text = fs::read_to_string(file).with_context(|| format!("--recipe {}", file.display()))?;
    parse(&text).with_context(|| format!("--recipe {}", file.display()))
}

fn size([height, width, channels]: [usize; 3]) -> String {
    format!("{height}x{width}, {channels} {}", if channels == 1 { "channel" } else { "channels" })
}

/// Moves the bar; what lasts goes to the log.
fn show(event: &TrainEvent, bar: &ProgressBar) {
    match event {
        TrainEvent::Started { step, steps, .. } => {
            bar.set_position(*step);
            bar.reset_eta();
            if *step > 0 {
                tracing::info!("going on from step {step} of {steps}");
            }
        }
        TrainEvent::Step { step, smoothed_loss, images_per_second, .. } => {
            bar.set_position(*step);
            bar.set_message(format!("loss {smoothed_loss:.5}, {images_per_second:.0} images/s"));
        }
        TrainEvent::Saved { step, shown } => {
            // Read first: the bar is locked while it is suspended. A run that was finished before has taken no step.
            let message = bar.message();
            let speed = if message.is_empty() { message } else { format!("{message}; ") };
            let shown = match shown {
                Shown::Samples(file) => format!("samples in {}", file.display()),
                Shown::Accuracy(accuracy) => accuracy.to_string(),
            };
            bar.suspend(|| tracing::info!("step {step}: {speed}{shown}"));
        }
    }
}

/// What an end before the next event would mean: steps since the last checkpoint are in memory only.
fn parting(event: &TrainEvent, out: &Path) -> Parting {
    match event {
        TrainEvent::Started { step, steps, .. } => Parting::free(how_to_go_on(*step, *steps, out)),
        TrainEvent::Step { .. } | TrainEvent::Saved { .. } => {
            Parting::saves("the step under way is finished, then the training is saved")
        }
    }
}

/// What to do after an interruption; before the first step nothing has been saved.
fn how_to_go_on(step: u64, steps: u64, out: &Path) -> String {
    match step {
        0 => "interrupted before the first step; nothing is lost, the same command begins anew".to_owned(),
        _ => format!(
            "interrupted at step {step} of {steps}; it is saved in {}, the same command goes on from there",
            out.display()
        ),
    }
}

/// Says where the model is, and in JSON what was heard last too.
fn report(args: &TrainArgs, steps: u64, model: &Path, last: Last) -> anyhow::Result<()> {
    let text = if args.json {
        let mut ending = json!({ "model": model.to_string_lossy(), "steps": steps });
        if let Some(loss) = last.loss {
            ending["loss"] = loss.into();
        }
        if let Some(Accuracy { right, of }) = last.accuracy {
            ending["held_out"] = json!({ "images": of, "right": right });
        }
        format!("{ending:#}\n")
    } else {
        let accuracy = last.accuracy.map(|accuracy| format!("{accuracy}\n")).unwrap_or_default();
        format!("{accuracy}{}\n", model.display())
    };
    printing::results(&text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_that_was_taken_is_called_saved() {
        let told = |step| how_to_go_on(step, 9, Path::new("runs/a"));
        assert_eq!(told(0), "interrupted before the first step; nothing is lost, the same command begins anew");
        assert!(told(3).contains("step 3 of 9; it is saved in runs/a"), "{}", told(3));
    }
}
