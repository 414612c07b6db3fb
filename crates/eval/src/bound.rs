//! The variational bound of the family, compiled from a plan.

use ddim_schedule::solvers::{Ddim, Ddpm};
use ddim_schedule::{
    EpsSource, Eta, Lineage, Plan, PredictionCoefficients, Step, StepNoise, Variance, X0Limit, beta_between,
    posterior_variance, sigma,
};

use crate::EvalError;

pub(crate) mod bits;
mod decoder;
pub(crate) mod estimate;
mod variance;

/// The terms of the variational bound of one sampler, noisy to clean: `L_T`, a term for each step but the last,
/// and the decoder `L_0` (DDPM Eq. 5, DDIM Eq. 11; MATH.md).
///
/// A step of the sampler is `p(x_prev | x_t) = N(row(x_t, predicted x0), sigma^2)`, and what it is compared with
/// is `q(x_prev | x_t, x0)`: the same row at the true x0, with the variance that keeps the marginals. So the mean
/// of both comes from the plan, and the terms differ only by what the variances are:
///
/// * [`Ddim`] with eta above 0: `sigma_t(eta)^2` in both, at its own member of the family;
/// * [`SigmaHat`](ddim_schedule::solvers::SigmaHat) and [`Ddpm`]: the posterior's in `q`, and the one the method
///   draws with in `p`, fixed or the network's own.
///
/// ```
/// use ddim_eval::{Bound, DecoderVariance};
/// use ddim_schedule::{BetaSchedule, Eta, NoiseSchedule, Plan, Settings, solvers::Ddim};
///
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let plan = |eta| Plan::new(&schedule, &Settings { solver: Ddim { eta }.into(), ..Settings::default() });
/// let bound = Bound::new(&plan(Eta::DDPM)?, DecoderVariance::Large)?;
/// assert_eq!(bound.times(), (1..20).rev().map(|k| f64::from(50 * k + 49)).collect::<Vec<_>>());
/// assert_eq!(bound.decoder_time(), 49.0);
/// let error = Bound::new(&plan(Eta::DDIM)?, DecoderVariance::Large).unwrap_err();
/// assert!(error.to_string().starts_with("a step without noise has no finite bound"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub(crate) steps: Vec<BoundStep>,
    pub(crate) decoder: BoundStep,
    pub(crate) limit: X0Limit,
    prior_alpha_bar: f64,
}

/// The variance of the decoder `p(x0 | x1) = N(predicted x0, sigma_1^2)`, which the family leaves open. A learned
/// range goes from the one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderVariance {
    /// The variance of the noise of the last step, `1 - alpha_bar`: right for pixels whose neighbours tell
    /// nothing.
    Large,
    /// The posterior's variance of the step before the last: what published code puts in the place of that of the
    /// last, which is 0. With a single step it is the same as `Large`.
    Small,
}

/// One term: a call of the network, and what is made of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoundStep {
    pub(crate) time: f64,
    pub(crate) input_scale: f64,
    pub(crate) signal: f64,
    pub(crate) noise: f64,
    pub(crate) read: PredictionCoefficients,
    /// The means of `q` and `p` differ by this times the error of x0 ...
    pub(crate) from_x0: f64,
    /// ... and this times the error of eps.
    pub(crate) from_eps: f64,
    /// Of `q`; not used by the decoder.
    pub(crate) variance: f64,
    /// Of `p`.
    pub(crate) drawn: StepNoise,
}

impl Bound {
    /// The bound of the sampler that this plan is.
    ///
    /// # Errors
    ///
    /// [`EvalError::Deterministic`] for eta 0, [`EvalError::NoFamily`] for a solver that is not a member of the
    /// family, and [`EvalError::Disjoint`] for a plan whose steps do not join, or do not lead to the clean
    /// picture.
    pub fn new(plan: &Plan, decoder: DecoderVariance) -> Result<Self, EvalError> {
        let steps = plan.steps();
        let ends = steps.iter().map(|step| step.alpha_bar_prev);
        let starts = steps.iter().map(|step| step.alpha_bar).skip(1).chain([1.0]);
        if let Some((step, (end, start))) = ends.zip(starts).enumerate().find(|(_, (end, start))| end != start) {
            return Err(EvalError::Disjoint { step: step + 1, n_steps: steps.len(), end, start });
        }
        let mut terms = steps.iter().map(|step| BoundStep::new(plan, step)).collect::<Result<Vec<_>, _>>()?;
        let last = terms.pop().expect("a plan has a step");
        let decoder = BoundStep { drawn: decoder_noise(plan, decoder), ..last };
        Ok(Self { steps: terms, decoder, limit: plan.limit(), prior_alpha_bar: steps[0].alpha_bar })
    }

    /// The times of the terms between prior and decoder, noisy to clean: one fewer than the plan has steps.
    pub fn times(&self) -> Vec<f64> {
        self.steps.iter().map(|step| step.time).collect()
    }

    /// The time of the decoder's network call.
    pub fn decoder_time(&self) -> f64 {
        self.decoder.time
    }

    /// `L_T = KL(q(x_T | x0), N(0, I))` in nats, of a picture of `dims` values with this sum of squares.
    pub(crate) fn prior(&self, square: f64, dims: usize) -> f64 {
        let (alpha_bar, dims) = (self.prior_alpha_bar, dims as f64);
        0.5 * (alpha_bar * (square - dims) - dims * (-alpha_bar).ln_1p())
    }
}

impl BoundStep {
    fn new(plan: &Plan, step: &Step) -> Result<Self, EvalError> {
        let (alpha_bar, alpha_bar_prev) = (step.alpha_bar, step.alpha_bar_prev);
        let solver = &plan.settings().solver;
        let variance = match (solver.lineage(), solver.as_a::<Ddim>()) {
            (_, Some(Ddim { eta: Eta::DDIM })) => return Err(EvalError::Deterministic),
            (_, Some(Ddim { eta })) => sigma(*eta, alpha_bar, alpha_bar_prev).powi(2),
            (Lineage::Ddpm, None) => posterior_variance(alpha_bar, alpha_bar_prev),
            (_, None) => return Err(EvalError::NoFamily { solver: solver.name() }),
        };
        let marginal = step.marginal;
        let fits = plan.limit() == X0Limit::Free || plan.eps_source() == EpsSource::Rederived;
        let (from_x0, from_eps) = if fits {
            // eps follows from x and x0, and the x of both is the same.
            (step.c_x0 + step.c_eps * marginal.eps_from_x0, 0.0)
        } else {
            (step.c_x0, step.c_eps)
        };
        Ok(Self {
            time: step.time,
            input_scale: step.input_scale,
            signal: marginal.signal,
            noise: marginal.noise,
            read: step.prediction,
            from_x0,
            from_eps,
            variance,
            drawn: step.noise,
        })
    }
}

/// The noise of the decoder: of the last step, to which a plan gives none.
fn decoder_noise(plan: &Plan, choice: DecoderVariance) -> StepNoise {
    let (last, earlier) = plan.steps().split_last().expect("a plan has a step");
    let large = beta_between(last.alpha_bar, 1.0);
    let small = earlier.last().map_or(large, |step| posterior_variance(step.alpha_bar, step.alpha_bar_prev));
    match (plan.settings().solver.as_a(), choice) {
        (Some(Ddpm { variance: Variance::Learned }), _) => StepNoise::Learned,
        (Some(Ddpm { variance: Variance::LearnedLog }), _) => StepNoise::LearnedLog,
        (Some(Ddpm { variance: Variance::LearnedRange }), _) => {
            StepNoise::LearnedRange { log_small: small.ln(), log_large: large.ln() }
        }
        (_, DecoderVariance::Large) => StepNoise::Fixed { sigma: large.sqrt() },
        (_, DecoderVariance::Small) => StepNoise::Fixed { sigma: small.sqrt() },
    }
}
