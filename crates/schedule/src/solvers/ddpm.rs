//! Ancestral sampling (Ho et al. 2020).

use crate::{Level, Lineage, Path, Row, ScheduleError, Solver, StepNoise, beta_between, posterior_variance};

/// The posterior mean of Ho et al. 2020, Eq. (7), with the beta between the two kept timesteps and a choice of
/// variance, which belongs to the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ddpm {
    /// The variance of each step.
    pub variance: Variance,
}

impl Default for Ddpm {
    /// The fixed small variance.
    fn default() -> Self {
        Self { variance: Variance::FixedSmall }
    }
}

impl Solver for Ddpm {
    fn name(&self) -> &'static str {
        "ddpm"
    }

    fn about(&self) -> &'static str {
        "ancestral sampling (Ho et al. 2020)"
    }

    fn lineage(&self) -> Lineage {
        Lineage::Ddpm
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let row = |(i, (from, to)): (usize, (Level, Level))| {
            let (alpha_bar, alpha_bar_prev) = (from.alpha_bar, to.alpha_bar);
            let beta = beta_between(alpha_bar, alpha_bar_prev);
            let drawn = self.variance.noise(alpha_bar, alpha_bar_prev);
            Row {
                c_x0: alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar),
                c_x: (alpha_bar / alpha_bar_prev).sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar),
                noise: if path.may_add_noise(i) { drawn } else { StepNoise::None },
                ..Row::new(from, to)
            }
        };
        Ok(path.steps().enumerate().map(row).collect())
    }
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

    /// The noise of a step. The posterior's variance is 0 where the step ends at the clean picture; so that it has
    /// a logarithm there too, published code holds it at 1e-20.
    fn noise(self, alpha_bar: f64, alpha_bar_prev: f64) -> StepNoise {
        let small = posterior_variance(alpha_bar, alpha_bar_prev).max(1e-20);
        let large = beta_between(alpha_bar, alpha_bar_prev);
        match self {
            Self::FixedSmall => StepNoise::fixed(small.sqrt()),
            Self::FixedLarge => StepNoise::fixed(large.sqrt()),
            Self::Learned => StepNoise::Learned,
            Self::LearnedLog => StepNoise::LearnedLog,
            Self::LearnedRange => StepNoise::LearnedRange { log_small: small.ln(), log_large: large.ln() },
        }
    }
}
