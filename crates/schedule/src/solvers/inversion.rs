//! DDIM run backwards: from a picture to the noise it would be drawn from (Song et al. 2020, section 4.3).

use crate::{Eta, Level, Path, Predecessor, Prediction, Row, Settings};

use super::ddim;

/// The steps of [`ddim`] without noise, clean to noisy, over the levels of the path.
///
/// With true predecessors each step evaluates the network where the state is, and the first, from the picture
/// itself, at timestep 0. Where the network predicts x0 it says nothing of the eps of a picture without noise:
/// there the picture is taken to be at the level of timestep 0. Under [`Predecessor::Stride`] the network is told
/// the timestep that a step leads *to*, as diffusers does.
pub(crate) fn inversion(path: &Path, settings: &Settings) -> Vec<Row> {
    let mut levels: Vec<Level> = path.levels().iter().rev().copied().collect();
    if settings.prediction == Prediction::X0 && levels[0].alpha_bar == 1.0 {
        levels[0] = path.cleanest();
    }
    levels.dedup_by(|next, level| next.alpha_bar == level.alpha_bar);
    let step = |pair: &[Level]| {
        let (from, to) = (pair[0], pair[1]);
        match settings.predecessor {
            Predecessor::InList => ddim(Eta::DDIM, from, to),
            Predecessor::Stride => ddim(Eta::DDIM, Level { time: to.time, ..path.a_stride_below(to) }, to),
        }
    };
    levels.windows(2).map(step).collect()
}
