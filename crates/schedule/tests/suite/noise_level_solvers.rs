//! Whole sampling runs of the reference's solvers in the noise level, of its PNDM and of its inverse DDIM.

use std::path::{Path, PathBuf};

use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Step, StepNoise, solvers};
use serde_json::Value;

use crate::golden::{counts, folder, numbers, parse, schedule, singles};
use crate::golden_noise_level::settings;
use crate::scalar::{Output, Run, largest_difference, run};
use crate::trajectories::play;

#[test]
fn euler() {
    assert_eq!(check_folder("eulerdiscrete"), 8);
}

#[test]
fn euler_ancestral() {
    assert_eq!(check_folder("eulerancestraldiscrete"), 3);
}

#[test]
fn heun() {
    assert_eq!(check_folder("heundiscrete"), 3);
}

#[test]
fn lms() {
    assert_eq!(check_folder("lmsdiscrete"), 3);
}

#[test]
fn pndm() {
    assert_eq!(check_folder("pndm"), 4);
}

#[test]
fn ddim_inverse() {
    assert_eq!(check_folder("ddiminverse"), 7);
}

fn check_folder(name: &str) -> usize {
    let folder = folder().join("trajectories").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().for_each(|path| check(path));
    files.len()
}

fn check(path: &Path) {
    let golden = parse(path);
    let name = golden["name"].as_str().unwrap();
    let plan = Plan::new(&schedule(&golden["config"]), &settings(&golden)).unwrap();
    check_plan(name, &golden, &plan);
    check_float32_states(name, &golden, &plan, &play(&golden, &plan, |v| f64::from(v as f32)));
    check_float64_end(name, &golden, &play(&golden, &plan, |v| v));
}

/// The reference has these in float32. There the smallest noise level comes from `1 - 0.9999`, which is good to
/// 3e-4, and a Karras list hands it on; a timestep changes a noise level by 0.6 percent or more, so 1e-4 of a
/// noise level is less than 1e-2 of a timestep.
fn check_plan(name: &str, golden: &Value, plan: &Plan) {
    let times = numbers(&golden["timesteps"]);
    assert_eq!(plan.steps().len(), times.len(), "{name}");
    for (step, time) in plan.steps().iter().zip(times) {
        assert!((step.time - time).abs() < 1e-2, "{name}: {} and {time}", step.time);
    }
    for (step, noise_level) in plan.steps().iter().zip(golden["sigmas"].as_array().into_iter().flatten()) {
        let (ours, theirs) = (step.marginal.noise, noise_level.as_f64().unwrap());
        assert!((ours / theirs - 1.0).abs() < 1e-4, "{name}: {ours} and {theirs}");
    }
    let (ours, theirs) = (plan.start_scale(), golden["init_noise_sigma"].as_f64().unwrap());
    assert!((ours / theirs - 1.0).abs() < 1e-6, "{name}: {ours} and {theirs}");
}

/// The states of the reference's float32 run. Its README says how far f64 code may be from them: 1.5 times
/// their own distance from a float64 run, plus a few 1e-6 of the largest value.
fn check_float32_states(name: &str, golden: &Value, plan: &Plan, run: &Run) {
    let own_error = golden["float64_rerun"]["max_abs_difference_over_trajectory"].as_f64().unwrap();
    let tolerance = 1.5 * own_error + 3e-6 * largest(golden).max(1.0);
    let states = golden["x"].as_array().unwrap();
    assert_eq!(run.x.len(), states.len(), "{name}");
    for (i, (state, expected)) in run.x.iter().zip(states).enumerate() {
        let difference = largest_difference(state, &singles(expected));
        assert!(difference <= tolerance, "{name}, state {i}: {difference:e} > {tolerance:e}");
    }
    let x0 = &golden["pred_original_sample"];
    // The reference's churn is in its x0 already, and in ours in the next state.
    if x0.is_null() || golden["step_arguments"]["s_churn"].is_number() {
        return;
    }
    for (step, expected) in counts(&x0["step"]).into_iter().zip(x0["value"].as_array().unwrap()) {
        // Where the state keeps its variance, x0 is divided by its signal, and so is its error.
        let tolerance = tolerance / plan.steps()[step].marginal.signal;
        let difference = largest_difference(&run.x0[step], &singles(expected));
        assert!(difference <= tolerance, "{name}, x0 of step {step}: {difference:e} > {tolerance:e}");
    }
}

/// The end of the reference's run in float64, printed with 15 digits. What differs is the order of operations: as
/// for DDIM 1e-13, and besides one rounding of the largest state, which the end is a difference of.
fn check_float64_end(name: &str, golden: &Value, run: &Run) {
    let difference = largest_difference(run.x.last().unwrap(), &numbers(&golden["final_float64"]));
    let tolerance = 1e-13 + 1e-16 * largest(golden);
    assert!(difference <= tolerance, "{name}: {difference:e}");
}

fn largest(golden: &Value) -> f64 {
    golden["float64_rerun"]["largest_abs_value_in_trajectory"].as_f64().unwrap()
}

/// Settings that no trajectory has: `noise_level_ends.py` made these in float64 throughout.
#[test]
fn ends() {
    let cases = parse(&folder().join("noise_level_ends.json"));
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 29);
    for case in cases {
        let plan = Plan::new(&schedule(&case["config"]), &settings(case)).unwrap();
        let times: Vec<f64> = plan.steps().iter().map(|step| step.time).collect();
        // They are printed with 12 digits.
        assert!(largest_difference(&times, &numbers(&case["timesteps"])) < 2e-9, "{case}");
        let start = (0..8).map(|i| (f64::from(i) - 4.0) / 3.0 * plan.start_scale()).collect();
        let end = run(&plan, start, 1, &[], |x, t| Output {
            prediction: x.iter().map(|x| 0.6 * x + 0.3 * x.tanh() * t / (t + 1.0)).collect(),
            spread: vec![],
        });
        let difference = largest_difference(end.x.last().unwrap(), &numbers(&case["x"]));
        assert!(difference < 1e-13, "{difference:e} {case}");
    }
}

/// If all pictures are one, its eps never changes on the way: without noise a run stays where it belongs, at x0
/// plus the level's noise, and with noise that is so in distribution. Here x0 is 0; f64, with levels of 160.
#[test]
fn one_picture_keeps_its_marginals() {
    let all = ["euler", "euler:churn=3", "euler:churn=9,churn_max=40", "euler-a", "euler-a:eta=0.5", "heun"];
    let more = ["heun:churn=10", "edm:churn_noise=1", "dpm2", "lms", "ipndm", "pndm", "plms", "iddim:mix=0.5"];
    for name in all.into_iter().chain(more) {
        assert!(largest_excess(name).abs() < 1e-11, "{name}: {:e}", largest_excess(name));
    }
    // diffusers' churn steps from a level at which the network was not asked, and leaves too much noise.
    assert!(largest_excess("euler:churn=3,churn_at=after") > 0.05);
    assert!(largest_excess("edm:churn_noise=1.003") > 1e-4, "so does noise above 1, on purpose");
}

/// How much too large the variance is after some step, as a share of what it should be.
fn largest_excess(solver: &str) -> f64 {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    let method = solvers::parse(solver).unwrap();
    let plan = Plan::new(&schedule, &Settings::new(Convention::Exact, method, 10)).unwrap();
    let (steps, start) = (plan.steps(), plan.start().noise);
    let excess = |pair: &[Step]| {
        let (step, level) = (&pair[0], pair[1].marginal.noise);
        let of_eps = step.c_x * step.marginal.noise + step.c_eps + step.history.iter().sum::<f64>();
        let sigma = if let StepNoise::Fixed { sigma } = step.noise { sigma } else { 0.0 };
        ((of_eps + step.c_start * start).powi(2) + sigma * sigma) / (level * level) - 1.0
    };
    steps.windows(2).map(excess).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
}
