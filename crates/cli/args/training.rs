//! Options of `ddim train`.

use std::path::PathBuf;

use clap::Args;
use ddim_train::{Images, Objective};

use super::DeviceArgs;

/// Shown under `ddim train --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim train --data train-images-idx3-ubyte.gz --recipe recipe.json --out run
  ddim train --data pictures/ --recipe recipe.json --out run    a sub-folder is a class
  ddim train --data train-images-idx3-ubyte.gz --recipe recipe.json --out run --images 0..55000
  ddim train --data pictures/ --recipe recipe.json --out run --init old-run/model
  ddim train --classifier --data train-images-idx3-ubyte.gz --out run
  ddim sample --model run/model                                 what it has learned so far

Run the same command again to go on after a stop or a crash: training continues from the last \
checkpoint in --out. Ctrl-C writes one before it ends.";

/// Options of `ddim train`.
#[derive(Args, Debug)]
pub(crate) struct TrainArgs {
    /// The images: an IDX file (.gz or not; its labels file beside it), CIFAR-10 binary files, an .npz, or a
    /// folder of pictures
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,

    /// What to train and how: network, noise schedule, learning rate, steps, as JSON
    #[arg(long, value_name = "FILE", required_unless_present = "classifier")]
    pub(crate) recipe: Option<PathBuf>,

    /// Train a classifier of the labelled images, to measure distances between image sets with; its recipe may be
    /// left out
    #[arg(long, conflicts_with = "objective")]
    pub(crate) classifier: bool,

    /// Begin with the weights of this model, a folder or an embedded one, in place of random ones; its network and what
    /// it predicts must be the recipe's
    #[arg(long, value_name = "MODEL", conflicts_with = "classifier")]
    pub(crate) init: Option<PathBuf>,

    /// Train on these images only, in place of the recipe's: 0..55000 leaves out the image of index 55000 and those
    /// behind it
    #[arg(long, value_name = "FIRST..END")]
    pub(crate) images: Option<Images>,

    /// What is minimised, in place of the recipe's: denoising (the network is told the noise) or implicit (it is not;
    /// twice the network calls)
    #[arg(long, value_name = "NAME")]
    pub(crate) objective: Option<Objective>,

    /// The folder for checkpoints, the loss curve, sample grids and the finished model or classifier
    #[arg(long, short, value_name = "FOLDER")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
