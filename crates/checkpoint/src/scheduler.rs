//! `scheduler_config.json`: the noise schedule a model was trained with, and what diffusers would do with it.

use ddim_schedule::solvers::{Ddim, Ddpm};
use ddim_schedule::{
    BetaSchedule, Convention, Direction, FinalAlphaBar, Lineage, NoiseSchedule, Prediction, Settings, Solver,
    Spacing,
};
use ddim_schedule::{Variance, X0Limit};

use crate::error::SchedulerConfigError;
use crate::scheduler_keys;
use crate::scheduler_names::{BetaScheduleName, PredictionType, SchedulerClass, TimestepSpacing, VarianceType};

/// The content of a `scheduler_config.json` of diffusers, under its names.
///
/// The defaults are those of `DDIMScheduler`.
///
/// ```
/// use ddim_checkpoint::SchedulerConfig;
///
/// let config = SchedulerConfig::from_json(
///     r#"{"_class_name": "DDPMScheduler", "variance_type": "fixed_large"}"#,
/// )?;
/// assert_eq!(config.noise_schedule()?.train_steps(), 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerConfig {
    /// `_class_name`.
    pub class_name: SchedulerClass,
    /// Training steps T, at most [`NoiseSchedule::MAX_TRAIN_STEPS`].
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// How beta goes from the first to the last.
    pub beta_schedule: BetaScheduleName,
    /// Betas given one by one; they replace the three fields above.
    pub trained_betas: Option<Vec<f64>>,
    /// Whether the predicted x0 is clamped to +-`clip_sample_range`.
    pub clip_sample: bool,
    /// The largest |x0| kept by `clip_sample`.
    pub clip_sample_range: f64,
    /// alpha_bar after the last step: 1 if true, that of the first training step if false (DDIM only).
    pub set_alpha_to_one: bool,
    /// Added to every timestep of the leading spacing.
    pub steps_offset: usize,
    /// What the network predicts.
    pub prediction_type: PredictionType,
    /// Dynamic thresholding of the predicted x0, in place of clipping.
    pub thresholding: bool,
    /// The quantile of |x0| that dynamic thresholding scales to 1.
    pub dynamic_thresholding_ratio: f64,
    /// The largest scale of dynamic thresholding.
    pub sample_max_value: f64,
    /// How timesteps are chosen; none leaves it to the method.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Whether betas are rescaled so that the last alpha_bar is 0.
    pub rescale_betas_zero_snr: bool,
    /// The variance of a reverse step (DDPM only).
    pub variance_type: VarianceType,
    /// Options that only other classes have, kept as they were.
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// diffusers' class for the way from a picture to noise.
const DDIM_INVERSE: &str = "DDIMInverseScheduler";

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            class_name: SchedulerClass::Ddim,
            num_train_timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            beta_schedule: BetaScheduleName::Linear,
            trained_betas: None,
            clip_sample: true,
            clip_sample_range: 1.0,
            set_alpha_to_one: true,
            steps_offset: 0,
            prediction_type: PredictionType::Epsilon,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            timestep_spacing: None,
            rescale_betas_zero_snr: false,
            variance_type: VarianceType::FixedSmall,
            other: serde_json::Map::new(),
        }
    }
}

impl SchedulerConfig {
    /// The schedule of the training: its betas, rescaled to zero terminal SNR where the file says so, or its range
    /// of noise levels.
    ///
    /// # Errors
    /// Values that make no schedule, such as a beta outside (0, 1).
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, SchedulerConfigError> {
        if let Some([min, max]) = self.noise_level_range()? {
            return Ok(NoiseSchedule::of_noise_levels(min, max, self.num_train_timesteps)?);
        }
        let schedule = NoiseSchedule::new(&self.betas(), self.num_train_timesteps)?;
        Ok(if self.rescale_betas_zero_snr { schedule.rescaled_to_zero_snr() } else { schedule })
    }

    /// The method of its class: DDIM with eta 0, DDPM with its `variance_type`, or a solver with its options.
    ///
    /// # Errors
    /// A class whose method is not built here, and options that make a method which is not.
    pub fn solver(&self) -> Result<Box<dyn Solver>, SchedulerConfigError> {
        match self.class_name {
            SchedulerClass::Ddim => Ok(Ddim::default().into()),
            SchedulerClass::Ddpm => Ok(Ddpm { variance: self.variance() }.into()),
            SchedulerClass::Other("DDIMParallelScheduler" | DDIM_INVERSE) => Ok(Ddim::default().into()),
            SchedulerClass::Other("DDPMParallelScheduler") => Ok(Ddpm { variance: self.variance() }.into()),
            SchedulerClass::Other(class) => self.of_own_class().solver_of(class),
        }
    }

    /// Without the options of other classes, which its class ignores.
    fn of_own_class(&self) -> Self {
        let own = scheduler_keys::own(self.class_name);
        let mut config = self.clone();
        config.other.retain(|key, _| own.contains(&key.as_str()));
        config
    }

    /// How diffusers samples with this configuration in `n_steps` steps.
    ///
    /// # Errors
    /// As [`solver`](Self::solver).
    pub fn settings(&self, n_steps: usize) -> Result<Settings, SchedulerConfigError> {
        let settings = self.of_own_class().settings_of(self.solver()?, n_steps)?;
        let encodes = self.class_name == SchedulerClass::Other(DDIM_INVERSE);
        let direction = if encodes { Direction::Encode } else { Direction::Decode };
        Ok(Settings { direction, ..settings })
    }

    /// How diffusers samples in `n_steps` steps when it makes the scheduler of this method from this
    /// configuration, whichever class it names: options that both classes know carry over.
    ///
    /// # Errors
    /// Options that only the method has, with values it cannot have.
    pub fn settings_of(
        &self,
        solver: impl Into<Box<dyn Solver>>,
        n_steps: usize,
    ) -> Result<Settings, SchedulerConfigError> {
        let settings =
            Settings { prediction: self.prediction(), ..Settings::new(Convention::Diffusers, solver, n_steps) };
        if settings.solver.lineage() == Lineage::Equations {
            return self.solver_settings(settings);
        }
        let to_one = self.set_alpha_to_one || settings.solver.as_a::<Ddpm>().is_some();
        Ok(Settings {
            spacing: self.spacing(),
            limit: self.limit(),
            final_alpha_bar: if to_one { FinalAlphaBar::One } else { FinalAlphaBar::First },
            ..settings
        })
    }

    /// What the network predicts, whatever the scheduler class.
    pub fn prediction(&self) -> Prediction {
        if let Some(prediction) = self.preconditioned() {
            return prediction;
        }
        match self.prediction_type {
            PredictionType::Epsilon => Prediction::Epsilon,
            PredictionType::Sample => Prediction::X0,
            PredictionType::VPrediction => Prediction::V,
        }
    }

    fn betas(&self) -> BetaSchedule {
        let (start, end) = (self.beta_start, self.beta_end);
        match (&self.trained_betas, self.beta_schedule) {
            (Some(betas), _) => BetaSchedule::Given(betas.clone()),
            (None, BetaScheduleName::Linear) => BetaSchedule::Linear { start, end },
            (None, BetaScheduleName::ScaledLinear) => BetaSchedule::ScaledLinear { start, end },
            (None, BetaScheduleName::SquaredCosCapV2) => BetaSchedule::SquaredCosCapV2,
            (None, BetaScheduleName::Sigmoid) => BetaSchedule::Sigmoid { start, end },
            (None, BetaScheduleName::Laplace) => BetaSchedule::Laplace,
        }
    }

    /// The variance of each step where the method is DDPM, whichever class it names.
    pub fn variance(&self) -> Variance {
        match self.variance_type {
            VarianceType::FixedSmall | VarianceType::FixedSmallLog => Variance::FixedSmall,
            VarianceType::FixedLarge | VarianceType::FixedLargeLog => Variance::FixedLarge,
            VarianceType::Learned => Variance::Learned,
            VarianceType::LearnedRange => Variance::LearnedRange,
        }
    }

    fn spacing(&self) -> Spacing {
        match self.timestep_spacing.unwrap_or(TimestepSpacing::Leading) {
            TimestepSpacing::Leading => Spacing::Leading { offset: self.steps_offset },
            TimestepSpacing::Trailing => Spacing::Trailing,
            TimestepSpacing::Linspace => Spacing::Linspace,
        }
    }

    /// Thresholding goes before clipping, as in diffusers.
    pub(crate) fn limit(&self) -> X0Limit {
        if self.thresholding {
            X0Limit::DynamicThreshold { ratio: self.dynamic_thresholding_ratio, max: self.sample_max_value }
        } else if self.clip_sample {
            X0Limit::Clip { range: self.clip_sample_range }
        } else {
            X0Limit::Free
        }
    }
}
