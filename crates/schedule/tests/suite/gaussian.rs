//! The Gaussian oracle: for pictures from N(m, s^2) the best possible network is known in closed form, so a
//! plan's output distribution is too, without a network and without drawing a number.

use ddim_schedule::solvers::{Ddim, Ddpm, SigmaHat};
use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Prediction, Settings, Solver};
use ddim_schedule::{StepNoise, Variance};

/// Pictures: N(0.3, 0.5^2).
const MEAN: f64 = 0.3;
const DEVIATION: f64 = 0.5;

/// Mean and variance of x.
#[derive(Clone, Copy, Debug)]
struct Normal {
    mean: f64,
    variance: f64,
}

/// Variance of x_t over all pictures: `alpha_bar s^2 + 1 - alpha_bar`.
fn spread(alpha_bar: f64) -> f64 {
    alpha_bar * DEVIATION * DEVIATION + 1.0 - alpha_bar
}

/// The best network, `E[eps | x] = sqrt(1 - alpha_bar) (x - sqrt(alpha_bar) m)/spread`, as slope and offset
/// in x.
fn best_eps(alpha_bar: f64) -> (f64, f64) {
    let slope = (1.0 - alpha_bar).sqrt() / spread(alpha_bar);
    (slope, -slope * alpha_bar.sqrt() * MEAN)
}

/// What the best network gives: the best guess of what it predicts, linear in x too.
fn best_output(prediction: Prediction, alpha_bar: f64) -> (f64, f64) {
    let (eps_slope, eps_offset) = best_eps(alpha_bar);
    let slope = alpha_bar.sqrt() * DEVIATION * DEVIATION / spread(alpha_bar);
    let (x0_slope, x0_offset) = (slope, MEAN - slope * alpha_bar.sqrt() * MEAN);
    let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
    match prediction {
        Prediction::Epsilon => (eps_slope, eps_offset),
        Prediction::X0 => (x0_slope, x0_offset),
        Prediction::Edm { .. } | Prediction::Score => unreachable!("tested in preconditioning.rs"),
        Prediction::V => (signal * eps_slope - noise * x0_slope, signal * eps_offset - noise * x0_offset),
    }
}

/// What the plan makes of a standard normal start, through its own coefficients.
fn through(plan: &Plan) -> Normal {
    plan.steps().iter().fold(Normal { mean: 0.0, variance: 1.0 }, |x, step| {
        let (slope, offset) = best_output(plan.prediction(), step.alpha_bar);
        let from = plan.prediction().coefficients(step.alpha_bar);
        let x0 = (from.x0_from_x + from.x0_from_out * slope, from.x0_from_out * offset);
        let eps = (from.eps_from_x + from.eps_from_out * slope, from.eps_from_out * offset);
        let gain = step.c_x + step.c_x0 * x0.0 + step.c_eps * eps.0;
        let shift = step.c_x0 * x0.1 + step.c_eps * eps.1;
        let sigma = if let StepNoise::Fixed { sigma } = step.noise { sigma } else { 0.0 };
        Normal { mean: gain * x.mean + shift, variance: gain * gain * x.variance + sigma * sigma }
    })
}

/// The same from the paper alone: with `E[x0|x]` and `E[eps|x]` linear in x, Eq. (12) shrinks the distance
/// from `sqrt(alpha_bar) m` by `g = (sqrt(a a') s^2 + sqrt(1 - a' - sigma^2) sqrt(1 - a))/spread`.
fn closed_form(alpha_bars: &[f64], eta: f64) -> Normal {
    let (mut distance, mut variance) = (-alpha_bars[0].sqrt() * MEAN, 1.0);
    for pair in alpha_bars.windows(2) {
        let (a, prev) = (pair[0], pair[1]);
        let fresh = eta * eta * (1.0 - prev) / (1.0 - a) * (1.0 - a / prev);
        let signal = (a * prev).sqrt() * DEVIATION * DEVIATION;
        let gain = (signal + ((1.0 - prev - fresh).max(0.0) * (1.0 - a)).sqrt()) / spread(a);
        distance *= gain;
        variance = gain * gain * variance + fresh;
    }
    Normal { mean: MEAN + distance, variance }
}

fn ddpm() -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap()
}

fn plan(solver: impl Into<Box<dyn Solver>>, n_steps: usize) -> Plan {
    Plan::new(&ddpm(), &Settings::new(Convention::Exact, solver, n_steps)).unwrap()
}

fn ddim(eta: f64, n_steps: usize) -> Plan {
    plan(Ddim { eta: Eta::new(eta).unwrap() }, n_steps)
}

/// `alpha_bar` at the even timesteps `floor(T i/n) - 1`, noisy to clean, and 1 at the end.
fn even_alpha_bars(n_steps: usize) -> Vec<f64> {
    let schedule = ddpm();
    let kept = (1..=n_steps).rev().map(|i| schedule.alpha_bars()[1000 * i / n_steps - 1]);
    kept.chain([1.0]).collect()
}

/// f64 throughout; up to 1000 steps, and x0 is a difference of numbers up to 160 times as large.
#[test]
fn output_is_the_closed_form() {
    for n_steps in [1, 2, 5, 10, 20, 50, 300, 1000] {
        for eta in [0.0, 0.3, 1.0] {
            let found = through(&ddim(eta, n_steps));
            let expected = closed_form(&even_alpha_bars(n_steps), eta);
            let place = format!("n {n_steps}, eta {eta}: {found:?} {expected:?}");
            assert!((found.mean - expected.mean).abs() < 1e-11, "{place}");
            assert!((found.variance - expected.variance).abs() < 1e-11, "{place}");
        }
    }
}

/// One step gives the best guess of the picture and nothing else: the mean, with hardly any spread.
#[test]
fn one_step_draws_the_mean() {
    let x = through(&ddim(0.0, 1));
    let a = ddpm().alpha_bar(999);
    let slope = a.sqrt() * DEVIATION * DEVIATION / spread(a);
    assert!((x.variance - slope * slope).abs() < 1e-15);
    assert!((x.mean - (MEAN - slope * a.sqrt() * MEAN)).abs() < 1e-12);
}

/// More steps come closer to the pictures, at every eta, to within a hundredth of their spread. The start N(0, 1)
/// is off by sqrt(alpha_bar_T) m = 0.0019, and that is all that remains of the mean.
#[test]
fn more_steps_come_closer() {
    for eta in [0.0, 0.5, 1.0] {
        let errors: Vec<f64> = [5, 20, 100, 1000]
            .map(|n_steps| (through(&ddim(eta, n_steps)).variance.sqrt() - DEVIATION).abs())
            .into();
        assert!(errors.windows(2).all(|pair| pair[1] < pair[0] / 2.0), "eta {eta}: {errors:?}");
        assert!(errors[3] < 0.01 * DEVIATION, "eta {eta}: {errors:?}");
        let mean = through(&ddim(eta, 1000)).mean;
        assert!((mean - MEAN).abs() < 2e-3, "eta {eta}: {mean}");
    }
}

/// Fewer steps cost DDPM more than DDIM: the paper's point, in one number each.
#[test]
fn ddim_needs_fewer_steps() {
    let error = |eta, n_steps| (through(&ddim(eta, n_steps)).variance.sqrt() - DEVIATION).abs();
    for n_steps in [5, 10, 20, 50] {
        assert!(error(0.0, n_steps) < error(1.0, n_steps), "{n_steps} steps");
    }
}

/// The ancestral sampler is DDIM at eta 1, and sigma-hat is the ancestral sampler with the larger variance.
#[test]
fn ancestral_sampling() {
    for n_steps in [10, 1000] {
        let (ddim, small) =
            (through(&ddim(1.0, n_steps)), through(&plan(Ddpm { variance: Variance::FixedSmall }, n_steps)));
        assert!((ddim.mean - small.mean).abs() < 1e-11 && (ddim.variance - small.variance).abs() < 1e-11);
        let large = through(&plan(Ddpm { variance: Variance::FixedLarge }, n_steps));
        let hat = through(&plan(SigmaHat, n_steps));
        assert!((large.variance - hat.variance).abs() < 1e-11, "one process, written in two ways");
        assert!(large.variance > small.variance);
    }
}

/// A network that predicts x0 or v and is as good gives the same pictures.
#[test]
fn predictions_agree() {
    let method = Ddim { eta: Eta::new(0.5).unwrap() };
    let [eps, x0, v] = [Prediction::Epsilon, Prediction::X0, Prediction::V].map(|prediction| {
        let settings = Settings { prediction, ..Settings::new(Convention::Exact, method.clone(), 20) };
        through(&Plan::new(&ddpm(), &settings).unwrap())
    });
    for other in [x0, v] {
        assert!((other.mean - eps.mean).abs() < 1e-11, "{other:?} {eps:?}");
        assert!((other.variance - eps.variance).abs() < 1e-11, "{other:?} {eps:?}");
    }
}
