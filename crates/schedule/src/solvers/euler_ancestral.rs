//! Ancestral sampling in the noise level (k-diffusion).

use super::euler::euler;
use crate::{Coordinates, Eta, Level, Path, Row, ScheduleError, Solver, SolverOption, StepNoise};

/// Euler's method to a level below the next one, `down`, and noise `up` back to it:
/// `up = eta noise_level' sqrt(1 - noise_level'^2/noise_level^2)`, `down^2 = noise_level'^2 - up^2`.
///
/// These are DDIM's steps with the same eta, for a state that is `y = x0 + noise_level eps`: at 1 the ancestral
/// sampler of DDPM, at 0 Euler's method.
///
/// ```
/// use ddim_schedule::{Eta, solvers::EulerAncestral};
/// assert_eq!(EulerAncestral::default().eta, Eta::DDPM);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EulerAncestral {
    /// How much of the noise.
    pub eta: Eta,
}

impl Default for EulerAncestral {
    fn default() -> Self {
        Self { eta: Eta::DDPM }
    }
}

impl Solver for EulerAncestral {
    fn name(&self) -> &'static str {
        "euler-a"
    }

    fn about(&self) -> &'static str {
        "ancestral sampling in the noise level: DDIM's steps with noise, in Euler's form (k-diffusion)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![SolverOption::eta(&mut self.eta, "0 to 1")]
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let row = |pair: &[Level]| {
            let (from, to) = (pair[0].noise_level(), pair[1].noise_level());
            let up = self.eta.value() * to * (1.0 - (to / from) * (to / from)).max(0.0).sqrt();
            let down = (to * to - up * up).max(0.0).sqrt(); // below 0 by rounding at most
            Row { c_eps: down - from, noise: StepNoise::fixed(up), ..euler(pair[0], pair[1]) }
        };
        Ok(path.levels().windows(2).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solvers::Ddim;
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Solver, Spacing};

    /// `y = x/signal`: the coefficients of a step in x0, eps and z are DDIM's, divided by the signal where the
    /// step ends. In f64, with coefficients of up to 160.
    #[test]
    fn the_steps_are_those_of_ddim() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        for eta in [0.0, 0.3, 1.0].map(|eta| Eta::new(eta).unwrap()) {
            let settings =
                |solver| Settings { spacing: Spacing::Uniform, ..Settings::new(Convention::Exact, solver, 12) };
            let plan = |solver: Box<dyn Solver>| Plan::new(&schedule, &settings(solver)).unwrap();
            let ddim = plan(Ddim { eta }.into());
            let ancestral = plan(EulerAncestral { eta }.into());
            for (ddim, ancestral) in ddim.steps().iter().zip(ancestral.steps()) {
                let (noise_level, signal) = (ancestral.marginal.noise, ddim.alpha_bar_prev.sqrt());
                let sigma = |noise| if let StepNoise::Fixed { sigma } = noise { sigma } else { 0.0 };
                let close = |ours: f64, ddim: f64| assert!((ours - ddim / signal).abs() < 1e-12);
                close(ancestral.c_x, ddim.c_x0);
                close(ancestral.c_x * noise_level + ancestral.c_eps, ddim.c_eps);
                close(sigma(ancestral.noise), sigma(ddim.noise));
            }
        }
    }
}
