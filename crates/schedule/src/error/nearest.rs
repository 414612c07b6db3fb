//! What to ask for instead of a refused number of steps.

use std::fmt;

/// The step counts nearest to a refused one.
///
/// ```
/// use ddim_schedule::{ScheduleError, Spacing};
/// let Err(ScheduleError::Spacing { nearest, .. }) = Spacing::ErmonUniform.tau(30, 1000) else { panic!() };
/// assert_eq!((nearest.below, nearest.above), (Some(25), Some(40)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    /// The largest legal count below, if there is one.
    pub below: Option<usize>,
    /// The smallest legal count above, if there is one.
    pub above: Option<usize>,
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.below, self.above) {
            (Some(below), Some(above)) => write!(f, "{below} and {above}"),
            (Some(only), None) | (None, Some(only)) => write!(f, "{only}"),
            (None, None) => write!(f, "none"),
        }
    }
}
