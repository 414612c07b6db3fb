//! Heun's method in the noise level, and EDM's stochastic sampler (Karras et al. 2022, Algorithms 1 and 2).

use super::Churn;

use super::euler::euler;
use crate::{Coordinates, Kept, Path, Row, ScheduleError, Solver, SolverOption};

/// A step of Euler's method, `u = y + h eps`, and its correction by the eps found there,
/// `y' = y + h/2 (eps + eps') = u + h/2 (eps' - eps)`. A step to the clean picture has none, since there is no
/// eps there: `2 n - 1` calls for `n` steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Heun {
    name: &'static str,
    /// Fresh noise before each step.
    pub churn: Churn,
}

impl Heun {
    /// EDM's stochastic sampler, with the constants of its ImageNet model (Karras et al. 2022, Table 5).
    ///
    /// ```
    /// use ddim_schedule::solvers::Heun;
    /// assert_eq!(Heun::edm().churn.amount, 40.0);
    /// ```
    pub fn edm() -> Self {
        Self { name: "edm", churn: Churn { amount: 40.0, min: 0.05, max: 50.0, noise: 1.003 } }
    }
}

impl Default for Heun {
    /// Without churn.
    fn default() -> Self {
        Self { name: "heun", churn: Churn::NONE }
    }
}

impl Solver for Heun {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        match self.name {
            "edm" => "EDM's stochastic sampler: Heun's method with churn (Karras et al. 2022)",
            _ => "Heun's method in the noise level, two calls a step (Karras et al. 2022)",
        }
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        self.churn.table()
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn keeps(&self) -> Kept {
        Kept::Eps
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let (levels, raised) = (path.levels(), self.churn.raised(path));
        let mut rows = Vec::new();
        for (i, &to) in levels.iter().enumerate().skip(1) {
            let predictor = euler(raised[i - 1], to);
            let h = predictor.c_eps;
            rows.push(predictor);
            if to.noise_level() > 0.0 {
                let noise = self.churn.fresh(to, raised[i]);
                let history = vec![-h / 2.0];
                rows.push(Row { c_x: 1.0, c_eps: h / 2.0, history, noise, ..Row::new(to, raised[i]) });
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Convention, FinalAlphaBar, NoiseSchedule, Plan, Prediction, Settings, Solver, Spacing};

    /// From noise level 8 over 2 to 0 or, in two equal ratios more, to 1/2, where no eps is 0.
    fn plan(final_alpha_bar: FinalAlphaBar) -> Plan {
        let schedule = NoiseSchedule::of_noise_levels(0.5, 8.0, 5).unwrap();
        let settings = Settings {
            spacing: Spacing::Explicit(vec![4, 2]),
            prediction: Prediction::Score,
            final_alpha_bar,
            ..Settings::new(Convention::Exact, Box::<dyn Solver>::from(Heun::default()), 2)
        };
        Plan::new(&schedule, &settings).unwrap()
    }

    /// `h = 2 - 8`, by hand: the predictor `y - 6 eps`, then `u - 3 eps' + 3 eps`.
    #[test]
    fn a_step_by_hand() {
        let plan = plan(FinalAlphaBar::One);
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-13, "{found}, not {expected}");
        let [predictor, corrector, last] = plan.steps() else { panic!("3 calls for 2 steps") };
        close(predictor.c_eps, -6.0);
        close(corrector.c_eps, -3.0);
        close(corrector.history[0], 3.0);
        close(last.c_eps, -2.0);
        assert_eq!([predictor.c_x, corrector.c_x, last.c_x], [1.0; 3]);
    }

    #[test]
    fn an_end_with_noise_is_corrected_too() {
        assert_eq!(plan(FinalAlphaBar::First).steps().len(), 4);
    }
}
