//! Euler's method in the noise level (Karras et al. 2022, Algorithm 2 without its second half).

use super::Churn;
use crate::solver_option::Words;

use crate::{Coordinates, Level, Path, Row, ScheduleError, Solver, SolverOption};

/// `y + (noise_level' - noise_level) eps`: the same map as DDIM without noise, for a state that is
/// `y = x0 + noise_level eps`.
///
/// ```
/// use ddim_schedule::{Solver, solvers};
/// assert_eq!(solvers::parse("euler:churn=40")?.options()[0], ("churn", "40".to_owned()));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Euler {
    /// Fresh noise before each step.
    pub churn: Churn,
    /// When it is added.
    pub churn_at: ChurnAt,
}

/// When churn adds its noise to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChurnAt {
    /// Before the network sees the state, as in the paper.
    Before,
    /// After, so that the network is called at a level that the state then leaves, as in diffusers; with its
    /// numbers for a network that predicts eps.
    After,
}

impl Words for ChurnAt {
    const WORDS: &'static [(&'static str, Self)] = &[("before", Self::Before), ("after", Self::After)];
}

impl Default for Euler {
    fn default() -> Self {
        Self { churn: Churn::NONE, churn_at: ChurnAt::Before }
    }
}

impl Solver for Euler {
    fn name(&self) -> &'static str {
        "euler"
    }

    fn about(&self) -> &'static str {
        "Euler's method in the noise level (Karras et al. 2022)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        let mut table = self.churn.table();
        table.push(SolverOption::word("churn_at", &mut self.churn_at));
        table
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let (levels, raised) = (path.levels(), self.churn.raised(path));
        let row = |i: usize| {
            let step = euler(raised[i], levels[i + 1]);
            match self.churn_at {
                ChurnAt::Before => {
                    Row { to: raised[i + 1], noise: self.churn.fresh(levels[i + 1], raised[i + 1]), ..step }
                }
                ChurnAt::After => Row { from: levels[i], noise: self.churn.fresh(levels[i], raised[i]), ..step },
            }
        };
        Ok((0..path.n_steps()).map(row).collect())
    }
}

/// A step of Euler's method.
pub(super) fn euler(from: Level, to: Level) -> Row {
    Row { c_x: 1.0, c_eps: to.noise_level() - from.noise_level(), ..Row::new(from, to) }
}
