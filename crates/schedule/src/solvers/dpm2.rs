//! The midpoint method in the logarithm of the noise level (k-diffusion's DPM2).

use super::euler::euler;
use crate::{Coordinates, Kept, Level, Path, Row, ScheduleError, Solver};

/// A step of Euler's method halfway on the scale of log-SNR, `u = y + h1 eps`, and the whole step with the eps
/// found there, `y' = y + h eps' = u - h1 eps + h eps'`: the steps of DPM-Solver-2 (Lu et al. 2022). A step to the
/// clean picture, which has no middle, is Euler's: `2 n - 1` calls for `n` steps.
///
/// ```
/// use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Solver, solvers::Dpm2};
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let settings = Settings::new(Convention::Exact, Box::<dyn Solver>::from(Dpm2::default()), 10);
/// assert_eq!(Plan::new(&schedule, &settings)?.steps().len(), 19);
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dpm2 {}

impl Solver for Dpm2 {
    fn name(&self) -> &'static str {
        "dpm2"
    }

    fn about(&self) -> &'static str {
        "the midpoint method in log-SNR, two calls a step (k-diffusion's DPM2)"
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn keeps(&self) -> Kept {
        Kept::Eps
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        Ok(path.levels().windows(2).flat_map(|pair| step(path, pair[0], pair[1])).collect())
    }
}

fn step(path: &Path, from: Level, to: Level) -> Vec<Row> {
    if to.noise_level() == 0.0 {
        return vec![euler(from, to)];
    }
    let middle = path.at_noise_level((from.noise_level() * to.noise_level()).sqrt());
    let half = euler(from, middle);
    let history = vec![-half.c_eps];
    let c_eps = to.noise_level() - from.noise_level();
    vec![half, Row { c_x: 1.0, c_eps, history, ..Row::new(middle, to) }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Convention, NoiseSchedule, Plan, Prediction, Settings, Solver, Spacing};

    /// From noise level 8 to 2, by hand: the middle is 4, `u = y - 4 eps` and `y' = u + 4 eps - 6 eps'`.
    #[test]
    fn a_step_by_hand() {
        let schedule = NoiseSchedule::of_noise_levels(0.5, 8.0, 5).unwrap();
        let settings = Settings {
            spacing: Spacing::Explicit(vec![4, 2]),
            prediction: Prediction::Score,
            ..Settings::new(Convention::Exact, Box::<dyn Solver>::from(Dpm2::default()), 2)
        };
        let plan = Plan::new(&schedule, &settings).unwrap();
        let [half, whole, last] = plan.steps() else { panic!("3 calls for 2 steps") };
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-13, "{found}, not {expected}");
        close(half.c_eps, -4.0);
        close(whole.time, 4.0);
        close(whole.c_eps, -6.0);
        close(whole.history[0], 4.0);
        close(last.c_eps, -2.0);
    }
}
