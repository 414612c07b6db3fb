//! The dial between DDIM and DDPM.

use crate::ScheduleError;

/// `eta` of Eq. (16): how much of DDPM's noise a step adds, from none (0) to all of it (1).
///
/// ```
/// use ddim_schedule::Eta;
/// assert_eq!(Eta::new(0.0)?, Eta::DDIM);
/// assert!(Eta::new(1.2).is_err());
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Eta(f64);

impl Eta {
    /// No noise: the deterministic sampler of the DDIM paper.
    pub const DDIM: Self = Self(0.0);
    /// As much noise as the ancestral sampler of DDPM adds.
    pub const DDPM: Self = Self(1.0);

    /// Takes a number in `[0, 1]`.
    ///
    /// # Errors
    /// For anything else, NaN included. Above 1 the radicand `1 - alpha_bar_prev - sigma^2` of Eq. (12)
    /// can be negative. The larger noise of the paper's last table row, sigma-hat, is not `eta > 1` but
    /// [`SigmaHat`](crate::solvers::SigmaHat).
    ///
    /// ```
    /// use ddim_schedule::Eta;
    /// assert!(Eta::new(f64::NAN).unwrap_err().to_string().contains("sigma-hat"));
    /// ```
    pub fn new(value: f64) -> Result<Self, ScheduleError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value.abs())) } else { Err(ScheduleError::Eta { value }) }
    }

    /// The number.
    ///
    /// ```
    /// # use ddim_schedule::Eta;
    /// assert_eq!(Eta::new(0.5)?.value(), 0.5);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn value(self) -> f64 {
        self.0
    }
}
