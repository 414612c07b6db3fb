//! Which reverse step is taken.

use crate::Eta;

/// The reverse process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Eq. (12) of the DDIM paper with the sigma of Eq. (16).
    Ddim {
        /// How much of that noise.
        eta: Eta,
    },
    /// Ancestral sampling: the posterior mean of Ho et al. 2020, Eq. (7), with a choice of variance.
    Ddpm {
        /// The variance of each step.
        variance: Variance,
    },
    /// The paper's sigma-hat (section 5): the deterministic part of `eta = 1` with the larger noise
    /// `sqrt(1 - alpha_bar_t / alpha_bar_prev)`.
    SigmaHat,
}

/// The variance of a DDPM step. Variants that others name "log" add the same noise as these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// The posterior's variance, `(1 - alpha_bar_prev)/(1 - alpha_bar_t) beta`: right for a fixed x0.
    FixedSmall,
    /// `beta = 1 - alpha_bar_t / alpha_bar_prev`: right for pictures that are themselves white noise.
    FixedLarge,
    /// The network's second half of channels is the variance itself.
    Learned,
    /// The network's second half of channels is the logarithm of the variance.
    LearnedLog,
    /// The network's second half of channels, from -1 to 1, goes from small to large on a log scale
    /// (Nichol & Dhariwal 2021, Eq. 15).
    LearnedRange,
}

impl Variance {
    /// Whether the network has to have twice the picture's channels.
    ///
    /// ```
    /// use ddim_schedule::Variance;
    /// assert!(Variance::LearnedRange.is_learned());
    /// assert!(!Variance::FixedLarge.is_learned());
    /// ```
    pub fn is_learned(self) -> bool {
        matches!(self, Self::Learned | Self::LearnedLog | Self::LearnedRange)
    }
}
