//! What to draw.

use crate::sampler::{Guidance, Langevin};
use crate::schedule::solvers::Ddim;
use crate::schedule::{Convention, Resampling, Solver, Spacing};
use crate::{Labels, Reuse, Start};

/// What to draw, and how. The defaults are one picture, DDIM in 20 steps, eta 0.
///
/// Methods, spacings and conventions are read from the names that the command line has for them too:
///
/// ```
/// use ddim::schedule::{Eta, Solver, solvers::Ddim};
/// let options = ddim::Options { count: 16, solver: "dpm++:order=3".parse()?, ..ddim::Options::default() };
/// assert_eq!((options.steps, options.solver.name()), (20, "dpm++"));
/// let options = ddim::Options { spacing: Some("karras".parse().expect("a name")), ..options };
/// let half_way = ddim::Options { solver: Ddim { eta: Eta::new(0.5)? }.into(), ..options };
/// # Ok::<(), ddim::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Steps a picture, 1 to the model's training steps; most methods call the network once a step.
    pub steps: usize,
    /// How they are taken.
    pub solver: Box<dyn Solver>,
    /// How many pictures.
    pub count: usize,
    /// Picture `k` depends on the seed and on `k` alone.
    pub seed: u64,
    /// Labels, used in turn: `vec![model.class("sneaker")?].into()` is a class, `vec![0.5].into()` a number for a
    /// model that takes numbers. [`Labels::NONE`]: all of the model's classes in turn.
    pub labels: Labels,
    /// Classifier-free guidance: `3.0.into()` is that scale in every step.
    pub guidance: Guidance,
    /// What the pictures begin with.
    pub start: Start,
    /// How much of a picture given as the start is changed: `0.6.into()` takes the last 0.6 of the steps.
    pub strength: Strength,
    /// How often the steps are taken, for inpainting.
    pub resampling: Resampling,
    /// Langevin corrections between the steps, each a network call: `Some(Langevin::new(1, 0.16)?)`. Only methods
    /// that call the network once a step and remember nothing can have them.
    pub corrector: Option<Langevin>,
    /// Features that network calls keep for later ones: `Some("up_blocks.1:3".parse()?)`. None runs the whole
    /// network in every call.
    pub reuse: Option<Reuse>,
    /// Pictures drawn at once.
    pub batch_size: usize,
    /// How timesteps are chosen; none leaves it to the convention.
    pub spacing: Option<Spacing>,
    /// Whose habits are followed; none leaves it to the model.
    pub convention: Option<Convention>,
}

/// How much of the pictures of a [`Start`] is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Strength {
    /// 0.6 of the steps for [`Start::Pictures`], all of them for the others.
    #[default]
    Usual,
    /// This share of the steps, the last ones: above 0, which would change nothing, and at most 1, which keeps
    /// little more than the colours. `0.3.into()` is a share, too.
    Share(f64),
}

impl Strength {
    /// The share of the steps for a run that begins so.
    pub fn share(self, start: &Start) -> f64 {
        match (self, start) {
            (Self::Share(share), _) => share,
            (Self::Usual, Start::Pictures(_)) => 0.6,
            (Self::Usual, Start::Noise | Start::Inpainting { .. }) => 1.0,
        }
    }
}

impl From<f64> for Strength {
    fn from(share: f64) -> Self {
        Self::Share(share)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: 20,
            solver: Ddim::default().into(),
            count: 1,
            seed: 0,
            labels: Labels::NONE,
            guidance: Guidance::OFF,
            start: Start::Noise,
            strength: Strength::Usual,
            resampling: Resampling::Once,
            corrector: None,
            reuse: None,
            batch_size: 16,
            spacing: None,
            convention: None,
        }
    }
}
