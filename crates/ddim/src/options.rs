//! What to draw.

use crate::schedule::{Convention, Spacing};

/// What to draw, and how. The defaults are one picture, 20 steps, eta 0.
///
/// ```
/// let options = ddim::Options { count: 16, seed: 7, ..ddim::Options::default() };
/// assert_eq!((options.steps, options.eta), (20, 0.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Network calls a picture, 1 to the model's training steps.
    pub steps: usize,
    /// 0 is DDIM, 1 is DDPM ancestral sampling; in between adds less noise.
    pub eta: f64,
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
            eta: 0.0,
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
