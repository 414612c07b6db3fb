//! What happens between the steps of a run.

use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::{Known, Langevin, Noise, SampleError};

/// What happens between the steps of a run: by default nothing.
///
/// Both together are a corrected run around a known part. After every step, and after every correction, the known
/// part is put back at the level that the run has reached, with the noise of that step. So it stands still while
/// corrections move the rest, and as `grad_u log q(u, v) = grad_u log q(u | v)`, they are Langevin steps of the
/// rest `u` given the noisy known part `v` (MATH.md, section 28).
#[derive(Clone, Debug, Default)]
pub struct Between {
    /// Langevin corrections before every step but the first.
    pub langevin: Option<Langevin>,
    /// The part of the pictures that stays.
    pub known: Option<Known>,
}

impl Between {
    /// The network calls of a plan of `n_steps` steps, its own included.
    pub fn calls(&self, n_steps: usize) -> usize {
        self.langevin.map_or(n_steps, |langevin| langevin.calls(n_steps))
    }

    /// Whether a run of this plan can have it.
    ///
    /// # Errors
    ///
    /// Those of [`Langevin::check`].
    pub fn check(&self, plan: &Plan) -> Result<(), SampleError> {
        self.langevin.map_or(Ok(()), |langevin| langevin.check(plan))
    }

    pub(crate) fn corrections_before(&self, index: usize) -> usize {
        self.langevin.filter(|_| index > 0).map_or(0, |langevin| langevin.steps())
    }

    /// The state that step `index` has led to, with what is known in it.
    pub(crate) fn put_back(&self, plan: &Plan, index: usize, x: Tensor, noise: &mut dyn Noise) -> Tensor {
        match &self.known {
            Some(known) => known.put_back(plan, index, x, noise),
            None => x,
        }
    }
}
