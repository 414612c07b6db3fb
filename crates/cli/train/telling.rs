//! What is said while a network is trained, and at its end.

use std::path::{Path, PathBuf};

use ddim_bench::units;
use ddim_train::{Accuracy, AutoencoderRecipe, Decay, Recipe, Recognised, Shown, TrainEvent};
use indicatif::ProgressBar;
use serde_json::json;

use crate::ending::Ending;
use crate::layers::REMEDIES;
use crate::printing;
use crate::signals::Parting;

/// What was heard last; a run that was finished before has no step to tell a loss.
#[derive(Debug, Default)]
pub(super) struct Last {
    loss: Option<f64>,
    accuracy: Option<Accuracy>,
    /// Nats that z2 carried, where there is one.
    upper: Option<f64>,
    /// Where the run of the stage under way lies, where there are several.
    stage: Option<PathBuf>,
    /// How many steps in a row the discriminator of an adversary was never wrong in.
    won: u64,
}

/// Below so many nats a layer is not used.
const UNUSED: f64 = 1e-3;
/// A discriminator with a smaller risk for so many steps has won: nobody can be told by it which way is better.
const WON: (f64, u64) = (1e-3, 500);

impl Last {
    pub(super) fn hear(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Step { smoothed_loss, parts, .. } => {
                self.loss = Some(*smoothed_loss);
                let of = |part: &str| parts.iter().find(|(name, _)| *name == part).map(|(_, number)| *number);
                self.upper = of("z2");
                self.won = if of("risk").is_some_and(|risk| risk < WON.0) { self.won + 1 } else { 0 };
            }
            TrainEvent::Saved { shown: Shown::Accuracy(accuracy), .. } => self.accuracy = Some(*accuracy),
            TrainEvent::Stage { folder, .. } => self.stage = Some(folder.clone()),
            TrainEvent::Started { .. } | TrainEvent::Saved { .. } => {}
        }
    }

    /// The folder of the half-trained model of a run in a folder.
    pub(super) fn model(&self, out: &Path) -> PathBuf {
        self.stage.as_deref().unwrap_or(out).join("model")
    }

    /// What is wrong with what came out, where something is.
    fn warnings(&self) -> Vec<String> {
        let unused = self.upper.filter(|nats| *nats < UNUSED).map(|nats| {
            format!("z2 carried {nats:.4} nats in the last step: p(z1 | z2) does without it; {REMEDIES}")
        });
        let won = (self.won >= WON.1).then(|| {
            format!(
                "the discriminator had a risk below {} in the last {} steps, and what it says leads nowhere: lower \
                 adversary.learning_rate or adversary.width, or take \"linear\" for adversary.generator",
                WON.0, self.won
            )
        });
        unused.into_iter().chain(won).collect()
    }
}

/// `network: 32x32x3, levels of 32, 64, 96 channels; 5000 steps of 32 pictures (--print-recipe shows everything)`
pub(super) fn network(recipe: &Recipe) -> String {
    let unet = &recipe.unet;
    let size = recipe.size().map_or_else(String::new, |[height, width]| format!("{height}x{width}x"));
    let channels: Vec<String> = unet.block_out_channels.iter().map(ToString::to_string).collect();
    let flipped = match recipe.flip {
        ddim_train::Flip::None => "",
        ddim_train::Flip::Horizontal => ", half of them mirrored",
    };
    format!(
        "network: {size}{}, levels of {} channels; {} of {}{flipped} (--print-recipe shows everything)",
        unet.in_channels,
        channels.join(", "),
        units::steps(recipe.steps as usize),
        units::pictures(recipe.batch_size),
    )
}

/// `first stage: 28x28x1, 7x7x4 latents; 5000 steps of 64 pictures (--print-recipe shows everything)`
pub(super) fn first_stage(recipe: &AutoencoderRecipe) -> String {
    let network = &recipe.autoencoder;
    let factor = 1 << (network.block_out_channels.len() - 1);
    let above = recipe.upper.as_ref().map_or_else(String::new, |upper| {
        format!(", {} channels above a patch of {}", upper.latent_channels, upper.patch_size)
    });
    let against = recipe.adversary.as_ref().map_or_else(String::new, |adversary| {
        let from = adversary.start_step.saturating_add(adversary.head_start_steps).saturating_add(1);
        format!(", against a discriminator from step {from} on")
    });
    let [of, to] = match recipe.size() {
        Some([height, width]) => [
            format!("{height}x{width}x"),
            format!("{}x{}x{}", height / factor, width / factor, network.latent_channels),
        ],
        None => [String::new(), format!("{} channels of", network.latent_channels)],
    };
    format!(
        "first stage: {of}{}, {to} latents{above}{against}; {} of {} (--print-recipe shows everything)",
        network.in_channels,
        units::steps(recipe.training.steps as usize),
        units::pictures(recipe.training.batch_size),
    )
}

/// Moves the bar; what lasts goes to the log.
pub(super) fn show(event: &TrainEvent, bar: &ProgressBar) {
    match event {
        TrainEvent::Started { step, steps, pictures } => {
            bar.set_position(*step);
            bar.reset_eta();
            match pictures {
                Recognised::Same => {}
                Recognised::Unknown => tracing::warn!(
                    "the checkpoint does not say which pictures it was trained on; from now on it will"
                ),
                Recognised::Others(difference) => tracing::warn!("other pictures than before: {difference}"),
            }
            if *step > 0 {
                tracing::info!("going on from step {step} of {steps}");
            }
        }
        TrainEvent::Stage { number, of, teacher, student, folder } => {
            let student = units::steps(*student);
            let learns = match teacher {
                Some(teacher) => format!("a student of {student} from a teacher of {teacher}"),
                None => format!("a student that predicts v at the {student} of its teacher"),
            };
            bar.suspend(|| tracing::info!("stage {number} of {of}: {learns}, in {}", folder.display()));
        }
        TrainEvent::Step { step, smoothed_loss, images_per_second, parts, .. } => {
            bar.set_position(*step);
            // An adversary that has not begun has no numbers.
            let parts = parts.iter().filter(|(_, number)| number.is_finite());
            let parts: String = parts.map(|(name, number)| format!(", {name} {number:.2}")).collect();
            bar.set_message(format!("loss {smoothed_loss:.5}{parts}, {images_per_second:.0} images/s"));
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
pub(super) fn parting(event: &TrainEvent, out: &Path) -> Parting {
    match event {
        TrainEvent::Started { step, steps, .. } => Parting::free(interrupted(*step, *steps, out)),
        TrainEvent::Step { .. } | TrainEvent::Stage { .. } | TrainEvent::Saved { .. } => {
            Parting::saves("the step under way is finished, then the training is saved")
        }
    }
}

/// What to do after an interruption; before the first step nothing has been saved.
pub(super) fn interrupted(step: u64, steps: u64, out: &Path) -> String {
    match step {
        0 => "interrupted before the first step; nothing is lost, the same command begins anew".to_owned(),
        _ => format!(
            "interrupted at step {step} of {steps}; it is saved in {}, the same command goes on from there",
            out.display()
        ),
    }
}

/// Where a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped {
    /// Steps taken.
    pub(super) step: u64,
    /// Steps of the recipe.
    pub(super) steps: u64,
    /// What the learning rate would have done.
    pub(super) decay: Decay,
}

impl Stopped {
    /// What to do after `--time` is over.
    pub(super) fn told(self, out: &Path) -> String {
        let Self { step, steps, decay } = self;
        let rate = match decay {
            Decay::Constant => String::new(),
            Decay::Cosine => "; the learning rate has not fallen to its end".to_owned(),
            Decay::Tail(1) => "; the learning rate falls in the last step".to_owned(),
            Decay::Tail(length) => format!("; the learning rate falls in the last {length} steps"),
        };
        format!(
            "stopped at step {step} of {steps}, as --time says; it is saved in {}, the same command goes on from there{rate}",
            out.display()
        )
    }
}

/// Says where the model is, and in JSON what was heard last too.
pub(super) fn report(as_json: bool, stopped: Stopped, model: &Path, last: Last) -> anyhow::Result<Ending> {
    let text = if as_json {
        let Stopped { step, steps, .. } = stopped;
        let mut ending = json!({ "model": model.to_string_lossy(), "steps": step, "finished": step == steps });
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
    for warning in last.warnings() {
        tracing::warn!("{warning}");
    }
    printing::results(&text)?;
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_that_was_taken_is_called_saved() {
        let told = |step| interrupted(step, 9, Path::new("runs/a"));
        assert_eq!(told(0), "interrupted before the first step; nothing is lost, the same command begins anew");
        assert!(told(3).contains("step 3 of 9; it is saved in runs/a"), "{}", told(3));
    }

    /// A step with these parts of its loss.
    fn step(parts: Vec<(&'static str, f64)>) -> TrainEvent {
        TrainEvent::Step {
            step: 1,
            steps: 1,
            loss: 1.0,
            smoothed_loss: 1.0,
            parts,
            images_per_second: 1.0,
            time_left: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn a_layer_that_is_not_used_is_told() {
        let mut last = Last::default();
        let mut warnings = |nats| {
            last.hear(&step(vec![("z1", 2.0), ("z2", nats)]));
            last.warnings()
        };
        assert!(warnings(2e-4).iter().any(|warning| warning.starts_with("z2 carried 0.0002 nats")));
        assert_eq!(warnings(0.5), Vec::<String>::new());
    }

    #[test]
    fn a_discriminator_that_has_won_is_told() {
        let mut last = Last::default();
        let mut hear = |risk: f64, steps: u64| {
            (0..steps).for_each(|_| last.hear(&step(vec![("adversary", 1.0), ("risk", risk)])));
            last.warnings()
        };
        assert!(hear(f64::NAN, 600).is_empty() && hear(5e-4, 499).is_empty());
        let told = hear(5e-4, 1);
        assert!(
            told[0].contains("below 0.001 in the last 500 steps") && told[0].contains("adversary.width"),
            "{told:?}"
        );
        assert!(hear(0.9, 1).is_empty());
    }

    #[test]
    fn the_end_of_the_time_says_what_is_left() {
        let told = |decay| Stopped { step: 3, steps: 9, decay }.told(Path::new("runs/a"));
        assert!(told(Decay::Constant).ends_with("saved in runs/a, the same command goes on from there"));
        assert!(told(Decay::Tail(4)).ends_with("; the learning rate falls in the last 4 steps"));
    }
}
