//! Which of the training steps are kept.

mod beta_quantile;
mod lists;
mod noise_levels;
mod text;

use crate::error::Nearest;
use crate::{Level, NoiseSchedule, ScheduleError, Tau, Timestep};

/// How `n` timesteps are chosen from `T`. Published code disagrees, so every way has a name.
///
/// [`Uniform`](Self::Uniform) and [`Quad`](Self::Quad) are the paper's `tau_i = floor(c i)` and
/// `floor(c i^2)` (appendix D.2) with exactly `n` entries that end at `T - 1`. All others are lists as
/// published code computes them; where such a list has repeats, another length, or entries outside the
/// table, it is refused, and the error names the nearest step counts that work.
///
/// ```
/// use ddim_schedule::Spacing;
/// assert_eq!(Spacing::Uniform.tau(5, 1000)?.as_slice(), [999, 799, 599, 399, 199]);
/// assert_eq!(Spacing::Leading { offset: 0 }.tau(5, 1000)?.as_slice(), [800, 600, 400, 200, 0]);
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
///
/// Each has a text form, for command lines and records: `uniform`, `quad`, `leading`, `leading+1`,
/// `trailing`, `linspace`, `list:900,500,100`, `ddim50`, `10,20,30`, `ermon-uniform`, `ermon-quad`.
///
/// ```
/// use ddim_schedule::Spacing;
/// let spacing: Spacing = "leading+1".parse()?;
/// assert_eq!(spacing, Spacing::Leading { offset: 1 });
/// assert_eq!(spacing.to_string(), "leading+1");
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Spacing {
    /// `floor(T i/n) - 1`, `i = 1..n`: even, and exactly `n` for every `n`.
    Uniform,
    /// `max(i, floor(T i^2/n^2)) - 1`, `i = 1..n`: denser at the clean end, and exactly `n` for every `n`.
    Quad,
    /// `i (T/n) + offset` with a whole-number ratio, `i = 0..n-1`: diffusers' default; it stops below `T - 1`.
    Leading {
        /// Added to every entry.
        offset: usize,
    },
    /// `round(T - i T/n) - 1`, `i = 0..n-1`, halves as numpy rounds them (diffusers).
    Trailing,
    /// `round(i (T-1)/(n-1))`, `i = 0..n-1`, halves to even (diffusers).
    Linspace,
    /// The same with one point more and without the 0: diffusers' solvers in log-SNR.
    LinspaceOpen,
    /// `i (T/(n+1)) + offset` with a whole-number ratio, `i = 1..n`: diffusers' solvers in log-SNR.
    LeadingOpen {
        /// Added to every entry.
        offset: usize,
    },
    /// `i (T-1)/(n-1)`, `i = 0..n-1`, not rounded; the noise level between two timesteps is a straight line
    /// (diffusers' solvers in the noise level).
    LinspaceReal,
    /// Noise levels `(max^(1/rho) + u (min^(1/rho) - max^(1/rho)))^rho`, `u` from 0 to 1 (Karras et al. 2022, Eq.
    /// 5).
    ///
    /// For this and the two that follow, `max` and `min` are those of the whole training. diffusers' solvers in
    /// the noise level take the largest and the smallest of the list that `timestep_spacing` would give: the same
    /// for its `linspace`, and for nothing else.
    Karras {
        /// The larger, the denser at the clean end; 7 is usual.
        rho: f64,
    },
    /// Noise levels in equal ratios, which is equal steps in log-SNR (Lu et al. 2022).
    LogSnr,
    /// Noise levels in equal ratios with the smallest left for the end of the run, and the times of
    /// [`LinspaceReal`](Self::LinspaceReal), at which the training had others: diffusers' `log_linear`
    /// interpolation.
    LogLinear,
    /// Noise levels at the quantiles of a beta distribution (Lee et al. 2024).
    Beta {
        /// Its first parameter; 0.6 is usual.
        alpha: f64,
        /// Its second parameter; 0.6 is usual.
        beta: f64,
    },
    /// These timesteps, noisy to clean.
    Explicit(Vec<Timestep>),
    /// OpenAI's `ddimN`: the smallest whole stride from 0 that gives exactly N.
    OpenAiDdim(usize),
    /// OpenAI's `a,b,c`: that many evenly from each of as many equal sections, clean end first.
    OpenAiSections(Vec<usize>),
    /// `0, k, 2k, ...` below `T` with `k = T/n` in whole numbers: the DDIM paper's code.
    ErmonUniform,
    /// `trunc((i sqrt(0.8 T)/(n-1))^2)`, `i = 0..n-1`: the DDIM paper's code; it stops at `0.8 T`.
    ErmonQuad,
}

impl Spacing {
    /// The `n_steps` timesteps of a model trained with `train_steps`.
    ///
    /// # Errors
    /// When `n_steps` is 0 or above `train_steps`, and when this spacing has no sound list of that length.
    ///
    /// ```
    /// use ddim_schedule::Spacing;
    /// assert_eq!(Spacing::Trailing.tau(30, 1000)?.len(), 30);
    /// let error = Spacing::OpenAiDdim(30).tau(20, 1000).unwrap_err();
    /// assert_eq!(error.to_string(), "spacing ddim30 is of 30 steps, and 20 were asked for: ask for 30");
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn tau(&self, n_steps: usize, train_steps: usize) -> Result<Tau, ScheduleError> {
        if train_steps == 0 || train_steps > NoiseSchedule::MAX_TRAIN_STEPS {
            return Err(ScheduleError::TrainSteps { train_steps });
        }
        if n_steps == 0 || n_steps > train_steps {
            return Err(ScheduleError::StepCount { n_steps, train_steps });
        }
        if let Some(own) = self.own_count().filter(|&own| own != n_steps) {
            return Err(ScheduleError::SpacingCount { spacing: self.to_string(), own, n_steps });
        }
        let ascending = match self {
            Self::Explicit(timesteps) => return Tau::new(timesteps.clone(), train_steps),
            Self::OpenAiSections(counts) => lists::sections(counts, train_steps)?,
            _ if !self.is_of_timesteps() => return Err(ScheduleError::NotWhole { spacing: self.to_string() }),
            _ => match lists::flaw(self, n_steps, train_steps) {
                Some(problem) => return Err(self.refusal(problem, n_steps, train_steps)),
                None => (0..n_steps).map(|i| lists::entry(self, i, n_steps, train_steps)).collect(),
            },
        };
        Tau::new(ascending.into_iter().rev().collect(), train_steps)
    }

    /// The `n_steps` levels of a model trained with this schedule, noisy to clean, without the one where the run
    /// ends.
    ///
    /// # Errors
    /// As [`tau`](Self::tau), and when a spacing in the noise level has no sound list of that length.
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule, Spacing};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let levels = Spacing::Karras { rho: 7.0 }.levels(3, &schedule)?;
    /// assert_eq!((levels[0].time, levels[2].time), (999.0, 0.0));
    /// assert!((levels[1].noise_level() - 5.9112).abs() < 1e-4);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn levels(&self, n_steps: usize, schedule: &NoiseSchedule) -> Result<Vec<Level>, ScheduleError> {
        if let Some(noise_levels) = noise_levels::noise_levels(self, n_steps, schedule) {
            return noise_levels;
        }
        let tau = self.tau(n_steps, schedule.train_steps())?;
        let level = |&t: &Timestep| Level { time: t as f64, alpha_bar: schedule.alpha_bar(t) };
        Ok(tau.as_slice().iter().map(level).collect())
    }

    /// Whether it is a list of timesteps rather than of noise levels.
    pub(crate) fn is_of_timesteps(&self) -> bool {
        !matches!(
            self,
            Self::LinspaceReal | Self::Karras { .. } | Self::LogSnr | Self::LogLinear | Self::Beta { .. }
        )
    }

    /// The number of steps that this spacing itself names, where it names one.
    ///
    /// ```
    /// use ddim_schedule::Spacing;
    /// assert_eq!(Spacing::OpenAiSections(vec![10, 20]).own_count(), Some(30));
    /// assert_eq!(Spacing::Uniform.own_count(), None);
    /// ```
    pub fn own_count(&self) -> Option<usize> {
        match self {
            Self::Explicit(timesteps) => Some(timesteps.len()),
            Self::OpenAiDdim(count) => Some(*count),
            Self::OpenAiSections(counts) => Some(counts.iter().fold(0, |sum, &n| sum.saturating_add(n))),
            _ => None,
        }
    }

    /// Says what is wrong with the list of this length, and which lengths work.
    fn refusal(&self, problem: String, n_steps: usize, train_steps: usize) -> ScheduleError {
        let works = |n: &usize| lists::flaw(self, *n, train_steps).is_none();
        let nearest =
            Nearest { below: (1..n_steps).rev().find(works), above: (n_steps + 1..=train_steps).find(works) };
        ScheduleError::Spacing { spacing: self.to_string(), n_steps, train_steps, problem, nearest }
    }
}
