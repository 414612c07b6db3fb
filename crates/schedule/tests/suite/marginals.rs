//! The non-Markovian process keeps its marginals: a plan's own coefficients take
//! `x_t ~ N(sqrt(alpha_bar) x0, 1 - alpha_bar)` to `N(sqrt(alpha_bar_prev) x0, 1 - alpha_bar_prev)` when
//! they are given the true x0 and eps (DDIM, lemma 1), whatever sigma is.

use ddim_schedule::solvers::{self, Ddim, Ddpm, SigmaHat};
use ddim_schedule::{BetaSchedule, Convention, Eta, FinalAlphaBar, Lineage, NoiseSchedule, Plan};
use ddim_schedule::{Prediction, Settings, Solver, Spacing, Step, StepNoise, Variance};

const X0: f64 = 0.7;

/// A Gaussian.
#[derive(Clone, Copy)]
struct Normal {
    mean: f64,
    variance: f64,
}

/// Applies a row to a Gaussian x, with the true x0 and the eps that lies between: both linear in x.
fn apply(step: &Step, x: Normal) -> Normal {
    let noise = (1.0 - step.alpha_bar).sqrt();
    let gain = step.c_x + step.c_eps / noise;
    let shift = (step.c_x0 - step.c_eps * step.alpha_bar.sqrt() / noise) * X0;
    let fresh = match step.noise {
        StepNoise::None => 0.0,
        StepNoise::Fixed { sigma } => sigma * sigma,
        ref learned => panic!("{learned:?}"),
    };
    Normal { mean: gain * x.mean + shift, variance: gain * gain * x.variance + fresh }
}

fn marginal(alpha_bar: f64) -> Normal {
    Normal { mean: alpha_bar.sqrt() * X0, variance: 1.0 - alpha_bar }
}

/// 1000 steps of a few roundings of 1e-16 each.
fn assert_close(found: Normal, expected: Normal, place: &str) {
    assert!((found.mean - expected.mean).abs() < 1e-12, "mean, {place}: {} {}", found.mean, expected.mean);
    let difference = (found.variance - expected.variance).abs();
    assert!(difference < 1e-12, "variance, {place}: {} {}", found.variance, expected.variance);
}

fn schedules() -> Vec<NoiseSchedule> {
    let new = |betas: BetaSchedule, steps| NoiseSchedule::new(&betas, steps).unwrap();
    vec![
        new(BetaSchedule::DDPM, 1000),
        new(BetaSchedule::SquaredCosCapV2, 250),
        new(BetaSchedule::ScaledLinear { start: 0.00085, end: 0.012 }, 1000).rescaled_to_zero_snr(),
        new(BetaSchedule::Jsd, 40),
        new(BetaSchedule::Laplace, 500),
    ]
}

fn keeping_solvers() -> Vec<Box<dyn Solver>> {
    let texts = ["ddim", "ddim:eta=0.1", "ddim:eta=0.5", "ddim:eta=0.9", "ddim:eta=1", "ddpm"];
    texts.map(|text| solvers::parse(text).unwrap()).into()
}

/// From the first kept timestep through the whole plan: the induction of the paper's appendix B, in numbers.
#[test]
fn every_kept_step_has_its_marginal() {
    for schedule in schedules() {
        for solver in keeping_solvers() {
            for n_steps in [1, 2, 7, 20, schedule.train_steps()] {
                let settings = Settings {
                    prediction: Prediction::V,
                    ..Settings::new(Convention::Exact, solver.clone(), n_steps)
                };
                let plan = Plan::new(&schedule, &settings).unwrap();
                let mut x = marginal(plan.steps()[0].alpha_bar);
                for (i, step) in plan.steps().iter().enumerate() {
                    x = apply(step, x);
                    let place = format!("{solver:?}, step {i} of {n_steps}");
                    assert_close(x, marginal(step.alpha_bar_prev), &place);
                }
            }
        }
    }
}

/// The same for each single step where steps do not chain up, or end above the clean picture.
#[test]
fn foreign_conventions_keep_them_too() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    for solver in keeping_solvers() {
        for final_alpha_bar in [FinalAlphaBar::One, FinalAlphaBar::First] {
            for (convention, spacing) in [
                (Convention::Diffusers, Spacing::Trailing),
                (Convention::Diffusers, Spacing::Leading { offset: 1 }),
                (Convention::Exact, Spacing::Quad),
                (Convention::OpenAi, Spacing::Linspace),
            ] {
                let settings =
                    Settings { spacing, final_alpha_bar, ..Settings::new(convention, solver.clone(), 15) };
                let plan = Plan::new(&schedule, &settings).unwrap();
                let steps = &plan.steps()[..14 + usize::from(solver.lineage() == Lineage::Ddim)];
                for step in steps {
                    let place = format!("{settings:?}, timestep {}", step.time as usize);
                    assert_close(apply(step, marginal(step.alpha_bar)), marginal(step.alpha_bar_prev), &place);
                }
            }
        }
    }
}

/// What does not keep them: the larger noise of sigma-hat and of fixed-large variance.
#[test]
fn larger_noise_widens_them() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    let large = Ddpm { variance: Variance::FixedLarge };
    for solver in [Box::<dyn Solver>::from(SigmaHat), large.into()] {
        let plan = Plan::new(&schedule, &Settings::new(Convention::Exact, solver.clone(), 10)).unwrap();
        let (last, inner) = plan.steps().split_last().unwrap();
        for step in inner {
            let next = apply(step, marginal(step.alpha_bar));
            assert!((next.mean - marginal(step.alpha_bar_prev).mean).abs() < 1e-14);
            assert!(next.variance > 1.0 - step.alpha_bar_prev + 1e-6);
        }
        assert_close(apply(last, marginal(last.alpha_bar)), Normal { mean: X0, variance: 0.0 }, "the end");
    }
}

/// DDPM's posterior mean and DDIM's Eq. (12) at eta 1 are one update, written in (x, x0) and in (x0, eps).
#[test]
fn ddpm_is_ddim_at_eta_one() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    let of =
        |solver: Box<dyn Solver>| Plan::new(&schedule, &Settings::new(Convention::Exact, solver, 40)).unwrap();
    let (ddpm, ddim) = (of(Ddpm::default().into()), of(Ddim { eta: Eta::DDPM }.into()));
    for (a, b) in ddpm.steps().iter().zip(ddim.steps()) {
        assert!((a.c_x * a.alpha_bar.sqrt() + a.c_x0 - b.c_x0).abs() < 1e-14, "{a:?} {b:?}");
        assert!((a.c_x * (1.0 - a.alpha_bar).sqrt() - b.c_eps).abs() < 1e-13, "{a:?} {b:?}");
        match (a.noise, b.noise) {
            (StepNoise::Fixed { sigma: a }, StepNoise::Fixed { sigma: b }) => assert!((a - b).abs() < 1e-15),
            (a, b) => assert_eq!(a, b),
        }
    }
}
