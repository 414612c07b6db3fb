//! How much fresh noise a step adds: the formulas, under the paper's names.
//!
//! In all of them `alpha_bar` belongs to the step's own timestep, and `alpha_bar_prev` to the cleaner one
//! that follows.

use crate::Eta;

/// Eq. (16): `sigma = eta sqrt((1 - alpha_bar_prev)/(1 - alpha_bar)) sqrt(1 - alpha_bar/alpha_bar_prev)`.
///
/// ```
/// use ddim_schedule::{BetaSchedule, Eta, NoiseSchedule, sigma};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let sigma = sigma(Eta::DDPM, schedule.alpha_bar(420), schedule.alpha_bar(400));
/// assert!((sigma * sigma - 0.14772).abs() < 5e-6);
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
pub fn sigma(eta: Eta, alpha_bar: f64, alpha_bar_prev: f64) -> f64 {
    eta.value() * posterior_variance(alpha_bar, alpha_bar_prev).sqrt()
}

/// The noise of the paper's last table row: `sigma_hat = sqrt(1 - alpha_bar/alpha_bar_prev)`.
///
/// ```
/// use ddim_schedule::{Eta, sigma, sigma_hat};
/// assert!((sigma_hat(0.5, 0.625) - 0.2_f64.sqrt()).abs() < 1e-15);
/// assert!(sigma_hat(0.5, 0.625) > sigma(Eta::DDPM, 0.5, 0.625));
/// ```
pub fn sigma_hat(alpha_bar: f64, alpha_bar_prev: f64) -> f64 {
    beta_between(alpha_bar, alpha_bar_prev).sqrt()
}

/// The beta of a step that skips training steps: `1 - alpha_bar/alpha_bar_prev`. With fewer steps than
/// training steps this, and never the trained beta, is the noise between two kept timesteps.
///
/// ```
/// use ddim_schedule::beta_between;
/// assert_eq!(beta_between(0.25, 0.5), 0.5);
/// ```
pub fn beta_between(alpha_bar: f64, alpha_bar_prev: f64) -> f64 {
    (1.0 - alpha_bar / alpha_bar_prev).max(0.0)
}

/// The variance of `q(x_prev | x_t, x0)`: `(1 - alpha_bar_prev)/(1 - alpha_bar) beta` (Ho et al. 2020, Eq. 7). A
/// step that leads to a noisier level, from a picture too, has no beta and no noise.
///
/// ```
/// use ddim_schedule::posterior_variance;
/// assert_eq!(posterior_variance(0.5, 1.0), 0.0); // the step to the clean picture
/// assert_eq!(posterior_variance(1.0, 0.5), 0.0); // and from it
/// ```
pub fn posterior_variance(alpha_bar: f64, alpha_bar_prev: f64) -> f64 {
    match beta_between(alpha_bar, alpha_bar_prev) {
        0.0 => 0.0,
        beta => (1.0 - alpha_bar_prev) / (1.0 - alpha_bar) * beta,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BetaSchedule, NoiseSchedule};

    /// The values that diffusers' own tests pin, within the 1e-5 they allow.
    #[test]
    fn known_variances_of_the_ddpm_schedule() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        for (t, prev, expected) in
            [(420, 400, 0.14771), (980, 960, 0.32460), (487, 486, 0.00979), (999, 998, 0.02)]
        {
            let variance = posterior_variance(schedule.alpha_bar(t), schedule.alpha_bar(prev));
            assert!((variance - expected).abs() < 1e-5, "{t} -> {prev}: {variance}");
        }
    }

    #[test]
    fn sigma_is_proportional_to_eta() {
        let full = sigma(Eta::DDPM, 0.3, 0.4);
        assert_eq!(sigma(Eta::DDIM, 0.3, 0.4), 0.0);
        assert!((sigma(Eta::new(0.25).unwrap(), 0.3, 0.4) - full / 4.0).abs() < 1e-16);
    }
}
