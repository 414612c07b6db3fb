//! Options of `ddim doctor`.

use clap::Args;

use super::numbers::{at_least_one, batch_size};
use super::{DeviceArgs, ModelArgs};
use crate::device::Precision;
use crate::seeds;

/// Shown under `ddim doctor --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim doctor                                  the device that `auto` takes, with the embedded model
  ddim doctor --device vulkan --model path/to/model
  ddim doctor --device vulkan --json

Differences from the CPU are shares of the largest value of what is compared. Rounding leaves some 1e-6 in f32, where a \
wrong kernel leaves 0.01 and more, and some 0.01 in f16. With a difference above the tolerance, a value that is not \
finite, or a run that does not repeat bit for bit, the exit code is 1: then compute with --device cpu, and please report \
what the command prints.";

/// Options of `ddim doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Pictures computed at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = batch_size)]
    pub(crate) batch_size: usize,

    /// Steps of the run [default: 5]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) steps: Option<usize>,

    /// Numbers in which the network computes there; those of the CPU beside it are f32
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Device")]
    pub(crate) precision: Precision,

    /// The largest difference that is taken for rounding [default: 1e-3; 0.03 for f16, 0.2 for bf16]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) tolerance: Option<f64>,

    /// Seed of the noise; `random` draws one
    #[arg(long, value_name = "SEED", default_value_t = 0, value_parser = seeds::number)]
    pub(crate) seed: u64,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl DoctorArgs {
    /// The largest difference that is taken for rounding in this precision.
    pub(crate) fn tolerance(&self, precision: Precision) -> f64 {
        self.tolerance.unwrap_or(match precision {
            Precision::F32 => 1e-3,
            Precision::F16 => 0.03,
            Precision::Bf16 => 0.2,
        })
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("give a share of the largest value, from 0 to below 1, such as 1e-3".to_owned()),
    }
}
