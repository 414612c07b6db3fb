//! Predictor and corrector: Langevin steps between the steps of a plan.

use std::ops::ControlFlow;

use ddim_schedule::{Kept, Plan, Step, StepNoise};
use ddim_tensor::Tensor;

use crate::{Between, Call, Noise, Observation, Outcome, Run, SampleError};

/// Langevin corrections (Song et al. 2021, "Score-based generative modeling through stochastic differential
/// equations", Algorithm 4): at one noise level, `x + e score + sqrt(2 e) z` with
/// `e = 2 (snr |z| / |score|)^2`.
///
/// The paper averages the two norms over the batch. Here each picture has its own, so that it does not depend on
/// what else is in its batch. Algorithm 5's factor `1 - beta` belongs to the training steps between two levels, of
/// which a short plan skips most, and is left out; then a correction is the same in all coordinates (MATH.md).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Langevin {
    steps: usize,
    snr: f64,
}

impl Langevin {
    /// `steps` corrections, each a network call, at the start of every step of a plan but the first.
    ///
    /// # Errors
    ///
    /// [`SampleError::Langevin`] for none or more than 1023 steps, and for a ratio that is not in (0, 1].
    ///
    /// ```
    /// use ddim_sampler::Langevin;
    /// assert_eq!(Langevin::new(2, 0.16)?.calls(10), 10 + 2 * 9);
    /// assert!(Langevin::new(1, 0.0).unwrap_err().to_string().contains("above 0, such as 0.16"));
    /// # Ok::<(), ddim_sampler::SampleError>(())
    /// ```
    pub fn new(steps: usize, snr: f64) -> Result<Self, SampleError> {
        let allowed = (1..1024).contains(&steps) && snr > 0.0 && snr <= 1.0;
        if allowed { Ok(Self { steps, snr }) } else { Err(SampleError::Langevin { steps, snr }) }
    }

    /// Corrections before a step.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The signal-to-noise ratio `r`: how long a correction is.
    pub fn snr(&self) -> f64 {
        self.snr
    }

    /// The network calls of a plan of `n_steps` steps, its own included.
    pub fn calls(&self, n_steps: usize) -> usize {
        n_steps + self.steps * n_steps.saturating_sub(1)
    }

    /// Whether a plan can be corrected: only if no step looks back.
    ///
    /// # Errors
    ///
    /// [`SampleError::RemembersThePast`] if one does.
    pub fn check(&self, plan: &Plan) -> Result<(), SampleError> {
        let looks_back = plan.kept() != Kept::Nothing || plan.steps().iter().any(|step| step.c_start != 0.0);
        if looks_back { Err(SampleError::RemembersThePast) } else { Ok(()) }
    }
}

/// [`sample`](crate::sample) with corrections: the plan's steps are the predictor, and where each has arrived
/// Langevin steps correct the distribution, except at the clean end, where there is no score. A corrected run
/// calls the network [`Langevin::calls`] times.
///
/// # Errors
///
/// As [`sample`](crate::sample), and [`SampleError::RemembersThePast`].
pub fn sample_corrected(
    plan: &Plan,
    langevin: Langevin,
    x: Tensor,
    network: impl FnMut(Tensor, Call) -> Tensor,
    noise: &mut dyn Noise,
    observe: impl FnMut(&Observation) -> ControlFlow<()>,
) -> Result<Outcome, SampleError> {
    Run::with(plan, x, Between { langevin: Some(langevin), known: None })?.drive(network, noise, observe)
}

/// The step whose result is its eps, limited and rederived as the plan says.
pub(crate) fn eps_alone(step: &Step) -> Step {
    Step { c_x: 0.0, c_x0: 0.0, c_eps: 1.0, noise: StepNoise::None, ..step.clone() }
}

/// One Langevin step. With `score = -eps / noise` and `e` as in [`Langevin`], `e score` is
/// `-2 (snr |z| / |eps|)^2 noise eps`.
pub(crate) fn corrected(x: Tensor, eps: Tensor, z: Tensor, step: &Step, snr: f64) -> Tensor {
    let noise = step.marginal.noise;
    let ratio = norms(z.clone()) / norms(eps.clone()) * snr;
    let drift = eps * (ratio.clone().square() * (-2.0 * noise));
    x + drift + z * (ratio * (2.0 * noise))
}

/// The Euclidean norm of each picture, `[n, 1, 1, 1]`.
fn norms(x: Tensor) -> Tensor {
    x.square().sum_each().sqrt()
}
