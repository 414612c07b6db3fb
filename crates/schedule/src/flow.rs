//! The probability-flow ODE as one equation in one angle, for solvers that choose their steps as they go.

use std::f64::consts::FRAC_PI_2;

use crate::{Coordinates, EpsSource, FinalAlphaBar, Level, NoiseSchedule, Prediction, ScheduleError, Settings};
use crate::{Timestep, X0Limit};

/// The deterministic reverse process as a differential equation: `dx/dphi = v` with
/// `x = cos(phi) x0 + sin(phi) eps` and `v = cos(phi) eps - sin(phi) x0`.
///
/// The angle `phi` of Salimans & Ho 2022 (section 4) is 0 for a picture and a right angle for pure noise. Neither
/// end is singular, not even at zero terminal SNR, and a state keeps its variance, so one tolerance fits all of
/// the way.
///
/// ```
/// use ddim_schedule::{BetaSchedule, Flow, NoiseSchedule, Settings};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let flow = Flow::new(&schedule, &Settings::default())?;
/// assert_eq!((flow.at(flow.start()).time, flow.at(flow.end()).time), (999.0, 0.0));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The angle of each timestep: strictly increasing.
    angles: Vec<f64>,
    settings: Settings,
}

/// A call of the network somewhere on the way, and what its output says there.
///
/// `x0 = x0_from_x x + x0_from_out out`, then limited, and
/// `v = v_from_x x + v_from_out out + v_from_x0 x0` with the limited x0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowCall {
    /// The time given to the network: most often a real number between two timesteps of its training.
    pub time: f64,
    /// What x is multiplied with before it is given to the network.
    pub input_scale: f64,
    /// Coefficient of x in the clean prediction.
    pub x0_from_x: f64,
    /// Coefficient of the network's output in the clean prediction.
    pub x0_from_out: f64,
    /// Coefficient of x in the velocity.
    pub v_from_x: f64,
    /// Coefficient of the network's output in the velocity.
    pub v_from_out: f64,
    /// Coefficient of the limited x0 in the velocity.
    pub v_from_x0: f64,
}

impl Flow {
    /// The flow of a model that was trained with this schedule. Of the settings it uses the prediction, the limit
    /// of x0 with its eps, and where the run ends; steps, spacing and method are for plans.
    ///
    /// # Errors
    /// When the limit makes no sense, and when the network predicts eps and `alpha_bar` of the last timestep is 0.
    pub fn new(schedule: &NoiseSchedule, settings: &Settings) -> Result<Self, ScheduleError> {
        settings.limit.check()?;
        let last = schedule.train_steps() - 1;
        if settings.prediction == Prediction::Epsilon && schedule.alpha_bar(last) == 0.0 {
            return Err(ScheduleError::EpsilonWithoutSignal { timestep: last });
        }
        let angle = |&alpha_bar: &f64| {
            let level = Level { time: 0.0, alpha_bar };
            level.noise().atan2(level.signal())
        };
        Ok(Self { angles: schedule.alpha_bars().iter().map(angle).collect(), settings: settings.clone() })
    }

    /// Where a run starts: the angle of the last timestep, at most a right angle.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, Flow, NoiseSchedule, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let flow = Flow::new(&schedule, &Settings::default())?;
    /// assert!((flow.start().cos().powi(2) - schedule.alpha_bar(999)).abs() < 1e-15);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn start(&self) -> f64 {
        self.angles[self.angles.len() - 1].min(FRAC_PI_2)
    }

    /// Where the equation ends: the angle of timestep 0. The rest of the way is the prediction of x0 there.
    ///
    /// ```
    /// # use ddim_schedule::{BetaSchedule, Flow, NoiseSchedule, Settings};
    /// # let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let flow = Flow::new(&schedule, &Settings::default())?;
    /// assert!(0.0 < flow.end() && flow.end() < 0.011); // sin^2 is 1e-4
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn end(&self) -> f64 {
        self.angles[0]
    }

    /// Whether a run ends on the predicted x0 or on the state at timestep 0.
    pub fn final_alpha_bar(&self) -> FinalAlphaBar {
        self.settings.final_alpha_bar
    }

    /// What is done with the predicted x0.
    pub fn limit(&self) -> X0Limit {
        self.settings.limit
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The network's call at an angle between [`end`](Self::end) and [`start`](Self::start).
    ///
    /// ```
    /// use ddim_schedule::{BetaSchedule, Flow, NoiseSchedule, Prediction, Settings};
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let settings = Settings { prediction: Prediction::V, ..Settings::default() };
    /// let call = Flow::new(&schedule, &settings)?.at(0.5);
    /// assert!((call.v_from_out - 1.0).abs() < 1e-15 && call.v_from_x.abs() < 1e-15);
    /// # Ok::<(), ddim_schedule::ScheduleError>(())
    /// ```
    pub fn at(&self, angle: f64) -> FlowCall {
        let (sin, cos) = angle.sin_cos();
        let level = Level { time: self.time_at(angle), alpha_bar: cos * cos };
        let view = self.settings.prediction.view(level, Coordinates::Preserving);
        let from = view.coefficients;
        let [v_from_x, v_from_out, v_from_x0] = match (self.settings.limit, self.settings.eps_source) {
            // A free x0 fits the network's eps: the second is exact, and divides by no small number.
            (X0Limit::Free, _) | (_, EpsSource::Network) => [cos * from.eps_from_x, cos * from.eps_from_out, -sin],
            // eps = (x - cos x0)/sin.
            (_, EpsSource::Rederived) => [cos / sin, 0.0, -1.0 / sin],
        };
        FlowCall {
            time: view.time,
            input_scale: view.input_scale,
            x0_from_x: from.x0_from_x,
            x0_from_out: from.x0_from_out,
            v_from_x,
            v_from_out,
            v_from_x0,
        }
        .folded(self.settings.limit)
    }

    /// The time of an angle, in a straight line between two timesteps.
    fn time_at(&self, angle: f64) -> f64 {
        let above: Timestep = self.angles.partition_point(|&known| known <= angle);
        if above == 0 || above == self.angles.len() {
            return above.saturating_sub(1) as f64;
        }
        let (low, high) = (self.angles[above - 1], self.angles[above]);
        (above - 1) as f64 + (angle - low) / (high - low)
    }
}

impl FlowCall {
    /// Without a limit x0 is linear too, and only x and the output are left.
    fn folded(self, limit: X0Limit) -> Self {
        if limit != X0Limit::Free {
            return self;
        }
        Self {
            v_from_x: self.v_from_x + self.v_from_x0 * self.x0_from_x,
            v_from_out: self.v_from_out + self.v_from_x0 * self.x0_from_out,
            v_from_x0: 0.0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BetaSchedule, Marginal};

    fn schedule() -> NoiseSchedule {
        NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap()
    }

    /// By definition: `v = cos eps - sin x0`, whatever the network predicts of a consistent pair.
    #[test]
    fn every_prediction_gives_the_same_velocity() {
        let (x0, eps) = (0.4, -1.3);
        for angle in [0.02_f64, 0.7, 1.5] {
            let (sin, cos) = angle.sin_cos();
            let x = Marginal::new(cos * cos).noisy(x0, eps);
            let v = cos * eps - sin * x0;
            for (prediction, out) in [(Prediction::Epsilon, eps), (Prediction::X0, x0), (Prediction::V, v)] {
                for limit in [X0Limit::Free, X0Limit::Clip { range: 1.0 }] {
                    for eps_source in [EpsSource::Network, EpsSource::Rederived] {
                        let settings = Settings { prediction, limit, eps_source, ..Settings::default() };
                        let call = Flow::new(&schedule(), &settings).unwrap().at(angle);
                        let found = call.v_from_x * x + call.v_from_out * out + call.v_from_x0 * x0;
                        // Rounding, divided by the smallest sine.
                        assert!(
                            (found - v).abs() < 1e-13 / sin,
                            "{prediction} {limit:?} {angle}: {found}, not {v}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_time_of_a_timesteps_angle_is_the_timestep() {
        let flow = Flow::new(&schedule(), &Settings::default()).unwrap();
        for t in [0, 1, 500, 999] {
            assert_eq!(flow.time_at(flow.angles[t]), t as f64);
        }
        let between = flow.time_at(0.25 * flow.angles[500] + 0.75 * flow.angles[501]);
        assert!((between - 500.75).abs() < 1e-9, "{between}"); // rounding of angles 1e-3 apart
    }

    #[test]
    fn a_schedule_without_signal_has_a_flow_for_v_only() {
        let blind = schedule().rescaled_to_zero_snr();
        let error = Flow::new(&blind, &Settings::default()).unwrap_err();
        assert_eq!(error, ScheduleError::EpsilonWithoutSignal { timestep: 999 });
        let settings = Settings { prediction: Prediction::V, ..Settings::default() };
        let flow = Flow::new(&blind, &settings).unwrap();
        let call = flow.at(flow.start());
        assert_eq!((call.time, call.v_from_out), (999.0, 1.0));
        assert!(call.x0_from_x.is_finite() && call.v_from_x.is_finite());
    }
}
