//! Ancestral sampling (Ho et al. 2020).

use crate::{Level, Row, StepNoise, Variance, beta_between, posterior_variance};

/// The posterior mean of Eq. (7), with the beta between the two kept timesteps.
pub(crate) fn ddpm(variance: Variance, from: Level, to: Level) -> Row {
    let (alpha_bar, alpha_bar_prev) = (from.alpha_bar, to.alpha_bar);
    let beta = beta_between(alpha_bar, alpha_bar_prev);
    Row {
        c_x0: alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar),
        c_x: (alpha_bar / alpha_bar_prev).sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar),
        noise: noise(variance, alpha_bar, alpha_bar_prev),
        ..Row::new(from, to)
    }
}

/// The noise of a step. The posterior's variance is 0 where the step ends at the clean picture; so that it has
/// a logarithm there too, published code holds it at 1e-20.
fn noise(variance: Variance, alpha_bar: f64, alpha_bar_prev: f64) -> StepNoise {
    let small = posterior_variance(alpha_bar, alpha_bar_prev).max(1e-20);
    let large = beta_between(alpha_bar, alpha_bar_prev);
    match variance {
        Variance::FixedSmall => StepNoise::fixed(small.sqrt()),
        Variance::FixedLarge => StepNoise::fixed(large.sqrt()),
        Variance::Learned => StepNoise::Learned,
        Variance::LearnedLog => StepNoise::LearnedLog,
        Variance::LearnedRange => StepNoise::LearnedRange { log_small: small.ln(), log_large: large.ln() },
    }
}
