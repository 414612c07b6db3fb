//! Options of `ddim eval --elbo`.

use std::str::FromStr;

use clap::Args;

use super::SetName;
use super::numbers::at_least_one;

/// The evidence lower bound of a first stage, and what lies between it and the likelihood.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "ELBO")]
pub(crate) struct ElboArgs {
    /// The evidence lower bound of these pictures, in nats, of the autoencoder that --model names, as `ddim train
    /// --autoencoder` leaves it
    #[arg(
        long, value_name = "IMAGES", num_args = 1.., group = "measure", help_heading = "What to measure",
        requires = "model", conflicts_with_all = ["likelihood", "bound", "divergence", "set"]
    )]
    pub(crate) elbo: Vec<SetName>,

    /// Bounds of so many importance weights too, as in 1,10,100: the more, the closer they come to the likelihood, and
    /// the longer it takes
    #[arg(long, value_name = "K,K,...", value_delimiter = ',', requires = "elbo")]
    pub(crate) importance: Vec<Draws>,

    /// Fit mean and variance to each picture, in so many steps from those of the encoder on: what that adds is the price
    /// of one encoder for all
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "300", value_parser = at_least_one,
        requires = "elbo")]
    pub(crate) refine: Option<usize>,
}

/// How many weights stand under one logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draws(pub(crate) usize);

/// More would hold too many numbers of a picture.
const MOST: usize = 1_000_000;

impl FromStr for Draws {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let draws = text.trim().parse().ok().filter(|draws| (1..=MOST).contains(draws));
        draws.map(Self).ok_or_else(|| format!("give whole numbers from 1 to {MOST}, as in 1,10,100,1000"))
    }
}
