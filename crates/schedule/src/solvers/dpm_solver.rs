//! Multistep DPM-Solver and DPM-Solver++ (Lu et al. 2022a and 2022b), with and without noise.

use super::choices::{put, refusal};
use super::exponential::{Exponential, check, nodes, quadrature};
use super::{Ending, Equation, Order, Predicted, Variant, Words};
use crate::{Coordinates, Kept, Path, Row, ScheduleError, Solver};

/// Exponential steps whose prediction is continued through those of the last calls: one network call a step.
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
        match &mut moments[..] {
            [_, _, curvature] if self.variant != Variant::Exact => *curvature /= 2.0,
            _ => {}
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

    fn options(&self) -> Vec<(&'static str, String)> {
        vec![
            ("order", self.order.word()),
            ("variant", self.variant.word()),
            ("lower_order_final", self.ending.word()),
            ("euler_at_final", self.last.word()),
        ]
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), ScheduleError> {
        let done = match option {
            "order" => put(&mut self.order, value),
            "variant" => put(&mut self.variant, value),
            "lower_order_final" => put(&mut self.ending, value),
            "euler_at_final" => put(&mut self.last, value),
            _ => None,
        };
        let allowed = "order=1|2|3, variant=midpoint|heun|exact, lower_order_final=true|false, \
                       euler_at_final=true|false";
        done.ok_or_else(|| refusal(self, option, value, allowed))
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Preserving
    }

    fn keeps(&self) -> Kept {
        self.predicted.kept()
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        check(self, path)?;
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
