//! `ddim train`: a model from a set of images.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use ddim_train::{Recipe, TrainEvent, Trained};
use indicatif::ProgressBar;
use serde_json::json;

use crate::args::TrainArgs;
use crate::signals::Interrupt;
use crate::{Ending, device, progress};

/// Trains, or goes on with the run that lies in `--out`, and says where the model is.
///
/// # Errors
/// When the recipe, the images or the folder are refused, or training fails.
pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<Ending> {
    let interrupt = Interrupt::install()?;
    let recipe = read_recipe(&args.recipe)?;
    let recipe = Recipe { objective: args.objective.unwrap_or(recipe.objective), ..recipe };
    let images = ddim_data::open(&args.data).context("--data")?;
    let device = device::choose(args.device.device)?;
    tracing::info!("device: {}", device.description);
    tracing::info!("images: {} of {} in {}", images.len(), size(images.shape), args.data.display());

    let bar = progress::bar(recipe.steps, "steps");
    let mut last_loss = None;
    let trained = ddim_train::train(&recipe, &images, &args.out, &device.device, |event| {
        show(event, &bar);
        if let TrainEvent::Step { smoothed_loss, .. } = event {
            last_loss = Some(*smoothed_loss);
        }
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    match trained? {
        Trained::Stopped { step } => {
            tracing::warn!("{}", how_to_go_on(step, recipe.steps, &args.out));
            Ok(Ending::Interrupted)
        }
        Trained::Finished { model } => {
            report(args, &recipe, &model, last_loss)?;
            Ok(Ending::Done)
        }
    }
}

fn read_recipe(file: &Path) -> anyhow::Result<Recipe> {
    let text = fs::read_to_string(file).with_context(|| format!("--recipe {}", file.display()))?;
    Recipe::from_json(&text).with_context(|| format!("--recipe {}", file.display()))
}

fn size([height, width, channels]: [usize; 3]) -> String {
    format!("{height}x{width}, {channels} {}", if channels == 1 { "channel" } else { "channels" })
}

/// Moves the bar; what lasts goes to the log.
fn show(event: &TrainEvent, bar: &ProgressBar) {
    match event {
        TrainEvent::Started { step, steps } => {
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
        TrainEvent::Saved { step, samples } => {
            // Read first: the bar is locked while it is suspended.
            let message = bar.message();
            bar.suspend(|| tracing::info!("step {step}: {message}; samples in {}", samples.display()));
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

/// Says where the model is, and in JSON its last loss too; a run that was finished before has no step to tell it.
fn report(args: &TrainArgs, recipe: &Recipe, model: &Path, loss: Option<f64>) -> anyhow::Result<()> {
    let text = if args.json {
        let mut ending = json!({ "model": model, "steps": recipe.steps });
        if let Some(loss) = loss {
            ending["loss"] = loss.into();
        }
        format!("{ending:#}\n")
    } else {
        format!("{}\n", model.display())
    };
    io::stdout().write_all(text.as_bytes())?;
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
