//! The variational bound against closed forms, for pixels that are `N(m, r^2)`, and against other people's
//! formulas.

#![expect(clippy::print_stdout, reason = "tests say how large the differences are that they allow")]

use std::f64::consts::LN_2;
use std::ops::ControlFlow;

use ddim_eval::{Bound, BoundBits, BoundEstimate, DecoderVariance, EvalError, Mean, Terms, variational_bound};
use ddim_sampler::{GivenNoise, Noise, PictureNoise};
use ddim_schedule::solvers::{Ddim, Ddpm, SigmaHat};
use ddim_schedule::{
    BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Prediction, Settings, Solver, Spacing, Variance, X0Limit,
};
use ddim_tensor::{Device, Tensor};
use serde_json::Value;

const MEAN: f64 = 0.1;
const SPREAD: f64 = 0.3;
const ANCESTRAL: Ddim = Ddim { eta: Eta::DDPM };

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn eta(value: f64) -> Ddim {
    Ddim { eta: Eta::new(value).expect("from 0 to 1") }
}

fn plan(schedule: &NoiseSchedule, solver: impl Into<Box<dyn Solver>>, n_steps: usize) -> Plan {
    Plan::new(schedule, &Settings::new(Convention::Exact, solver, n_steps)).expect("a plan")
}

/// The best prediction of eps (MATH.md, section 14).
fn best(schedule: &NoiseSchedule) -> impl Fn(Tensor, &[f64]) -> Tensor {
    |x, times| {
        let mut rows = Vec::new();
        for (k, time) in times.iter().enumerate() {
            let alpha_bar = schedule.alpha_bar(*time as usize);
            let variance = alpha_bar * SPREAD * SPREAD + 1.0 - alpha_bar;
            let row = x.pictures(k..k + 1);
            rows.push((row - alpha_bar.sqrt() * MEAN) * ((1.0 - alpha_bar).sqrt() / variance));
        }
        Tensor::cat(&rows)
    }
}

/// Pictures of pixels that are `N(m, r^2)`, not rounded to grey levels.
fn pictures(n: usize) -> Tensor {
    PictureNoise::new(3, 0..n as u64).initial([n, 1, 16, 16], &Device::Cpu) * SPREAD + MEAN
}

fn measured(schedule: &NoiseSchedule, bound: &Bound, x0: Tensor, terms: &Terms) -> BoundEstimate {
    let noise = &mut PictureNoise::new(7, 0..x0.dims()[0] as u64);
    let found = variational_bound(best(schedule), bound, x0, terms, noise, go_on).expect("finite terms");
    found.expect("nobody stopped it")
}

fn all_terms(
    schedule: &NoiseSchedule,
    solver: impl Into<Box<dyn Solver>>,
    n_steps: usize,
    n: usize,
) -> (Bound, BoundEstimate) {
    let bound = Bound::new(&plan(schedule, solver, n_steps), DecoderVariance::Large).expect("a bound");
    let found = measured(schedule, &bound, pictures(n), &Terms::all(&bound, n));
    (bound, found)
}

fn assert_within_errors(found: Mean, expected: f64, what: &str) {
    let error = found.standard_error.expect("many pictures");
    // Five standard errors: a wrong alarm for one term in 2 million, and the seed is fixed; and the rounding of
    // f32.
    let allowed = 5.0 * error + 1e-5 * expected.abs();
    assert!((found.mean - expected).abs() < allowed, "{what}: {} +- {error}, not {expected}", found.mean);
}

/// A step's divergence has a closed form (MATH.md): with `v` the variance of x0 given x_t and `k` the coefficient
/// of x0 in the mean of q, `k^2 v / (2 p) + (q/p - 1 - log(q/p))/2` for the variances q and p.
#[test]
fn every_term_has_its_closed_form() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("betas");
    let large = Ddpm { variance: Variance::FixedLarge };
    let solvers: [&dyn Solver; 5] = [&ANCESTRAL, &eta(0.5), &eta(0.2), &SigmaHat, &large];
    for solver in solvers {
        let (bound, found) = all_terms(&schedule, solver.cloned(), 12, 40);
        let bits = BoundBits::of(&bound, &[found]).expect("pictures");
        let alpha_bars: Vec<f64> = bound.times().iter().map(|t| schedule.alpha_bar(*t as usize)).collect();
        let ends = alpha_bars[1..].iter().copied().chain([schedule.alpha_bar(bound.decoder_time() as usize)]);
        let prior = alpha_bars[0] * (SPREAD * SPREAD + MEAN * MEAN - 1.0) - (1.0 - alpha_bars[0]).ln();
        assert_within_errors(bits.prior, prior / 2.0 / LN_2, "the prior");
        assert_eq!(bits.steps.len(), 11);
        for (step, (a, p)) in bits.steps.iter().zip(alpha_bars.iter().copied().zip(ends)) {
            let beta = 1.0 - a / p;
            let posterior = (1.0 - p) / (1.0 - a) * beta;
            let (q, p_variance) = match solver.as_a() {
                Some(Ddim { eta }) => [eta.value().powi(2) * posterior; 2].into(),
                None => (posterior, beta),
            };
            let k = p.sqrt() - (1.0 - p - q).sqrt() * (a / (1.0 - a)).sqrt();
            let v = SPREAD * SPREAD * (1.0 - a) / (a * SPREAD * SPREAD + 1.0 - a);
            let ratio = q / p_variance;
            let nats = k * k * v / (2.0 * p_variance) + 0.5 * (ratio - 1.0 - ratio.ln());
            assert_within_errors(step.bits.expect("all terms"), nats / LN_2, &format!("{solver:?} {}", step.time));
        }
    }
}

/// Grey levels in the proportions of `N(m, r^2)` rounded to them, and their entropy in bits.
fn grey_levels(n: usize) -> (Tensor, f64) {
    // The distribution function by the trapezoidal rule, 400 points a grey level: off by 1e-9.
    let level = |x: f64| ((x + 1.0) * 127.5).round().clamp(0.0, 255.0) as usize;
    let mut shares = [0.0; 256];
    let (points, reach) = (102_000, 8.0 * SPREAD);
    for i in 0..points {
        let x = -reach + 2.0 * reach * (f64::from(i) + 0.5) / f64::from(points);
        shares[level(MEAN + x)] += (-0.5 * (x / SPREAD).powi(2)).exp();
    }
    let total: f64 = shares.iter().sum();
    let entropy = shares.iter().map(|s| s / total).filter(|p| *p > 0.0).map(|p| -p * p.log2()).sum();
    let (pixels, mut values, mut sum) = (n * 1024, Vec::new(), 0.0);
    for (grey, share) in shares.iter().enumerate() {
        sum += share / total;
        values.resize((sum * pixels as f64).round() as usize, grey as f32 / 127.5 - 1.0);
    }
    values.resize(pixels, 1.0);
    // Sorted values would make pictures unlike each other: deal them out like cards.
    let dealt: Vec<f32> = (0..pixels).map(|i| values[(i % 1024) * n + i / 1024]).collect();
    (Tensor::new(dealt, [n, 1, 32, 32]), entropy)
}

/// At eta 1 the bound comes down to the entropy of the grey levels, in proportion to the length of the steps. What
/// is left at the end is how far the cleanest noise, 0.02, blurs the levels: 0.003 bits by numerical integration
/// of all terms, which also gives the gaps 0.316, 0.154 and 0.077 for 100, 200 and 400 steps.
#[test]
fn many_steps_reach_the_entropy() {
    let (x0, entropy) = grey_levels(64);
    for (n_steps, expected) in [(100, 0.316_39), (200, 0.154_35), (400, 0.077_23)] {
        let schedule = NoiseSchedule::of_noise_levels(0.02, 200.0, n_steps).expect("rising");
        let bound = Bound::new(&plan(&schedule, ANCESTRAL, n_steps), DecoderVariance::Large).expect("a bound");
        let found = measured(&schedule, &bound, x0.clone(), &Terms::all(&bound, 64));
        let total = BoundBits::of(&bound, &[found]).expect("pictures").total;
        let (gap, error) = (total.mean - entropy, total.standard_error.expect("64 pictures"));
        println!("{n_steps} steps: {gap:.5} +- {error:.5} bits above the entropy of {entropy:.5}");
        assert!(error < 0.01, "{error}");
        // The shares are rounded to whole pixels, which moves a pixel's bits by some 1e-3.
        assert!((gap - expected).abs() < 5.0 * error + 1e-3, "{n_steps} steps: {gap} +- {error}, not {expected}");
    }
}

/// Random terms give the same sum on average: over 200 pictures, within five standard errors of the difference.
#[test]
fn random_terms_are_right_on_average() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("betas");
    let (n, count) = (200, 7);
    let (bound, all) = all_terms(&schedule, ANCESTRAL, 50, n);
    let terms = Terms::random(&bound, count, &PictureNoise::new(11, 0..n as u64), &pictures(n));
    let some = measured(&schedule, &bound, pictures(n), &terms);
    assert_eq!((all.calls, some.calls), (50, count + 1));
    let pairs = all.pictures.iter().zip(&some.pictures);
    let differences: Vec<f64> = pairs.map(|(all, some)| all.between() - some.between()).collect();
    let difference = Mean::of(&differences).expect("200 pictures");
    assert_within_errors(difference, 0.0, "the difference");
    let seen: Vec<usize> =
        BoundBits::of(&bound, &[some]).expect("pictures").steps.iter().map(|s| s.pictures).collect();
    assert_eq!(seen.iter().sum::<usize>(), n * count);
    // Each of the 7 is a run of 7 neighbours, and 200 pictures leave none of them out.
    assert!(seen.iter().all(|seen| (5..70).contains(seen)), "{seen:?}");
}

#[test]
fn a_picture_does_not_depend_on_its_batch() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("betas");
    let bound = Bound::new(&plan(&schedule, eta(0.5), 20), DecoderVariance::Small).expect("a bound");
    let of = |n: usize| {
        let x0 = pictures(3).pictures(0..n);
        let terms = Terms::random(&bound, 4, &PictureNoise::new(7, 0..n as u64), &x0);
        measured(&schedule, &bound, x0, &terms)
    };
    assert_eq!(of(3).pictures[0], of(1).pictures[0]);
}

#[test]
fn what_has_no_bound_is_refused() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("betas");
    let refused = |plan: &Plan| Bound::new(plan, DecoderVariance::Large).expect_err("no bound");
    assert_eq!(refused(&plan(&schedule, eta(0.0), 10)), EvalError::Deterministic);
    let solver = plan(&schedule, ddim_schedule::solvers::Heun::default(), 10);
    assert_eq!(refused(&solver), EvalError::NoFamily { solver: "heun" });
    // diffusers' DDIM in 7 steps leads to timesteps that are not in its list.
    let stride = Settings::new(Convention::Diffusers, ANCESTRAL, 7);
    let stride = Settings { spacing: Spacing::Trailing, ..stride };
    let error = refused(&Plan::new(&schedule, &stride).expect("a plan")).to_string();
    assert!(error.starts_with("step 1 of 7 ends at alpha_bar"), "{error}");
    let bound = Bound::new(&plan(&schedule, ANCESTRAL, 2), DecoderVariance::Large).expect("a bound");
    let (x0, noise) = (pictures(2), &mut PictureNoise::new(0, 0..2));
    let error = variational_bound(|x, _| x.ln(), &bound, x0, &Terms::all(&bound, 2), noise, go_on);
    let error = error.expect_err("logarithms of negative numbers").to_string();
    assert!(error.starts_with("the bound of picture 0 of the batch is NaN"), "{error}");
}

/// The network of `tests/goldens/eval/make_bound.py`.
fn pretend_model(x: Tensor, times: &[f64]) -> Tensor {
    let t = times[0] as f32;
    let of = |f: &dyn Fn(f32) -> f32| Tensor::new(x.values().into_iter().map(f).collect(), x.dims());
    of(&|x| x * 0.9 + (x * 2.0 + t / 200.0).sin() * 0.3).join_channels(&of(&|x| (x + t / 300.0).cos()))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Every term of every picture, from numpy in f64, for fixed and learned variances, with and without clipping, on
/// a list of timesteps. The terms here are sums of f32; the learned logarithm is so far from the true variance
/// that its exponentials amplify the rounding of the network's argument: some 1e-6 of the largest term.
#[test]
fn terms_are_those_of_numpy() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/eval/bound.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("JSON");
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("betas");
    let shape: Vec<usize> = numbers(&golden["shape"]).iter().map(|n| *n as usize).collect();
    let shape: [usize; 4] = shape.try_into().expect("four");
    let tensor = |values: Vec<f64>| {
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        Tensor::new(values, shape)
    };
    let x0 = tensor(numbers(&golden["grey"])) / 127.5 - 1.0;
    let steps = golden["noise"].as_array().expect("noise").iter().map(|row| Some(tensor(numbers(row)))).collect();
    let mut noise = GivenNoise { initial: x0.clone(), steps };
    let tau: Vec<usize> = numbers(&golden["tau"]).iter().map(|t| *t as usize).collect();
    let cases = golden["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 8);
    for case in cases {
        let of = |variance| Ddpm { variance }.into();
        let solver: Box<dyn Solver> = match (case["variance"].as_str(), case["eta"].as_f64()) {
            (Some("small"), _) => of(Variance::FixedSmall),
            (Some("large"), _) => of(Variance::FixedLarge),
            (Some("learned_range"), _) => of(Variance::LearnedRange),
            (Some("learned_log"), _) => of(Variance::LearnedLog),
            (_, value) => eta(value.expect("an eta")).into(),
        };
        let settings = Settings {
            prediction: case["prediction"].as_str().expect("a name").parse().expect("a prediction"),
            limit: if case["clip"] == true { X0Limit::Clip { range: 1.0 } } else { X0Limit::Free },
            spacing: Spacing::Explicit(tau.clone()),
            ..Settings::new(Convention::Exact, solver, tau.len())
        };
        assert!(matches!(settings.prediction, Prediction::Epsilon | Prediction::V));
        let decoder = if case["decoder"] == "large" { DecoderVariance::Large } else { DecoderVariance::Small };
        let bound = Bound::new(&Plan::new(&schedule, &settings).expect("a plan"), decoder).expect("a bound");
        let terms = Terms::all(&bound, shape[0]);
        let found = variational_bound(pretend_model, &bound, x0.clone(), &terms, &mut noise, go_on);
        let found = found.expect("finite").expect("nobody stopped it");
        let bits = found.dims as f64 * LN_2;
        for (k, picture) in found.pictures.iter().enumerate() {
            let ours = picture.steps.iter().map(|term| term.nats).chain([picture.decoder]).map(|nats| nats / bits);
            let theirs: Vec<f64> =
                case["terms"].as_array().expect("terms").iter().map(|term| numbers(term)[k]).collect();
            let largest = theirs.iter().copied().fold(0.0, f64::max);
            for (ours, theirs) in ours.zip(&theirs) {
                let allowed = 2e-5 * theirs + 1e-6 * largest;
                assert!(
                    (ours - theirs).abs() < allowed,
                    "{ours} and {theirs} of {} {}",
                    case["variance"],
                    case["eta"]
                );
            }
            // 2^-24 of a sum of squares, and the logarithm of 1 - 4e-5 against it.
            let prior = numbers(&case["prior"])[k];
            assert!((picture.prior / bits / prior - 1.0).abs() < 1e-3, "{} {prior}", picture.prior / bits);
        }
    }
}
