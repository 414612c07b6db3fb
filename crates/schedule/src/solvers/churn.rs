//! Churn: fresh noise before a step (Karras et al. 2022, Algorithm 2).

use crate::{Level, Path, StepNoise};

/// Before a step of a run of `n` the noise level rises to `(1 + gamma) noise_level` with
/// `gamma = min(amount/n, sqrt(2) - 1)`, and noise of deviation `noise sqrt(raised^2 - noise_level^2)` is added.
///
/// Where the method calls the network before it adds noise of its own, the noise of a step is drawn at the end of
/// the row before it; the first step needs none, for the run simply starts at the raised level. There, and only
/// there, [`noise`](Self::noise) has no effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// `S_churn`: how much, shared out among all steps; 0 is none.
    pub amount: f64,
    /// `S_tmin`: the smallest noise level that is raised.
    pub min: f64,
    /// `S_tmax`: the largest.
    pub max: f64,
    /// `S_noise`: a little above 1 makes up for the detail that a network takes away too much of.
    pub noise: f64,
}

impl Churn {
    /// No churn.
    pub const NONE: Self = Self { amount: 0.0, min: 0.0, max: f64::INFINITY, noise: 1.0 };

    /// Its options, as the solvers that have them name them.
    pub(crate) fn options(&self) -> Vec<(&'static str, String)> {
        let values = [("churn", self.amount), ("churn_min", self.min), ("churn_max", self.max)];
        let values = values.into_iter().chain([("churn_noise", self.noise)]);
        values.map(|(name, value)| (name, value.to_string())).collect()
    }

    /// Changes an option; `None` for a name or a value that it does not have.
    pub(crate) fn set(&mut self, option: &str, value: &str) -> Option<()> {
        let value: f64 = value.parse().ok().filter(|value| *value >= 0.0)?;
        match option {
            "churn" if value.is_finite() => self.amount = value,
            "churn_min" => self.min = value,
            "churn_max" => self.max = value,
            "churn_noise" if value.is_finite() => self.noise = value,
            _ => return None,
        }
        Some(())
    }

    /// The levels of the path, those raised at which a step starts.
    pub(crate) fn raised(&self, path: &Path) -> Vec<Level> {
        let mut levels = path.levels().to_vec();
        let gamma = (self.amount / path.n_steps() as f64).min(2_f64.sqrt() - 1.0);
        for level in levels[..path.n_steps()].iter_mut().filter(|_| gamma > 0.0) {
            let noise_level = level.noise_level();
            if (self.min..=self.max).contains(&noise_level) {
                *level = path.at_noise_level((1.0 + gamma) * noise_level);
            }
        }
        levels
    }

    /// The noise that takes a state from a level to the raised one.
    pub(crate) fn fresh(&self, level: Level, raised: Level) -> StepNoise {
        if level == raised {
            return StepNoise::None;
        }
        let (low, high) = (level.noise_level(), raised.noise_level());
        StepNoise::fixed(self.noise * (high * high - low * low).sqrt())
    }
}
