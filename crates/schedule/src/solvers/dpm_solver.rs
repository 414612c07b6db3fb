//! Multistep DPM-Solver and DPM-Solver++ (Lu et al. 2022a and 2022b), with and without noise.

use super::exponential::{Exponential, nodes, quadrature};
use super::{Ending, Equation, Order, Predicted, Variant};
use crate::solver_option::Words;
use crate::{Kept, Path, Row, ScheduleError, Solver, SolverOption};

/// Exponential steps whose prediction is continued through those of the last calls: one network call a step.
///
/// With noise x0 is the one to use: in eps a step of length h multiplies old and fresh noise alike by `e^h`, and
/// only their difference is small. It is here because diffusers has it.
///
/// ```
/// use ddim_schedule::{Solver, solvers};
/// let solver = solvers::parse("dpm++:order=3,variant=heun")?;
/// assert_eq!(solver.options()[0], ("order", "3".to_owned()));
/// assert!(solvers::parse("dpm++:order=4").unwrap_err().to_string().contains("order=1|2|3"));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DpmSolver {
    /// x0 is DPM-Solver++, eps is DPM-Solver.
    pub predicted: Predicted,
    /// With or without noise.
    pub equation: Equation,
    /// How many calls a step looks at.
    pub order: Order,
    /// How their slope enters.
    pub variant: Variant,
    /// Whether a run of fewer than 15 steps ends with lower orders.
    pub ending: Ending,
    /// The order of the last step of any run.
    pub last: LastStep,
}

/// The order of the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastStep {
    /// That of the others, subject to [`Ending`].
    AsOthers,
    /// 1: diffusers' `euler_at_final`.
    Euler,
}

impl Words for LastStep {
    const WORDS: &'static [(&'static str, Self)] = &[("false", Self::AsOthers), ("true", Self::Euler)];
}

impl DpmSolver {
    /// Order 2, midpoint.
    ///
    /// ```
    /// use ddim_schedule::{Solver, solvers::{DpmSolver, Equation, Predicted}};
    /// assert_eq!(DpmSolver::new(Predicted::X0, Equation::Ode).name(), "dpm++");
    /// assert_eq!(DpmSolver::new(Predicted::Eps, Equation::Sde).name(), "sde-dpm");
    /// ```
    pub fn new(predicted: Predicted, equation: Equation) -> Self {
        let (order, variant) = (Order::Two, Variant::Midpoint);
        Self { predicted, equation, order, variant, ending: Ending::Lowered, last: LastStep::AsOthers }
    }

    fn order(&self, i: usize, path: &Path) -> usize {
        let last = i + 1 == path.n_steps();
        let clean = path.levels()[i + 1].alpha_bar == 1.0;
        if clean || (last && self.last == LastStep::Euler) {
            return 1;
        }
        self.ending.order(self.order, i, path.n_steps())
    }

    /// The moments of a polynomial through so many calls. The published programs divide the curvature by 2 once
    /// more than its Taylor term asks for, and whoever wants their pictures has to.
    fn moments(&self, step: &Exponential, calls: usize) -> Vec<f64> {
        let mut moments = self.variant.moments(step, calls);
        if let (Variant::Midpoint | Variant::Heun, [_, _, curvature]) = (self.variant, &mut moments[..]) {
            *curvature /= 2.0;
        }
        moments
    }
}

impl Solver for DpmSolver {
    fn name(&self) -> &'static str {
        match (self.predicted, self.equation) {
            (Predicted::X0, Equation::Ode) => "dpm++",
            (Predicted::Eps, Equation::Ode) => "dpm",
            (Predicted::X0, Equation::Sde) => "sde-dpm++",
            (Predicted::Eps, Equation::Sde) => "sde-dpm",
        }
    }

    fn about(&self) -> &'static str {
        match (self.predicted, self.equation) {
            (Predicted::X0, Equation::Ode) => "multistep DPM-Solver++ in x0 (Lu et al. 2022b)",
            (Predicted::Eps, Equation::Ode) => "multistep DPM-Solver in eps (Lu et al. 2022a)",
            (Predicted::X0, Equation::Sde) => "multistep DPM-Solver++ with noise (Lu et al. 2022b)",
            (Predicted::Eps, Equation::Sde) => "multistep DPM-Solver with noise (Lu et al. 2022b)",
        }
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![
            SolverOption::word("order", &mut self.order),
            SolverOption::word("variant", &mut self.variant),
            SolverOption::word("lower_order_final", &mut self.ending),
            SolverOption::word("euler_at_final", &mut self.last),
        ]
    }

    fn keeps(&self) -> Kept {
        self.predicted.kept()
    }

    fn min_steps(&self) -> usize {
        self.order.number()
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let levels = path.levels();
        let row = |i: usize| {
            let (from, to) = (levels[i], levels[i + 1]);
            let order = self.order(i, path);
            let step = Exponential::new(self.predicted, self.equation, from, to);
            let weights = quadrature(&nodes(from, &levels[i + 1 - order..=i]), &self.moments(&step, order));
            step.row(self.predicted, from, to, step.c_x, &weights)
        };
        Ok((0..path.n_steps()).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::exponential::rows_of_halving_noise;
    use super::*;

    fn assert_close(row: &Row, c_x: f64, weights: [f64; 2]) {
        let found = [row.c_x, row.c_x0 + row.c_eps, row.history[0]];
        for (found, expected) in found.into_iter().zip([c_x, weights[0], weights[1]]) {
            assert!((found - expected).abs() < 1e-14, "{row:?}: {found}, not {expected}");
        }
    }

    /// 2M with steps of equal length: `x' = (noise'/noise) x + signal' (1 - e^-h)(3/2 x0 - 1/2 x0_before)`, here
    /// with e^-h = 1/2, from noise level 2 to 1 (Lu et al. 2022b, Algorithm 2).
    #[test]
    fn the_second_step_of_2m() {
        let rows = rows_of_halving_noise(&DpmSolver::new(Predicted::X0, Equation::Ode));
        let signal = 0.5_f64.sqrt();
        assert_close(&rows[1], (0.5_f64 / 0.8).sqrt(), [0.75 * signal, -0.25 * signal]);
        assert_eq!((rows[2].c_x, rows[2].c_x0), (0.0, 1.0));
    }

    /// In eps: `x' = (signal'/signal) x - noise' (e^h - 1)(3/2 eps - 1/2 eps_before)`, with e^h = 2 and the heun
    /// slope `(e^h - 1)/h - 1` instead of `(e^h - 1)/2`.
    #[test]
    fn the_second_step_in_eps() {
        let mut solver = DpmSolver::new(Predicted::Eps, Equation::Ode);
        let (noise, c_x) = (0.5_f64.sqrt(), (0.5_f64 / 0.2).sqrt());
        assert_close(&rows_of_halving_noise(&solver)[1], c_x, [-1.5 * noise, 0.5 * noise]);
        solver.variant = Variant::Heun;
        let slope = 1.0 / 2.0_f64.ln() - 1.0;
        assert_close(&rows_of_halving_noise(&solver)[1], c_x, [-(1.0 + slope) * noise, slope * noise]);
    }

    /// With noise e^-2h = 1/4 takes the place of e^-h, and of the noise `sqrt(1 - e^-2h)` is fresh.
    #[test]
    fn the_second_step_with_noise() {
        let rows = rows_of_halving_noise(&DpmSolver::new(Predicted::X0, Equation::Sde));
        let signal = 0.5_f64.sqrt();
        assert_close(&rows[1], (0.5_f64 / 0.8).sqrt() / 2.0, [1.125 * signal, -0.375 * signal]);
        let crate::StepNoise::Fixed { sigma } = rows[1].noise else { panic!("noise") };
        assert!((sigma - (0.5_f64 * 0.75).sqrt()).abs() < 1e-14);
        assert_eq!(rows[2].noise, crate::StepNoise::None);
    }
}
