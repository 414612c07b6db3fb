//! Options of `ddim distill`.

use std::path::PathBuf;

use clap::Args;
use ddim_train::Images;

use super::numbers::at_least_one;
use super::{Budget, DeviceArgs, PictureRules};

/// Shown under `ddim distill --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim distill --data pictures/ --model run --steps 4 --out student      16 steps, then 8, then 4
  ddim sample --model student                                            in the 4 steps that it was made for
  ddim distill --data pictures/ --model run --steps 1 --out student --time 1h
  ddim distill --data train-images-idx3-ubyte.gz --recipe assets/recipes/fashion-mnist-distilled.json --out student
  ddim distill --model run --steps 2 --print-recipe > recipe.json        what it would do, to be changed

Each student lands with one step of DDIM where its teacher lands with two, and is the teacher of the next. Their runs lie in \
--out by the number of steps, each with its loss curve, pictures and model; --out/model is the last that was finished.

Run the same command again to go on after a stop or a crash, with a smaller --steps too. Ctrl-C saves before it ends. \
docs/distillation.md says more.";

/// Options of `ddim distill`.
#[derive(Args, Debug)]
pub(crate) struct DistillArgs {
    /// The teacher: a model, as in `ddim sample` [default: the first embedded model]
    #[arg(long, value_name = "PATH|NAME")]
    pub(crate) model: Option<PathBuf>,

    /// Images of the kind that the teacher was trained on, as in `ddim train`
    #[arg(long, value_name = "PATH", required_unless_present = "print_recipe")]
    pub(crate) data: Option<PathBuf>,

    /// The folder for the students and the runs that made them
    #[arg(long, short, value_name = "FOLDER", required_unless_present = "print_recipe")]
    pub(crate) out: Option<PathBuf>,

    /// Steps that the last student draws in: --from halved, once or more [default: the recipe's, else 1]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) steps: Option<usize>,

    /// Steps of the teacher [default: the recipe's; else those that it was made for, or the least of at least 16 that
    /// --steps is reached from]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) from: Option<usize>,

    /// Go on although the pictures are not those that the run in --out has been trained on so far
    #[arg(long, conflicts_with = "print_recipe")]
    pub(crate) other_pictures: bool,

    #[command(flatten)]
    pub(crate) recipe: DistillRecipeArgs,

    #[command(flatten)]
    pub(crate) rules: PictureRules,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Print the result as JSON
    #[arg(long, conflicts_with = "print_recipe")]
    pub(crate) json: bool,
}

/// How the students are trained, and what is changed about it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Recipe")]
pub(crate) struct DistillRecipeArgs {
    /// Stages, learning rate and the rest, as JSON [default: the recipe of the run in --out, or one for this teacher]
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,

    /// Print the recipe that would be used, and end
    #[arg(long)]
    pub(crate) print_recipe: bool,

    /// Optimiser steps of each stage, in place of the recipe's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub(crate) stage_steps: Option<u64>,

    /// Stop after this time, as in 90s, 10m, 1h30m, with everything saved; the same command goes on for as long again
    #[arg(long, value_name = "TIME", conflicts_with = "print_recipe")]
    pub(crate) time: Option<Budget>,

    /// Pictures a step, in place of the recipe's
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) batch_size: Option<usize>,

    /// Mirror half of the pictures, where the teacher's training did
    #[arg(long)]
    pub(crate) horizontal_flip: bool,

    /// Train on these images only, in place of the recipe's: 0..55000 leaves out the image of index 55000 and those
    /// behind it
    #[arg(long, value_name = "FIRST..END")]
    pub(crate) images: Option<Images>,
}
