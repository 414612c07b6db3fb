//! Whole sampling runs of diffusers' DDIM and DDPM schedulers, reproduced state by state.

use std::path::Path;

use ddim_schedule::Plan;
use serde_json::Value;

use crate::golden::{counts, folder, numbers, parse, schedule, settings, singles};
use crate::scalar::{Output, Run, largest_difference, run};

/// All that differs between two runs in float64 is the order of operations: some 1e-16 a step, which the steps do
/// not amplify by more than 1e3 in any of these runs.
const ROUNDING: f64 = 1e-13;

/// Every DDIM run, and that all of them were found.
#[test]
fn ddim() {
    assert_eq!(check_folder("trajectories/ddim", ROUNDING), 33);
}

/// Every DDPM run, and that all of them were found.
#[test]
fn ddpm() {
    assert_eq!(check_folder("trajectories/ddpm", ROUNDING), 21);
}

/// Checks every run of a folder, and counts them. `rounding` is how far two runs in float64 may be apart.
pub(crate) fn check_folder(name: &str, rounding: f64) -> usize {
    let mut files: Vec<_> =
        std::fs::read_dir(folder().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().for_each(|path| check(path, rounding));
    files.len()
}

fn check(path: &Path, rounding: f64) {
    let golden = parse(path);
    let name = golden["name"].as_str().unwrap();
    let plan = Plan::new(&schedule(&golden["config"]), &settings(&golden)).unwrap();
    let timesteps: Vec<usize> = plan.steps().iter().map(|step| step.time as usize).collect();
    assert_eq!(timesteps, counts(&golden["timesteps"]), "{name}");
    check_float32_states(name, &golden, &play(&golden, &plan, |v| f64::from(v as f32)));
    check_float64_end(name, &golden, &play(&golden, &plan, |v| v), rounding);
}

/// Runs the plan with the golden's start, noise and pretend model, whose input and output are rounded.
pub(crate) fn play(golden: &Value, plan: &Plan, round: fn(f64) -> f64) -> Run {
    let noise: Vec<Vec<f64>> = match golden["noise"].as_array() {
        Some(rows) => rows.iter().map(|row| if row.is_null() { vec![] } else { singles(row) }).collect(),
        None => Vec::new(),
    };
    let pictures = golden["shape"][0].as_u64().unwrap() as usize;
    let model = &golden["pretend_model"];
    let parameter = |key: &str| model[key].as_f64().unwrap_or(0.0);
    let [a, b, c, w, k] = ["a", "b", "c", "w", "k"].map(parameter);
    let [p, q] = ["p", "q"].map(parameter);
    let start = singles(&golden["x_unit"]).iter().map(|unit| unit * plan.start_scale()).collect();
    run(plan, start, pictures, &noise, |x, t| {
        let x = || x.iter().map(|&x| round(x));
        let drift = b * (w * t).sin() + c * (1.0 - (-k * t * t).exp()).sqrt();
        Output {
            prediction: x().map(|x| round(a * x.tanh() + drift * x)).collect(),
            spread: x().map(|x| round(p + q * x.sin())).collect(),
        }
    })
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
        assert!(difference <= tolerance, "{name}, state {i}: {difference:e} > {tolerance:e}");
    }
    let x0 = &golden["pred_original_sample"];
    if x0.is_null() {
        return;
    }
    for (step, expected) in counts(&x0["step"]).into_iter().zip(x0["value"].as_array().unwrap()) {
        // At the noisy end x0 is x divided by a small sqrt(alpha_bar), and so is its error.
        let tolerance = tolerance / golden_signal(golden, step).min(1.0);
        let difference = largest_difference(&run.x0[step], &singles(expected));
        assert!(difference <= tolerance, "{name}, x0 of step {step}: {difference:e} > {tolerance:e}");
    }
}

/// `sqrt(alpha_bar)` at a step of the golden; 1 for predictions that do not divide by it.
fn golden_signal(golden: &Value, step: usize) -> f64 {
    if golden["config"]["prediction_type"] != "epsilon" {
        return 1.0;
    }
    schedule(&golden["config"]).alpha_bar(counts(&golden["timesteps"])[step]).sqrt()
}

/// The end of the reference's run in float64, printed with 15 digits.
pub(crate) fn check_float64_end(name: &str, golden: &Value, run: &Run, rounding: f64) {
    let expected = numbers(&golden["final_float64"]);
    let difference = largest_difference(run.x.last().unwrap(), &expected);
    assert!(difference <= rounding, "{name}: {difference:e}");
}
