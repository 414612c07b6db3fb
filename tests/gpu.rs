//! The GPU path against the CPU, step by step, on a software Vulkan device.
//!
//! Without such a device there is nothing to compare, and the test says so; with `DDIM_EXPECT_GPU=1` in the
//! environment, as in CI, its absence is a failure.

use std::env;
use std::io::Write;

use crate::program::{Tensors, ddim, finish, folder, golden};

/// f32 sums are taken in another order on every device. Each step's network call rounds differently by about
/// 1e-6 of the largest activation, and these random-weight networks amplify that up to tenfold over the run;
/// a wrong kernel or coefficient is off by 0.01 and more.
const TOLERANCE: f64 = 2e-4;

#[test]
fn every_step_agrees_with_the_cpu() {
    let folder = folder();
    let mut command = ddim(folder.path());
    command.args(["devices", "--json"]);
    let adapters = finish(command);
    if !adapters.expect_success().stdout.contains("\"software\"") {
        assert_ne!(env::var("DDIM_EXPECT_GPU").as_deref(), Ok("1"), "no software Vulkan device was found");
        say("no software Vulkan device here: nothing compared");
        return;
    }
    for (model, words) in [
        ("attention_one_layer", "--steps 3 --eta 0"),
        ("classes_scale_shift", "--steps 3 --eta 1 --class 0,3"),
        ("no_attention_two_layers_odd_channels", "--steps 3 --eta 0.5"),
    ] {
        compare(model, words);
    }
}

fn compare(model: &str, words: &str) {
    let folder = folder();
    let run = |device: &str| {
        let mut command = ddim(folder.path());
        command.args(["sample", "--num", "2", "--trajectory", "--device", device, "--model"]).arg(golden(model));
        command.args(["--out", &format!("{device}.safetensors")]).args(words.split_whitespace());
        finish(command).expect_success();
        let (values, shape) =
            Tensors::read(&folder.path().join(format!("{device}.safetensors"))).get("x").expect("a trajectory");
        (values, shape)
    };
    let ((cpu, shape), (gpu, _)) = (run("cpu"), run("vulkan"));
    let state = cpu.len() / shape[0];
    let steps = cpu.chunks(state).zip(gpu.chunks(state));
    let differences: Vec<f64> = steps.map(|(a, b)| largest_difference(a, b)).collect();
    let shown: Vec<String> = differences.iter().map(|difference| format!("{difference:.1e}")).collect();
    say(&format!("{model}: largest difference to the CPU, state by state: {}", shown.join(" ")));
    assert_eq!(cpu.len(), gpu.len());
    assert!(differences.iter().all(|difference| *difference <= TOLERANCE), "{model}: {differences:?}");
}

/// Says it also when the test passes, which `println!` would not.
fn say(text: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
