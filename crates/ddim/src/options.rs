//! What to draw.

use crate::schedule::{Convention, Eta, Method, Spacing};

/// What to draw, and how. The defaults are one picture, DDIM in 20 steps, eta 0.
///
/// ```
/// use ddim::schedule::{Eta, Method};
/// let options = ddim::Options { count: 16, method: "dpm++".parse()?, ..ddim::Options::default() };
/// assert_eq!((options.steps, options.method.name()), (20, "dpm++"));
/// let half_way = ddim::Options { method: Method::Ddim { eta: Eta::new(0.5)? }, ..options };
/// # Ok::<(), ddim::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
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
    /// Classifier-free guidance scale; 1 is none.
    pub guidance: f64,
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
            guidance: 1.0,
            batch_size: 16,
            spacing: None,
            convention: None,
        }
    }
}
