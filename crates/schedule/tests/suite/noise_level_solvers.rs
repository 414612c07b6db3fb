//! Whole sampling runs of the reference's solvers in the noise level, of its PNDM and of its inverse DDIM.

use std::path::{Path, PathBuf};

use ddim_schedule::Plan;
use serde_json::Value;

use crate::golden::{folder, numbers, parse, schedule, singles};
use crate::golden_noise_level::settings;
use crate::scalar::{Run, largest_difference};
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
    check_float32_states(name, &golden, &play(&golden, &plan, |v| f64::from(v as f32)));
    check_float64_end(name, &golden, &play(&golden, &plan, |v| v));
}

/// Times, noise levels and the deviation of the start, which the reference has in float32: a few of its roundings,
/// and for the times those of a logarithm that is divided by the small difference of two.
fn check_plan(name: &str, golden: &Value, plan: &Plan) {
    let times = numbers(&golden["timesteps"]);
    assert_eq!(plan.steps().len(), times.len(), "{name}");
    for (step, time) in plan.steps().iter().zip(times) {
        assert!((step.time - time).abs() < 1e-2, "{name}: {} and {time}", step.time);
    }
    if let Some(noise_levels) = golden["sigmas"].as_array() {
        for (step, noise_level) in plan.steps().iter().zip(noise_levels) {
            let noise_level = noise_level.as_f64().unwrap();
            let ours = step.marginal.noise;
            assert!((ours / noise_level - 1.0).abs() < 1e-4, "{name}: {ours} and {noise_level}");
        }
    }
    let start = golden["init_noise_sigma"].as_f64().unwrap();
    assert!((plan.start_scale() / start - 1.0).abs() < 1e-5, "{name}: {} and {start}", plan.start_scale());
}

/// The states of the reference's float32 run. Its README says how far f64 code may be from them: 1.5 times
/// their own distance from a float64 run, plus a few 1e-6 of the largest value.
fn check_float32_states(name: &str, golden: &Value, run: &Run) {
    let rerun = &golden["float64_rerun"];
    let own_error = rerun["max_abs_difference_over_trajectory"].as_f64().unwrap();
    let largest = rerun["largest_abs_value_in_trajectory"].as_f64().unwrap();
    let tolerance = 1.5 * own_error + 3e-6 * largest.max(1.0);
    let states = golden["x"].as_array().unwrap();
    assert_eq!(run.x.len(), states.len(), "{name}");
    for (i, (state, expected)) in run.x.iter().zip(states).enumerate() {
        let difference = largest_difference(state, &singles(expected));
        if i + 1 == states.len() {
            println!("{name}, state {i}: {difference:e} <= {tolerance:e}");
        }
        assert!(difference <= tolerance, "{name}, state {i}: {difference:e} > {tolerance:e}");
    }
}

fn check_float64_end(name: &str, golden: &Value, run: &Run) {
    let expected = numbers(&golden["final_float64"]);
    let difference = largest_difference(run.x.last().unwrap(), &expected);
    println!("{name}: f64 {difference:e}");
    assert!(difference <= 1e-9, "{name}: {difference:e}");
}
