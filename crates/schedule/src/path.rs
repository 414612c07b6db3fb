//! The levels of a run.

use crate::settings::{FinalAlphaBar, LastNoise, Times};
use crate::{Convention, Level, NoiseSchedule, Predecessor, Prediction, ScheduleError, Settings, Spacing};

/// The levels that a run visits, from where it starts to where it ends: one more than it has steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Path<'a> {
    schedule: &'a NoiseSchedule,
    levels: Vec<Level>,
    times: Times,
    prediction: Prediction,
    predecessor: Predecessor,
    last_noise: LastNoise,
    /// The whole number of timesteps that a step of diffusers' DDIM leads over.
    stride: usize,
}

impl<'a> Path<'a> {
    /// The path that these settings describe.
    pub(crate) fn new(schedule: &'a NoiseSchedule, settings: &Settings) -> Result<Self, ScheduleError> {
        let mut levels = listed(schedule, settings)?;
        let times = settings.times;
        for level in &mut levels {
            level.time = times.rounded(level.time);
        }
        levels.drain(..settings.skipped_steps()?);
        levels.push(match settings.final_alpha_bar {
            FinalAlphaBar::One => Level::CLEAN,
            FinalAlphaBar::First => Level { time: 0.0, alpha_bar: schedule.alpha_bar(0) },
        });
        let stride = schedule.train_steps() / settings.n_steps;
        let Settings { prediction, predecessor, last_noise, .. } = *settings;
        Ok(Self { schedule, levels, times, prediction, predecessor, last_noise, stride })
    }

    /// The levels, noisy to clean; at least two, and no two neighbours alike.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// How many steps it has.
    pub fn n_steps(&self) -> usize {
        self.levels.len() - 1
    }

    /// Where the run starts.
    pub fn start(&self) -> Level {
        self.levels[0]
    }

    /// A level between those of the path, with the time at which the training had it.
    pub fn at_noise_level(&self, noise_level: f64) -> Level {
        let time = self.schedule.time_at(noise_level);
        Level::at_noise_level(self.times.rounded(time), noise_level)
    }

    /// The level of the training at this time, between its first and its last timestep.
    pub(crate) fn at_time(&self, time: f64) -> Level {
        let time = self.times.rounded(time).clamp(0.0, (self.schedule.train_steps() - 1) as f64);
        Level { time, ..Level::at_noise_level(time, self.schedule.noise_level_at(time)) }
    }

    /// Where each step starts and ends: at the next level, or where diffusers' DDIM takes it.
    pub fn steps(&self) -> impl Iterator<Item = (Level, Level)> {
        self.levels.windows(2).map(|pair| match self.predecessor {
            Predecessor::InList => (pair[0], pair[1]),
            Predecessor::Stride => (pair[0], self.a_stride_below(pair[0])),
        })
    }

    /// Whether a step, counted from 0, may add noise: the last one may leave the picture clean.
    pub fn may_add_noise(&self, step: usize) -> bool {
        step + 1 < self.n_steps()
            || self.last_noise == LastNoise::UnlessTimestepZero && self.levels[step].time != 0.0
    }

    /// What the network predicts.
    pub(crate) fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// Which level a step leads to.
    pub(crate) fn predecessor(&self) -> Predecessor {
        self.predecessor
    }

    /// The whole number of timesteps between two neighbours of an even list.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The shares of the state and of the network's output in eps at a level: for methods that combine outputs
    /// before they are read, see [`Kept::Output`](crate::Kept::Output).
    pub(crate) fn eps_shares(&self, level: Level) -> [f64; 2] {
        let from = self.prediction.coefficients(level.alpha_bar);
        [from.eps_from_x, from.eps_from_out]
    }

    /// The level of timestep 0.
    pub(crate) fn cleanest(&self) -> Level {
        Level { time: 0.0, alpha_bar: self.schedule.alpha_bar(0) }
    }

    /// Where diffusers' DDIM takes a step from this level to: `t - T/n` with a whole-number ratio, and the end of
    /// the path below 0.
    pub(crate) fn a_stride_below(&self, level: Level) -> Level {
        match (level.time as usize).checked_sub(self.stride) {
            Some(t) => Level { time: t as f64, alpha_bar: self.schedule.alpha_bar(t) },
            None => self.levels[self.n_steps()],
        }
    }
}

/// The levels of the spacing, over the timesteps with enough signal. A list given by hand is taken as it is, and
/// diffusers does not shorten the range of its spacings in the noise level.
fn listed(schedule: &NoiseSchedule, settings: &Settings) -> Result<Vec<Level>, ScheduleError> {
    let takes_all = match settings.spacing {
        Spacing::Explicit(_) => true,
        _ if settings.lambda_min == f64::NEG_INFINITY => true,
        _ => settings.convention == Convention::Diffusers && !settings.spacing.is_of_timesteps(),
    };
    if takes_all {
        return settings.spacing.levels(settings.n_steps, schedule);
    }
    settings.spacing.levels(settings.n_steps, &schedule.down_to(settings.lambda_min)?)
}
