//! Options that correct a run on its way.

use clap::Args;
use ddim_sampler::{Langevin, SampleError};

use super::numbers::count;

/// Langevin corrections.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Corrector")]
pub(crate) struct CorrectionArgs {
    /// Langevin steps after each step of the method but the last, a network call each (Song et al. 2021)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count, conflicts_with = "noise")]
    corrector_steps: usize,

    /// Signal-to-noise ratio of a Langevin step: how far it goes
    #[arg(
        long,
        value_name = "RATIO",
        default_value_t = 0.16,
        requires = "corrector_steps",
        allow_negative_numbers = true
    )]
    corrector_snr: f64,
}

impl CorrectionArgs {
    /// The corrections, if any were asked for.
    ///
    /// # Errors
    /// When there are too many, or the ratio is out of range.
    pub(crate) fn langevin(self) -> Result<Option<Langevin>, SampleError> {
        match self.corrector_steps {
            0 => Ok(None),
            steps => Langevin::new(steps, self.corrector_snr).map(Some),
        }
    }
}
