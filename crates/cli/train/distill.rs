//! `ddim distill`: students that draw in fewer steps than their teacher.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use ddim_bench::units;
use ddim_checkpoint::Checkpoint;
use ddim_train::{DistillationRecipe, Flip, TrainError, Training, distillation_steps};

use super::pictures::{Found, Wanted};
use super::{Going, place, print, supervise, threads};
use crate::args::{DistillArgs, misused};
use crate::ending::Ending;
use crate::signals::Interrupt;
use crate::{device, model};

/// Steps of a teacher where nobody says: with fewer a picture is visibly worse, and more are more stages.
const FROM: usize = 16;
/// The part of labels that is replaced by "any class" where nobody says, as in training.
const LABEL_DROPOUT: f64 = 0.1;

/// Trains the students, or goes on with those that lie in `--out`, and says where the last one is.
pub(crate) fn run(args: &DistillArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let teacher = model::teacher(args.model.as_deref())?;
    let device = device::choose(args.device.device)?;
    let recipe = recipe(args, &teacher, threads(&device))?;
    // What the teacher is not good for is better known before the pictures are read.
    let steps = distillation_steps(&recipe, &teacher).map_err(|error| advised(error, args, &teacher))?;
    if args.recipe.print_recipe {
        return print(&recipe.to_json());
    }
    let data = args.data.as_deref().context("--data: name the pictures")?;
    let out = args.out.as_deref().context("--out: name a folder")?;
    place::check_distillation(data, out)?;
    tracing::info!("device: {}", device.description);
    let found = Found::open(data, &args.rules)?;
    let set = found.read(wanted(&found, &recipe, &teacher, args)?)?;
    let going = Going {
        out,
        other_pictures: args.other_pictures,
        time: args.recipe.time,
        json: args.json,
        changes: "--steps, --from, --stage-steps, --batch-size, --horizontal-flip and --images",
    };
    supervise(&going, (steps, recipe.training.decay), interrupt, |folder, observe| {
        ddim_train::distill(&recipe, &set, &teacher, folder, &device.device, observe)
    })
}

/// The recipe that was named, that of the run, or one for this teacher; what was typed wins.
fn recipe(args: &DistillArgs, teacher: &Checkpoint, threads: usize) -> anyhow::Result<DistillationRecipe> {
    let mut recipe = match written(args)? {
        Some(recipe) => recipe,
        None => fitting(args, teacher, threads),
    };
    recipe.to = args.steps.unwrap_or(recipe.to);
    recipe.from = args.from.unwrap_or(recipe.from);
    recipe.images = args.recipe.images.unwrap_or(recipe.images);
    recipe.flip = if args.recipe.horizontal_flip { Flip::Horizontal } else { recipe.flip };
    if let Some(steps) = args.recipe.stage_steps {
        recipe.training = recipe.training.with_steps(steps);
        recipe.stage_steps.clear();
    }
    if let Some(batch_size) = args.recipe.batch_size {
        recipe.training = recipe.training.with_batch_size(batch_size);
    }
    check_steps(args, &recipe)?;
    recipe.check()?;
    Ok(recipe)
}

/// Says in options what the recipe would say in keys.
fn check_steps(args: &DistillArgs, recipe: &DistillationRecipe) -> anyhow::Result<()> {
    let DistillationRecipe { from, to, .. } = *recipe;
    let typed = args.steps.is_some() || args.from.is_some();
    if !typed || to == from || !recipe.students().is_empty() {
        return Ok(());
    }
    let all = DistillationRecipe { to: from >> from.trailing_zeros(), ..recipe.clone() }.students();
    let reached: Vec<String> = all.iter().map(ToString::to_string).collect();
    match (to > from, reached.is_empty()) {
        (true, _) => {
            misused!("--steps {to}: the teacher draws in {from}, and a student in fewer; take a larger --from")
        }
        (_, true) => {
            misused!("--steps {to}: a student has half the steps of its teacher, and --from {from} is odd")
        }
        _ => misused!(
            "--steps {to}: each student has half the steps of its teacher, and from {from} they have {}; take one of those, or \
             --from {}",
            reached.join(", "),
            first_from(to)
        ),
    }
}

/// The recipe that was named, or else that of the run in the folder, if there is one.
fn written(args: &DistillArgs) -> anyhow::Result<Option<DistillationRecipe>> {
    let of_run = args.out.as_deref().map(|out| out.join("recipe.json")).filter(|file| file.is_file());
    let (file, option): (PathBuf, _) = match (&args.recipe.recipe, of_run) {
        (Some(file), _) => (file.clone(), "--recipe"),
        (None, Some(file)) => {
            if let Some(out) = args.out.as_deref().filter(|_| !args.recipe.print_recipe) {
                place::check_own(out)?;
            }
            tracing::info!("recipe: that of the run, {}", file.display());
            (file, "--out: the run goes on with the recipe in there, unless --recipe names another:")
        }
        (None, None) => return Ok(None),
    };
    // Every such error begins with the path.
    let text = ddim_checkpoint::read_text(&file).map_err(|error| anyhow!("{option} {error}"))?;
    let recipe = DistillationRecipe::from_json(&text);
    recipe.map(Some).with_context(|| format!("{option} {}", file.display()))
}

/// A recipe for this teacher.
fn fitting(args: &DistillArgs, teacher: &Checkpoint, threads: usize) -> DistillationRecipe {
    let to = args.steps.unwrap_or(1);
    let made_for = teacher.card.made_for.as_ref().map(|made_for| made_for.timesteps.len());
    let usual = DistillationRecipe::default();
    let Training { batch_size, .. } = usual.training;
    let labelled = teacher.denoiser.graph().classes().is_some();
    DistillationRecipe {
        name: format!("{}-student", if teacher.card.name.is_empty() { "model" } else { &teacher.card.name }),
        from: made_for.unwrap_or_else(|| first_from(to)),
        to,
        label_dropout: if labelled { LABEL_DROPOUT } else { 0.0 },
        training: Training { shards: threads, ..usual.training }.with_batch_size(batch_size),
        ..usual
    }
}

/// The least number of at least [`FROM`] that becomes this one by halving, at least once.
fn first_from(to: usize) -> usize {
    let mut from = to.saturating_mul(2);
    while from < FROM {
        from *= 2;
    }
    from
}

/// What the teacher wants of pictures: its size and colours.
fn wanted(
    found: &Found,
    recipe: &DistillationRecipe,
    teacher: &Checkpoint,
    args: &DistillArgs,
) -> anyhow::Result<Wanted> {
    let config = teacher.denoiser.config();
    let [height, width, _] = found.shape()?;
    if let (Some([h, w]), None) = (config.sample_size().filter(|size| *size != [height, width]), args.rules.fit) {
        bail!(
            "--data: the pictures are {height}x{width} (height x width), and the teacher draws {h}x{w}; --fit crop (or pad, \
             stretch) makes them {h}x{w}"
        );
    }
    match config.in_channels() {
        channels @ (1 | 3 | 4) => {
            Ok(Wanted { size: config.sample_size(), channels: Some(channels), alpha: recipe.alpha })
        }
        channels => bail!(
            "--model: the teacher draws {}; pictures have 1 (grey), 3 (RGB) or 4 (with transparency)",
            units::counted(channels, "channel")
        ),
    }
}

/// The option beside what the library says.
fn advised(error: TrainError, args: &DistillArgs, teacher: &Checkpoint) -> anyhow::Error {
    match error {
        TrainError::Teacher { problem, .. } => {
            let problem = problem.replace("`from`", "--from").replace("`to`", "--steps");
            let name = args.model.as_ref().map_or(teacher.card.name.clone(), |model| model.display().to_string());
            anyhow!("--model {name}: cannot be the teacher: {problem}")
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_has_at_least_sixteen_steps() {
        assert_eq!([1, 2, 3, 4, 8, 9, 16, 20].map(first_from), [16, 16, 24, 16, 16, 18, 32, 40]);
    }
}
