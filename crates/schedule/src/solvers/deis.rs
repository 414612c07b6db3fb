//! DEIS (Zhang & Chen 2023).

use super::exponential::{Exponential, nodes, quadrature};
use super::{Ending, Equation, Order, Predicted};
use crate::{Kept, Path, Row, ScheduleError, Solver, SolverOption};

/// The log-rho multistep method: the polynomial in lambda through the eps of the last calls is integrated as it
/// is. `log rho` of its authors is minus lambda, so this is DPM-Solver with all of its moments.
///
/// ```
/// use ddim_schedule::{Solver, solvers};
/// assert_eq!(solvers::parse("deis:order=3")?.options()[0], ("order", "3".to_owned()));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Deis {
    /// How many calls a step looks at.
    pub order: Order,
    /// Whether a run of fewer than 15 steps ends with lower orders.
    pub ending: Ending,
}

impl Default for Deis {
    /// Order 2.
    fn default() -> Self {
        Self { order: Order::Two, ending: Ending::Lowered }
    }
}

impl Solver for Deis {
    fn name(&self) -> &'static str {
        "deis"
    }

    fn about(&self) -> &'static str {
        "log-rho multistep DEIS in eps (Zhang & Chen 2023)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![
            SolverOption::word("order", &mut self.order),
            SolverOption::word("lower_order_final", &mut self.ending),
        ]
    }

    fn keeps(&self) -> Kept {
        Kept::Eps
    }

    fn min_steps(&self) -> usize {
        self.order.number()
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let levels = path.levels();
        let row = |i: usize| {
            let (from, to) = (levels[i], levels[i + 1]);
            let clean = to.alpha_bar == 1.0;
            let order = if clean { 1 } else { self.ending.order(self.order, i, path.n_steps()) };
            let step = Exponential::new(Predicted::Eps, Equation::Ode, from, to);
            let weights = quadrature(&nodes(from, &levels[i + 1 - order..=i]), &step.moments(order));
            step.row(Predicted::Eps, from, to, step.c_x, &weights)
        };
        Ok((0..path.n_steps()).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::exponential::rows_of_halving_noise;
    use super::*;

    /// From rho 2 to 1, with calls at 2 and 4: `x'/signal' = x/signal + c_1 eps + c_2 eps_before`, where c_1 is
    /// the integral of `log(rho/4)/log(2/4)` and c_2 that of `log(rho/2)/log(4/2)`.
    #[test]
    fn the_second_step() {
        let row = &rows_of_halving_noise(&Deis::default())[1];
        let integral = |rho: f64, other: f64| rho * ((rho / other).ln() - 1.0);
        let ln2 = 2.0_f64.ln();
        let latest = (integral(1.0, 4.0) - integral(2.0, 4.0)) / -ln2;
        let before = (integral(1.0, 2.0) - integral(2.0, 2.0)) / ln2;
        let signal = 0.5_f64.sqrt();
        assert!((row.c_eps - signal * latest).abs() < 1e-14, "{row:?}");
        assert!((row.history[0] - signal * before).abs() < 1e-14, "{row:?}");
        assert!((row.c_x - signal / 0.2_f64.sqrt()).abs() < 1e-14, "{row:?}");
    }
}
