//! A step read backwards: from where it began and where it landed to the picture that it went by.

use crate::Marginal;

/// The x0 with which one step of DDIM without noise leads from a state to another:
/// `x0 = x0_from_start x_start + x0_from_end x_end`.
///
/// That step is `x_end = alpha_end x0 + (sigma_end / sigma_start) (x_start - alpha_start x0)`, a straight line in
/// x0; solved for it, this is the target of progressive distillation (Salimans & Ho 2022, arXiv:2202.00512,
/// algorithm 2): what a student must predict so that one of its steps lands where two of its teacher's do.
///
/// ```
/// use ddim_schedule::{Landing, Marginal};
/// let (start, end) = (Marginal::new(0.2), Marginal::new(0.7));
/// let (x0, eps) = (0.25, -1.5);
/// let landing = Landing::new(0.2, 0.7);
/// assert!((landing.x0(start.noisy(x0, eps), end.noisy(x0, eps)) - x0).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Landing {
    /// The share of the state where the step began.
    pub x0_from_start: f64,
    /// The share of the state where it landed.
    pub x0_from_end: f64,
}

impl Landing {
    /// For a step from one `alpha_bar`, below 1, to a larger one; 1 is the finished picture, which is the x0
    /// itself.
    ///
    /// ```
    /// use ddim_schedule::Landing;
    /// assert_eq!(Landing::new(0.2, 1.0), Landing { x0_from_start: 0.0, x0_from_end: 1.0 });
    /// ```
    pub fn new(start_alpha_bar: f64, end_alpha_bar: f64) -> Self {
        let (start, end) = (Marginal::new(start_alpha_bar), Marginal::new(end_alpha_bar));
        let ratio = end.noise / start.noise;
        let slope = end.signal - ratio * start.signal;
        // Without a minus zero, for a step to the picture.
        Self { x0_from_start: 0.0 - ratio / slope, x0_from_end: 1.0 / slope }
    }

    /// The x0.
    ///
    /// ```
    /// use ddim_schedule::Landing;
    /// assert_eq!(Landing::new(0.2, 1.0).x0(7.0, 0.5), 0.5);
    /// ```
    pub fn x0(&self, x_start: f64, x_end: f64) -> f64 {
        self.x0_from_start * x_start + self.x0_from_end * x_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solvers::Ddim;
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Step};

    /// The step of a plan with this x0, in f64, by its own coefficients.
    fn walked(step: &Step, x: f64, x0: f64) -> f64 {
        let eps = step.marginal.eps_from_x * x + step.marginal.eps_from_x0 * x0;
        step.c_x * x + step.c_x0 * x0 + step.c_eps * eps
    }

    fn plan(steps: usize, schedule: &NoiseSchedule) -> Plan {
        Plan::new(schedule, &Settings::new(Convention::Exact, Ddim::default(), steps)).expect("a plan")
    }

    /// Gaussian data N(m, s^2) have the exact denoiser E[x0 | x] = m + s^2 alpha (x - alpha m) / (alpha^2 s^2 +
    /// sigma^2). At every stage from 32 steps down to one and at each step, the last to the picture included, the
    /// x0 that is read off two of its steps leads one step of half as many to the same place.
    #[test]
    fn one_step_lands_where_two_of_the_exact_denoiser_do() {
        let (mean, variance) = (0.3, 0.16);
        let exact = |alpha_bar: f64, x: f64| {
            let signal = alpha_bar.sqrt();
            mean + variance * signal * (x - signal * mean) / (alpha_bar * variance + 1.0 - alpha_bar)
        };
        for betas in [BetaSchedule::SquaredCosCapV2, BetaSchedule::DDPM] {
            let schedule = NoiseSchedule::new(&betas, 1000).expect("a schedule");
            for steps in [16, 8, 4, 2, 1] {
                let (teacher, student) = (plan(2 * steps, &schedule), plan(steps, &schedule));
                for (two, one) in teacher.steps().chunks_exact(2).zip(student.steps()) {
                    assert_eq!((two[0].time, two[1].alpha_bar_prev), (one.time, one.alpha_bar_prev));
                    for x in [-2.5, -0.4, 0.0, 0.7, 3.0] {
                        let middle = walked(&two[0], x, exact(two[0].alpha_bar, x));
                        let end = walked(&two[1], middle, exact(two[1].alpha_bar, middle));
                        let x0 = Landing::new(one.alpha_bar, one.alpha_bar_prev).x0(x, end);
                        let landed = walked(one, x, x0);
                        assert!((landed - end).abs() < 1e-12, "{steps} steps at {}: {landed} {end}", one.time);
                    }
                }
            }
        }
    }

    /// Where the teacher's x0 is the same in both steps there is one line, and the x0 is that.
    #[test]
    fn on_a_straight_way_it_is_the_teachers_own() {
        let (x0, eps) = (-0.6, 1.1);
        let at = |alpha_bar| Marginal::new(alpha_bar).noisy(x0, eps);
        for [start, end] in [[0.0, 0.01], [1e-6, 0.5], [0.3, 0.9999], [0.5, 1.0]] {
            let read = Landing::new(start, end).x0(at(start), at(end));
            assert!((read - x0).abs() < 1e-12, "{start} to {end}: {read}");
        }
    }
}
