//! Options of `ddim eval`.

use clap::{ArgGroup, Args};

use super::eval_table::Typed;
use super::numbers::at_least_one;
use super::{
    BoundArgs, ComputingArgs, DistanceArgs, DivergenceArgs, ElboArgs, LabelArgs, ModelArgs, PictureRules,
    PlanArgs, SetName,
};
use crate::seeds;

/// Shown under `ddim eval --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim eval model: train-images-idx3-ubyte.gz:55000..60000 --num 2048 --steps 20
  ddim eval pictures train-images-idx3-ubyte.gz --metrics frechet,kernel --json
  ddim eval train-images-idx3-ubyte.gz:0..55000 --save-stats train.npz
  ddim eval model:path/to/tiny train.npz --solver dpm++ --steps 10 --extrapolate
  ddim eval --likelihood t10k-images-idx3-ubyte.gz:0..64
  ddim eval --likelihood pictures.npz --probes 4 --steps 64 --json
  ddim eval --likelihood tiny.npz --model path/to/tiny --exact
  ddim eval --bound pictures.npz --steps 1000 --random-terms 50
  ddim eval --bound pictures.npz --steps 100 --eta hat --terms
  ddim eval --divergence drawn.npz train-images-idx3-ubyte.gz:55000..60000
  ddim eval --divergence set:0..500 set:500..1000 --through run/model     what comes back of an autoencoder, beside pictures
  ddim eval --elbo train-images-idx3-ubyte.gz:55000..60000 --model run/model --importance 1,10,100 --refine --num 64

Bits per dimension bound from above what it takes to store a picture with the model's help, once there are enough \
steps: with a few the number comes out too small. The variational bound is one for any number of steps, and for eta \
above 0. Ctrl-C ends after the batch under way.";

/// Options of `ddim eval`: what to measure, and of what.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("measure").required(true).multiple(true))]
#[command(group = ArgGroup::new("against").multiple(true))]
pub(crate) struct EvalArgs {
    /// Bits per dimension of these pictures: image sets as `ddim train` takes them, or picture files; a part of one as in
    /// IMAGES:55000..60000
    #[arg(long, value_name = "IMAGES", num_args = 1.., group = "measure", help_heading = "What to measure")]
    pub(crate) likelihood: Vec<SetName>,

    #[command(flatten)]
    pub(crate) distances: DistanceArgs,

    #[command(flatten)]
    pub(crate) flow: FlowArgs,

    #[command(flatten)]
    pub(crate) bound: BoundArgs,

    #[command(flatten)]
    pub(crate) divergence: DivergenceArgs,

    #[command(flatten)]
    pub(crate) elbo: ElboArgs,

    /// The sampler: of --bound, and of the models that draw a set; --likelihood takes its --steps, 32 where missing.
    #[command(flatten)]
    pub(crate) plan: PlanArgs,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Pictures of each set at most, from its beginning [default: all of a part with an end; else 64 for --likelihood,
    /// --bound and --elbo, 2000 for --divergence, all of a set that is compared, 2048 of a model's]. This and FIRST..END count what
    /// is listed, broken ones too
    #[arg(long, short, value_name = "N", value_parser = at_least_one)]
    pub(crate) num: Option<usize>,

    #[command(flatten, next_help_heading = "Pictures")]
    pub(crate) rules: PictureRules,

    /// Seed of everything random: noise, probes, subsets and directions; `random` draws one
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = seeds::number)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Which options were typed.
    #[arg(skip)]
    pub(super) typed: Typed,
}

/// How a likelihood is computed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Likelihood")]
pub(crate) struct FlowArgs {
    /// Random vectors that estimate a trace; two or more tell how much of the error is theirs
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = at_least_one, conflicts_with = "exact")]
    pub(crate) probes: usize,

    /// Compute traces entry by entry: as many network calls as a picture has values, for tiny models
    #[arg(long)]
    pub(crate) exact: bool,

    /// Do not tell the model which class a picture has
    #[arg(long)]
    pub(crate) any_class: bool,
}
