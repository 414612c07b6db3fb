//! A run from its start to its end, with a network that is a function.

use std::ops::ControlFlow;

use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::{Noise, Run, SampleError};

/// A call of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The step, counted from 0 at the noisy end.
    pub index: usize,
    /// The time given to the network: a timestep of its training.
    pub time: f64,
}

/// What an observer sees after a step.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The step just taken, counted from 0.
    pub index: usize,
    /// The steps of the run.
    pub n_steps: usize,
    /// The state after the step, `[n, c, h, w]`; after the last one the pictures.
    pub x: &'a Tensor,
    /// The clean pictures predicted in this step, limited, `[n, c, h, w]`.
    pub x0: &'a Tensor,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All steps were taken: the pictures, `[n, c, h, w]`, not clipped.
    Finished(Tensor),
    /// The observer stopped the run after this many steps.
    Stopped {
        /// The state at that point, `[n, c, h, w]`.
        x: Tensor,
        /// Steps taken.
        steps_taken: usize,
    },
}

/// Runs a plan from the state `x`, `[n, c, h, w]`: usually standard normal noise times
/// [`Plan::start_scale`].
///
/// `network` is called once a step with the state and gives a prediction of the plan's kind, in the state's
/// shape (with twice the channels where a variance is learned; a plan of a fixed variance does not look at
/// the second half). Everything stays on the device
/// where `x` lives. `observe` sees every step and may stop the run.
///
/// # Errors
///
/// [`SampleError::NotFinite`] if the network or the noise makes a picture infinite or NaN, [`SampleError::Device`]
/// if the device fails, and [`SampleError::Channels`] if the network gives another number of channels than the
/// plan needs.
///
/// # Examples
///
/// All the data is one grey level, 0.3, so the best prediction of the noise is known, and the run lands on
/// that level:
///
/// ```
/// use std::ops::ControlFlow;
/// use ddim_sampler::{Noise, Outcome, PictureNoise, sample};
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
/// use ddim_tensor::{Device, Tensor};
///
/// let schedule = NoiseSchedule::new(&BetaSchedule::Linear { start: 1e-4, end: 0.02 }, 1000)?;
/// let plan = Plan::new(&schedule, &Settings { n_steps: 10, ..Settings::default() })?;
/// let mut noise = PictureNoise::new(0, [0]);
/// let x = noise.initial([1, 1, 8, 8], &Device::Cpu);
/// let network = |x: Tensor, call: ddim_sampler::Call| {
///     let a = schedule.alpha_bar(call.time as usize);
///     (x - 0.3 * a.sqrt()) / (1.0 - a).sqrt()
/// };
/// let outcome = sample(&plan, x, network, &mut noise, |_| ControlFlow::Continue(()))?;
/// let Outcome::Finished(pictures) = outcome else { panic!("nobody stopped it") };
/// assert!((pictures.values()[0] - 0.3).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sample(
    plan: &Plan,
    x: Tensor,
    network: impl FnMut(Tensor, Call) -> Tensor,
    noise: &mut dyn Noise,
    observe: impl FnMut(&Observation) -> ControlFlow<()>,
) -> Result<Outcome, SampleError> {
    Run::new(plan, x).drive(network, noise, observe)
}

/// The same with a hand on the state: after every step `edit` gets the step's index, the state and the noise of
/// the run, and gives the state to go on with. For known parts and corrections there is
/// [`Between`](crate::Between).
///
/// # Errors
///
/// Those of [`sample`].
pub fn sample_edited(
    plan: &Plan,
    x: Tensor,
    network: impl FnMut(Tensor, Call) -> Tensor,
    noise: &mut dyn Noise,
    edit: impl FnMut(usize, Tensor, &mut dyn Noise) -> Tensor,
    observe: impl FnMut(&Observation) -> ControlFlow<()>,
) -> Result<Outcome, SampleError> {
    Run::new(plan, x).drive_edited(network, noise, edit, observe)
}
