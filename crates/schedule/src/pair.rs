//! Embedded Runge-Kutta pairs, and the choice of the next step from the error of the last.

use crate::ScheduleError;

/// Two Runge-Kutta methods that share their stages: the difference of their results tells the error of a step.
///
/// The last stage is the first of the next step, so an attempt costs one call less than it has stages.
///
/// ```
/// use ddim_schedule::EmbeddedPair;
/// let weights = EmbeddedPair::DORMAND_PRINCE.weights();
/// assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-15);
/// assert_eq!(EmbeddedPair::BOGACKI_SHAMPINE.calls_per_attempt(), 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmbeddedPair {
    /// The name in records.
    pub name: &'static str,
    /// The stages after the first.
    pub stages: &'static [Stage],
    /// Weights of all stages in the error: those of the result less those of the other method.
    pub error: &'static [f64],
    /// The order of the error: the local error of the lower method falls with this power of the step.
    pub error_order: usize,
}

/// One stage: where it lies, and how its state follows from the earlier stages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Its place as a share of the step.
    pub at: f64,
    /// Weights of the slopes before it.
    pub weights: &'static [f64],
}

impl EmbeddedPair {
    /// Third order with a second-order estimate (Bogacki & Shampine 1989).
    pub const BOGACKI_SHAMPINE: Self = Self {
        name: "bogacki-shampine",
        stages: &[
            Stage { at: 0.5, weights: &[0.5] },
            Stage { at: 0.75, weights: &[0.0, 0.75] },
            Stage { at: 1.0, weights: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0] },
        ],
        error: &[2.0 / 9.0 - 7.0 / 24.0, 1.0 / 3.0 - 0.25, 4.0 / 9.0 - 1.0 / 3.0, -0.125],
        error_order: 3,
    };

    /// Fifth order with a fourth-order estimate (Dormand & Prince 1980; Hairer, Nørsett & Wanner 1993, Table
    /// II.5.2).
    pub const DORMAND_PRINCE: Self = Self {
        name: "dormand-prince",
        stages: &[
            Stage { at: 0.2, weights: &[0.2] },
            Stage { at: 0.3, weights: &[3.0 / 40.0, 9.0 / 40.0] },
            Stage { at: 0.8, weights: &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0] },
            Stage {
                at: 8.0 / 9.0,
                weights: &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
            },
            Stage {
                at: 1.0,
                weights: &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
            },
            Stage {
                at: 1.0,
                weights: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
            },
        ],
        error: &[
            71.0 / 57600.0,
            0.0,
            -71.0 / 16695.0,
            71.0 / 1920.0,
            -17253.0 / 339200.0,
            22.0 / 525.0,
            -1.0 / 40.0,
        ],
        error_order: 5,
    };

    /// The weights of the result: those of the last stage, which is where the step ends.
    pub fn weights(&self) -> &'static [f64] {
        self.stages[self.stages.len() - 1].weights
    }

    /// Calls of the network for a step, taken or refused.
    pub fn calls_per_attempt(&self) -> usize {
        self.stages.len()
    }
}

/// How large the error of one step may be: `absolute + relative |x|` for each value, in the root mean square over
/// a picture, whose values are of the size of 1 all along the way.
///
/// ```
/// use ddim_schedule::Tolerance;
/// assert_eq!(Tolerance::new(1e-2, 1e-3)?.relative(), 1e-2);
/// let error = Tolerance::new(1e-9, 1e-3).unwrap_err().to_string();
/// assert!(error.starts_with("the relative tolerance is 0.000000001: it must be from 0.000001 to 1"));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    relative: f64,
    absolute: f64,
}

impl Tolerance {
    /// The smallest tolerance: ten times the rounding of the tensors, which no smaller step can reduce.
    pub const MIN: f64 = 1e-6;

    /// A tolerance.
    ///
    /// # Errors
    /// [`ScheduleError::Tolerance`] for a number outside `MIN..=1`.
    pub fn new(relative: f64, absolute: f64) -> Result<Self, ScheduleError> {
        for (which, value) in [("relative", relative), ("absolute", absolute)] {
            if !(Self::MIN..=1.0).contains(&value) {
                return Err(ScheduleError::Tolerance { which, value });
            }
        }
        Ok(Self { relative, absolute })
    }

    /// The share of the value itself.
    pub fn relative(self) -> f64 {
        self.relative
    }

    /// What is allowed for a value of 0.
    pub fn absolute(self) -> f64 {
        self.absolute
    }
}

impl Default for Tolerance {
    /// 0.001 each.
    fn default() -> Self {
        Self { relative: 1e-3, absolute: 1e-3 }
    }
}

/// The step control of one picture: proportional and integral, after Hairer, Nørsett & Wanner 1993, section II.4
/// and Gustafsson 1991.
///
/// ```
/// use ddim_schedule::{EmbeddedPair, StepControl, Verdict};
/// let mut control = StepControl::new(&EmbeddedPair::DORMAND_PRINCE, 1.0);
/// assert_eq!(control.judge(0.5), Verdict::Taken);
/// let longer = control.step();
/// assert_eq!(control.judge(20.0), Verdict::Refused);
/// assert!(control.step() < longer);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StepControl {
    step: f64,
    error_order: f64,
    previous_error: f64,
    after_refusal: bool,
}

/// What becomes of an attempted step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its error is within the tolerance.
    Taken,
    /// It is not, and the step is tried again, shorter.
    Refused,
}

impl StepControl {
    /// How much shorter than the estimate a step is, so that few are refused.
    const SAFETY: f64 = 0.9;
    /// The most that a step shrinks or grows.
    const FACTORS: [f64; 2] = [0.2, 5.0];

    /// Begins with a step of this length.
    pub fn new(pair: &EmbeddedPair, first_step: f64) -> Self {
        let error_order = pair.error_order as f64;
        Self { step: first_step, error_order, previous_error: 1e-4, after_refusal: false }
    }

    /// The length of the next step, above 0.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// Fits the next step into the way that is left: a step that would leave a crumb goes all the way.
    pub fn fit(&mut self, left: f64) -> f64 {
        if self.step > 0.99 * left {
            self.step = left;
        }
        self.step
    }

    /// Judges a step by its error in units of the tolerance, and chooses the next.
    pub fn judge(&mut self, error: f64) -> Verdict {
        let [least, most] = Self::FACTORS;
        if error.is_nan() || error > 1.0 {
            // `max` takes the other number where one is NaN.
            self.step *= (Self::SAFETY * error.powf(-1.0 / self.error_order)).max(least);
            self.after_refusal = true;
            return Verdict::Refused;
        }
        let error = error.max(1e-10);
        let integral = error.powf(-0.7 / self.error_order);
        let proportional = self.previous_error.powf(0.4 / self.error_order);
        let most = if self.after_refusal { 1.0 } else { most };
        self.step *= (Self::SAFETY * integral * proportional).clamp(least, most);
        self.previous_error = error.max(1e-4);
        self.after_refusal = false;
        Verdict::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [EmbeddedPair; 2] = [EmbeddedPair::BOGACKI_SHAMPINE, EmbeddedPair::DORMAND_PRINCE];

    /// One step of `y' = f(t, y)` from `t = 0`: the result, and the error it shows.
    fn step(pair: &EmbeddedPair, y: f64, h: f64, f: impl Fn(f64, f64) -> f64) -> (f64, f64) {
        let mut slopes = vec![f(0.0, y)];
        let sum = |weights: &[f64], slopes: &[f64]| weights.iter().zip(slopes).map(|(w, k)| w * k).sum::<f64>();
        let mut state = y;
        for stage in pair.stages {
            state = y + h * sum(stage.weights, &slopes);
            slopes.push(f(stage.at * h, state));
        }
        (state, h * sum(pair.error, &slopes))
    }

    /// Consistency: the weights of a stage add up to its place, those of the error to 0.
    #[test]
    fn weights_add_up() {
        for pair in PAIRS {
            for stage in pair.stages {
                assert!((stage.weights.iter().sum::<f64>() - stage.at).abs() < 1e-14, "{} {stage:?}", pair.name);
            }
            assert!(pair.error.iter().sum::<f64>().abs() < 1e-15, "{}", pair.name);
        }
    }

    /// On `y' = t^2 - 3 y`, whose solution from 1 is below: halving the step divides the error of the result by
    /// 2^(order + 1) and its estimate by 2^error_order. The exponent is off by the next terms, of the order of h.
    #[test]
    fn orders_are_those_of_the_papers() {
        let solution = |t: f64| t * t / 3.0 - 2.0 * t / 9.0 + 2.0 / 27.0 + 25.0 / 27.0 * (-3.0 * t).exp();
        for (pair, order) in PAIRS.into_iter().zip([3, 5]) {
            let of = |h: f64| {
                let (y, estimate) = step(&pair, 1.0, h, |t, y| t * t - 3.0 * y);
                [(y - solution(h)).abs(), estimate.abs()]
            };
            let h = 0.05;
            let exponents = [0, 1].map(|i| (of(h)[i] / of(h / 2.0)[i]).log2());
            assert!((exponents[0] - (order + 1) as f64).abs() < 0.15, "{}: {exponents:?}", pair.name);
            assert!((exponents[1] - pair.error_order as f64).abs() < 0.15, "{}: {exponents:?}", pair.name);
        }
    }

    #[test]
    fn a_step_grows_and_shrinks_within_bounds() {
        let mut control = StepControl::new(&EmbeddedPair::DORMAND_PRINCE, 1.0);
        assert_eq!(control.judge(0.0), Verdict::Taken);
        assert!(control.step() <= 5.0);
        let before = control.step();
        assert_eq!(control.judge(f64::INFINITY), Verdict::Refused);
        assert_eq!(control.step(), 0.2 * before);
        assert_eq!(control.judge(f64::NAN), Verdict::Refused);
        let before = control.step();
        assert_eq!(control.judge(1e-9), Verdict::Taken);
        assert_eq!(control.step(), before, "no growth after a refusal");
    }
}
