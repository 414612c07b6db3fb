//! Options of `ddim tune`.

use std::path::PathBuf;

use clap::Args;
use ddim_schedule::Solver;

use super::numbers::{at_least_one, count};
use super::{ComputingArgs, LabelArgs};
use crate::seeds;

/// Shown under `ddim tune --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim tune --model path/to/model --steps 5,10       writes path/to/model/tuned.json
  ddim sample --model path/to/model --spacing tuned --steps 10
  ddim tune --steps 7 --out seven.json               the embedded model has no folder
  ddim sample --spacing tuned:seven.json --steps 7

A distance is the root mean square difference of a picture in [0, 1] to the solution of the model's own equation \
from the same noise; of these the mean is printed. Ten steps of the embedded model take some 40,000 network calls, \
five half of that. Ctrl-C keeps the best so far.";

/// Options of `ddim tune`.
#[derive(Args, Debug)]
pub(crate) struct TuneArgs {
    /// A model, as in `ddim sample` [default: the first embedded model]
    #[arg(long, value_name = "PATH|NAME", help_heading = "Model")]
    pub(crate) model: Option<PathBuf>,

    /// Which of its weights, where there are several: `ema`, `model` or a name [default: the moving average]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) weights: Option<String>,

    /// The numbers of steps to tune for, as in 5,10
    #[arg(long, alias = "num-inference-steps", value_name = "LIST", value_delimiter = ',', required = true,
        value_parser = at_least_one)]
    pub(crate) steps: Vec<usize>,

    /// A method to choose from; may be given several times [default: ddim, dpm++, ipndm and unipc]
    #[arg(long, visible_alias = "sampler", value_name = "NAME")]
    pub(crate) solver: Vec<Box<dyn Solver>>,

    /// Pictures that the search looks at
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_one)]
    pub(crate) pictures: usize,

    /// Other pictures, that the result is measured on
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub(crate) held_out: usize,

    /// How often the search halves its stride; each time costs two runs for every timestep, or a few more
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count)]
    pub(crate) rounds: usize,

    /// Seed of the noise; `random` draws one
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = seeds::number)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// Where to write; entries of a file that is there are kept [default: tuned.json in the model's folder]
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Print what was found as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
