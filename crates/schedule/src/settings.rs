//! Everything a plan depends on besides the noise schedule.

use crate::solvers::Ddim;
use crate::{Convention, EpsSource, Prediction, Resampling, ScheduleError, Solver, Spacing, X0Limit};

/// What to compile into a [`Plan`](crate::Plan). Start from a convention and change what differs.
///
/// ```
/// use ddim_schedule::{Convention, Settings, X0Limit, solvers::Ddim};
/// let settings = Settings {
///     limit: X0Limit::Free,
///     ..Settings::new(Convention::Diffusers, Ddim::default(), 50)
/// };
/// assert_eq!(settings.spacing.to_string(), "leading");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The reverse process.
    pub solver: Box<dyn Solver>,
    /// What the network predicts.
    pub prediction: Prediction,
    /// How the timesteps are chosen.
    pub spacing: Spacing,
    /// How many, and so how many network calls.
    pub n_steps: usize,
    /// The lowest log-SNR, `log(signal/noise)`, of a timestep that may be chosen; minus infinity allows all.
    /// Cosine schedules end so close to pure noise that solvers in log-SNR start better at -5.1 (diffusers'
    /// `lambda_min_clipped`, and like there spacings in the noise level do not look at it).
    pub lambda_min: f64,
    /// What is done with the predicted x0.
    pub limit: X0Limit,
    /// Which eps goes with a limited x0.
    pub eps_source: EpsSource,
    /// Where the last step ends.
    pub final_alpha_bar: FinalAlphaBar,
    /// Where every other step ends.
    pub predecessor: Predecessor,
    /// Whether the last step may add noise.
    pub last_noise: LastNoise,
    /// Which times the network is called at.
    pub times: Times,
    /// Which way the run goes.
    pub direction: Direction,
    /// The share of the steps that are taken, the last ones: 1 for a whole run from noise, less for a run that
    /// starts from a noisy picture.
    pub strength: f64,
    /// How often it goes over its steps.
    pub resampling: Resampling,
    /// Whose choices these are; it also decides how pictures are rounded to 8 bits.
    pub convention: Convention,
}

impl Settings {
    /// The choices of a convention, for a network that predicts eps.
    ///
    /// ```
    /// use ddim_schedule::{Convention, Settings, Variance, X0Limit, solvers::Ddpm};
    /// let ancestral = Ddpm { variance: Variance::FixedLarge };
    /// let settings = Settings::new(Convention::ErmonGroup, ancestral, 1000);
    /// assert_eq!(settings.limit, X0Limit::Clip { range: 1.0 });
    /// ```
    pub fn new(convention: Convention, solver: impl Into<Box<dyn Solver>>, n_steps: usize) -> Self {
        convention.settings(solver.into(), n_steps)
    }

    /// How many of the first steps a run of this strength leaves out.
    pub(crate) fn skipped_steps(&self) -> Result<usize, ScheduleError> {
        let taken = (self.n_steps as f64 * self.strength).round();
        if !(self.strength > 0.0 && self.strength <= 1.0) || taken < 1.0 {
            return Err(ScheduleError::Strength { strength: self.strength, n_steps: self.n_steps });
        }
        Ok(self.n_steps - taken as usize)
    }
}

impl Default for Settings {
    /// The exact convention, DDIM without noise, 20 steps.
    fn default() -> Self {
        Self::new(Convention::Exact, Ddim::default(), 20)
    }
}

/// `alpha_bar` of the picture that the last step makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalAlphaBar {
    /// 1: the clean picture.
    One,
    /// That of timestep 0, slightly noisy: diffusers with `set_alpha_to_one` false.
    First,
}

/// Which timestep a step leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// The next one of the list; after the last, the final `alpha_bar`.
    InList,
    /// `t - T/n` with a whole-number ratio, whatever the list says, and the final `alpha_bar` below 0.
    /// This is what diffusers' DDIM and PNDM compute; it differs from the list for most spacings, and is here only
    /// to reproduce pictures made with them. Solvers other than [`Pndm`](crate::solvers::Pndm) do not look at it.
    Stride,
}

/// Whether the last step may add noise to the finished picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastNoise {
    /// No: the last step is the last step.
    Never,
    /// It may if its timestep is not 0, as in diffusers: with fixed-large variance and a list that does not
    /// end at 0 the finished picture is then noisy.
    UnlessTimestepZero,
}

/// Which times the network is called at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Those of the levels, also between two timesteps of the training.
    Real,
    /// The nearest timestep of the training, halves to even: diffusers' solvers in log-SNR.
    Whole,
    /// The last timestep of the training that is not noisier: the same solvers, for the spacings whose times they
    /// do not round (logsnr as `exponential`, beta, and karras for cosine schedules).
    Floor,
}

impl Times {
    /// The time the network is given.
    pub(crate) fn rounded(self, time: f64) -> f64 {
        match self {
            Self::Real => time,
            Self::Whole => time.round_ties_even(),
            Self::Floor => time.floor(),
        }
    }
}

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From noise to a picture.
    Decode,
    /// From a picture to the noise it would be drawn from (DDIM, section 4.3).
    Encode,
}
