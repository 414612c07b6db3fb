//! Settings compiled into coefficients.

use crate::{Convention, Coordinates, Direction, EpsSource, Kept, Level, Lineage, Marginal, NoiseSchedule, Path};
use crate::{Prediction, Row, ScheduleError, Settings, Spacing, Step, StepNoise, Timestep, X0Limit};

/// A sampler as a table: one row of coefficients for each network call.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let plan = Plan::new(&schedule, &Settings::default())?;
/// let (first, last) = (&plan.steps()[0], &plan.steps()[19]);
/// assert_eq!((first.time, last.time), (999.0, 49.0));
/// assert_eq!(last.alpha_bar_prev, 1.0); // the last step ends at the clean picture
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    kept: Kept,
    start: Marginal,
    start_scale: f64,
    settings: Settings,
}

impl Plan {
    /// Compiles the settings for a model trained with this schedule.
    ///
    /// # Errors
    /// When the spacing has no list of that length, when a limit of x0, a strength or a resampling makes no sense,
    /// when the network predicts eps at a timestep where `alpha_bar` is 0, when a method cannot encode, and when a
    /// solver looks back further than the run is long or is not defined on its levels.
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
        let held;
        let schedule = match (settings.solver.lineage(), settings.convention) {
            (Lineage::Equations, Convention::Diffusers) => {
                held = schedule.without_pure_noise();
                &held
            }
            _ => schedule,
        };
        let path = Path::new(schedule, settings)?;
        if let (Prediction::Epsilon, Some(blind)) =
            (settings.prediction, path.levels().iter().find(|level| level.alpha_bar == 0.0))
        {
            return Err(ScheduleError::EpsilonWithoutSignal { timestep: blind.time as Timestep });
        }
        let (rows, coordinates, kept) =
            (rows(&path, settings)?, settings.solver.coordinates(), settings.solver.keeps());
        let start = coordinates.marginal(rows[0].from);
        let start_scale = start_scale(settings, coordinates, rows[0].from);
        let steps = rows.into_iter().map(|row| Step::new(row, settings.prediction, coordinates)).collect();
        let steps = settings.resampling.apply(steps, settings.solver.name())?;
        Ok(Self { steps, kept, start, start_scale, settings: settings.clone() })
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

    /// What has to be remembered of each network call.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, Kept, NoiseSchedule, Plan, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.kept(), Kept::Nothing);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// What standard normal numbers are multiplied with to start a run from noise.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, solvers::Euler};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let ten = |solver: Euler| Settings::new(Convention::Exact, solver, 10);
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.start_scale(), 1.0);
    /// let euler = Plan::new(&schedule, &ten(Euler::default()))?;
    /// assert!((euler.start_scale() - 157.4105).abs() < 1e-4); // its state is x0 + noise_level eps
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn start_scale(&self) -> f64 {
        self.start_scale
    }

    /// How the first state is mixed of a picture and noise, for a run that starts from a noisy picture.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let half = Plan::new(&schedule, &Settings { strength: 0.5, ..Settings::default() })?;
    /// assert_eq!(half.steps().len(), 10);
    /// assert_eq!(half.start().signal, schedule.alpha_bar(499).sqrt());
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn start(&self) -> Marginal {
        self.start
    }

    /// What the state after so many network calls is multiplied with to be looked at. Solvers keep their state in
    /// coordinates of their own, some of them 157 times as large as a picture; seen so, picture and noise together
    /// have unit variance at every point of a run.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, solvers::Euler};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let ten = |solver: Euler| Settings::new(Convention::Exact, solver, 10);
    /// assert_eq!(Plan::new(&schedule, &Settings::default())?.view_scale(0), 1.0);
    /// let euler = Plan::new(&schedule, &ten(Euler::default()))?;
    /// assert!((euler.view_scale(0) * euler.start_scale() - 1.0).abs() < 1e-4);
    /// assert_eq!(euler.view_scale(10), 1.0); // the pictures
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn view_scale(&self, calls: usize) -> f64 {
        self.steps.get(calls).map_or(1.0, |step| 1.0 / step.marginal.signal.hypot(step.marginal.noise))
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
    /// use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Settings, solvers::Ddim};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let plan = |eta| Plan::new(&schedule, &Settings::new(Convention::Exact, Ddim { eta }, 20));
    /// assert!(!plan(Eta::DDIM)?.is_stochastic());
    /// assert!(plan(Eta::DDPM)?.is_stochastic());
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn is_stochastic(&self) -> bool {
        self.steps.iter().any(|step| step.noise != StepNoise::None)
    }
}

/// The rows of the solver.
fn rows(path: &Path, settings: &Settings) -> Result<Vec<Row>, ScheduleError> {
    let solver = &settings.solver;
    if settings.direction == Direction::Encode {
        return solver.rows_back(path);
    }
    let noisiest = path.start();
    if solver.lineage() == Lineage::Equations && noisiest.alpha_bar == 0.0 {
        return Err(ScheduleError::InfiniteNoise { solver: solver.name(), time: noisiest.time });
    }
    let (calls, n_steps) = (solver.min_steps(), path.n_steps());
    if calls > n_steps {
        return Err(ScheduleError::History { solver: solver.name(), calls, n_steps });
    }
    solver.rows(path)
}

/// The deviation of the noise that a run starts from. A state that keeps its variance starts from 1, and so, in
/// its own units, does every other: then all solvers draw from the same noise. diffusers starts the others from
/// the noise level alone where the list begins at the last timestep.
fn start_scale(settings: &Settings, coordinates: Coordinates, from: Level) -> f64 {
    let begins_at_the_end = !matches!(settings.spacing, Spacing::Leading { .. });
    match (coordinates, settings.convention) {
        (Coordinates::Preserving, _) => 1.0,
        (Coordinates::Exploding, Convention::Diffusers) if begins_at_the_end => from.noise_level(),
        (Coordinates::Exploding, _) => 1.0 / from.signal(),
    }
}
