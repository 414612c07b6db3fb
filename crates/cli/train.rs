//! `ddim train`: a model from a set of images.

mod distill;
mod pictures;
mod place;
mod recipe;
mod telling;

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use ddim_train::{
    AutoencoderRecipe, Beginning, ClassifierRecipe, Decay, OtherPictures, Recipe, RunFolder, TrainError,
    TrainEvent, Trained,
};

pub(crate) use self::distill::run as distill;
use self::pictures::Found;
use self::telling::{Last, Stopped};
use crate::args::{Budget, TrainArgs, misused};
use crate::device::{CPU, Chosen};
use crate::ending::Ending;
use crate::signals::Interrupt;
use crate::{device, model, printing, progress};

/// Trains, or goes on with the run that lies in `--out`, and says where the model is.
pub(crate) fn run(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    if let Some(out) = args.out.as_deref().filter(|_| !args.recipe.print_recipe) {
        place::check(&args.data, out)?;
    }
    match () {
        () if args.classifier => classifier(args, interrupt),
        () if args.autoencoder => autoencoder(args, interrupt),
        () => diffusion(args, interrupt),
    }
}

/// A diffusion model.
fn diffusion(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let written = recipe::written(args, Recipe::from_json)?;
    let found = Found::open(&args.data, &args.rules)?;
    let device = device::choose(args.device.device)?;
    let recipe = recipe::diffusion(written, &found, &args.recipe, threads(&device))?;
    if args.recipe.print_recipe {
        return print(&recipe.to_json());
    }
    tracing::info!("device: {}", device.description);
    let set = found.read(recipe::wanted(&recipe)?)?;
    tracing::info!("{}", telling::network(&recipe));
    let beginning = beginning(args.init.as_deref())?;
    supervise(&going(args)?, (recipe.steps, recipe.decay), interrupt, |folder, observe| {
        ddim_train::train(&recipe, &set, &beginning, folder, &device.device, observe)
    })
}

/// A classifier.
fn classifier(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let written = recipe::written(args, ClassifierRecipe::from_json)?;
    let found = Found::open(&args.data, &args.rules)?;
    if args.recipe.print_recipe {
        return print(&recipe::classifier(written, found.len(), &args.recipe)?.to_json());
    }
    let device = device::choose(args.device.device)?;
    tracing::info!("device: {}", device.description);
    let alpha = written.as_ref().map_or_else(Default::default, |written| written.recipe().alpha);
    let set = found.read(recipe::wanted_by_classifier(&found, alpha, &args.recipe)?)?;
    let recipe = recipe::classifier(written, set.len(), &args.recipe)?;
    supervise(&going(args)?, (recipe.training.steps, recipe.training.decay), interrupt, |folder, observe| {
        ddim_train::train_classifier(&recipe, &set, folder, &device.device, observe)
    })
}

/// A first stage.
fn autoencoder(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let device = args.device.device;
    if device.is_gpu() {
        misused!("--device {device}: an autoencoder is trained on the CPU; leave it out");
    }
    let written = recipe::written(args, AutoencoderRecipe::from_json)?;
    let found = Found::open(&args.data, &args.rules)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let recipe = recipe::autoencoder(written, &found, &args.recipe, threads)?;
    if args.recipe.print_recipe {
        return print(&recipe.to_json());
    }
    let set = found.read(recipe::wanted_by_autoencoder(&recipe)?)?;
    tracing::info!("{}", telling::first_stage(&recipe));
    supervise(&going(args)?, (recipe.training.steps, recipe.training.decay), interrupt, |folder, observe| {
        ddim_train::train_autoencoder(&recipe, &set, folder, observe)
    })
}

/// What `--init` names.
fn beginning(init: Option<&Path>) -> anyhow::Result<Beginning> {
    let load = |name| model::checkpoint(name).context("--init");
    let checkpoint = init.map(load).transpose()?;
    if checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.first_stage.is_some()) {
        bail!(
            "--init: its network draws latents, and pictures are trained on here: name a model without an autoencoder"
        );
    }
    Ok(checkpoint.map_or(Beginning::Random, Beginning::Model))
}

/// Threads that a step can be shared out among: a GPU has its own.
fn threads(device: &Chosen) -> usize {
    match device.name.as_str() {
        CPU => thread::available_parallelism().map_or(1, usize::from),
        _ => 1,
    }
}

fn print(recipe: &str) -> anyhow::Result<Ending> {
    printing::results(recipe)?;
    Ok(Ending::Done)
}

type Observer<'a> = &'a mut dyn FnMut(&TrainEvent) -> ControlFlow<()>;

/// What a run has been told about itself, but for what it computes.
struct Going<'a> {
    out: &'a Path,
    other_pictures: bool,
    time: Option<Budget>,
    json: bool,
    /// Options that change a recipe.
    changes: &'static str,
}

fn going(args: &TrainArgs) -> anyhow::Result<Going<'_>> {
    Ok(Going {
        out: args.out.as_deref().context("--out: name a folder")?,
        other_pictures: args.other_pictures,
        time: args.recipe.time,
        json: args.json,
        changes: "--steps, --batch-size, --resolution, --horizontal-flip, --images and --objective",
    })
}

/// Shows how `train` goes, and stops it where the user or the clock says so.
fn supervise(
    going: &Going,
    (steps, decay): (u64, Decay),
    interrupt: &Interrupt,
    train: impl FnOnce(RunFolder, Observer) -> Result<Trained, TrainError>,
) -> anyhow::Result<Ending> {
    let out = going.out;
    let other_pictures = if going.other_pictures { OtherPictures::Accept } else { OtherPictures::Refuse };
    let limit = going.time.map(|time| Duration::from_secs_f64(time.0));
    let (bar, mut last, began) = (progress::bar(steps, "steps"), Last::default(), Instant::now());
    let mut out_of_time = false;
    let trained = train(RunFolder { path: out, other_pictures }, &mut |event| {
        telling::show(event, &bar);
        last.hear(event);
        interrupt.leave(telling::parting(event, out));
        // A step at least: else a short time would never come further.
        let is_step = matches!(event, TrainEvent::Step { .. });
        out_of_time |= is_step && limit.is_some_and(|limit| began.elapsed() >= limit);
        if out_of_time || interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    match trained.map_err(|error| with_advice(error, going))? {
        Trained::Stopped { step } if interrupt.requested() => {
            tracing::warn!("{}", telling::interrupted(step, steps, out));
            Ok(Ending::Interrupted)
        }
        Trained::Stopped { step } => {
            let stopped = Stopped { step, steps, decay };
            tracing::info!("{}", stopped.told(out));
            telling::report(going.json, stopped, &last.model(out), last)
        }
        Trained::Finished { model } => {
            telling::report(going.json, Stopped { step: steps, steps, decay }, &model, last)
        }
    }
}

/// What to type where the library can only say what to do.
fn with_advice(error: TrainError, going: &Going) -> anyhow::Error {
    match &error {
        TrainError::OtherPictures { .. } => anyhow!(
            "{error}: type --data, --fit, --ground, --invert and --on-corrupt as before, choose another --out, or go on with \
             these by --other-pictures"
        ),
        TrainError::OtherRecipe { .. } => anyhow!(
            "{error}: {} holds it, and is used where --recipe, {} are left out",
            going.out.join("recipe.json").display(),
            going.changes
        ),
        _ => error.into(),
    }
}
