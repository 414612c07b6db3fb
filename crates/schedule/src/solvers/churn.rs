//! Churn: fresh noise before a step (Karras et al. 2022, Algorithm 2).

use crate::{Level, Path, SolverOption, StepNoise};

/// Before a step of a run of `n` the noise level rises to `(1 + gamma) noise_level` with
/// `gamma = min(amount/n, sqrt(2) - 1)`, and noise of deviation `noise sqrt(raised^2 - noise_level^2)` is added.
///
/// Where the method calls the network before it adds noise of its own, the noise of a step is drawn at the end of
/// the row before it; the first step needs none, for the run simply starts at the raised level. There, and only
/// there, [`noise`](Self::noise) has no effect.
///
/// ```
/// use ddim_schedule::solvers::{Churn, Euler};
/// let euler = Euler { churn: Churn { amount: 40.0, noise: 1.003, ..Churn::NONE }, ..Euler::default() };
/// assert_eq!(euler.churn.max, f64::INFINITY);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// `S_churn`: how much, shared out among all steps; 0 is none.
    pub amount: f64,
    /// `S_tmin`: the smallest noise level that is raised.
    pub min: f64,
    /// `S_tmax`: the largest.
    pub max: f64,
    /// `S_noise`: a little above 1 makes up for the detail that a network takes away too much of.
    pub noise: f64,
}

impl Churn {
    /// No churn.
    pub const NONE: Self = Self { amount: 0.0, min: 0.0, max: f64::INFINITY, noise: 1.0 };

    /// Its options, as the solvers that have them name them.
    pub(crate) fn table(&mut self) -> Vec<SolverOption<'_>> {
        let finite = |value: &f64| *value >= 0.0 && value.is_finite();
        let least = "0 or more";
        vec![
            SolverOption::number("churn", &mut self.amount, least, finite),
            SolverOption::number("churn_min", &mut self.min, least, finite),
            SolverOption::number("churn_max", &mut self.max, "0 or more or inf", |value| *value >= 0.0),
            SolverOption::number("churn_noise", &mut self.noise, least, finite),
        ]
    }

    /// The levels of the path, those raised at which a step starts.
    pub(crate) fn raised(&self, path: &Path) -> Vec<Level> {
        let mut levels = path.levels().to_vec();
        let gamma = (self.amount / path.n_steps() as f64).min(2_f64.sqrt() - 1.0);
        for level in levels[..path.n_steps()].iter_mut().filter(|_| gamma > 0.0) {
            let noise_level = level.noise_level();
            if (self.min..=self.max).contains(&noise_level) {
                *level = path.at_noise_level((1.0 + gamma) * noise_level);
            }
        }
        levels
    }

    /// The noise that takes a state from a level to the raised one.
    pub(crate) fn fresh(&self, level: Level, raised: Level) -> StepNoise {
        if level == raised {
            return StepNoise::None;
        }
        let (low, high) = (level.noise_level(), raised.noise_level());
        StepNoise::fixed(self.noise * (high * high - low * low).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Spacing, Step, StepNoise, solvers};

    fn steps(solver: &str) -> Vec<Step> {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        let method = solvers::parse(solver).unwrap();
        let settings = Settings { spacing: Spacing::Uniform, ..Settings::new(Convention::Exact, method, 10) };
        Plan::new(&schedule, &settings).unwrap().steps().to_vec()
    }

    /// 2 shared by 10 steps is a fifth each, and `raised^2 - s^2 = 0.44 s^2`; 50 would be more than the largest
    /// share, `sqrt(2) - 1`, by which `raised^2 = 2 s^2`. Noise levels near 0.1 are known to 1e-14.
    #[test]
    fn shares() {
        let plain = steps("euler");
        for (option, share, fresh) in [("churn=2", 1.2, 0.44_f64.sqrt()), ("churn=50", 2_f64.sqrt(), 1.0)] {
            let churned = steps(&format!("euler:{option},churn_noise=1.5"));
            for (churned, plain) in churned.iter().zip(&plain) {
                assert!((churned.marginal.noise / (share * plain.marginal.noise) - 1.0).abs() < 1e-13);
            }
            for (churned, plain) in churned.iter().zip(&plain[1..]) {
                let StepNoise::Fixed { sigma } = churned.noise else { panic!("noise for the step that follows") };
                assert!((sigma / (1.5 * fresh * plain.marginal.noise) - 1.0).abs() < 1e-13);
            }
            assert_eq!(churned[9].noise, StepNoise::None, "no step follows");
        }
    }

    #[test]
    fn only_noise_levels_between_the_ends_are_raised() {
        let (plain, churned) = (steps("heun"), steps("heun:churn=3,churn_min=1,churn_max=20"));
        for (plain, churned) in plain.iter().zip(&churned).step_by(2) {
            let raised = churned.marginal.noise > 1.01 * plain.marginal.noise;
            assert_eq!(raised, (1.0..=20.0).contains(&plain.marginal.noise));
        }
        assert!(
            plain.iter().any(|step| step.marginal.noise > 20.0) && plain.iter().any(|s| s.marginal.noise < 1.0)
        );
        assert_eq!(steps("euler:churn=3,churn_min=1e9"), steps("euler"));
    }

    #[test]
    fn values_without_sense_are_refused() {
        for option in ["churn=-1", "churn=inf", "churn_noise=nan", "churn_min=low", "churn_at=never", "order=2"] {
            let error = solvers::parse(&format!("euler:{option}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("solver euler has no option {option}: it has churn=0 or more, ")));
        }
        assert!(solvers::parse("heun:churn_at=before").is_err(), "its noise comes before the call");
    }
}
