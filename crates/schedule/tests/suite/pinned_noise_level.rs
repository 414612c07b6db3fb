//! Numbers that diffusers pins in its own tests of the solvers in the noise level and of PNDM, by their loops: ten
//! steps from `i/768`, `i` in `0..768`, times the deviation of the start, with the network `x t/(t+1)`.

use ddim_schedule::solvers::{Dpm2, Euler, Heun, Lms, Pndm};
use ddim_schedule::{BetaSchedule, Convention, FinalAlphaBar, NoiseSchedule, Plan, Prediction};
use ddim_schedule::{Settings, Solver, Spacing, Step};

use crate::scalar::{Output, run};

/// Which states the network's input, which is scaled, takes the place of.
#[derive(Clone, Copy, PartialEq)]
enum Fed {
    /// All: those tests give the scaled state to the network *and* to the step.
    Everywhere,
    /// The first of each pair; at the second call the reference goes on from the state that it remembers.
    FirstOfTwo,
}

fn linear(train_steps: usize) -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::Linear { start: 1e-4, end: 0.02 }, train_steps).unwrap()
}

fn plan(solver: impl Solver + 'static) -> Plan {
    let settings = Settings::new(Convention::Diffusers, solver, 10);
    Plan::new(&linear(1100), &settings).unwrap()
}

fn start(plan: &Plan) -> Vec<f64> {
    (0..768).map(|i| f64::from(i) / 768.0 * plan.start_scale()).collect()
}

/// The sum of absolute values at the end of those loops, for networks that predict eps.
fn sum(plan: &Plan, fed: Fed) -> f64 {
    let value = |start: f64| {
        let mut kept = Vec::new();
        let step = |x: f64, (i, step): (usize, &Step)| {
            let scaled = x * step.input_scale;
            let eps = scaled * step.time / (step.time + 1.0);
            let x = if fed == Fed::Everywhere || (fed == Fed::FirstOfTwo && i % 2 == 0) { scaled } else { x };
            let earlier: f64 = step.history.iter().zip(kept.iter().rev()).map(|(c, eps)| c * eps).sum();
            kept.push(eps);
            step.c_x * x + step.c_eps * eps + earlier
        };
        plan.steps().iter().enumerate().fold(start, step).abs()
    };
    start(plan).into_iter().map(value).sum()
}

/// The sum for a loop that is a plain run.
fn sum_of_run(plan: &Plan) -> f64 {
    let network =
        |x: &[f64], t: f64| Output { prediction: x.iter().map(|x| x * t / (t + 1.0)).collect(), spread: vec![] };
    run(plan, start(plan), 4, &[], network).x.last().unwrap().iter().map(|v| v.abs()).sum()
}

/// The same loops run by the reference in float64 give the numbers here; in float32, as it pins them, 10.0807,
/// 1006.388, 0.1233, 20.4125, 198.1318 and 34.1855. Noise levels near 0.002 are known from `1 - alpha_bar` to
/// 1e-11, and the sums are of up to 100 times 768 values.
fn assert_close(sum: f64, expected: f64) {
    assert!((sum - expected).abs() < 1e-7, "{sum}, not {expected}");
}

#[test]
fn noise_level_sums() {
    assert_close(sum(&plan(Euler::default()), Fed::Everywhere), 10.08066808148);
    assert_close(sum(&plan(Lms::default()), Fed::Everywhere), 1006.39737950608);
    assert_close(sum(&plan(Heun::default()), Fed::FirstOfTwo), 0.12333074801);
    assert_close(sum(&plan(Dpm2::default()), Fed::FirstOfTwo), 20.41250491962);
}

#[test]
fn pndm_sum() {
    let settings = Settings {
        spacing: Spacing::Leading { offset: 0 },
        final_alpha_bar: FinalAlphaBar::First,
        ..Settings::new(Convention::Diffusers, Pndm::runge_kutta(), 10)
    };
    assert_close(sum_of_run(&Plan::new(&linear(1000), &settings).unwrap()), 198.13173937091);
}

#[test]
fn edm_sum() {
    let settings = Settings {
        spacing: Spacing::Karras { rho: 7.0 },
        prediction: Prediction::Edm { sigma_data: 0.5 },
        ..Settings::new(Convention::Exact, Euler::default(), 10)
    };
    let schedule = NoiseSchedule::of_noise_levels(0.002, 80.0, 256).unwrap();
    assert_close(sum_of_run(&Plan::new(&schedule, &settings).unwrap()), 34.18549429786);
}
