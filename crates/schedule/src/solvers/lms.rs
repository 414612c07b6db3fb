//! Linear multistep methods in the noise level.

use super::adams;
use crate::{Coordinates, Kept, Level, Path, Row, ScheduleError, Solver, SolverOption};

/// `y' = y + sum_k c_k eps_k`: the eps of the last calls lie on a polynomial in the noise level, whose integral
/// over the step is known (Adams and Bashforth, for steps of any lengths; k-diffusion's LMS). The first steps use
/// as many calls as there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Lms {
    order: usize,
}

impl Lms {
    /// The method with a polynomial through this many calls.
    ///
    /// # Errors
    /// For an order that is not 1 to 4.
    ///
    /// ```
    /// use ddim_schedule::solvers::Lms;
    /// assert!(Lms::new(2).is_ok());
    /// let error = Lms::new(5).unwrap_err().to_string();
    /// assert_eq!(error, "solver lms has no option order=5: it has order=1|2|3|4");
    /// ```
    pub fn new(order: usize) -> Result<Self, ScheduleError> {
        let mut lms = Self::default();
        lms.set("order", &order.to_string())?;
        Ok(lms)
    }
}

impl Default for Lms {
    fn default() -> Self {
        Self { order: 4 }
    }
}

impl Solver for Lms {
    fn name(&self) -> &'static str {
        "lms"
    }

    fn about(&self) -> &'static str {
        "a polynomial through the eps of the last calls, in the noise level (k-diffusion)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![adams::order(&mut self.order)]
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn keeps(&self) -> Kept {
        Kept::Eps
    }

    fn min_steps(&self) -> usize {
        self.order
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let noise_levels: Vec<f64> = path.levels().iter().map(|level| level.noise_level()).collect();
        let row = |i: usize| {
            let used: Vec<f64> = noise_levels[..=i].iter().rev().take(self.order).copied().collect();
            let mut coefficients = adams::coefficients(&used, noise_levels[i + 1]);
            let (from, to): (Level, Level) = (path.levels()[i], path.levels()[i + 1]);
            let history = coefficients.split_off(1);
            Row { c_x: 1.0, c_eps: coefficients[0], history, ..Row::new(from, to) }
        };
        Ok((0..path.n_steps()).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Solver};

    /// If eps is a cubic in the noise level, the fourth step and all after it are exact: here eps = s^3, and y
    /// grows by the integral, s^4/4.
    #[test]
    fn cubics_are_integrated_exactly() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        let settings = Settings::new(Convention::Exact, Box::<dyn Solver>::from(Lms::default()), 12);
        let plan = Plan::new(&schedule, &settings).unwrap();
        let noise_levels: Vec<f64> = plan.steps().iter().map(|step| step.marginal.noise).chain([0.0]).collect();
        for (i, step) in plan.steps().iter().enumerate() {
            let weights = [step.c_eps].into_iter().chain(step.history.iter().copied());
            let growth: f64 = weights.enumerate().map(|(k, weight)| weight * noise_levels[i - k].powi(3)).sum();
            let exact = (noise_levels[i + 1].powi(4) - noise_levels[i].powi(4)) / 4.0;
            assert_eq!(step.history.len(), i.min(3), "as many calls as there are");
            assert_eq!((growth / exact - 1.0).abs() < 1e-11, i >= 3, "step {i}: {growth} and {exact}");
        }
    }
}
