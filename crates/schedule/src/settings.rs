//! Everything a plan depends on besides the noise schedule.

use crate::{Convention, EpsSource, Eta, Method, Prediction, Spacing, X0Limit};

/// What to compile into a [`Plan`](crate::Plan). Start from a convention and change what differs.
///
/// ```
/// use ddim_schedule::{Convention, Eta, Method, Settings, X0Limit};
/// let settings = Settings {
///     limit: X0Limit::Free,
///     ..Settings::new(Convention::Diffusers, Method::Ddim { eta: Eta::DDIM }, 50)
/// };
/// assert_eq!(settings.spacing.to_string(), "leading");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The reverse process.
    pub method: Method,
    /// What the network predicts.
    pub prediction: Prediction,
    /// How the timesteps are chosen.
    pub spacing: Spacing,
    /// How many, and so how many network calls.
    pub n_steps: usize,
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
    /// Whose choices these are; it also decides how pictures are rounded to 8 bits.
    pub convention: Convention,
}

impl Settings {
    /// The choices of a convention, for a network that predicts eps.
    ///
    /// ```
    /// use ddim_schedule::{Convention, Method, Settings, Variance, X0Limit};
    /// let ancestral = Method::Ddpm { variance: Variance::FixedLarge };
    /// let settings = Settings::new(Convention::ErmonGroup, ancestral, 1000);
    /// assert_eq!(settings.limit, X0Limit::Clip { range: 1.0 });
    /// ```
    pub fn new(convention: Convention, method: Method, n_steps: usize) -> Self {
        convention.settings(method, n_steps)
    }
}

impl Default for Settings {
    /// The exact convention, DDIM without noise, 20 steps.
    fn default() -> Self {
        Self::new(Convention::Exact, Method::Ddim { eta: Eta::DDIM }, 20)
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
    /// This is what diffusers' DDIM computes; it differs from the list for most spacings, and is here only
    /// to reproduce pictures made with it.
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
