//! The chosen timesteps.

use crate::{ScheduleError, Timestep};

/// The timesteps a sampler visits, noisy to clean: at least one, strictly decreasing, all of them in range.
///
/// ```
/// use ddim_schedule::Tau;
/// let tau = Tau::new(vec![900, 500, 0], 1000)?;
/// assert_eq!(tau.as_slice(), [900, 500, 0]);
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tau(Vec<Timestep>);

impl Tau {
    /// Takes a list that runs from noisy to clean.
    ///
    /// # Errors
    /// When the list is empty, not strictly decreasing, or names a timestep outside `0..train_steps`.
    ///
    /// ```
    /// use ddim_schedule::Tau;
    /// let error = Tau::new(vec![0, 500, 900], 1000).unwrap_err();
    /// assert!(error.to_string().ends_with("sorted, yours is 900,500,0"));
    /// ```
    pub fn new(timesteps: Vec<Timestep>, train_steps: usize) -> Result<Self, ScheduleError> {
        if train_steps == 0 {
            return Err(ScheduleError::TrainSteps { train_steps });
        }
        if timesteps.is_empty() {
            return Err(ScheduleError::StepCount { n_steps: 0, train_steps });
        }
        if let Some(&timestep) = timesteps.iter().find(|&&t| t >= train_steps) {
            return Err(ScheduleError::TimestepRange { timestep, train_steps });
        }
        if let Some(pair) = timesteps.windows(2).find(|pair| pair[0] <= pair[1]) {
            let (timestep, next) = (pair[0], pair[1]);
            let mut sorted = timesteps;
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.dedup();
            return Err(ScheduleError::TimestepOrder { timestep, next, sorted });
        }
        Ok(Self(timesteps))
    }

    /// The timesteps, noisy to clean.
    ///
    /// ```
    /// # use ddim_schedule::Spacing;
    /// assert_eq!(Spacing::Uniform.tau(4, 1000)?.as_slice(), [999, 749, 499, 249]);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn as_slice(&self) -> &[Timestep] {
        &self.0
    }

    /// How many there are: never 0.
    ///
    /// ```
    /// # use ddim_schedule::Spacing;
    /// assert_eq!(Spacing::Quad.tau(7, 1000)?.len(), 7);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "a Tau is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
