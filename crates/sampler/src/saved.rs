//! A run that waits: its numbers, to be written down in whatever way.

use ddim_schedule::Plan;

use crate::history::History;
use crate::{Between, SampleError};

/// What has to be kept of a [`Run`](crate::Run) to go on later, with the same bits: its numbers, in host memory.
/// The plan, what is between its steps and the streams of the noise are made again from what they were made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Steps taken.
    pub steps_taken: usize,
    /// Langevin corrections made since the last of them.
    pub corrections: usize,
    /// `[n, c, h, w]`, of the state and of everything else.
    pub dims: [usize; 4],
    /// The state, picture by picture, channel by channel, row by row.
    pub x: Vec<f32>,
    /// The state that the run began with, for plans that look back so far.
    pub start: Option<Vec<f32>>,
    /// What the plan keeps of earlier calls, the latest first.
    pub kept: Vec<Vec<f32>>,
}

impl Saved {
    /// Whether a run of this plan can have been so.
    pub(crate) fn check(&self, plan: &Plan, between: &Between) -> Result<(), SampleError> {
        let (n_steps, taken) = (plan.steps().len(), self.steps_taken);
        if taken > n_steps {
            return Err(misfit(format!("{taken} steps were taken, and it has {n_steps}")));
        }
        let allowed = if taken < n_steps { between.corrections_before(taken) } else { 0 };
        if self.corrections > allowed {
            let problem = format!("{} corrections were made after step {taken}, of {allowed}", self.corrections);
            return Err(misfit(problem));
        }
        if self.start.is_some() != History::needs_start(plan) {
            let has = if self.start.is_some() { "was saved, and is not needed" } else { "is missing" };
            return Err(misfit(format!("the state that the run began with {has}")));
        }
        let (found, needed) = (self.kept.len(), History::len_after(plan, taken));
        if found != needed {
            return Err(misfit(format!("{found} predictions were saved, and {taken} steps leave {needed}")));
        }
        let values = self.dims.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
        let mut parts = std::iter::once(&self.x).chain(&self.start).chain(&self.kept);
        match parts.find(|part| Some(part.len()) != values) {
            Some(part) => Err(misfit(format!("{} numbers for a shape of {:?}", part.len(), self.dims))),
            None => Ok(()),
        }
    }
}

fn misfit(problem: String) -> SampleError {
    SampleError::Saved { problem }
}
