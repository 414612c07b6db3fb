//! How much of the picture is left at each training step.

use crate::{BetaSchedule, Level, ScheduleError, Timestep};

/// `alpha_bar`, the product of `1 - beta`, at every training step.
///
/// It is valid by construction: strictly decreasing, between 0 and 1, and 0 at most at its end. What the
/// DDIM paper writes as alpha is this product.
///
/// ```
/// use ddim_schedule::{BetaSchedule, NoiseSchedule};
/// let schedule = NoiseSchedule::new(&BetaSchedule::Linear { start: 1e-4, end: 0.02 }, 1000)?;
/// assert_eq!(schedule.train_steps(), 1000);
/// assert_eq!(schedule.alpha_bar(0), 0.9999);
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    betas: Vec<f64>,
    alpha_bars: Vec<f64>,
}

impl NoiseSchedule {
    /// More training steps than this are taken for a mistake: a thousand times what models have.
    pub const MAX_TRAIN_STEPS: usize = 1_000_000;

    /// Smaller betas than this are taken for a mistake: `1 - beta` would hardly differ from 1 in f64.
    pub const MIN_BETA: f64 = 1e-12;

    /// Multiplies up the betas.
    ///
    /// # Errors
    /// When there are no training steps or too many of them, when a beta is below
    /// [`MIN_BETA`](Self::MIN_BETA) or not below 1 (the last of several may be 1), or when `alpha_bar` reaches 0
    /// before the last step.
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let error = NoiseSchedule::new(&BetaSchedule::Const { value: 1.5 }, 10).unwrap_err();
    /// assert!(error.to_string().contains("beta at timestep 0 is 1.5"));
    /// ```
    pub fn new(betas: &BetaSchedule, train_steps: usize) -> Result<Self, ScheduleError> {
        if train_steps == 0 || train_steps > Self::MAX_TRAIN_STEPS {
            return Err(ScheduleError::TrainSteps { train_steps });
        }
        let betas = betas.betas(train_steps)?;
        let mut alpha_bars = Vec::with_capacity(train_steps);
        let mut alpha_bar = 1.0;
        for (timestep, &beta) in betas.iter().enumerate() {
            let may_be_one = timestep > 0 && timestep + 1 == train_steps;
            if !(beta >= Self::MIN_BETA && (beta < 1.0 || (beta == 1.0 && may_be_one))) {
                return Err(ScheduleError::Beta { timestep, value: beta });
            }
            let before = alpha_bar;
            alpha_bar *= 1.0 - beta;
            if alpha_bar >= before {
                return Err(ScheduleError::AlphaBarVanishes { timestep });
            }
            alpha_bars.push(alpha_bar);
        }
        Ok(Self { betas, alpha_bars })
    }

    /// The same schedule stretched so that nothing of the picture is left at its end: `sqrt(alpha_bar)`
    /// is shifted to end at 0 and scaled to begin where it began (Lin et al. 2023, algorithm 1).
    ///
    /// A schedule of one training step begins where it ends, and is returned as it is.
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?.rescaled_to_zero_snr();
    /// assert_eq!(schedule.alpha_bar(999), 0.0);
    /// assert!((schedule.alpha_bar(0) - 0.9999).abs() < 1e-15);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    #[must_use]
    pub fn rescaled_to_zero_snr(self) -> Self {
        let first = self.alpha_bars[0].sqrt();
        let last = self.alpha_bars[self.train_steps() - 1].sqrt();
        if self.train_steps() == 1 {
            return self;
        }
        let stretch = first / (first - last);
        let alpha_bars: Vec<f64> = self.alpha_bars.iter().map(|a| ((a.sqrt() - last) * stretch).powi(2)).collect();
        let before = std::iter::once(&1.0).chain(&alpha_bars);
        let betas = alpha_bars.iter().zip(before).map(|(a, before)| 1.0 - a / before).collect();
        Self { betas, alpha_bars }
    }

    /// The same schedule without an end of pure noise: where the last `alpha_bar` is 0 it becomes 2^-24, which is
    /// what diffusers' solvers take in its place.
    pub(crate) fn without_pure_noise(&self) -> Self {
        let mut alpha_bars = self.alpha_bars.clone();
        if let Some(last) = alpha_bars.last_mut().filter(|last| **last == 0.0) {
            *last = (-24_f64).exp2();
        }
        Self { alpha_bars, betas: self.betas.clone() }
    }

    /// The timesteps whose log-SNR is at least `lambda_min`.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn down_to(&self, lambda_min: f64) -> Result<Self, ScheduleError> {
        let kept =
            self.alpha_bars.partition_point(|&alpha_bar| Level { time: 0.0, alpha_bar }.lambda() >= lambda_min);
        if kept == 0 {
            return Err(ScheduleError::Limit {
                what: "the lowest log-SNR (lambda_min)",
                value: lambda_min,
                allowed: "at most that of timestep 0; -5.1 is usual for cosine schedules, -inf allows all",
            });
        }
        Ok(Self { betas: self.betas[..kept].to_vec(), alpha_bars: self.alpha_bars[..kept].to_vec() })
    }

    /// A schedule whose noise levels rise in equal ratios: of models that were trained at any noise level between
    /// two ends, such as EDM's.
    ///
    /// # Errors
    /// When the noise levels are not finite, positive and rising by more than rounding, and for less than two
    /// training steps.
    ///
    /// ```
    /// use ddim_schedule::NoiseSchedule;
    /// let edm = NoiseSchedule::of_noise_levels(0.002, 80.0, 1000)?;
    /// assert!((edm.noise_level_at(999.0) - 80.0).abs() < 1e-10);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn of_noise_levels(min: f64, max: f64, train_steps: usize) -> Result<Self, ScheduleError> {
        if !(2..=Self::MAX_TRAIN_STEPS).contains(&train_steps) {
            return Err(ScheduleError::TrainSteps { train_steps });
        }
        if !(min > 0.0 && max > min && max.is_finite()) {
            return Err(ScheduleError::NoiseLevels { min, max });
        }
        let ratio = (max / min).ln() / (train_steps - 1) as f64;
        let level = |i: usize| Level::at_noise_level(0.0, min * (ratio * i as f64).exp());
        let alpha_bars: Vec<f64> = (0..train_steps).map(|i| level(i).alpha_bar).collect();
        let before = std::iter::once(&1.0).chain(&alpha_bars);
        let betas: Vec<f64> = alpha_bars.iter().zip(before).map(|(a, before)| 1.0 - a / before).collect();
        // Noise levels below 1e-8 or above 1e154, and neighbours closer than rounding, share an alpha_bar.
        if alpha_bars[train_steps - 1] == 0.0 || betas.iter().any(|beta| *beta <= 0.0) {
            return Err(ScheduleError::NoiseLevels { min, max });
        }
        Ok(Self { betas, alpha_bars })
    }

    /// The number of training steps, `T`.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// assert_eq!(NoiseSchedule::new(&BetaSchedule::Jsd, 50)?.train_steps(), 50);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn train_steps(&self) -> usize {
        self.alpha_bars.len()
    }

    /// `alpha_bar` at one timestep.
    ///
    /// # Panics
    /// When `timestep` is not below [`train_steps`](Self::train_steps).
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let line = NoiseSchedule::new(&BetaSchedule::Jsd, 4)?;
    /// assert_eq!(line.alpha_bar(1), 0.5);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn alpha_bar(&self, timestep: Timestep) -> f64 {
        assert!(timestep < self.train_steps(), "timestep {timestep} of {}", self.train_steps());
        self.alpha_bars[timestep]
    }

    /// `alpha_bar` at every timestep, clean end first.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::Const { value: 0.5 }, 3)?;
    /// assert_eq!(schedule.alpha_bars(), [0.5, 0.25, 0.125]);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn alpha_bars(&self) -> &[f64] {
        &self.alpha_bars
    }

    /// The noise each training step adds: `beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}`.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::Const { value: 0.5 }, 3)?;
    /// assert_eq!(schedule.betas(), [0.5, 0.5, 0.5]);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// The noise level at every timestep, clean end first: `sqrt((1 - alpha_bar)/alpha_bar)`.
    pub(crate) fn noise_levels(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        self.alpha_bars.iter().map(|&alpha_bar| Level { time: 0.0, alpha_bar }.noise_level())
    }

    /// The time at which the training had this noise level: between two timesteps the logarithm of the noise
    /// level is a straight line, and beyond the ends it is the first or the last timestep.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, NoiseSchedule};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::Const { value: 0.5 }, 3)?; // alpha_bar 1/2, 1/4, 1/8
    /// assert_eq!((schedule.time_at(1.0), schedule.time_at(3_f64.sqrt())), (0.0, 1.0));
    /// assert_eq!((schedule.time_at(0.1), schedule.time_at(9.9)), (0.0, 2.0));
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn time_at(&self, noise_level: f64) -> f64 {
        let at = |t: usize| Level { time: 0.0, alpha_bar: self.alpha_bars[t] }.noise_level();
        let above =
            self.alpha_bars.partition_point(|&a| Level { time: 0.0, alpha_bar: a }.noise_level() <= noise_level);
        match above {
            0 => 0.0,
            above if above == self.train_steps() => (above - 1) as f64,
            above => {
                let (low, high) = (at(above - 1).ln(), at(above).ln());
                (above - 1) as f64 + (noise_level.ln() - low) / (high - low)
            }
        }
    }

    /// The noise level at a time between two timesteps, the inverse of [`time_at`](Self::time_at).
    ///
    /// # Panics
    /// When `time` is not between 0 and the last timestep.
    pub fn noise_level_at(&self, time: f64) -> f64 {
        assert!((0.0..=(self.train_steps() - 1) as f64).contains(&time), "time {time} of {}", self.train_steps());
        let at = |t: usize| Level { time, alpha_bar: self.alpha_bars[t] }.noise_level();
        let below = time.floor() as usize;
        match time - below as f64 {
            0.0 => at(below),
            share => ((1.0 - share) * at(below).ln() + share * at(below + 1).ln()).exp(),
        }
    }
}
