//! One row of a plan, and how it follows from a method.

use crate::{Eta, Method, Timestep, Variance};
use crate::{beta_between, posterior_variance, sigma, sigma_hat};

/// One row: a network call, and the update that follows it,
/// `x_next = c_x x + c_x0 x0 + c_eps eps + sigma z` with `z ~ N(0, I)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The training timestep this step starts from.
    pub timestep: Timestep,
    /// The time given to the network.
    pub time: f64,
    /// What x is multiplied with before it is given to the network: 1 for every method here.
    pub input_scale: f64,
    /// `alpha_bar` where the step starts.
    pub alpha_bar: f64,
    /// `alpha_bar` where it ends, cleaner.
    pub alpha_bar_prev: f64,
    /// Coefficient of x.
    pub c_x: f64,
    /// Coefficient of the predicted x0.
    pub c_x0: f64,
    /// Coefficient of eps.
    pub c_eps: f64,
    /// How large sigma is.
    pub noise: StepNoise,
}

/// The standard deviation of the fresh noise of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepNoise {
    /// None is drawn.
    None,
    /// The same for every value.
    Fixed {
        /// Above 0.
        sigma: f64,
    },
    /// `log sigma^2 = frac log_large + (1 - frac) log_small`, `frac = (out + 1)/2`, where `out` is the
    /// second half of the network's channels (Nichol & Dhariwal 2021, Eq. 15).
    LearnedRange {
        /// Logarithm of the smaller variance.
        log_small: f64,
        /// Logarithm of the larger variance.
        log_large: f64,
    },
    /// `sigma^2` is the second half of the network's channels.
    Learned,
    /// `log sigma^2` is the second half of the network's channels.
    LearnedLog,
}

/// Whether a step may draw noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// As the method says.
    Allowed,
    /// The last step of most samplers.
    Forbidden,
}

impl Step {
    /// The update of a method from `alpha_bar` to `alpha_bar_prev`.
    pub(crate) fn new(
        method: Method,
        timestep: Timestep,
        [alpha_bar, alpha_bar_prev]: [f64; 2],
        fresh: Fresh,
    ) -> Self {
        let deterministic = |eta| ddim_coefficients(sigma(eta, alpha_bar, alpha_bar_prev), alpha_bar_prev);
        let ([c_x, c_x0, c_eps], noise) = match (method, fresh) {
            // Without noise all of the rest is eps, so that the step still ends at alpha_bar_prev.
            (Method::Ddim { .. }, Fresh::Forbidden) => (deterministic(Eta::DDIM), StepNoise::None),
            (Method::Ddim { eta }, _) => (deterministic(eta), fixed(sigma(eta, alpha_bar, alpha_bar_prev))),
            (Method::SigmaHat, _) => (deterministic(Eta::DDPM), fixed(sigma_hat(alpha_bar, alpha_bar_prev))),
            (Method::Ddpm { variance }, _) => {
                (ddpm_coefficients(alpha_bar, alpha_bar_prev), ddpm_noise(variance, alpha_bar, alpha_bar_prev))
            }
        };
        let noise = if fresh == Fresh::Forbidden { StepNoise::None } else { noise };
        let time = timestep as f64;
        Self { timestep, time, input_scale: 1.0, alpha_bar, alpha_bar_prev, c_x, c_x0, c_eps, noise }
    }
}

/// Eq. (12): `sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev - sigma^2) eps`. In exact arithmetic the
/// radicand is never negative for `eta <= 1`; rounding can make it so.
fn ddim_coefficients(sigma: f64, alpha_bar_prev: f64) -> [f64; 3] {
    [0.0, alpha_bar_prev.sqrt(), (1.0 - alpha_bar_prev - sigma * sigma).max(0.0).sqrt()]
}

/// The posterior mean of Ho et al. 2020, Eq. (7), with the beta between the two kept timesteps.
fn ddpm_coefficients(alpha_bar: f64, alpha_bar_prev: f64) -> [f64; 3] {
    let beta = beta_between(alpha_bar, alpha_bar_prev);
    let c_x0 = alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar);
    let c_x = (alpha_bar / alpha_bar_prev).sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar);
    [c_x, c_x0, 0.0]
}

/// The noise of a DDPM step. The posterior's variance is 0 where the step ends at the clean picture; so
/// that it has a logarithm there too, published code holds it at 1e-20.
fn ddpm_noise(variance: Variance, alpha_bar: f64, alpha_bar_prev: f64) -> StepNoise {
    let small = posterior_variance(alpha_bar, alpha_bar_prev).max(1e-20);
    let large = beta_between(alpha_bar, alpha_bar_prev);
    match variance {
        Variance::FixedSmall => fixed(small.sqrt()),
        Variance::FixedLarge => fixed(large.sqrt()),
        Variance::Learned => StepNoise::Learned,
        Variance::LearnedLog => StepNoise::LearnedLog,
        Variance::LearnedRange => StepNoise::LearnedRange { log_small: small.ln(), log_large: large.ln() },
    }
}

/// Noise of this standard deviation; none where it is 0.
fn fixed(sigma: f64) -> StepNoise {
    if sigma > 0.0 { StepNoise::Fixed { sigma } } else { StepNoise::None }
}
