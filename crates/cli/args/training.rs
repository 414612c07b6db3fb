//! Options of `ddim train`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use ddim_train::{Images, Objective};

use super::numbers::at_least_one;
use super::{Budget, DeviceArgs, PictureRules};

/// Shown under `ddim train --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim train --data pictures/ --out run                         a sub-folder is a class
  ddim train --data pictures/ --out run --time 30m              stop after half an hour; again for another
  ddim train --data photos/ --out run --resolution 64 --horizontal-flip --on-corrupt skip
  ddim train --data pictures/ --print-recipe > recipe.json      what it would do, to be changed
  ddim train --data pictures/ --out run --recipe recipe.json
  ddim train --data train-images-idx3-ubyte.gz --out run --images 0..55000
  ddim train --data pictures/ --out run --init old-run/model --recipe old-run/recipe.json
  ddim train --classifier --data train-images-idx3-ubyte.gz --out run
  ddim train --autoencoder --data train-images-idx3-ubyte.gz --out run --images 0..55000
  ddim sample --model run/model                                 what it has learned so far

Run the same command again to go on after a stop or a crash: training continues from the last \
checkpoint in --out, with the recipe in there. Ctrl-C writes one before it ends.

Without --recipe, size, colours, classes and a network that fits come from the pictures and are printed. \
docs/recipe.md lists the keys of a recipe and what they may be.";

/// Options of `ddim train`.
#[derive(Args, Debug)]
pub(crate) struct TrainArgs {
    /// The images: an IDX file (.gz or not; its labels file beside it), CIFAR-10 binary files, an .npz, or a
    /// folder of pictures
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,

    /// The folder for checkpoints, the loss curve, sample grids and the finished model, classifier or autoencoder
    #[arg(long, short, value_name = "FOLDER", required_unless_present = "print_recipe")]
    pub(crate) out: Option<PathBuf>,

    /// Train a classifier of the labelled images, to measure distances between image sets with
    #[arg(long, conflicts_with = "objective")]
    pub(crate) classifier: bool,

    /// Train an autoencoder as a model of the pictures, the first stage of a model that draws latents, on the CPU
    #[arg(long, conflicts_with_all = ["objective", "classifier"])]
    pub(crate) autoencoder: bool,

    /// Begin with the weights of this model, a folder or an embedded one, in place of random ones; its network and what
    /// it predicts must be the recipe's
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["classifier", "autoencoder", "print_recipe"])]
    pub(crate) init: Option<PathBuf>,

    /// Go on although the pictures are not those that the run in --out has been trained on so far
    #[arg(long, conflicts_with = "print_recipe")]
    pub(crate) other_pictures: bool,

    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,

    #[command(flatten)]
    pub(crate) rules: PictureRules,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Print the result as JSON
    #[arg(long, conflicts_with = "print_recipe")]
    pub(crate) json: bool,
}

/// What to train and how, and what is changed about it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Recipe")]
pub(crate) struct RecipeArgs {
    /// What to train and how: network, noise schedule, learning rate, steps, as JSON [default: the recipe of the run in
    /// --out, or one that fits the pictures]
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,

    /// Print the recipe that would be used, and end
    #[arg(long)]
    pub(crate) print_recipe: bool,

    /// Optimiser steps, in place of the recipe's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub(crate) steps: Option<u64>,

    /// Stop after this time, as in 90s, 10m, 1h30m, with the model saved; the same command goes on for as long again. It
    /// changes nothing about the steps: a learning rate that is to fall at the end may not have come there
    #[arg(long, value_name = "TIME", conflicts_with = "print_recipe")]
    pub(crate) time: Option<Budget>,

    /// Pictures a step, in place of the recipe's
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) batch_size: Option<usize>,

    /// Height and width to train at, 64 or 48x64; the pictures are resized [default: the recipe's; else that of most
    /// pictures, at most 64]
    #[arg(long, value_name = "N|HxW")]
    pub(crate) resolution: Option<Resolution>,

    /// Mirror half of the pictures: right for most photographs, wrong for digits and letters
    #[arg(long)]
    pub(crate) horizontal_flip: bool,

    /// Train on these images only, in place of the recipe's: 0..55000 leaves out the image of index 55000 and those
    /// behind it
    #[arg(long, value_name = "FIRST..END")]
    pub(crate) images: Option<Images>,

    /// What is minimised, in place of the recipe's: denoising (the network is told the noise) or implicit (it is not;
    /// twice the network calls)
    #[arg(long, value_name = "NAME")]
    pub(crate) objective: Option<Objective>,
}

/// Height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolution(pub(crate) [usize; 2]);

/// Far above what can be trained; below what would overflow.
const LARGEST_SIDE: usize = 4096;

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (height, width) = text.split_once('x').unwrap_or((text, text));
        let side = |text: &str| text.parse().ok().filter(|side| (1..=LARGEST_SIDE).contains(side));
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Self([height, width])),
            _ => Err(format!(
                "give one side, as in 64, or height and width, as in 48x64, each from 1 to {LARGEST_SIDE}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_is_a_side_or_two() {
        let of = |text: &str| text.parse::<Resolution>().map(|resolution| resolution.0);
        assert_eq!((of("64"), of("48x64")), (Ok([64, 64]), Ok([48, 64])));
        for refused in ["", "0", "x", "64x", "64x0", "64x64x64", "-1", "4097", "64 x 64"] {
            assert!(of(refused).is_err(), "{refused}");
        }
    }
}
