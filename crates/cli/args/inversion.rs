//! Options of the commands that run both ways: `ddim encode`, `decode`, `reconstruct` and `interpolate`.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ddim_schedule::Convention;
use ddim_schedule::solvers::Ddim;

use super::method::{SolverChoice, SpacingChoice};
use super::numbers::{MOST as MOST_PICTURES, at_least_one, at_least_two, timestep};
use super::sampling::times;
use super::words::FromWord;
use super::{ComputingArgs, EtaChoice, LabelArgs, ModelArgs, OutputArgs, PictureRules};
use crate::request::PlanRequest;
use crate::seeds;

/// Shown under `ddim encode --help`.
pub(super) const ENCODE_EXAMPLES: &str = "\
Examples:
  ddim encode coat.png --steps 100 --out coat.safetensors
  ddim encode pictures --out latents.safetensors        all pictures of a folder, or of its sub-folders
  ddim encode photo.jpg --fit pad --ground black --out photo.safetensors
  ddim encode train-images-idx3-ubyte.gz --num 100 --out latents.safetensors
  ddim decode latents.safetensors                       and back
  ddim sample --noise latents.safetensors --class bag   the same noise, drawn as something else

Writes `initial_noise` [n,c,h,w], of variance about 1; the metadata hold the names of the pictures and how they were \
encoded. Nothing is clipped, and no step adds noise. A picture that cannot be used is named on stderr, the others are \
encoded, and the exit code is 1.";

/// Shown under `ddim decode --help`.
pub(super) const DECODE_EXAMPLES: &str = "\
Examples:
  ddim decode latents.safetensors                      a grid, in samples.png
  ddim decode latents.safetensors --out pictures       one PNG a picture
  ddim decode latents.safetensors --class bag          as another class than it was encoded with

Model, steps, spacing, convention and classes are those the file was encoded with, unless they are typed.";

/// Shown under `ddim reconstruct --help`.
pub(super) const RECONSTRUCT_EXAMPLES: &str = "\
Examples:
  ddim reconstruct coat.png bag.png
  ddim reconstruct train-images-idx3-ubyte.gz --num 64 --steps 10,20,50,100,200
  ddim reconstruct pictures --steps 20 --out compared  each picture beside its reconstructions

The error is the mean squared difference of a picture's numbers, in units in which they go from 0 to 1, as in Table 2 of \
the DDIM paper (Song et al. 2020); `+-` is the standard error of its mean over the pictures.";

/// Shown under `ddim interpolate --help`.
pub(super) const INTERPOLATE_EXAMPLES: &str = "\
Examples:
  ddim interpolate --seeds 1,2 --class sneaker
  ddim interpolate --from coat.png --to dress.png --count 7 --steps 100
  ddim interpolate --seeds 1,2 --class bag --count 60 --out bags --animate walk.gif
  ddim interpolate --corners 1,2,3,4 --grid 8 --out grid.png
  ddim interpolate --corners a.png,b.png,c.png,d.png --out pictures

The noises between two are on the arc from one to the other (spherical interpolation: Song et al. 2020, appendix D.5). \
A grid is filled row by row: the corners are top left, top right, bottom left, bottom right.";

/// Pictures to read.
#[derive(Args, Clone, Debug)]
pub(crate) struct PictureArgs {
    /// Picture files of any size, folders of them, IDX files (.gz or not), .npz files or CIFAR-10 binary files
    #[arg(required = true, value_name = "PATH")]
    pub(crate) pictures: Vec<PathBuf>,

    /// Take the first N pictures only
    #[arg(long, short, value_name = "N", value_parser = at_least_one, help_heading = "Pictures")]
    pub(crate) num: Option<usize>,

    #[command(flatten, next_help_heading = "Pictures")]
    pub(crate) rules: PictureRules,
}

/// The levels that both directions visit.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
pub(crate) struct TripArgs {
    /// Steps each way [default: 20]
    #[arg(long, alias = "num-inference-steps", value_name = "N", value_parser = at_least_one)]
    pub(crate) steps: Option<usize>,

    /// The timesteps themselves, noisy to clean, as in 999,666,333
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = timestep, conflicts_with = "spacing")]
    pub(crate) timesteps: Option<Vec<usize>>,

    #[command(flatten)]
    pub(crate) habits: HabitArgs,
}

/// How levels are chosen, whatever their number.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
pub(crate) struct HabitArgs {
    /// How the steps are spread: see `ddim sample --help` [default: the convention's]
    #[arg(long, value_name = "NAME")]
    pub(crate) spacing: Option<SpacingChoice>,

    /// Whose habits of spacing and rounding to follow: exact, diffusers, ermongroup, openai; nothing is clipped
    /// [default: what the model was made for]
    #[arg(long, value_name = "NAME")]
    pub(crate) convention: Option<Convention>,

    /// Accepted for the sake of `--eta 0`; any other is refused with the reason.
    #[arg(long, hide = true, value_name = "ETA", allow_negative_numbers = true)]
    pub(crate) eta: Option<EtaChoice>,
}

impl HabitArgs {
    /// The method: DDIM in so many steps.
    pub(crate) fn request(&self, steps: Option<usize>) -> PlanRequest {
        PlanRequest {
            steps,
            eta: self.eta,
            solver: Some(SolverChoice::Planned(Ddim::default().into())),
            spacing: self.spacing.clone(),
            convention: self.convention,
            ..PlanRequest::default()
        }
    }
}

impl TripArgs {
    /// The method: DDIM with these steps.
    pub(crate) fn request(&self) -> PlanRequest {
        PlanRequest { timesteps: self.timesteps.clone(), ..self.habits.request(self.steps) }
    }
}

/// Options of `ddim encode`.
#[derive(Args, Debug)]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,

    /// Classes by name or number, used in turn, as in `ddim sample` [default: the model's label for any class]
    #[arg(long, value_name = "LIST", help_heading = "Pictures")]
    pub(crate) class: Vec<String>,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) trip: TripArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// The file of noise: a .safetensors
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: PathBuf,

    /// Replace a file that exists
    #[arg(long, help_heading = "Output")]
    pub(crate) force: bool,

    /// Print what was done as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// Options of `ddim decode`.
#[derive(Args, Debug)]
pub(crate) struct DecodeArgs {
    /// What `ddim encode` has written, or any .safetensors with `initial_noise` [n,c,h,w]
    #[arg(value_name = "FILE")]
    pub(crate) latents: PathBuf,

    /// Classes by name or number, used in turn, as in `ddim sample` [default: those the file was encoded with]
    #[arg(long, value_name = "LIST", help_heading = "Pictures")]
    pub(crate) class: Vec<String>,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) trip: TripArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Options of `ddim reconstruct`.
#[derive(Args, Debug)]
pub(crate) struct ReconstructArgs {
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,

    /// Classes by name or number, used in turn, as in `ddim sample` [default: the model's label for any class]
    #[arg(long, value_name = "LIST", help_heading = "Pictures")]
    pub(crate) class: Vec<String>,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Numbers of steps each way, one after the other [default: 10,20,50,100]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = at_least_one, help_heading = "Method")]
    pub(crate) steps: Vec<usize>,

    #[command(flatten)]
    pub(crate) habits: HabitArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// A folder for one PNG a picture: the picture, and beside it its reconstruction from each number of steps
    #[arg(long, short, value_name = "FOLDER", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Replace the pictures of a folder
    #[arg(long, requires = "out", help_heading = "Output")]
    pub(crate) force: bool,

    /// Enlarge the pictures in it N times, each pixel to a square [default: as far as 96 pixels hold them]
    #[arg(long, value_name = "N", value_parser = times, requires = "out", help_heading = "Output")]
    pub(crate) scale: Option<usize>,

    /// Print the table as JSON, at the end
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// Options of `ddim interpolate`.
#[derive(Args, Debug)]
pub(crate) struct InterpolateArgs {
    #[command(flatten)]
    pub(crate) ends: EndArgs,

    /// How many pictures from one end to the other, both included
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = both_ends, conflicts_with = "corners",
        help_heading = "Pictures")]
    pub(crate) count: usize,

    /// How many pictures along a side of the grid, both corners included
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = grid_side,
        conflicts_with_all = ["seeds", "from", "to"], help_heading = "Pictures")]
    pub(crate) grid: usize,

    /// The class of all pictures, by name or number [default: the model's label for any class]
    #[arg(long, value_name = "CLASS", help_heading = "Pictures")]
    pub(crate) class: Option<String>,

    #[command(flatten)]
    pub(crate) labels: LabelArgs,

    #[command(flatten, next_help_heading = "Pictures")]
    pub(crate) rules: PictureRules,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) trip: TripArgs,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Between what is interpolated.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Pictures")]
#[group(required = true, multiple = true)]
pub(crate) struct EndArgs {
    /// Two seeds: from the first one's noise to the second one's
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = seeds::listed,
        conflicts_with_all = ["from", "to", "corners"])]
    pub(crate) seeds: Option<Vec<u64>>,

    /// The picture to start from, which is encoded first
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(crate) from: Option<PathBuf>,

    /// The picture to end with
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) to: Option<PathBuf>,

    /// Four seeds or picture files: the corners of a grid
    #[arg(long, value_name = "A,B,C,D", value_delimiter = ',', conflicts_with_all = ["from", "to"])]
    pub(crate) corners: Option<Vec<NoisePoint>>,
}

/// A point to interpolate from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoisePoint {
    /// The noise of this seed's first picture.
    Seed(u64),
    /// What this picture is encoded to.
    Picture(PathBuf),
}

impl FromWord for NoisePoint {
    fn from_word(word: &OsStr) -> Result<Self, String> {
        let seed = word.to_str().and_then(|text| text.parse().ok());
        Ok(seed.map_or_else(|| Self::Picture(word.into()), Self::Seed))
    }
}

impl fmt::Display for NoisePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(seed) => write!(f, "seed {seed}"),
            Self::Picture(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Both ends are among the pictures.
fn both_ends(text: &str) -> Result<usize, String> {
    at_least_two(text, "not a whole number from 2 on: both ends are among the pictures")
}

/// The side of a square of as many pictures as a run draws at most.
fn grid_side(text: &str) -> Result<usize, String> {
    match both_ends(text)? {
        side if side * side > MOST_PICTURES => Err(format!("at most {} are possible", MOST_PICTURES.isqrt())),
        side => Ok(side),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_seed_and_the_rest_are_files() {
        let point = |text: &str| NoisePoint::from_word(OsStr::new(text)).expect("a point");
        assert_eq!(point("12"), NoisePoint::Seed(12));
        assert_eq!(point("12.png"), NoisePoint::Picture("12.png".into()));
        assert_eq!(point("-1"), NoisePoint::Picture("-1".into()));
    }

    #[test]
    fn an_interpolation_has_both_ends() {
        assert_eq!((both_ends("2"), grid_side("3162")), (Ok(2), Ok(3162)));
        for refused in ["1", "x", "-1", "0"] {
            assert!(both_ends(refused).is_err(), "{refused}");
        }
        assert_eq!(grid_side("3163"), Err("at most 3162 are possible".to_owned()));
        assert!(grid_side("9223372036854775807").is_err());
    }
}
