//! What to draw.

use crate::Start;
use crate::sampler::Guidance;
use crate::schedule::{Convention, Eta, Method, Resampling, Spacing};

/// What to draw, and how. The defaults are one picture, DDIM in 20 steps, eta 0.
///
/// ```
/// use ddim::schedule::{Eta, Method};
/// let options = ddim::Options { count: 16, method: "dpm++".parse()?, ..ddim::Options::default() };
/// assert_eq!((options.steps, options.method.name()), (20, "dpm++"));
/// let half_way = ddim::Options { method: Method::Ddim { eta: Eta::new(0.5)? }, ..options };
/// # Ok::<(), ddim::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Steps a picture, 1 to the model's training steps; most methods call the network once a step.
    pub steps: usize,
    /// How they are taken.
    pub method: Method,
    /// How many pictures.
    pub count: usize,
    /// Picture `k` depends on the seed and on `k` alone.
    pub seed: u64,
    /// Classes, used in turn. Empty: all of the model's classes in turn.
    pub classes: Vec<usize>,
    /// Classifier-free guidance: `3.0.into()` is that scale in every step.
    pub guidance: Guidance,
    /// What the pictures begin with.
    pub start: Start,
    /// How much of a picture given as the start is changed: the share of the steps that are taken, the last ones.
    /// 1 for a start from noise.
    pub strength: f64,
    /// How often the steps are taken, for inpainting.
    pub resampling: Resampling,
    /// Pictures drawn at once.
    pub batch_size: usize,
    /// How timesteps are chosen; none leaves it to the convention.
    pub spacing: Option<Spacing>,
    /// Whose habits are followed; none leaves it to the model.
    pub convention: Option<Convention>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: 20,
            method: Method::Ddim { eta: Eta::DDIM },
            count: 1,
            seed: 0,
            classes: Vec::new(),
            guidance: Guidance::OFF,
            start: Start::Noise,
            strength: 1.0,
            resampling: Resampling::Once,
            batch_size: 16,
            spacing: None,
            convention: None,
        }
    }
}
