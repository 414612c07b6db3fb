//! DDIM that remembers its start.

use super::ddim::ddim;
use crate::{Eta, Level, Path, Row, ScheduleError, Solver, SolverOption};

/// A share `1 - mix` of DDIM's step, and a share `mix` of the step whose eps is the one between the predicted
/// picture and the first state of the run, `x_T`:
///
/// `x' = (1 - mix) DDIM(x) + mix (sqrt(a') x0 + sqrt(1 - a') (x_T - sqrt(a_T) x0)/sqrt(1 - a_T))`.
///
/// Once x0 is right both are the same. As no step is without the mixture, more steps lead to another limit than
/// the differential equation.
#[derive(Debug, Clone, PartialEq)]
pub struct Iddim {
    mix: f64,
}

impl Iddim {
    /// The mixture with this share of the first state's eps.
    ///
    /// # Errors
    /// For a share outside `[0, 1]`.
    ///
    /// ```
    /// use ddim_schedule::solvers::Iddim;
    /// assert!(Iddim::new(0.3).is_ok() && Iddim::new(1.5).is_err());
    /// ```
    pub fn new(mix: f64) -> Result<Self, ScheduleError> {
        let mut iddim = Self::default();
        iddim.set("mix", &mix.to_string())?;
        Ok(iddim)
    }
}

impl Default for Iddim {
    /// 0.15, the best of 50 steps on CIFAR-10.
    fn default() -> Self {
        Self { mix: 0.15 }
    }
}

impl Solver for Iddim {
    fn name(&self) -> &'static str {
        "iddim"
    }

    fn about(&self) -> &'static str {
        "DDIM with a share of the eps that leads back to the first state (iDDIM)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![SolverOption::number("mix", &mut self.mix, "0 to 1", |mix| (0.0..=1.0).contains(mix))]
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let start = path.start();
        let row = |pair: &[Level]| {
            let ddim = ddim(Eta::DDIM, pair[0], pair[1]);
            let c_start = self.mix * pair[1].noise() / start.noise();
            let c_x0 = ddim.c_x0 - c_start * start.signal();
            Row { c_x0, c_eps: (1.0 - self.mix) * ddim.c_eps, c_start, ..ddim }
        };
        Ok(path.levels().windows(2).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solvers::Ddim;
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Solver, Spacing, Step};

    fn steps(solver: impl Into<Box<dyn Solver>>) -> Vec<Step> {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        let settings = Settings { spacing: Spacing::Uniform, ..Settings::new(Convention::Exact, solver, 10) };
        Plan::new(&schedule, &settings).unwrap().steps().to_vec()
    }

    #[test]
    fn a_share_of_0_is_ddim() {
        assert_eq!(steps(Iddim::new(0.0).unwrap()), steps(Ddim::default()));
    }

    /// The formula, term by term, on three numbers.
    #[test]
    fn the_mixture() {
        let (mix, x0, eps, start) = (0.3, 0.7, -1.1, 0.4);
        let steps = steps(Iddim::new(mix).unwrap());
        let first = steps[0].alpha_bar;
        for step in &steps {
            let (signal, noise) = (step.alpha_bar_prev.sqrt(), (1.0 - step.alpha_bar_prev).sqrt());
            let ddim = signal * x0 + noise * eps;
            let from_start = signal * x0 + noise * (start - first.sqrt() * x0) / (1.0 - first).sqrt();
            let ours = step.c_x0 * x0 + step.c_eps * eps + step.c_start * start;
            assert!((ours - (1.0 - mix) * ddim - mix * from_start).abs() < 1e-15);
        }
    }

    #[test]
    fn shares_outside_the_unit_interval_are_refused() {
        let error = Iddim::new(1.5).unwrap_err().to_string();
        assert_eq!(error, "solver iddim has no option mix=1.5: it has mix=0 to 1");
    }
}
