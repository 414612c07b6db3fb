//! Options that correct a run on its way.

use clap::Args;

use super::numbers::count;
use crate::request::CORRECTOR_SNR;

/// Langevin corrections.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Corrector")]
pub(crate) struct CorrectionArgs {
    /// Langevin steps after each step of the method but the last, a network call each (Song et al. 2021)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count, conflicts_with = "noise")]
    pub(super) corrector_steps: usize,

    /// Signal-to-noise ratio of a Langevin step: how far it goes
    #[arg(
        long,
        value_name = "RATIO",
        default_value_t = CORRECTOR_SNR,
        requires = "corrector_steps",
        allow_negative_numbers = true
    )]
    pub(super) corrector_snr: f64,
}
