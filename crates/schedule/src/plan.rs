//! Settings compiled into coefficients.

use crate::{
    Convention, EpsSource, Eta, FinalAlphaBar, LastNoise, Method, NoiseSchedule, Predecessor, Prediction,
};
use crate::{ScheduleError, Settings, Tau, Timestep, Variance, X0Limit};
use crate::{beta_between, posterior_variance, sigma, sigma_hat};

/// A sampler as a table: one row of coefficients for each network call.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let plan = Plan::new(&schedule, &Settings::default())?;
/// let (first, last) = (&plan.steps()[0], &plan.steps()[19]);
/// assert_eq!((first.timestep, last.timestep), (999, 49));
/// assert_eq!(last.alpha_bar_prev, 1.0); // the last step ends at the clean picture
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    settings: Settings,
}

/// One row: a network call, and the update that follows it,
/// `x_next = c_x x + c_x0 x0 + c_eps eps + sigma z` with `z ~ N(0, I)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The training timestep this step starts from.
    pub timestep: Timestep,
    /// The time given to the network.
    pub time: f64,
    /// What x is multiplied with before it is given to the network: 1 for every method here.
    pub input_scale: f64,
    /// `alpha_bar` where the step starts.
    pub alpha_bar: f64,
    /// `alpha_bar` where it ends, cleaner.
    pub alpha_bar_prev: f64,
    /// Coefficient of x.
    pub c_x: f64,
    /// Coefficient of the predicted x0.
    pub c_x0: f64,
    /// Coefficient of eps.
    pub c_eps: f64,
    /// How large sigma is.
    pub noise: StepNoise,
}

/// The standard deviation of the fresh noise of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepNoise {
    /// None is drawn.
    None,
    /// The same for every value.
    Fixed {
        /// Above 0.
        sigma: f64,
    },
    /// `log sigma^2 = frac log_large + (1 - frac) log_small`, `frac = (out + 1)/2`, where `out` is the
    /// second half of the network's channels (Nichol & Dhariwal 2021, Eq. 15).
    LearnedRange {
        /// Logarithm of the smaller variance.
        log_small: f64,
        /// Logarithm of the larger variance.
        log_large: f64,
    },
    /// `sigma^2` is the second half of the network's channels.
    Learned,
    /// `log sigma^2` is the second half of the network's channels.
    LearnedLog,
}

impl Plan {
    /// Compiles the settings for a model trained with this schedule.
    ///
    /// # Errors
    /// When the spacing has no list of that length, when a limit of x0 makes no sense, and when the
    /// network predicts eps at a timestep where `alpha_bar` is 0.
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Prediction, Settings};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?.rescaled_to_zero_snr();
    /// let error = Plan::new(&schedule, &Settings::default()).unwrap_err();
    /// assert!(error.to_string().contains("use a model that predicts v or x0"));
    /// let plan = Plan::new(&schedule, &Settings { prediction: Prediction::V, ..Settings::default() })?;
    /// assert_eq!(plan.steps()[0].alpha_bar, 0.0);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn new(schedule: &NoiseSchedule, settings: &Settings) -> Result<Self, ScheduleError> {
        settings.limit.check()?;
        let tau = settings.spacing.tau(settings.n_steps, schedule.train_steps())?;
        let blind = tau.as_slice().iter().find(|&&t| schedule.alpha_bar(t) == 0.0);
        if let (Prediction::Epsilon, Some(&timestep)) = (settings.prediction, blind) {
            return Err(ScheduleError::EpsilonWithoutSignal { timestep });
        }
        let alpha_bar_prevs = alpha_bar_prevs(schedule, settings, &tau);
        let rows = tau.as_slice().iter().zip(alpha_bar_prevs).enumerate();
        let steps = rows.map(|(i, (&timestep, alpha_bar_prev))| {
            let alpha_bar = schedule.alpha_bar(timestep);
            let quiet = i + 1 == tau.len() && is_quiet(settings.last_noise, timestep);
            let row = row(settings.method, alpha_bar, alpha_bar_prev, quiet);
            let [c_x, c_x0, c_eps] = row.coefficients;
            let noise = row.noise;
            let time = timestep as f64;
            Step { timestep, time, input_scale: 1.0, alpha_bar, alpha_bar_prev, c_x, c_x0, c_eps, noise }
        });
        Ok(Self { steps: steps.collect(), settings: settings.clone() })
    }

    /// The rows, in order of use.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.steps().len(), 20);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What it was compiled from.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.settings(), &Settings::default());
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the network predicts.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Prediction, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.prediction(), Prediction::Epsilon);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn prediction(&self) -> Prediction {
        self.settings.prediction
    }

    /// What is done with the predicted x0.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings, X0Limit};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.limit(), X0Limit::Free);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn limit(&self) -> X0Limit {
        self.settings.limit
    }

    /// Which eps goes with a limited x0.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, EpsSource, NoiseSchedule, Plan, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.eps_source(), EpsSource::Rederived);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn eps_source(&self) -> EpsSource {
        self.settings.eps_source
    }

    /// Whose choices these are.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.convention(), Convention::Exact);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn convention(&self) -> Convention {
        self.settings.convention
    }

    /// Whether any step draws noise.
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, Convention, Eta, Method, NoiseSchedule, Plan, Settings};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let plan = |eta| Plan::new(&schedule, &Settings::new(Convention::Exact, Method::Ddim { eta }, 20));
    /// assert!(!plan(Eta::DDIM)?.is_stochastic());
    /// assert!(plan(Eta::DDPM)?.is_stochastic());
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn is_stochastic(&self) -> bool {
        self.steps.iter().any(|step| step.noise != StepNoise::None)
    }
}

/// Where each step ends. This is the only place that pairs a timestep with its predecessor.
fn alpha_bar_prevs(schedule: &NoiseSchedule, settings: &Settings, tau: &Tau) -> Vec<f64> {
    let last = match settings.final_alpha_bar {
        FinalAlphaBar::One => 1.0,
        FinalAlphaBar::First => schedule.alpha_bar(0),
    };
    let stride = schedule.train_steps() / tau.len();
    let timesteps = tau.as_slice();
    let previous = |i: usize| match settings.predecessor {
        Predecessor::InList => timesteps.get(i + 1).copied(),
        Predecessor::Stride => timesteps[i].checked_sub(stride),
    };
    (0..tau.len()).map(|i| previous(i).map_or(last, |t| schedule.alpha_bar(t))).collect()
}

/// Whether the last step, at this timestep, draws no noise.
fn is_quiet(rule: LastNoise, timestep: Timestep) -> bool {
    match rule {
        LastNoise::Never => true,
        LastNoise::UnlessTimestepZero => timestep == 0,
    }
}

/// Coefficients of x, x0 and eps, and the noise.
struct Row {
    coefficients: [f64; 3],
    noise: StepNoise,
}

/// The update of a method from `alpha_bar` to `alpha_bar_prev`.
fn row(method: Method, alpha_bar: f64, alpha_bar_prev: f64, quiet: bool) -> Row {
    let deterministic = |eta| ddim_coefficients(sigma(eta, alpha_bar, alpha_bar_prev), alpha_bar_prev);
    let (coefficients, noise) = match method {
        Method::Ddim { .. } if quiet => (deterministic(Eta::DDIM), StepNoise::None),
        Method::Ddim { eta } => (deterministic(eta), fixed(sigma(eta, alpha_bar, alpha_bar_prev))),
        Method::SigmaHat => (deterministic(Eta::DDPM), fixed(sigma_hat(alpha_bar, alpha_bar_prev))),
        Method::Ddpm { variance } => {
            (ddpm_coefficients(alpha_bar, alpha_bar_prev), ddpm_noise(variance, alpha_bar, alpha_bar_prev))
        }
    };
    Row { coefficients, noise: if quiet { StepNoise::None } else { noise } }
}

/// Eq. (12): `sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev - sigma^2) eps`. In exact arithmetic the
/// radicand is never negative for `eta <= 1`; rounding can make it so.
fn ddim_coefficients(sigma: f64, alpha_bar_prev: f64) -> [f64; 3] {
    [0.0, alpha_bar_prev.sqrt(), (1.0 - alpha_bar_prev - sigma * sigma).max(0.0).sqrt()]
}

/// The posterior mean of Ho et al. 2020, Eq. (7), with the beta between the two kept timesteps.
fn ddpm_coefficients(alpha_bar: f64, alpha_bar_prev: f64) -> [f64; 3] {
    let beta = beta_between(alpha_bar, alpha_bar_prev);
    let c_x0 = alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar);
    let c_x = (alpha_bar / alpha_bar_prev).sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar);
    [c_x, c_x0, 0.0]
}

/// The noise of a DDPM step. The posterior's variance is 0 where the step ends at the clean picture; so
/// that it has a logarithm there too, published code holds it at 1e-20.
fn ddpm_noise(variance: Variance, alpha_bar: f64, alpha_bar_prev: f64) -> StepNoise {
    let small = posterior_variance(alpha_bar, alpha_bar_prev).max(1e-20);
    let large = beta_between(alpha_bar, alpha_bar_prev);
    match variance {
        Variance::FixedSmall => fixed(small.sqrt()),
        Variance::FixedLarge => fixed(large.sqrt()),
        Variance::Learned => StepNoise::Learned,
        Variance::LearnedLog => StepNoise::LearnedLog,
        Variance::LearnedRange => StepNoise::LearnedRange { log_small: small.ln(), log_large: large.ln() },
    }
}

/// Noise of this standard deviation; none where it is 0.
fn fixed(sigma: f64) -> StepNoise {
    if sigma > 0.0 { StepNoise::Fixed { sigma } } else { StepNoise::None }
}
