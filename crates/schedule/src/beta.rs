//! How much noise each training step adds.

use std::f64::consts::FRAC_PI_2;

use crate::ScheduleError;

/// The family of betas a model was trained with, under the names in use for them.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule};
/// let ddpm = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// assert!((ddpm.alpha_bar(999) - 4.03583e-5).abs() < 1e-10);
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum BetaSchedule {
    /// Equal steps from `start` to `end` (Ho et al. 2020, section 4).
    Linear {
        /// The first beta.
        start: f64,
        /// The last beta.
        end: f64,
    },
    /// Equal steps in the square root: what latent diffusion models use, and the DDIM code's "quad".
    ScaledLinear {
        /// The first beta.
        start: f64,
        /// The last beta.
        end: f64,
    },
    /// The cosine schedule: `alpha_bar = cos^2`, each beta at most 0.999 (Nichol & Dhariwal 2021, Eq. 17). Under
    /// the name that diffusers has for it; [`COSINE`](Self::COSINE) is the same.
    #[doc(alias = "cosine")]
    #[doc(alias = "squaredcos_cap_v2")]
    SquaredCosCapV2,
    /// A logistic curve between -6 and 6, scaled to run from `start` to `end`.
    Sigmoid {
        /// The lower end.
        start: f64,
        /// The upper end.
        end: f64,
    },
    /// The same beta at every step.
    Const {
        /// That beta.
        value: f64,
    },
    /// `1/T, 1/(T-1), ..., 1`: `alpha_bar` falls in a straight line to 0 (Sohl-Dickstein et al. 2015).
    Jsd,
    /// Log signal-to-noise ratios spread as a Laplace distribution (Hang et al. 2024).
    Laplace,
    /// A list, one beta for each training step.
    Given(Vec<f64>),
}

impl BetaSchedule {
    /// The schedule of DDPM and DDIM: linear from 0.0001 to 0.02 (Ho et al. 2020, section 4).
    pub const DDPM: Self = Self::Linear { start: 1e-4, end: 0.02 };

    /// The cosine schedule (Nichol & Dhariwal 2021, Eq. 17), that of the embedded model.
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let cosine = NoiseSchedule::new(&BetaSchedule::COSINE, 1000)?;
    /// assert!((cosine.alpha_bar(499) - 0.494).abs() < 0.001); // half of the variance half-way
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub const COSINE: Self = Self::SquaredCosCapV2;

    /// The betas, noise of step 0 first. They are not checked here: [`NoiseSchedule::new`] does that.
    ///
    /// [`NoiseSchedule::new`]: crate::NoiseSchedule::new
    pub(crate) fn betas(&self, train_steps: usize) -> Result<Vec<f64>, ScheduleError> {
        let betas = match self {
            Self::Linear { start, end } => linspace(*start, *end, train_steps).collect(),
            Self::ScaledLinear { start, end } => {
                linspace(start.sqrt(), end.sqrt(), train_steps).map(|root| root * root).collect()
            }
            Self::SquaredCosCapV2 => capped_ratios(cosine_alpha_bar, train_steps),
            Self::Sigmoid { start, end } => {
                linspace(-6.0, 6.0, train_steps).map(|u| start + (end - start) / (1.0 + (-u).exp())).collect()
            }
            Self::Const { value } => vec![*value; train_steps],
            Self::Jsd => (0..train_steps).map(|i| 1.0 / (train_steps - i) as f64).collect(),
            Self::Laplace => capped_ratios(laplace_alpha_bar, train_steps),
            Self::Given(list) if list.len() == train_steps => list.clone(),
            Self::Given(list) => return Err(ScheduleError::BetaCount { given: list.len(), train_steps }),
        };
        Ok(betas)
    }
}

/// `count` numbers in equal steps from `start` to `end`, both included.
fn linspace(start: f64, end: f64, count: usize) -> impl Iterator<Item = f64> {
    let step = (end - start) / count.saturating_sub(1).max(1) as f64;
    (0..count).map(move |i| start + step * i as f64)
}

/// `beta_i = min(1 - f((i+1)/T) / f(i/T), 0.999)`: the betas whose product follows `f`.
fn capped_ratios(f: impl Fn(f64) -> f64, train_steps: usize) -> Vec<f64> {
    let at = |i: usize| f(i as f64 / train_steps as f64);
    (0..train_steps).map(|i| (1.0 - at(i + 1) / at(i)).min(0.999)).collect()
}

/// `cos^2((u + s)/(1 + s) pi/2)` with `s = 0.008` (Nichol & Dhariwal 2021, Eq. 17).
fn cosine_alpha_bar(u: f64) -> f64 {
    ((u + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2)
}

/// The Laplace schedule as it is in use: log SNR `-sgn(0.5-u) ln(1 - 2|0.5-u| + 1e-6) / 2`, and as
/// `alpha_bar` the square root of `SNR/(1+SNR)`.
fn laplace_alpha_bar(u: f64) -> f64 {
    let log_snr = -0.5 * (0.5 - u).signum() * (1.0 - 2.0 * (0.5 - u).abs() + 1e-6).ln();
    let snr = log_snr.exp();
    (snr / (1.0 + snr)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_lines_include_both_ends() {
        let betas = BetaSchedule::Linear { start: 0.1, end: 0.5 }.betas(5).unwrap();
        for (beta, expected) in betas.iter().zip([0.1, 0.2, 0.3, 0.4, 0.5]) {
            assert!((beta - expected).abs() < 1e-15);
        }
        let roots = BetaSchedule::ScaledLinear { start: 0.01, end: 0.25 }.betas(3).unwrap();
        assert!((roots[1] - 0.09).abs() < 1e-15, "the middle root is (0.1 + 0.5)/2");
    }

    /// A known fault elsewhere is `i/T` in whole numbers, which makes every beta but the last 0.
    #[test]
    fn cosine_positions_are_real_numbers() {
        let betas = BetaSchedule::SquaredCosCapV2.betas(1000).unwrap();
        assert_eq!(betas[999], 0.999, "the cap");
        assert!(betas.iter().sum::<f64>() > 5.0);
        assert!((betas[0] - 4.1284224e-5).abs() < 1e-11, "as in the reference's table, f32");
    }

    #[test]
    fn jsd_makes_alpha_bar_a_straight_line() {
        let betas = BetaSchedule::Jsd.betas(10).unwrap();
        let mut alpha_bar = 1.0;
        for (i, beta) in betas.iter().enumerate() {
            alpha_bar *= 1.0 - beta;
            assert!((alpha_bar - (9 - i) as f64 / 10.0).abs() < 1e-15);
        }
    }

    #[test]
    fn sigmoid_is_symmetric_about_the_mean_of_its_ends() {
        let betas = BetaSchedule::Sigmoid { start: 1e-4, end: 0.02 }.betas(1000).unwrap();
        assert!((betas[0] + betas[999] - 0.0201).abs() < 1e-12);
        assert!((betas[0] - 1.492052e-4).abs() < 1e-10, "as in the reference's table, f32");
    }

    /// By hand: at u = 1/2 the SNR is 1 (up to the 1e-6) and the curve is sqrt(1/2).
    #[test]
    fn laplace_is_centred() {
        assert!((laplace_alpha_bar(0.5) - 0.5_f64.sqrt()).abs() < 1e-6);
        assert!(laplace_alpha_bar(0.0) > 0.999 && laplace_alpha_bar(1.0) < 0.04);
    }
}
