//! DDIM run backwards: from a picture to the noise it would be drawn from (Song et al. 2020, section 4.3).

use crate::{Eta, Level, Path, Predecessor, Prediction, Row, ScheduleError};

use super::ddim::ddim;

/// The steps of [`ddim`] without noise, clean to noisy, over the levels of the path.
///
/// With true predecessors each step evaluates the network where the state is, and the first, from the picture
/// itself, at timestep 0. Where the network predicts x0, in whatever way, it says nothing of the eps of a picture
/// without noise: there the picture is taken to be at the level of timestep 0. Under [`Predecessor::Stride`] the
/// network is told the timestep that a step leads *to*, as diffusers does.
///
/// # Errors
/// When the path holds no level but that of timestep 0, and the picture is taken to be there already.
pub(super) fn inversion(path: &Path) -> Result<Vec<Row>, ScheduleError> {
    let mut levels: Vec<Level> = path.levels().iter().rev().copied().collect();
    let with_eps = |level: Level| match path.prediction() {
        Prediction::X0 | Prediction::Edm { .. } | Prediction::Score if level.alpha_bar == 1.0 => path.cleanest(),
        _ => level,
    };
    let rows: Vec<Row> = match path.predecessor() {
        Predecessor::InList => {
            levels[0] = with_eps(levels[0]);
            levels.dedup_by(|next, level| next.alpha_bar == level.alpha_bar);
            levels.windows(2).map(|pair| ddim(Eta::DDIM, pair[0], pair[1])).collect()
        }
        Predecessor::Stride => {
            let from = |to: Level| Level { time: to.time, ..with_eps(path.a_stride_below(to)) };
            levels[1..].iter().map(|&to| ddim(Eta::DDIM, from(to), to)).collect()
        }
    };
    if rows.is_empty() {
        let problem = "a picture is at timestep 0 already, and the list holds no noisier one: add some".to_owned();
        return Err(ScheduleError::Solver { solver: "ddim", problem });
    }
    Ok(rows)
}
