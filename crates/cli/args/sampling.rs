//! Options of `ddim sample`.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use ddim_sampler::GuidanceInterval;

use super::corrections::CorrectionArgs;
use super::editing::{EditArgs, interval, share};
use super::method::ReuseChoice;
use super::numbers::{at_least_one, batch_size};
use super::{DeviceArgs, LabelArgs, ModelArgs, Part, PlanArgs, ShardChoice};
use crate::device::Precision;
use crate::output::AnimateWhat;
use crate::request::{self, OutputRequest, Request};
use crate::seeds::{Seed, SeedList};

/// Shown under `ddim sample --help`.
pub(super) const SAMPLE_EXAMPLES: &str = "\
Examples:
  ddim sample --eta 0 --steps 20                       pictures of every class, in samples.png
  ddim sample --class sneaker --num 1 --show           one, in the terminal
  ddim sample --class coat,bag --num 8 --out eight.png
  ddim sample --model path/to/model --label rows.csv   a model that takes numbers in place of classes
  ddim sample --model path/to/vae                      an AutoencoderKL alone: its prior, decoded, without diffusion
  ddim sample --num 5000 --out pictures                one PNG a picture, and run.json
  ddim sample --num 5000 --out pictures --resume       goes on where it was stopped
  ddim sample --num 5000 --pictures 20..30 --out ten.png  ten of them, as in the whole run
  ddim sample --num 5000 --shard 3/8 --out pictures    the fourth of eight shares; `ddim merge` joins them
  ddim sample --seeds 0-63,100 --out evaluate.npz      arr_0 uint8 [n,h,w,c], arr_1 labels
  ddim sample --class bag --num 1 --scale 8 --out bag.png  each pixel a square of 8x8
  ddim sample --animate steps.gif                      how the pictures came to be
  ddim sample --model path/to/ddpm-cifar10 --solver ddpm --steps 1000
  ddim sample --steps 20 --corrector-steps 1           Langevin corrections: 39 network calls
  ddim sample --init shoe.png --strength 0.6 --class sneaker
  ddim sample --init shoe.png --mask heel.png --inpaint repaint --class sneaker
  ddim sample --like pictures/000003.png --steps 100   that one once more, in more steps
  ddim sample --steps 50 --reuse up_blocks.1:3         inner layers in every third call
  ddim sample --spacing tuned --steps 5                the timesteps that suit the model best
  ddim sample --steps 1                                one call: the embedded model has students for 1, 2 and 4 steps
  ddim sample --solver adaptive                        as many as each picture needs
  ddim sample --noise start.safetensors --out raw.safetensors --trajectory

The same command draws the same pictures, whatever --batch-size: bit for bit on the CPU. \
Ctrl-C stops at the next step, keeps every finished picture and says how to go on.";

/// Options of `ddim sample`.
#[derive(Args, Debug)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) plan: PlanArgs,

    #[command(flatten)]
    pub(crate) corrections: CorrectionArgs,

    /// Keep the output of a part of the network from one call to the next, and leave out the layers that only lead there
    /// (DeepCache): the part, and how often all layers run, as in up_blocks.1:3, or in which calls, as in
    /// up_blocks.1:1,2,5. `ddim inspect` lists the parts; `none` runs all layers in every call, also after --like
    /// [default: none]
    #[arg(long, value_name = "PART:CALLS", help_heading = "Method")]
    pub(crate) reuse: Option<ReuseChoice>,

    /// Draw once more what an earlier run drew: its run.json, its folder, or one of its pictures, which comes alone. The
    /// options beside it are what is to be different
    #[arg(long, value_name = "FILE|FOLDER", help_heading = "Pictures")]
    pub(crate) like: Option<PathBuf>,

    /// How many pictures [default: 16, or a few more so that every class comes equally often, if there are at most 20;
    /// with --noise as many as the file holds, with several --init as many as they are, with --resume as before]
    #[arg(long, short, aliases = ["num-images", "num-samples", "n-samples"], value_name = "N",
        value_parser = at_least_one, help_heading = "Pictures")]
    pub(crate) num: Option<usize>,

    /// Seed of the noise; picture k of a seed is always the same; `random` draws a seed and says it
    #[arg(long, value_name = "SEED", default_value_t = Seed::FIRST, help_heading = "Pictures")]
    pub(crate) seed: Seed,

    /// One picture for each seed listed, as in 0-63,100: that seed's first
    #[arg(long, value_name = "LIST", conflicts_with_all = ["num", "seed"], help_heading = "Pictures")]
    pub(crate) seeds: Option<SeedList>,

    /// Draw only these pictures of the run, as in 20..30, the end not among them: each as in the whole run
    #[arg(long, value_name = "A..B", conflicts_with = "shard", help_heading = "Pictures")]
    pub(crate) pictures: Option<Part>,

    /// Draw one of several even shares of the pictures, as in 3/8, from 0/8 on, into a folder beside --out, as in
    /// OUT.parts/part-00003-of-00008; the same command goes on with it after a stop, and `ddim merge` joins all.
    /// `auto` takes the share from a Slurm array, or from a Kubernetes Indexed Job and DDIM_SHARDS
    #[arg(long, value_name = "I/N", requires = "out", help_heading = "Pictures")]
    pub(crate) shard: Option<ShardChoice>,

    /// Classes by name or number, used in turn; the beginning or a part of a name will do, '#10' is a number, '=10' a
    /// name, 'any' is no class in particular, and a name with a comma is quoted, as in '"hat, red",coat' [default: all
    /// classes in turn]
    #[arg(long, value_name = "LIST", help_heading = "Pictures")]
    pub(crate) class: Vec<String>,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    /// How strongly the class is followed; 1 follows the model as it is, larger exaggerates
    #[arg(long, visible_alias = "guidance-scale", alias = "cfg-scale", value_name = "WEIGHT", default_value_t = 1.0, value_parser = finite,
        allow_negative_numbers = true, help_heading = "Pictures")]
    pub(crate) guidance: f64,

    /// Guide only steps that start at these noise levels, sqrt((1 - alpha_bar)/alpha_bar): above LOW, up to HIGH; the
    /// others need half the time
    #[arg(long, value_name = "LOW,HIGH", value_parser = interval, help_heading = "Pictures")]
    pub(crate) guidance_interval: Option<GuidanceInterval>,

    /// How much of the contrast that guidance adds is taken back, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Pictures")]
    pub(crate) guidance_rescale: f64,

    /// Guide only so many channels, the first ones; the others follow the class without guidance. 3 is what
    /// facebookresearch/DiT does, of 4 [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Pictures")]
    pub(crate) guided_channels: Option<usize>,

    /// Take the noise from a safetensors file: `initial_noise` [n,c,h,w], and for stochastic methods
    /// `step_noise` [k,n,c,h,w] with `step_noise_used_at_step` [k]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds"], help_heading = "Pictures")]
    pub(crate) noise: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) edit: EditArgs,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Numbers in which the network computes; the sampler around it takes f32
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Device")]
    pub(crate) precision: Precision,

    /// Pictures drawn at once; fewer need less memory. A GPU fills up a batch that is not full, and takes as long for it:
    /// so a picture has the same bits whatever --num is
    #[arg(long, value_name = "N", default_value_t = request::BATCH_SIZE, value_parser = batch_size, help_heading = "Device")]
    pub(crate) batch_size: usize,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// Which options were typed.
    #[arg(skip)]
    pub(super) typed: Typed,
}

impl SampleArgs {
    /// What was asked for. What nobody has typed is nobody's wish, whatever holds in its place.
    pub(crate) fn request(&self) -> Request {
        let CorrectionArgs { corrector_steps, corrector_snr } = self.corrections;
        let EditArgs { init, mask, rules } = self.edit.clone();
        Request {
            model: self.model.request(),
            plan: self.plan.request(),
            corrector_steps: self.typed.then("corrector_steps", corrector_steps),
            corrector_snr: self.typed.then("corrector_snr", corrector_snr),
            reuse: self.reuse.clone(),
            num: self.num,
            seed: self.typed.then("seed", self.seed.number()),
            seeds: self.seeds.clone(),
            picture: None,
            pictures: self.pictures,
            shard: None,
            noise: self.noise.clone(),
            class: self.class.clone(),
            label: self.labels.label.clone(),
            guidance: self.typed.then("guidance", self.guidance),
            guidance_interval: self.guidance_interval,
            guidance_rescale: self.typed.then("guidance_rescale", self.guidance_rescale),
            guided_channels: self.guided_channels,
            init,
            mask,
            rules,
            precision: self.typed.then("precision", self.precision),
            batch_size: self.typed.then("batch_size", self.batch_size),
        }
    }
}

/// The options that were typed, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed(Vec<String>);

impl Typed {
    /// Those of a command.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let is_typed = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        Self(matches.ids().filter(is_typed).map(ToString::to_string).collect())
    }

    /// The value of an option, if it was typed.
    fn then<T>(&self, option: &str, value: T) -> Option<T> {
        self.0.iter().any(|typed| typed == option).then_some(value)
    }
}

/// Where the pictures go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// A folder (one PNG a picture, named by its index, and run.json) or a file: a grid .png, .npz or
    /// .safetensors [default: samples.png]
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,

    /// Write no grid.png into the folder
    #[arg(long)]
    pub(crate) no_grid: bool,

    /// Complete a folder that a stopped run left; nothing is drawn twice
    #[arg(long, requires = "out", conflicts_with_all = ["force", "animate"])]
    pub(crate) resume: bool,

    /// Replace files that exist; of a symbolic link the link, and what it points to stays
    #[arg(long)]
    pub(crate) force: bool,

    /// Enlarge pictures N times, each pixel to a square: in PNGs, grids and moving pictures [default: a picture keeps
    /// its pixels; grids, moving pictures and a samples.png of one picture are enlarged to be looked at]
    #[arg(long, value_name = "N", value_parser = times)]
    pub(crate) scale: Option<usize>,

    /// Write a moving picture as well, .gif, .apng, .png or .webp: the run from its noise to the pictures, step by step;
    /// with `interpolate` the walk from the first picture to the last
    #[arg(long, value_name = "FILE")]
    pub(crate) animate: Option<PathBuf>,

    /// What --animate shows of each step [default: x]
    #[arg(long, value_enum, value_name = "WHAT", requires = "animate")]
    pub(crate) animate_what: Option<AnimateWhat>,

    /// Show the pictures in the terminal; without --out nothing is written
    #[arg(long)]
    pub(crate) show: bool,

    /// Keep every state in the .safetensors file: `x` [steps+1,n,c,h,w]
    #[arg(long, requires = "out")]
    pub(crate) trajectory: bool,

    /// Print what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl OutputArgs {
    /// The same, in plain data.
    pub(crate) fn request(&self) -> OutputRequest {
        let args = self.clone();
        OutputRequest {
            out: args.out,
            no_grid: args.no_grid,
            resume: args.resume,
            force: args.force,
            scale: args.scale,
            animate: args.animate,
            animate_what: args.animate_what,
            show: args.show,
            trajectory: args.trajectory,
            json: args.json,
        }
    }
}

/// How far pictures can be enlarged.
pub(super) fn times(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(times @ 1..=64) => Ok(times),
        _ => Err("not a whole number from 1 to 64".to_owned()),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("not a finite number".to_owned()),
    }
}
