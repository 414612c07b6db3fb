//! DDIM (Song et al. 2020), and the sigma-hat of its last table row.

use crate::{Eta, Level, Row, StepNoise, sigma, sigma_hat};

/// Eq. (12) with the sigma of Eq. (16).
pub(crate) fn ddim(eta: Eta, from: Level, to: Level) -> Row {
    let sigma = sigma(eta, from.alpha_bar, to.alpha_bar);
    Row { noise: StepNoise::fixed(sigma), ..deterministic_part(sigma, from, to) }
}

/// The deterministic part of eta 1, with the larger noise of section 5.
pub(crate) fn sigma_hat_step(from: Level, to: Level) -> Row {
    let sigma_hat = sigma_hat(from.alpha_bar, to.alpha_bar);
    Row { noise: StepNoise::fixed(sigma_hat), ..ddim(Eta::DDPM, from, to) }
}

/// Eq. (12): `sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev - sigma^2) eps`. In exact arithmetic the
/// radicand is never negative for `eta <= 1`; rounding can make it so.
fn deterministic_part(sigma: f64, from: Level, to: Level) -> Row {
    let c_eps = (1.0 - to.alpha_bar - sigma * sigma).max(0.0).sqrt();
    Row { c_x0: to.signal(), c_eps, ..Row::new(from, to) }
}
