//! Finding the first picture that is not finite, with few waits for a GPU.

use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::SampleError;

/// What is known about a step's predictions and the states they lead to.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// All are finite.
    Finite,
    /// This picture of the batch is the first that is not.
    NotFinite { picture: usize },
    /// Sums over parts of pictures, `[n, parts, 1, 1]`: not finite if anything in the part is not. Reading them
    /// makes the device finish its work, so that is left until there are a few.
    Pending(Tensor),
}

/// Steps that the host may be ahead of a device: with every step the queue holds more of the device's memory, and
/// more work is in vain when something fails.
const WINDOW: usize = 16;

/// The verdicts of a run of a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pending: Vec<(usize, Tensor)>,
}

impl Health {
    pub(crate) fn record(&mut self, plan: &Plan, index: usize, verdict: Verdict) -> Result<(), SampleError> {
        match verdict {
            Verdict::Finite => Ok(()),
            Verdict::NotFinite { picture } => Err(not_finite(plan, index, picture)),
            Verdict::Pending(sums) => {
                self.pending.push((index, sums));
                if self.pending.len() == WINDOW { self.read(plan) } else { Ok(()) }
            }
        }
    }

    /// Looks at what is pending.
    pub(crate) fn read(&mut self, plan: &Plan) -> Result<(), SampleError> {
        for (index, sums) in std::mem::take(&mut self.pending) {
            let [_, parts, ..] = sums.dims();
            if let Some(part) = sums.read()?.into_iter().position(|sum| !sum.is_finite()) {
                return Err(not_finite(plan, index, part / parts));
            }
        }
        Ok(())
    }
}

fn not_finite(plan: &Plan, index: usize, picture: usize) -> SampleError {
    let steps = plan.steps();
    SampleError::NotFinite { step: index + 1, n_steps: steps.len(), time: steps[index].time, picture }
}

#[cfg(test)]
mod tests {
    use ddim_schedule::{BetaSchedule, NoiseSchedule, Settings};

    use super::*;

    #[test]
    fn verdicts_are_read_before_the_end_of_a_long_run() {
        let schedule =
            NoiseSchedule::new(&BetaSchedule::Linear { start: 1e-4, end: 0.02 }, 1000).expect("published");
        let plan = Plan::new(&schedule, &Settings { n_steps: 40, ..Settings::default() }).expect("a plan");
        // The last of two parts of the second picture.
        let verdict = |sum: f32| Verdict::Pending(Tensor::new(vec![0.5, 1.0, 0.0, sum], [2, 2, 1, 1]));
        let mut health = Health::default();
        for index in 0..WINDOW - 1 {
            let sum = if index == 2 { f32::NAN } else { 1.0 };
            health.record(&plan, index, verdict(sum)).expect("not read yet");
        }
        let found = health.record(&plan, WINDOW - 1, verdict(1.0)).expect_err("read now");
        assert!(matches!(found, SampleError::NotFinite { step: 3, picture: 1, .. }), "{found}");
    }
}
