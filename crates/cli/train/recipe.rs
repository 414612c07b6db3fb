//! Which recipe is used: the one that was named, that of the run, or one that fits the pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ddim_data::Alpha;
use ddim_train::{AutoencoderRecipe, ClassifierRecipe, Flip, Images, Recipe, RecipeError};
use ddim_unet::SampleSize;

use super::pictures::{Found, Wanted};
use crate::args::{RecipeArgs, TrainArgs, misused};

/// A recipe from a file.
#[derive(Debug)]
pub(super) struct Written<R> {
    recipe: R,
    whence: Whence,
}

impl<R> Written<R> {
    /// The recipe as it is written.
    pub(super) fn recipe(&self) -> &R {
        &self.recipe
    }
}

/// Where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whence {
    /// Named on the command line.
    Named,
    /// In the folder of the run that goes on.
    Run,
}

/// The recipe that was named, or else that of the run in the folder, if there is one.
pub(super) fn written<R>(
    args: &TrainArgs,
    parse: impl Fn(&str) -> Result<R, RecipeError>,
) -> anyhow::Result<Option<Written<R>>> {
    let read = |file: &Path, option: &str| {
        // Every such error begins with the path.
        let text = ddim_checkpoint::read_text(file).map_err(|error| anyhow!("{option} {error}"))?;
        match parse(&text) {
            Err(_) if !args.autoencoder && is_of_autoencoder(&text) => {
                misused!("{option} {}: it is the recipe of an autoencoder; add --autoencoder", file.display())
            }
            recipe => recipe.with_context(|| format!("{option} {}", file.display())),
        }
    };
    if let Some(file) = &args.recipe.recipe {
        return Ok(Some(Written { recipe: read(file, "--recipe")?, whence: Whence::Named }));
    }
    let Some(file) = of_run(args.out.as_deref()) else { return Ok(None) };
    tracing::info!("recipe: that of the run, {}", file.display());
    let recipe = read(&file, "--out: the run goes on with the recipe in there, unless --recipe names another:")?;
    Ok(Some(Written { recipe, whence: Whence::Run }))
}

/// Whether a recipe has what only an autoencoder's has.
fn is_of_autoencoder(text: &str) -> bool {
    let keys: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(text).ok();
    keys.is_some_and(|keys| ["autoencoder", "upper", "adversary"].iter().any(|key| keys.contains_key(*key)))
}

/// The recipe of a run that has saved something.
fn of_run(out: Option<&Path>) -> Option<PathBuf> {
    let out = out?;
    Some(out.join("recipe.json")).filter(|file| file.is_file() && out.join("train.safetensors").is_file())
}

/// The recipe of a diffusion model.
pub(super) fn diffusion(
    written: Option<Written<Recipe>>,
    found: &Found,
    args: &RecipeArgs,
    threads: usize,
) -> anyhow::Result<Recipe> {
    let size = args.resolution.map(|resolution| resolution.0);
    let mut recipe = match written {
        Some(Written { mut recipe, whence }) => {
            match size {
                Some(size) => recipe.unet.sample_size = Some(SampleSize::of(size)),
                None if whence == Whence::Named => found.check_size((recipe.size(), "unet.sample_size"))?,
                None => {}
            }
            recipe
        }
        None => fitting(found, size, threads)?,
    };
    if let Some(size) = size.filter(|size| recipe.nearest_size(*size) != *size) {
        let [[h, w], [height, width]] = [size, recipe.nearest_size(size)];
        let multiple = recipe.unet.size_multiple();
        crate::args::misused!(
            "--resolution {h}x{w}: sides are multiples of {multiple} for this network; the nearest is --resolution \
             {height}x{width}"
        );
    }
    recipe.objective = args.objective.unwrap_or(recipe.objective);
    recipe.images = args.images.unwrap_or(recipe.images);
    recipe.flip = if args.horizontal_flip { Flip::Horizontal } else { recipe.flip };
    if let Some(steps) = args.steps {
        recipe = recipe.with_steps(steps);
    }
    if let Some(batch_size) = args.batch_size {
        recipe = recipe.with_batch_size(batch_size);
    }
    recipe.check()?;
    Ok(recipe)
}

/// What a recipe wants of pictures.
pub(super) fn wanted(recipe: &Recipe) -> anyhow::Result<Wanted> {
    match recipe.unet.in_channels {
        channels @ (1 | 3 | 4) => {
            Ok(Wanted { size: recipe.size(), channels: Some(channels), alpha: recipe.alpha })
        }
        channels => {
            bail!("unet.in_channels is {channels}; pictures have 1 (grey), 3 (RGB) or 4 (with transparency)")
        }
    }
}

/// A recipe for these pictures. Transparency is laid over the ground: few want a model of it.
fn fitting(found: &Found, size: Option<[usize; 2]>, threads: usize) -> anyhow::Result<Recipe> {
    let channels = found.shape()?[2].min(3);
    let [height, width] = size.map_or_else(|| found.suitable_size(), Ok)?;
    let recipe = Recipe::for_images([height, width, channels], found.classes(), threads);
    Ok(Recipe { name: found.name(), ..recipe })
}

/// The recipe of a first stage.
pub(super) fn autoencoder(
    written: Option<Written<AutoencoderRecipe>>,
    found: &Found,
    args: &RecipeArgs,
    threads: usize,
) -> anyhow::Result<AutoencoderRecipe> {
    let size = args.resolution.map(|resolution| resolution.0);
    let mut recipe = match written {
        Some(Written { mut recipe, whence }) => {
            match size {
                Some(size) => recipe.autoencoder.sample_size = Some(SampleSize::of(size)),
                None if whence == Whence::Named => found.check_size((recipe.size(), "autoencoder.sample_size"))?,
                None => {}
            }
            recipe
        }
        None => {
            let [height, width] = size.map_or_else(|| found.suitable_size(), Ok)?;
            let fitting = AutoencoderRecipe::for_images([height, width, found.shape()?[2].min(3)], threads);
            AutoencoderRecipe { name: found.name(), ..fitting }
        }
    };
    recipe.images = args.images.unwrap_or(recipe.images);
    recipe.flip = if args.horizontal_flip { Flip::Horizontal } else { recipe.flip };
    if let Some(steps) = args.steps {
        recipe.training = recipe.training.with_steps(steps);
        recipe.kl_warmup_steps = recipe.kl_warmup_steps.min(steps);
    }
    if let Some(batch_size) = args.batch_size {
        recipe.training = recipe.training.with_batch_size(batch_size);
    }
    recipe.check()?;
    Ok(recipe)
}

/// What a first stage wants of pictures.
pub(super) fn wanted_by_autoencoder(recipe: &AutoencoderRecipe) -> anyhow::Result<Wanted> {
    match recipe.autoencoder.in_channels {
        channels @ (1 | 3 | 4) => {
            Ok(Wanted { size: recipe.size(), channels: Some(channels), alpha: recipe.alpha })
        }
        channels => {
            bail!(
                "autoencoder.in_channels is {channels}; pictures have 1 (grey), 3 (RGB) or 4 (with transparency)"
            )
        }
    }
}

/// The recipe of a classifier, by default of all images but the last twelfth, which judges it.
pub(super) fn classifier(
    written: Option<Written<ClassifierRecipe>>,
    count: usize,
    args: &RecipeArgs,
) -> anyhow::Result<ClassifierRecipe> {
    let mut recipe = written.map_or_else(
        || ClassifierRecipe { images: Images::without_the_last(count), ..ClassifierRecipe::default() },
        |written| written.recipe,
    );
    recipe.images = args.images.unwrap_or(recipe.images);
    recipe.flip = if args.horizontal_flip { Flip::Horizontal } else { recipe.flip };
    if let Some(steps) = args.steps {
        recipe.training = recipe.training.with_steps(steps);
    }
    if let Some(batch_size) = args.batch_size {
        recipe.training = recipe.training.with_batch_size(batch_size);
    }
    recipe.check()?;
    Ok(recipe)
}

/// What a classifier wants of pictures.
pub(super) fn wanted_by_classifier(found: &Found, alpha: Alpha, args: &RecipeArgs) -> anyhow::Result<Wanted> {
    let size = args.resolution.map_or_else(|| found.suitable_size(), |resolution| Ok(resolution.0))?;
    Ok(Wanted { size: Some(size), channels: None, alpha })
}
