//! Whole runs of diffusers' schedulers, reproduced by the loop itself, on f32 tensors.

#![allow(clippy::print_stdout, reason = "a test says how close it came")]

#[path = "../../schedule/tests/suite/golden.rs"]
#[allow(dead_code, reason = "shared with the schedule's own tests, which read more tables")]
mod golden;
#[path = "../../schedule/tests/suite/golden_solvers.rs"]
#[allow(dead_code, reason = "needed by the module above")]
mod golden_solvers;

use std::ops::ControlFlow;
use std::path::Path;

use ddim_checkpoint::SchedulerConfig;
use ddim_sampler::{Call, GivenNoise, Noise, sample};
use ddim_schedule::{Plan, solvers};
use ddim_tensor::{Device, Tensor};
use golden::{count, folder, numbers, parse, schedule, settings};
use serde_json::Value;

/// The folders of the goldens, and how many runs each holds.
const RUNS: [(&str, usize); 11] = [
    ("ddim", 33),
    ("ddiminverse", 7),
    ("ddpm", 21),
    ("deismultistep", 5),
    ("dpmsolvermultistep", 28),
    ("eulerancestraldiscrete", 3),
    ("eulerdiscrete", 8),
    ("heundiscrete", 3),
    ("lmsdiscrete", 3),
    ("pndm", 4),
    ("unipcmultistep", 9),
];

#[test]
fn every_trajectory() {
    for (scheduler, runs) in RUNS {
        let entries = std::fs::read_dir(folder().join("trajectories").join(scheduler)).expect("the goldens");
        let files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        assert_eq!(files.len(), runs, "{scheduler}");
        let worst = files.iter().map(|path| check(path)).fold(0.0, f64::max);
        println!("{scheduler}: largest difference, in units of what is allowed: {worst:.3}");
    }
}

/// The plan that the golden's own `scheduler_config.json` asks for, with the arguments of its steps.
fn plan(golden: &Value) -> Plan {
    if matches!(golden["scheduler"].as_str(), Some("DDIMScheduler" | "DDPMScheduler")) {
        return Plan::new(&schedule(&golden["config"]), &settings(golden)).expect("a plan");
    }
    let config = SchedulerConfig::from_json(&golden["config"].to_string()).expect("a configuration");
    let mut settings = config.settings(count(&golden["num_inference_steps"])).expect("settings");
    for (name, value) in golden["step_arguments"].as_object().expect("arguments") {
        let text = match name.as_str() {
            "order" => format!("lms:order={value}"),
            "s_churn" => {
                format!("euler:churn={value},churn_noise={},churn_at=after", golden["step_arguments"]["s_noise"])
            }
            _ => continue,
        };
        settings.solver = solvers::parse(&text).expect("a solver");
    }
    Plan::new(&config.noise_schedule().expect("a schedule"), &settings).expect("a plan")
}

/// Compares every state; returns the largest difference as a share of the tolerance.
fn check(path: &Path) -> f64 {
    let golden = parse(path);
    let plan = plan(&golden);
    let mut noise = given_noise(&golden);
    let start = noise.initial(shape(&golden), &Device::Cpu) * plan.start_scale();
    let mut states = vec![start.clone()];
    let observe = |seen: &ddim_sampler::Observation| {
        states.push(seen.x.clone());
        ControlFlow::Continue(())
    };
    sample(&plan, start, |x, call| pretend_model(&golden["pretend_model"], x, call), &mut noise, observe)
        .expect("the run is finite");
    let expected = golden["x"].as_array().expect("states");
    assert_eq!(states.len(), expected.len());
    let allowed = tolerance(&golden);
    let pairs = states.into_iter().zip(expected);
    let worst = pairs.map(|(x, golden)| largest_difference(x, &numbers(golden))).fold(0.0, f64::max);
    assert!(worst <= allowed, "{}: off by {worst:e}, {allowed:e} is allowed", path.display());
    worst / allowed
}

/// The rule for f32 code in the README of the goldens.
fn tolerance(golden: &Value) -> f64 {
    let rerun = |key: &str| golden["float64_rerun"][key].as_f64().expect("a number");
    1e-5 * rerun("largest_abs_value_in_trajectory").max(1.0) + 4.0 * rerun("max_abs_difference_over_trajectory")
}

fn shape(golden: &Value) -> [usize; 4] {
    let shape: Vec<usize> = golden["shape"].as_array().expect("a list").iter().map(count).collect();
    shape.try_into().expect("n, c, h, w")
}

fn tensor(values: &Value, shape: [usize; 4]) -> Tensor {
    let values: Vec<f32> = numbers(values).into_iter().map(|value| value as f32).collect();
    Tensor::new(values, shape)
}

fn given_noise(golden: &Value) -> GivenNoise {
    let shape = shape(golden);
    let rows = golden["noise"].as_array().map(Vec::as_slice).unwrap_or_default();
    let steps = rows.iter().map(|row| (!row.is_null()).then(|| tensor(row, shape))).collect();
    GivenNoise { initial: tensor(&golden["x_unit"], shape), steps }
}

/// `m(x, t) = a tanh x + b sin(w t) x + c sqrt(1 - exp(-k t t)) x` in f64, and `p + q sin x` as further
/// channels where the golden has them.
fn pretend_model(model: &Value, x: Tensor, call: Call) -> Tensor {
    let [a, b, c, w, k, p, q] = ["a", "b", "c", "w", "k", "p", "q"].map(|key| model[key].as_f64().unwrap_or(0.0));
    let (shape, t) = (x.dims(), call.time);
    let slope = b * (w * t).sin() + c * (1.0 - (-k * t * t).exp()).sqrt();
    let data = x.into_values();
    let map = |f: &dyn Fn(f64) -> f64| {
        let values: Vec<f32> = data.iter().map(|x| f(f64::from(*x)) as f32).collect();
        Tensor::new(values, shape)
    };
    let mean = map(&|x| a * x.tanh() + slope * x);
    if model["p"].is_null() { mean } else { mean.join_channels(&map(&|x| p + q * x.sin())) }
}

fn largest_difference(x: Tensor, expected: &[f64]) -> f64 {
    let pairs = x.into_values().into_iter().zip(expected);
    pairs.map(|(x, &golden)| (f64::from(x) - f64::from(golden as f32)).abs()).fold(0.0, f64::max)
}
