//! Langevin corrections on the Gaussian oracle: for data N(0.3, 0.5^2) the score is known at every level, and so
//! is what steps and corrections make of the mean and the variance. What is expected is written down here anew.

use std::ops::ControlFlow;

use ddim_sampler::{Call, Langevin, Noise, Outcome, PictureNoise, SampleError, sample, sample_corrected};
use ddim_schedule::solvers::Ddim;
use ddim_schedule::{BetaSchedule, Convention, Coordinates, Eta, Kept, NoiseSchedule, Path, Plan, Row};
use ddim_schedule::{ScheduleError, Settings, Solver, solvers};
use ddim_tensor::{Device, Tensor};

const MEAN: f64 = 0.3;
const VARIANCE: f64 = 0.25;
/// Large pictures: the norms that decide a correction are then known to a few percent.
const SHAPE: [usize; 4] = [16, 1, 64, 64];

fn schedule() -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the paper's schedule")
}

fn plan(solver: impl Into<Box<dyn Solver>>, n_steps: usize) -> Plan {
    Plan::new(&schedule(), &Settings::new(Convention::Exact, solver, n_steps)).expect("a plan")
}

/// Mean and variance of `x = signal x0 + noise eps`.
fn target(alpha_bar: f64) -> (f64, f64) {
    (alpha_bar.sqrt() * MEAN, alpha_bar * VARIANCE + 1.0 - alpha_bar)
}

/// The best prediction of eps: `noise/D (x - signal m)`, MATH.md section 14.
fn network(x: Tensor, call: Call) -> Tensor {
    let alpha_bar = schedule().alpha_bar(call.time as usize);
    let (mean, variance) = target(alpha_bar);
    (x - mean) * ((1.0 - alpha_bar).sqrt() / variance)
}

/// Pictures of a run, `[n, c, h, w]`, and the calls it took.
fn run(plan: &Plan, langevin: Option<Langevin>, shape: [usize; 4]) -> (Tensor, usize) {
    let mut noise = PictureNoise::new(3, 0..shape[0] as u64);
    let x = noise.initial(shape, &Device::Cpu) * plan.start_scale();
    let mut calls = 0;
    let counted = |x: Tensor, call: Call| {
        calls += 1;
        network(x, call)
    };
    let observe = |_: &ddim_sampler::Observation| ControlFlow::Continue(());
    let outcome = match langevin {
        None => sample(plan, x, counted, &mut noise, observe),
        Some(langevin) => sample_corrected(plan, langevin, x, counted, &mut noise, observe),
    };
    match outcome.expect("finite") {
        Outcome::Finished(x) => (x, calls),
        stopped => panic!("{stopped:?}"),
    }
}

fn moments(x: &Tensor) -> (f64, f64) {
    let values: Vec<f64> = x.values().into_iter().map(f64::from).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

/// The same in numbers, for pictures so large that norms have no spread: a step without noise is
/// `x' = A x + B`, and a correction of step size `e = 2 r^2 D^2 / E(x - m)^2` is
/// `x' = x - e (x - m)/D + sqrt(2 e) z`.
fn expected(n_steps: usize, corrections: usize, snr: f64) -> (f64, f64) {
    let schedule = schedule();
    let (mut mean, mut variance) = (0.0, 1.0);
    for i in (1..=n_steps).rev() {
        let alpha_bar = |i: usize| if i == 0 { 1.0 } else { schedule.alpha_bar(1000 * i / n_steps - 1) };
        let (a, p): (f64, f64) = (alpha_bar(i), alpha_bar(i - 1));
        let (m, d) = target(a);
        for _ in 0..if i == n_steps { 0 } else { corrections } {
            let e = 2.0 * snr * snr * d * d / (variance + (mean - m).powi(2));
            (mean, variance) = (mean - e / d * (mean - m), (1.0 - e / d).powi(2) * variance + 2.0 * e);
        }
        // DDIM Eq. (12) without noise, around the mean of the data.
        let slope = (p.sqrt() * a.sqrt() * VARIANCE + (1.0 - p).sqrt() * (1.0 - a).sqrt()) / d;
        (mean, variance) = (slope * (mean - m) + p.sqrt() * MEAN, slope * slope * variance);
    }
    (mean, variance)
}

/// Within five standard errors of 65536 values: a wrong alarm once in 10^6 seeds, and the seed is fixed. The norms
/// of 4096 values have a spread of 1/90, which moves a variance by far less than its error of 1/180.
#[test]
fn mean_and_variance_are_those_of_the_recursion() {
    let values = SHAPE.iter().product::<usize>() as f64;
    for (n_steps, corrections, snr) in [(10, 0, 0.16), (10, 1, 0.16), (10, 4, 0.16), (50, 1, 0.16), (20, 2, 0.3)] {
        let langevin = (corrections > 0).then(|| Langevin::new(corrections, snr).expect("in range"));
        let (x, _) = run(&plan(Ddim::default(), n_steps), langevin, SHAPE);
        let (mean, variance) = moments(&x);
        let (expected_mean, expected_variance) = expected(n_steps, corrections, snr);
        let mean_error = 5.0 * (expected_variance / values).sqrt();
        let variance_error = 5.0 * expected_variance * (2.0 / values).sqrt();
        let case = format!("{n_steps} steps, {corrections} corrections of {snr}");
        assert!((mean - expected_mean).abs() < mean_error, "{case}: mean {mean}, not {expected_mean}");
        assert!(
            (variance - expected_variance).abs() < variance_error,
            "{case}: variance {variance}, not {expected_variance}"
        );
    }
}

/// Ten steps of DDIM leave a deviation of 0.370 (MATH.md section 14); what corrections cannot mend is the last
/// step, which alone leaves 0.414.
#[test]
fn corrections_mend_a_coarse_predictor() {
    let error = |corrections: usize| {
        let langevin = (corrections > 0).then(|| Langevin::new(corrections, 0.16).expect("in range"));
        let (_, variance) = moments(&run(&plan(Ddim::default(), 10), langevin, SHAPE).0);
        (variance.sqrt() - VARIANCE.sqrt()).abs()
    };
    let [none, one, eight] = [0, 1, 8].map(error);
    // The recursion says 0.130, 0.119 and 0.093; the standard error of a deviation here is 0.0011.
    assert!(one < none - 0.005 && eight < one - 0.02, "{none} {one} {eight}");
}

/// The same correction in coordinates that grow with the noise: the Euler steps of the same run.
#[test]
fn corrections_do_not_depend_on_coordinates() {
    let langevin = Some(Langevin::new(2, 0.2).expect("in range"));
    let shape = [3, 1, 16, 16];
    let ddim = Settings::new(Convention::Exact, Ddim::default(), 10);
    // The same path: a solver's own settings may choose another.
    let solver = solvers::parse("euler").expect("known");
    let euler = Plan::new(&schedule(), &Settings { solver, ..ddim });
    let (preserving, _) = run(&plan(Ddim::default(), 10), langevin, shape);
    let (exploding, _) = run(&euler.expect("a plan"), langevin, shape);
    let difference = (preserving - exploding).abs().into_values().into_iter().fold(0.0, f32::max);
    // f32: a picture of size 1 passes through a state of size 157.
    assert!(difference < 157.0 * 1e-6, "{difference}");
}

#[test]
fn every_call_is_counted() {
    for solver in [Ddim::default(), Ddim { eta: Eta::DDPM }] {
        let langevin = Langevin::new(3, 0.16).expect("in range");
        let (_, calls) = run(&plan(solver, 5), Some(langevin), [1, 1, 4, 4]);
        assert_eq!((calls, langevin.calls(5)), (5 + 3 * 4, 5 + 3 * 4));
    }
}

/// Bit for bit, though the size of a correction depends on the picture.
#[test]
fn a_picture_does_not_depend_on_its_batch() {
    let plan = plan(Ddim { eta: Eta::DDPM }, 4);
    let langevin = Langevin::new(2, 0.16).expect("in range");
    let draw = |pictures: std::ops::Range<u64>| {
        let shape = [(pictures.end - pictures.start) as usize, 3, 7, 5];
        let mut noise = PictureNoise::new(0, pictures);
        let x = noise.initial(shape, &Device::Cpu);
        sample_corrected(&plan, langevin, x, network, &mut noise, |_| ControlFlow::Continue(())).expect("finite")
    };
    let (Outcome::Finished(all), Outcome::Finished(last)) = (draw(0..17), draw(16..17)) else { panic!("stopped") };
    assert_eq!(all.pictures(16..17).into_values(), last.into_values());
}

/// Euler's steps, by a solver that keeps what it does not need.
#[derive(Debug, Clone, PartialEq)]
struct Hoarder;

impl Solver for Hoarder {
    fn name(&self) -> &'static str {
        "hoarder"
    }

    fn about(&self) -> &'static str {
        "remembers every x0"
    }

    fn coordinates(&self) -> Coordinates {
        Coordinates::Exploding
    }

    fn keeps(&self) -> Kept {
        Kept::X0
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        solvers::Euler::default().rows(path)
    }
}

#[test]
fn a_solver_with_a_memory_is_refused() {
    let plan = plan(Hoarder, 3);
    let langevin = Langevin::new(1, 0.16).expect("in range");
    let mut noise = PictureNoise::new(0, [0]);
    let x = noise.initial([1, 1, 2, 2], &Device::Cpu);
    let outcome = sample_corrected(&plan, langevin, x, network, &mut noise, |_| ControlFlow::Continue(()));
    assert!(matches!(outcome, Err(SampleError::RemembersThePast)), "{outcome:?}");
}
