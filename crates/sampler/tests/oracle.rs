//! The Gaussian oracle: for data N(0.3, 0.5^2) the best eps is known, and so is the distribution that the
//! papers' steps turn N(0, 1) into. What is expected is written down here from the papers alone.

use std::ops::ControlFlow;

use ddim_sampler::{Call, Noise, Outcome, PictureNoise, sample};
use ddim_schedule::solvers::{Ddim, Ddpm, SigmaHat};
use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Settings, Solver, Variance};
use ddim_tensor::{Device, Tensor};

const MEAN: f64 = 0.3;
const VARIANCE: f64 = 0.25;
const TRAIN_STEPS: usize = 1000;
const PIXELS: usize = 64 * 64 * 16;

/// The best prediction of the noise in `x = sqrt(a) x0 + sqrt(1 - a) eps` is `slope x + offset`.
fn best_eps(alpha_bar: f64) -> (f64, f64) {
    let slope = (1.0 - alpha_bar).sqrt() / (alpha_bar * VARIANCE + 1.0 - alpha_bar);
    (slope, -slope * alpha_bar.sqrt() * MEAN)
}

/// The products of `1 - beta` up to timestep `t`, counted from 1; `beta` goes from 1e-4 to 0.02 in a line
/// (Ho et al. 2020, section 4). At `t = 0` there is no noise.
fn alpha_bar(t: usize) -> f64 {
    let beta = |i: usize| 1e-4 + (0.02 - 1e-4) * i as f64 / (TRAIN_STEPS - 1) as f64;
    (0..t).map(|i| 1.0 - beta(i)).product()
}

/// `x_next = x_weight x + eps_weight eps + sigma z`, from `alpha_bar` = `a` to `p`.
struct Weights {
    x: f64,
    eps: f64,
    sigma: f64,
}

fn weights(solver: &dyn Solver, a: f64, p: f64) -> Weights {
    // Song et al. 2020, Eq. (16).
    let sigma = |eta: f64| eta * ((1.0 - p) / (1.0 - a)).sqrt() * (1.0 - a / p).sqrt();
    // Eq. (12): sqrt(p) (x - sqrt(1 - a) eps) / sqrt(a) + sqrt(1 - p - sigma^2) eps.
    let eq_12 = |sigma: f64| Weights {
        x: (p / a).sqrt(),
        eps: (1.0 - p - sigma * sigma).sqrt() - (p / a).sqrt() * (1.0 - a).sqrt(),
        sigma,
    };
    if let Some(Ddim { eta }) = solver.as_a() {
        return eq_12(sigma(eta.value()));
    }
    // Section 5 and appendix D.3: the mean of eta = 1 with a larger sigma; the last step adds no noise.
    if solver.equals(&SigmaHat) {
        return Weights { sigma: if p == 1.0 { 0.0 } else { (1.0 - a / p).sqrt() }, ..eq_12(sigma(1.0)) };
    }
    // Ho et al. 2020, Eq. (11): (x - beta / sqrt(1 - a) eps) / sqrt(1 - beta), with the variance of Eq. (7).
    assert!(solver.equals(&ANCESTRAL), "not among the methods tested here");
    let beta = 1.0 - a / p;
    let scale = 1.0 / (1.0 - beta).sqrt();
    let variance = (1.0 - p) / (1.0 - a) * beta;
    Weights { x: scale, eps: -scale * beta / (1.0 - a).sqrt(), sigma: variance.sqrt() }
}

/// Mean and variance after all steps, by the rule for affine maps of a normal number. The timesteps are
/// `floor(T i / n)` (Song et al. 2020, appendix D.2: "linear"), and the last step leads to `alpha_bar = 1`.
fn expected(solver: &dyn Solver, n_steps: usize) -> (f64, f64) {
    let taus: Vec<usize> = (0..=n_steps).map(|i| TRAIN_STEPS * i / n_steps).collect();
    taus.windows(2).rev().fold((0.0, 1.0), |(mean, variance), pair| {
        let (a, p) = (alpha_bar(pair[1]), alpha_bar(pair[0]));
        let ((slope, offset), w) = (best_eps(a), weights(solver, a, p));
        let gain = w.x + w.eps * slope;
        (gain * mean + w.eps * offset, gain * gain * variance + w.sigma * w.sigma)
    })
}

/// Mean and variance of the pixels that a run draws.
fn drawn(solver: &dyn Solver, n_steps: usize) -> (f64, f64) {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, TRAIN_STEPS).expect("the schedule of the DDPM paper");
    let plan = Plan::new(&schedule, &Settings::new(Convention::Exact, solver.cloned(), n_steps)).expect("a plan");
    let mut noise = PictureNoise::new(11, 0..16);
    let x = noise.initial([16, 1, 64, 64], &Device::Cpu);
    let network = |x: Tensor, call: Call| {
        let (slope, offset) = best_eps(schedule.alpha_bar(call.time as usize));
        x * slope + offset
    };
    let outcome = sample(&plan, x, network, &mut noise, |_| ControlFlow::Continue(())).expect("a run");
    let Outcome::Finished(x) = outcome else { panic!("nothing stops it") };
    let data = x.into_values();
    let mean = data.iter().copied().map(f64::from).sum::<f64>() / PIXELS as f64;
    let variance = data.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / (PIXELS - 1) as f64;
    (mean, variance)
}

/// The seed is fixed, so this never fails by chance. The bounds are five standard errors of 65,536 independent
/// pixels: `sqrt(v / N)` for the mean and `v sqrt(2 / N)` for the variance.
fn check(solver: &dyn Solver, n_steps: usize) {
    let ((m, v), (mean, variance)) = (expected(solver, n_steps), drawn(solver, n_steps));
    let n = PIXELS as f64;
    assert!((mean - m).abs() <= 5.0 * (v / n).sqrt() + 1e-6, "{solver:?} {n_steps}: mean {mean}, not {m}");
    let error = 5.0 * v * (2.0 / n).sqrt() + 1e-6;
    assert!((variance - v).abs() <= error, "{solver:?} {n_steps}: variance {variance}, not {v}");
}

const ANCESTRAL: Ddpm = Ddpm { variance: Variance::FixedSmall };

#[test]
fn mean_and_variance_are_those_of_the_closed_form() {
    let ddim = |eta| Ddim { eta: Eta::new(eta).expect("in [0, 1]") };
    let solvers: [&dyn Solver; 5] = [&ddim(0.0), &ddim(0.5), &ddim(1.0), &SigmaHat, &ANCESTRAL];
    for solver in solvers {
        for n_steps in [1, 5, 20, 100] {
            check(solver, n_steps);
        }
    }
}

/// With all steps the ancestral sampler draws the data itself, up to what 1000 steps leave open.
#[test]
fn a_thousand_ancestral_steps_draw_the_data() {
    check(&ANCESTRAL, TRAIN_STEPS);
    let (mean, variance) = expected(&ANCESTRAL, TRAIN_STEPS);
    assert!((mean - MEAN).abs() < 2e-3, "{mean}");
    assert!((variance - VARIANCE).abs() < 5e-3, "{variance}");
}
