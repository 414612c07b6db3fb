//! DDIM (Song et al. 2021), and the sigma-hat of its last table row.

use super::inversion::inversion;
use crate::{Eta, Level, Lineage, Path, Row, ScheduleError, Solver, SolverOption, StepNoise, sigma, sigma_hat};

/// Eq. (12) of the DDIM paper with the sigma of Eq. (16).
///
/// ```
/// use ddim_schedule::{Convention, Eta, Settings, solvers::Ddim};
/// let settings = Settings::new(Convention::Exact, Ddim { eta: Eta::new(0.5)? }, 20);
/// assert_eq!(settings.solver.to_string(), "ddim:eta=0.5");
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ddim {
    /// How much of that noise.
    pub eta: Eta,
}

impl Default for Ddim {
    /// Without noise.
    fn default() -> Self {
        Self { eta: Eta::DDIM }
    }
}

impl Solver for Ddim {
    fn name(&self) -> &'static str {
        "ddim"
    }

    fn about(&self) -> &'static str {
        "with eta, the share of DDPM's noise, or eta=hat for the larger variance (Song et al. 2021)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![SolverOption::eta(&mut self.eta, "0 to 1 or hat")]
    }

    fn lineage(&self) -> Lineage {
        Lineage::Ddim
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        // Without noise all of the rest is eps, so that a quiet step still ends at alpha_bar_prev.
        let eta = |step| if path.may_add_noise(step) { self.eta } else { Eta::DDIM };
        Ok(path.steps().enumerate().map(|(i, (from, to))| ddim(eta(i), from, to)).collect())
    }

    fn rows_back(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        if self.eta == Eta::DDIM { inversion(path) } else { Err(ScheduleError::OneWay { method: self.name() }) }
    }
}

/// The paper's sigma-hat (section 5): the deterministic part of `eta = 1` with the larger noise
/// `sqrt(1 - alpha_bar_t / alpha_bar_prev)`.
#[derive(Debug, Clone, PartialEq)]
pub struct SigmaHat;

impl SigmaHat {
    /// What it is read from.
    pub(crate) const TYPED: &str = "ddim:eta=hat";
}

impl Solver for SigmaHat {
    fn name(&self) -> &'static str {
        "sigma_hat"
    }

    fn about(&self) -> &'static str {
        "DDIM's step of eta 1 with the larger noise of DDPM (Song et al. 2021, section 5)"
    }

    fn lineage(&self) -> Lineage {
        Lineage::Ddpm
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let row = |(i, (from, to)): (usize, (Level, Level))| {
            let sigma_hat = StepNoise::fixed(sigma_hat(from.alpha_bar, to.alpha_bar));
            let noise = if path.may_add_noise(i) { sigma_hat } else { StepNoise::None };
            Row { noise, ..ddim(Eta::DDPM, from, to) }
        };
        Ok(path.steps().enumerate().map(row).collect())
    }
}

/// Eq. (12) with the sigma of Eq. (16).
pub(crate) fn ddim(eta: Eta, from: Level, to: Level) -> Row {
    let sigma = sigma(eta, from.alpha_bar, to.alpha_bar);
    Row { noise: StepNoise::fixed(sigma), ..deterministic_part(sigma, from, to) }
}

/// Eq. (12): `sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev - sigma^2) eps`. In exact arithmetic the
/// radicand is never negative for `eta <= 1`; rounding can make it so.
fn deterministic_part(sigma: f64, from: Level, to: Level) -> Row {
    let c_eps = (1.0 - to.alpha_bar - sigma * sigma).max(0.0).sqrt();
    Row { c_x0: to.signal(), c_eps, ..Row::new(from, to) }
}
