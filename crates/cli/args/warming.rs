//! Options of `ddim warmup`.

use clap::Args;

use super::numbers::batch_size;
use super::{DeviceArgs, ModelArgs};
use crate::device::Precision;

/// Shown under `ddim warmup --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim warmup                                  the embedded model, batches of 16
  ddim warmup --model path/to/model --batch-size 1,16 --precision f16

A GPU compiles kernels, and tries which of several is the fastest, when it meets a network and a batch size for the first \
time. What it finds is kept in the cache folder of the user and taken from there by every later run. With guidance a \
network sees twice the batch. The CPU has nothing to warm.";

/// Options of `ddim warmup`.
#[derive(Args, Debug)]
pub(crate) struct WarmupArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Pictures computed at once, one size after the other
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "16", value_parser = batch_size)]
    pub(crate) batch_size: Vec<usize>,

    /// Numbers in which the network computes
    #[arg(long, value_enum, default_value_t = Precision::F32, help_heading = "Device")]
    pub(crate) precision: Precision,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
