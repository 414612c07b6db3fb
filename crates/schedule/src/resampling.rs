//! RePaint's resampling: a longer table that goes back and forth (Lugmayr et al. 2022).

use crate::{Marginal, ScheduleError, Step, StepNoise};

/// How often a run goes over its steps. More than once is for inpainting: each pass lets what is repainted and
/// what is known agree better.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Resampling, Settings};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let resampling = Resampling::Jumps { length: 10, times: 3 };
/// let plan = Plan::new(&schedule, &Settings { resampling, ..Settings::default() })?;
/// assert_eq!(plan.steps().len(), 20 + 2 * 10); // network calls
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resampling {
    /// Every step is taken once.
    #[default]
    Once,
    /// The run jumps back: wherever a multiple of `length` steps is left before the last, it adds the noise of
    /// the `length` steps behind it and takes them again, until each was taken `times` times.
    Jumps {
        /// Steps that a jump goes back; RePaint's `jump_length`, 10 in the paper.
        length: usize,
        /// How often such steps are taken in all; RePaint's `jump_n_sample`, 10 in the paper.
        times: usize,
    },
}

impl Resampling {
    /// The most that `times` can be: a mistyped number should not fill the memory.
    pub const MOST_TIMES: usize = 1000;

    /// The paper's choice for a run of this many steps: ten times, and jumps over a 25th of the run, 10 steps of
    /// its 250. Longer jumps stop short of the answer.
    ///
    /// ```
    /// use ddim_schedule::Resampling;
    /// assert_eq!(Resampling::repaint(20), Resampling::Jumps { length: 1, times: 10 });
    /// assert_eq!(Resampling::repaint(250), Resampling::Jumps { length: 10, times: 10 });
    /// ```
    pub fn repaint(n_steps: usize) -> Self {
        Self::Jumps { length: (n_steps / 25).max(1), times: 10 }
    }

    /// The table of a run that jumps back. A step and the jump after it are one row: both are linear, and their
    /// noises are independent, so that `sigma^2` is the sum of what the jump leaves of the step's and its own.
    pub(crate) fn apply(self, steps: Vec<Step>, solver: &'static str) -> Result<Vec<Step>, ScheduleError> {
        let Self::Jumps { length, times } = self else { return Ok(steps) };
        let n_steps = steps.len();
        if length == 0 || length >= n_steps || times == 0 || times > Self::MOST_TIMES {
            return Err(ScheduleError::Resampling { length, times, n_steps });
        }
        if steps.iter().any(|step| !step.history.is_empty() || step.c_start != 0.0) {
            return Err(ScheduleError::ResamplingHistory { solver });
        }
        let order = order(n_steps, length, times);
        let nexts = order.iter().skip(1).map(|next| Some(*next)).chain([None]);
        let rows = order.iter().zip(nexts).map(|(&at, next)| match next {
            Some(next) if next <= at => renoised(&steps[at], &steps[at + 1], &steps[next], solver),
            _ => Ok(steps[at].clone()),
        });
        rows.collect()
    }
}

/// The steps in the order in which they are taken.
fn order(n_steps: usize, length: usize, times: usize) -> Vec<usize> {
    // Where a jump starts, as in the paper's own program: a multiple of the length before the last step, and far
    // enough from the first.
    let jumps_from = |at: usize| at >= length && (n_steps - 1 - at).is_multiple_of(length);
    let mut jumps_left: Vec<usize> = (0..n_steps).map(|at| if jumps_from(at) { times - 1 } else { 0 }).collect();
    let (mut order, mut at) = (Vec::new(), 0);
    while at < n_steps {
        order.push(at);
        at += 1;
        if at < n_steps && jumps_left[at] > 0 {
            jumps_left[at] -= 1;
            at -= length;
        }
    }
    order
}

/// The step that leads to where `down` starts, and from there back up to where `up` starts:
/// `x_up = s x_down + n z` with `s` the ratio of their signals and `n^2` what is missing of the noise
/// (the last line of RePaint's Algorithm 1, for several steps at once).
fn renoised(step: &Step, down: &Step, up: &Step, solver: &'static str) -> Result<Step, ScheduleError> {
    if step.alpha_bar_prev != down.alpha_bar {
        let problem = "its steps do not end where the next begin (diffusers' stride): use the convention exact, \
                       or the spacing leading";
        return Err(ScheduleError::Solver { solver, problem: problem.to_owned() });
    }
    let (Marginal { signal, noise, .. }, above) = (down.marginal, up.marginal);
    let scale = above.signal / signal;
    let added = above.noise * above.noise - scale * scale * noise * noise;
    if added <= 0.0 {
        return Err(ScheduleError::ResamplingUpwards { solver, time: up.time });
    }
    let own = match step.noise {
        StepNoise::None => 0.0,
        StepNoise::Fixed { sigma } => scale * sigma,
        StepNoise::LearnedRange { .. } | StepNoise::Learned | StepNoise::LearnedLog => {
            return Err(ScheduleError::ResamplingLearned);
        }
    };
    Ok(Step {
        alpha_bar_prev: up.alpha_bar,
        c_x: scale * step.c_x,
        c_x0: scale * step.c_x0,
        c_eps: scale * step.c_eps,
        noise: StepNoise::fixed((own * own + added).sqrt()),
        ..step.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solvers::{self, Ddim, Ddpm};
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Solver, Variance};

    fn plan(solver: &dyn Solver, n_steps: usize, resampling: Resampling) -> Result<Plan, ScheduleError> {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        Plan::new(
            &schedule,
            &Settings { resampling, ..Settings::new(Convention::Exact, solver.cloned(), n_steps) },
        )
    }

    /// The paper's own program (`get_schedule_jump`) counts down from 9 for 10 steps, and with jumps of 3, twice,
    /// goes back up where it comes to 6, 3 and 0: 9 8 7 6 ^ 9 8 7 6 5 4 3 ^ 6 5 4 3 2 1 0 ^ 3 2 1 0. The network
    /// is called where it leaves a number downwards.
    #[test]
    fn the_order_is_that_of_the_paper() {
        let left: Vec<usize> = order(10, 3, 2).iter().map(|at| 9 - at).collect();
        assert_eq!(left, [9, 8, 7, 9, 8, 7, 6, 5, 4, 6, 5, 4, 3, 2, 1, 3, 2, 1, 0]);
        assert_eq!(order(4, 1, 1), [0, 1, 2, 3]);
    }

    #[test]
    fn calls_are_counted() {
        let calls = |n_steps, length, times| order(n_steps, length, times).len();
        // The paper's setting: 24 places to jump from, 9 times each, 10 steps a jump.
        assert_eq!(calls(250, 10, 10), 250 + 9 * 24 * 10);
        for (n, length) in [(2usize, 1usize), (7, 3), (20, 19), (20, 6)] {
            for times in 1..5 {
                let jumps = (n - length).div_ceil(length);
                assert_eq!(calls(n, length, times), n + (times - 1) * length * jumps, "{n} {length} {times}");
            }
        }
    }

    /// For whatever x0 and eps the network sees, a state with the marginal of the step it lands on: signal and
    /// variance, at every row of every one-step method.
    #[test]
    fn every_row_lands_on_the_next_marginal() {
        for text in ["ddim", "ddim:eta=0.4", "ddim:eta=1", "ddpm", "euler"] {
            let solver = solvers::parse(text).unwrap();
            for (length, times) in [(1, 2), (3, 4), (9, 3)] {
                let plan = plan(&*solver, 10, Resampling::Jumps { length, times }).unwrap();
                for pair in plan.steps().windows(2) {
                    let (step, next) = (&pair[0], pair[1].marginal);
                    let StepNoise::Fixed { sigma } = step.noise else {
                        assert!(step.alpha_bar_prev > step.alpha_bar, "only a jump has to add noise");
                        continue;
                    };
                    // x = signal x0 + noise eps, so the rest of the row is a signal and a share of eps.
                    let signal = step.c_x * step.marginal.signal + step.c_x0;
                    let eps = step.c_x * step.marginal.noise + step.c_eps;
                    let variance = eps * eps + sigma * sigma;
                    let wanted = next.noise * next.noise;
                    // f64 rounding, relative to the size of the state.
                    assert!((signal - next.signal).abs() < 1e-12, "{text} {length} {times}");
                    assert!((variance - wanted).abs() < 1e-10 * wanted.max(1.0), "{variance} {wanted}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_resampled_says_why() {
        let refused = |solver: &dyn Solver, resampling, expected: &str| {
            let error = plan(solver, 10, resampling).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        let ddim = &Ddim::default();
        let jumps = |length, times| Resampling::Jumps { length, times };
        refused(ddim, jumps(10, 2), "the length must be from 1 to 9");
        refused(ddim, jumps(0, 2), "jumps of 0 steps");
        refused(ddim, jumps(3, 0), "0 times");
        refused(ddim, jumps(3, usize::MAX), "at most 1000");
        refused(&Ddpm { variance: Variance::LearnedRange }, jumps(1, 2), "learned variance");
    }

    /// Zero terminal SNR: a jump to pure noise forgets everything, and nothing is divided by 0.
    #[test]
    fn a_jump_to_pure_noise_keeps_nothing() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap().rescaled_to_zero_snr();
        let resampling = Resampling::Jumps { length: 1, times: 2 };
        let settings =
            Settings { prediction: crate::Prediction::V, n_steps: 3, resampling, ..Settings::default() };
        let plan = Plan::new(&schedule, &settings).unwrap();
        let first = &plan.steps()[0];
        assert_eq!((first.c_x, first.c_x0, first.c_eps), (0.0, 0.0, 0.0));
        assert_eq!(first.noise, StepNoise::Fixed { sigma: 1.0 });
    }
}
