//! Singlestep DPM-Solver and DPM-Solver++ (Lu et al. 2022a and 2022b), over the levels of the path.

use super::exponential::{Exponential, nodes, one_call_older, quadrature, sum};
use super::{Ending, Equation, Order, Predicted, Variant};
use crate::{Kept, Level, Path, Row, ScheduleError, Solver, SolverOption};

/// Steps of as many levels as the order says, each with one call at its start and one at every level on its way.
///
/// A step of order 3 from level a to d takes the state from a to b at order 1, from a to c at order 2 with the
/// call at b, and from a to d at order 3 with those at b and c. The intermediate levels are the next of the path,
/// as in diffusers, where the papers place them between two of it: so `n` steps are `n` calls here too. There is
/// no variant with noise: it would have to take back the noise that it drew on the way.
///
/// ```
/// use ddim_schedule::{Solver, solvers};
/// assert_eq!(solvers::parse("dpm++-single:order=3")?.options()[0], ("order", "3".to_owned()));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DpmSinglestep {
    /// x0 is DPM-Solver++, eps is DPM-Solver.
    pub predicted: Predicted,
    /// How many levels a step has.
    pub order: Order,
    /// How the slope of the predictions enters. At order 3 midpoint takes it from the last call alone.
    pub variant: Variant,
    /// Whether the last step is of order 1 also where the order divides the number of levels.
    pub ending: Ending,
}

impl DpmSinglestep {
    /// Order 2, midpoint, to the end.
    ///
    /// ```
    /// use ddim_schedule::{Solver, solvers::{DpmSinglestep, Predicted}};
    /// assert_eq!(DpmSinglestep::new(Predicted::Eps).name(), "dpm-single");
    /// ```
    pub fn new(predicted: Predicted) -> Self {
        Self { predicted, order: Order::Two, variant: Variant::Midpoint, ending: Ending::Full }
    }

    /// The orders of the steps. What is left over makes a shorter step, and one call is left for a step to the
    /// picture itself, where only order 1 is defined.
    fn orders(&self, path: &Path) -> Vec<usize> {
        let (n, order) = (path.n_steps(), self.order.number());
        let mut orders = vec![order; n / order];
        let left = n % order;
        if left > 0 {
            orders.push(left);
        }
        let clean = path.levels()[n].alpha_bar == 1.0;
        let lowered = self.ending == Ending::Lowered && left == 0;
        if let Some(last) = orders.last_mut().filter(|last| **last > 1 && (clean || lowered)) {
            *last -= 1;
            orders.push(1);
        }
        orders
    }

    /// The rows of one step over these levels. Each goes on from where the state is, not from where the step
    /// began: the state there is what the row before made of it, solved for it.
    fn step(&self, levels: &[Level]) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut before = (1.0, Vec::new());
        for calls in 1..levels.len() {
            let (from, to) = (levels[calls - 1], levels[calls]);
            let leg = Exponential::new(self.predicted, Equation::Ode, levels[0], to);
            let weights = self.weights(&leg, &levels[..calls]);
            let c_x = leg.c_x / before.0;
            let since = sum(1.0, &weights, -c_x, &one_call_older(&before.1));
            rows.push(leg.row(self.predicted, from, to, c_x, &since));
            before = (leg.c_x, weights);
        }
        rows
    }

    /// The weights of the calls at these levels, the latest first, in the way from the first of them.
    fn weights(&self, leg: &Exponential, calls: &[Level]) -> Vec<f64> {
        let nodes = nodes(calls[0], calls);
        match (self.variant, &nodes[..]) {
            (Variant::Midpoint, [last, _, first]) => {
                let weights = quadrature(&[*last, *first], &leg.moments(2));
                vec![weights[0], 0.0, weights[1]]
            }
            _ => quadrature(&nodes, &self.variant.moments(leg, nodes.len())),
        }
    }
}

impl Solver for DpmSinglestep {
    fn name(&self) -> &'static str {
        match self.predicted {
            Predicted::X0 => "dpm++-single",
            Predicted::Eps => "dpm-single",
        }
    }

    fn about(&self) -> &'static str {
        match self.predicted {
            Predicted::X0 => "singlestep DPM-Solver++ in x0 (Lu et al. 2022b)",
            Predicted::Eps => "singlestep DPM-Solver in eps (Lu et al. 2022a)",
        }
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![
            SolverOption::word("order", &mut self.order),
            SolverOption::word("variant", &mut self.variant),
            SolverOption::word("lower_order_final", &mut self.ending),
        ]
    }

    fn keeps(&self) -> Kept {
        self.predicted.kept()
    }

    fn min_steps(&self) -> usize {
        self.order.number()
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let mut rows = Vec::new();
        for order in self.orders(path) {
            let first = rows.len();
            rows.extend(self.step(&path.levels()[first..=first + order]));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::exponential::rows_of_halving_noise;
    use super::*;

    /// Two rows are the step from noise level 4 over 2 to 1 with h = ln 4 and the call at half of it:
    /// `x' = (noise'/noise) x + signal' (1 - e^-h) x0_between`, for the midpoint variant in the middle (Lu et al.
    /// 2022b, Algorithm 1, whose r is 1/2).
    #[test]
    fn the_midpoint_step() {
        let rows = rows_of_halving_noise(&DpmSinglestep::new(Predicted::X0));
        let (x, at_start, between) = (0.7, -0.3, 0.9);
        let halfway = rows[0].c_x * x + rows[0].c_x0 * at_start;
        let end = rows[1].c_x * halfway + rows[1].c_x0 * between + rows[1].history[0] * at_start;
        let (signal, shrunk) = (0.5_f64.sqrt(), (0.5_f64 / (16.0 / 17.0)).sqrt());
        assert!((end - (shrunk * x + signal * 0.75 * between)).abs() < 1e-14, "{end}");
    }

    /// diffusers' lists of orders: of steps 1, 2, 3, ... of each group there are these groups.
    #[test]
    fn groups() {
        let orders = |text: &str, n_steps| {
            let mut solver = DpmSinglestep::new(Predicted::X0);
            let (order, ending) = text.split_once(' ').unwrap();
            solver.set("order", order).unwrap();
            solver.set("lower_order_final", ending).unwrap();
            let schedule = crate::NoiseSchedule::new(&crate::BetaSchedule::DDPM, 1000).unwrap();
            let settings = |end| crate::Settings {
                final_alpha_bar: end,
                ..crate::Settings::new(crate::Convention::Exact, crate::solvers::SigmaHat, n_steps)
            };
            [crate::FinalAlphaBar::First, crate::FinalAlphaBar::One]
                .map(|end| solver.orders(&Path::new(&schedule, &settings(end)).unwrap()))
        };
        assert_eq!(orders("2 false", 6), [vec![2, 2, 2], vec![2, 2, 1, 1]]);
        assert_eq!(orders("2 true", 6), [vec![2, 2, 1, 1], vec![2, 2, 1, 1]]);
        assert_eq!(orders("2 false", 5), [vec![2, 2, 1], vec![2, 2, 1]]);
        assert_eq!(orders("3 false", 6), [vec![3, 3], vec![3, 2, 1]]);
        assert_eq!(orders("3 false", 7), [vec![3, 3, 1], vec![3, 3, 1]]);
        assert_eq!(orders("3 false", 8), [vec![3, 3, 2], vec![3, 3, 1, 1]]);
        assert_eq!(orders("3 true", 2), [vec![2], vec![1, 1]]);
    }
}
