//! Euler's method in the noise level (Karras et al. 2022, Algorithm 2 without its second half).

use super::Churn;
use crate::{Coordinates, Kept, Level, Path, Row, ScheduleError, Solver};

/// `y + (noise_level' - noise_level) eps`: the same map as DDIM without noise, for a state that is
/// `y = x0 + noise_level eps`.
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

    fn options(&self) -> Vec<(&'static str, String)> {
        let churn_at = if self.churn_at == ChurnAt::Before { "before" } else { "after" };
        let mut options = self.churn.options();
        options.push(("churn_at", churn_at.to_owned()));
        options
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), ScheduleError> {
        match (option, value) {
            ("churn_at", "before") => self.churn_at = ChurnAt::Before,
            ("churn_at", "after") => self.churn_at = ChurnAt::After,
            _ => {
                let refusal = ScheduleError::solver_option(self, option, value);
                self.churn.set(option, value).ok_or(refusal)?;
            }
        }
        Ok(())
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn keeps(&self) -> Kept {
        Kept::Nothing
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
