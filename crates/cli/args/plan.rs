//! Options of a model and of its method, and those of `ddim schedule`.

use std::path::PathBuf;

use clap::Args;
use ddim_schedule::Convention;

use super::editing::{InpaintChoice, share};
use super::method::{EtaChoice, SolverChoice, SpacingChoice, every_solver};
use super::numbers::{at_least_one, timestep};
use crate::request::{LimitChoice, ModelRequest, PlanRequest};

/// Shown under `ddim schedule --help`.
pub(super) const SCHEDULE_EXAMPLES: &str = "\
Examples:
  ddim schedule --steps 20
  ddim schedule --steps 50 --eta 1 --spacing quad
  ddim schedule --convention diffusers --steps 10 --json
  ddim schedule --scheduler-config scheduler_config.json --timesteps 999,500,1";

/// Options of `ddim schedule`.
#[derive(Args, Debug)]
pub(crate) struct ScheduleArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) plan: PlanArgs,

    /// Print JSON: the whole plan, with decimals that read back to the same f64
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which model, and what it was trained with.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// A folder in the diffusers layout, a part of one (unet/, a weight file), the folder of a training run, or the name
    /// of an embedded model [default: the first embedded model]
    #[arg(long, value_name = "PATH|NAME")]
    pub(crate) model: Option<PathBuf>,

    /// Which weights, where the model has several: `ema` for the moving average, `model` for those without, or a name
    /// that the file gives them [default: the moving average where there is one]
    #[arg(long, value_name = "NAME")]
    pub(crate) weights: Option<String>,

    /// A scheduler_config.json to use in place of the model's own, or the folder that it lies in
    #[arg(long, value_name = "PATH")]
    pub(crate) scheduler_config: Option<PathBuf>,

    /// Another autoencoder than the model's own, for a network that draws latents: its folder, or a pipeline that it is a
    /// part of
    #[arg(long, value_name = "PATH")]
    pub(crate) first_stage: Option<PathBuf>,
}

impl ModelArgs {
    /// The same, in plain data.
    pub(crate) fn request(&self) -> ModelRequest {
        let Self { model, weights, scheduler_config, first_stage } = self.clone();
        ModelRequest { model, weights, scheduler_config, first_stage }
    }
}

/// The method: which steps, and what is done in each.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
pub(crate) struct PlanArgs {
    /// How many steps a picture takes; ddim and most solvers call the network once a step [default: 20]
    #[arg(long, visible_alias = "num-inference-steps", value_name = "N", value_parser = at_least_one)]
    pub(crate) steps: Option<usize>,

    /// Noise in each step, from 0 (DDIM, none) to 1 (as DDPM); `hat` for the larger variance of DDPM
    /// [default: 0]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub(crate) eta: Option<EtaChoice>,

    /// The method, with its options as in dpm++:order=3; --help lists them all; names of k-diffusion and diffusers are
    /// understood, as in euler_a or DPMSolverMultistepScheduler [default: ddim, or the method that --scheduler-config
    /// names]
    #[arg(long, visible_alias = "sampler", value_name = "NAME", long_help = every_solver())]
    pub(crate) solver: Option<SolverChoice>,

    /// How the steps are spread: over the training timesteps (uniform, quad, leading, trailing, linspace, ddimN, or
    /// sections as in 10,5,5), over the noise levels (karras, logsnr, beta), or as
    /// `ddim tune` found best (tuned, tuned:FILE) [default: the convention's]
    #[arg(long, value_name = "NAME")]
    pub(crate) spacing: Option<SpacingChoice>,

    /// The timesteps themselves, noisy to clean, as in 999,666,333
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = timestep, conflicts_with = "spacing")]
    pub(crate) timesteps: Option<Vec<usize>>,

    /// Whose habits of spacing, clipping and rounding to follow: exact, diffusers, ermongroup, openai
    /// [default: what the model was made for]
    #[arg(long, value_name = "NAME")]
    pub(crate) convention: Option<Convention>,

    /// Clip every prediction of the picture to the range of pictures
    #[arg(long, overrides_with = "no_clip")]
    pub(crate) clip: bool,

    /// Do not limit the predictions of the picture
    #[arg(long, overrides_with = "clip")]
    pub(crate) no_clip: bool,

    /// Recompute the predicted noise from the clipped prediction of the picture
    #[arg(long)]
    pub(crate) rederive_eps: bool,

    /// The share of the steps that are taken, the last ones: how much of the --init pictures is changed, above 0 to 1
    /// [default: 0.6 with --init, 1 with --mask]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) strength: Option<f64>,

    /// How a part of a picture is repainted [default: replace]
    #[arg(long, value_name = "METHOD", value_enum)]
    pub(crate) inpaint: Option<InpaintChoice>,

    /// How many steps repaint jumps back; it has to go with how many there are [default: one in 25]
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "inpaint")]
    pub(crate) jump_length: Option<usize>,

    /// How often repaint takes each step [default: 10]
    #[arg(long, value_name = "TIMES", value_parser = at_least_one, requires = "inpaint")]
    pub(crate) resample: Option<usize>,
}

impl PlanArgs {
    /// The same, in plain data.
    pub(crate) fn request(&self) -> PlanRequest {
        let args = self.clone();
        PlanRequest {
            steps: args.steps,
            eta: args.eta,
            solver: args.solver,
            spacing: args.spacing,
            timesteps: args.timesteps,
            convention: args.convention,
            limit: match (args.clip, args.no_clip) {
                (_, true) => Some(LimitChoice::Free),
                (true, false) => Some(LimitChoice::Clip),
                (false, false) => None,
            },
            rederive_eps: args.rederive_eps,
            strength: args.strength,
            inpaint: args.inpaint,
            jump_length: args.jump_length,
            resample: args.resample,
        }
    }
}
