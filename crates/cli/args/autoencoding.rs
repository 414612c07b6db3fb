//! Options of `ddim autoencode`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::sampling::times;
use super::training::Resolution;
use super::{ComputingArgs, PictureArgs};

/// Shown under `ddim autoencode --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim autoencode pictures --model sd-vae-ft-mse
  ddim autoencode pictures --model sd-vae-ft-mse --size 256 --out pairs.png     each picture beside what came back
  ddim autoencode pictures --model ldm-celebahq-256 --out latents.safetensors   the latents, to train from
  ddim autoencode pictures --model run/model --diagnose                         which latents are of use
  ddim autoencode numbers.safetensors --model taesd --out decoded.safetensors   raw numbers, both ways

The error is the mean squared difference of a picture's numbers, in units in which they go from 0 to 1; what came back is \
limited to them. PSNR is -10 log10 of it, in decibels: that of the mean error, and the mean over the pictures. A file \
of numbers holds `x` [n,c,h,w] in [-1, 1], and perhaps `noise`, or `z` as the decoder takes it.";

/// Options of `ddim autoencode`.
#[derive(Args, Debug)]
pub(crate) struct AutoencodeArgs {
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,

    /// An autoencoder: its folder in the diffusers layout (AutoencoderKL, VQModel, AutoencoderTiny), its weight file, or a
    /// pipeline that it is a part of
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) model: PathBuf,

    /// One side of the pictures, or height and width, as in 48x64 [default: what the autoencoder was trained with]
    #[arg(long, value_name = "N|HxW", help_heading = "Pictures")]
    pub(crate) size: Option<Resolution>,

    /// Which latents of a distribution are decoded: the likeliest (mode), or some drawn from it (sample) [default: mode]
    #[arg(long, value_name = "WHICH", value_enum, help_heading = "Method")]
    pub(crate) latents: Option<Latents>,

    /// The seed of `--latents sample` [default: 0]
    #[arg(long, value_name = "N", help_heading = "Method")]
    pub(crate) seed: Option<u64>,

    /// Say which latents are of use: their divergence from the prior, how many move from picture to picture, and how much
    /// they tell about which picture it was (of the first 1000)
    #[arg(long, help_heading = "Method")]
    pub(crate) diagnose: bool,

    #[command(flatten)]
    pub(crate) computing: ComputingArgs,

    /// A .png of the pictures, each beside what came back, or a .safetensors of the latents
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Replace a file that exists
    #[arg(long, requires = "out", help_heading = "Output")]
    pub(crate) force: bool,

    /// Enlarge the pictures in a .png N times, each pixel to a square [default: as far as 96 pixels hold them]
    #[arg(long, value_name = "N", value_parser = times, requires = "out", help_heading = "Output")]
    pub(crate) scale: Option<usize>,

    /// Print the report as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// Which latents of a distribution are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Latents {
    /// The mean
    Mode,
    /// Some drawn from it
    Sample,
}
