//! Improved PNDM: Adams-Bashforth with fixed weights, in the noise level.

use super::adams;
use crate::{Coordinates, Kept, Path, Row, ScheduleError, Solver, SolverOption};

/// `y' = y + h (55 eps_0 - 59 eps_1 + 37 eps_2 - 9 eps_3)/24` and its lower orders for the first steps (Zhang &
/// Chen 2023: PNDM without its Runge-Kutta steps; one call a step). The weights are those of equal steps, whatever
/// the steps are; [`Lms`](super::Lms) has those of the true ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Ipndm {
    order: usize,
}

impl Ipndm {
    /// The method with the eps of this many calls.
    ///
    /// # Errors
    /// For an order that is not 1 to 4.
    ///
    /// ```
    /// use ddim_schedule::solvers::Ipndm;
    /// assert!(Ipndm::new(3).is_ok() && Ipndm::new(0).is_err());
    /// ```
    pub fn new(order: usize) -> Result<Self, ScheduleError> {
        let mut ipndm = Self::default();
        ipndm.set("order", &order.to_string())?;
        Ok(ipndm)
    }
}

impl Default for Ipndm {
    fn default() -> Self {
        Self { order: 4 }
    }
}

impl Solver for Ipndm {
    fn name(&self) -> &'static str {
        "ipndm"
    }

    fn about(&self) -> &'static str {
        "improved PNDM: Adams-Bashforth in the noise level, one call a step (Zhang & Chen 2023)"
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
        let row = |i: usize| {
            let (from, to) = (path.levels()[i], path.levels()[i + 1]);
            let h = to.noise_level() - from.noise_level();
            let weights = adams::equal_steps(self.order.min(i + 1));
            let history = weights[1..].iter().map(|weight| h * weight).collect();
            Row { c_x: 1.0, c_eps: h * weights[0], history, ..Row::new(from, to) }
        };
        Ok((0..path.n_steps()).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Solver, Step};

    fn steps(solver: impl Solver + 'static) -> Vec<Step> {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        let settings = Settings::new(Convention::Exact, Box::<dyn Solver>::from(solver), 6);
        Plan::new(&schedule, &settings).unwrap().steps().to_vec()
    }

    /// All weights of a step are of one sum, whatever the order, or a constant eps would be carried elsewhere.
    #[test]
    fn order_one_is_euler_and_all_orders_agree_on_a_constant() {
        let euler = steps(super::super::Euler::default());
        assert_eq!(steps(Ipndm::new(1).unwrap()), euler);
        for (step, euler) in steps(Ipndm::default()).iter().zip(&euler) {
            let sum = step.c_eps + step.history.iter().sum::<f64>();
            assert!((sum - euler.c_eps).abs() < 1e-12 * euler.c_eps.abs());
        }
    }
}
