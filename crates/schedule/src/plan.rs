//! Settings compiled into coefficients.

use crate::step::Fresh;
use crate::{Convention, EpsSource, FinalAlphaBar, LastNoise, NoiseSchedule, Predecessor, Prediction};
use crate::{ScheduleError, Settings, Step, StepNoise, Tau, Timestep, X0Limit};

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
            let is_last = i + 1 == tau.len();
            let fresh = if is_last { last_fresh(settings.last_noise, timestep) } else { Fresh::Allowed };
            Step::new(settings.method, timestep, [alpha_bar, alpha_bar_prev], fresh)
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

/// Whether the last step, at this timestep, may draw noise.
fn last_fresh(rule: LastNoise, timestep: Timestep) -> Fresh {
    match rule {
        LastNoise::UnlessTimestepZero if timestep != 0 => Fresh::Allowed,
        LastNoise::UnlessTimestepZero | LastNoise::Never => Fresh::Forbidden,
    }
}
