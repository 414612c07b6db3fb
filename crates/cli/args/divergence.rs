//! Options of `ddim eval --divergence`.

use std::path::PathBuf;

use clap::Args;

use super::SetName;
use super::numbers::{at_least_one, at_least_two};

/// Two sets, and the discriminators that tell them apart.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Divergence")]
pub(crate) struct DivergenceArgs {
    /// Divergences of two image sets, by how well small networks learn to tell them apart, on the CPU; needs no model
    #[arg(long, value_names = ["IMAGES", "IMAGES"], num_args = 2, group = "measure", help_heading = "What to measure")]
    pub(crate) divergence: Vec<SetName>,

    /// Parts the pictures are dealt into: each is judged by networks trained with the others
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = folds, requires = "divergence")]
    pub(crate) folds: usize,

    /// How often a network sees each picture at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one, requires = "divergence")]
    pub(crate) epochs: usize,

    /// Take the first set through this autoencoder and back first, so that it is what comes back that is compared; name
    /// other pictures as the second
    #[arg(long, value_name = "PATH", requires = "divergence")]
    pub(crate) through: Option<PathBuf>,
}

fn folds(text: &str) -> Result<usize, String> {
    at_least_two(text, "at least 2 are needed: nothing may be judged by what was trained with it")
}
