//! Euler's method in the noise level (Karras et al. 2022, Algorithm 1 without its second half).

use crate::{Coordinates, Kept, Path, Row, ScheduleError, Solver};

/// `y + (noise_level' - noise_level) eps`: the same map as DDIM without noise, for a state that is
/// `y = x0 + noise_level eps`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Euler {}

impl Solver for Euler {
    fn name(&self) -> &'static str {
        "euler"
    }

    fn about(&self) -> &'static str {
        "Euler's method in the noise level (Karras et al. 2022)"
    }

    fn options(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), ScheduleError> {
        Err(ScheduleError::solver_option(self, option, value))
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn keeps(&self) -> Kept {
        Kept::Nothing
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let step = |pair: &[crate::Level]| {
            let (from, to) = (pair[0], pair[1]);
            Row { c_x: 1.0, c_eps: to.noise_level() - from.noise_level(), ..Row::new(from, to) }
        };
        Ok(path.levels().windows(2).map(step).collect())
    }
}
