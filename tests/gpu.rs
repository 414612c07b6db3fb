//! The GPU path on a software Vulkan device: against the CPU, against itself, and beyond what it can do.
//!
//! Without such a device there is nothing to test, and the test says so; with `DDIM_EXPECT_GPU=1` in the
//! environment, as in CI, its absence is a failure. It is one test, so that its runs share what was tuned: a cache folder of
//! their own, which the first of them fills.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::program::{Ran, Tensors, ddim, finish, folder, golden};

/// f32 sums are taken in another order on every device. Each step's network call rounds differently by about
/// 1e-6 of the largest activation, and these random-weight networks amplify that up to tenfold over the run;
/// a wrong kernel or coefficient is off by 0.01 and more.
const TOLERANCE: f64 = 2e-4;

#[test]
fn a_software_vulkan_device_draws_what_the_cpu_draws() {
    let folder = folder();
    if !run(folder.path(), "devices --json").expect_success().stdout.contains("\"software\"") {
        assert_ne!(env::var("DDIM_EXPECT_GPU").as_deref(), Ok("1"), "no software Vulkan device was found");
        say("no software Vulkan device here: nothing tested");
        return;
    }
    warmup_is_kept(folder.path());
    for (model, words) in [
        ("attention_one_layer", "--steps 3 --eta 0"),
        ("classes_scale_shift", "--steps 3 --eta 1 --class 0,3"),
        ("no_attention_two_layers_odd_channels", "--steps 3 --eta 0.5"),
        ("classes_scale_shift", "--steps 4 --eta 1 --class 0,3 --reuse up_blocks.0:2"),
    ] {
        every_step_agrees(folder.path(), model, words);
    }
    doctor_trusts(folder.path());
    pictures_are_the_same_in_any_number(folder.path());
    what_cannot_be_is_refused(folder.path());
}

/// The program in `folder`, with its cache there.
fn run(folder: &Path, words: &str) -> Ran {
    finish(command(folder, words))
}

fn command(folder: &Path, words: &str) -> Command {
    let mut command = ddim(folder);
    command.env("XDG_CACHE_HOME", folder.join("cache")).args(words.split_whitespace());
    command
}

/// What follows the model's name in the words for [`run`].
fn on_vulkan(model: &str, words: &str) -> String {
    format!("{words} --device vulkan --model {}", golden(model).display())
}

/// Kernels that were tuned once are not tuned by the next process: its first run takes less time, though the driver
/// compiles again what was chosen. (A third of the time; no clock of this machine is trusted with more than which is longer.)
fn warmup_is_kept(folder: &Path) {
    let first_seconds = || {
        let mut command = command(folder, &on_vulkan("attention_one_layer", "warmup --batch-size 2 --json"));
        // The driver's own cache would hide whether ours works.
        command.env("MESA_SHADER_CACHE_DISABLE", "true");
        let ran = finish(command).expect_success();
        let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert!(said["kept_in"].as_str().is_some_and(|kept| Path::new(kept).starts_with(folder)), "{said}");
        said["batch_sizes"][0]["first_seconds"].as_f64().expect("a number")
    };
    let (cold, warm) = (first_seconds(), first_seconds());
    say(&format!("warmup: the first run took {cold:.2} s, with kernels kept {warm:.2} s"));
    assert!(warm < cold, "tuned anew: {cold} s, then {warm} s");
    assert!(
        folder.join("cache/ddim").read_dir().is_ok_and(|mut files| files.next().is_some()),
        "nothing was kept"
    );
}

fn every_step_agrees(folder: &Path, model: &str, words: &str) {
    let states = |device: &str| {
        let out = folder.join(format!("{device}.safetensors"));
        let common = format!("sample --num 2 --trajectory --force --device {device} --out {}", out.display());
        run(folder, &format!("{common} --model {} {words}", golden(model).display())).expect_success();
        Tensors::read(&out).get("x").expect("a trajectory")
    };
    let ((cpu, shape), (gpu, _)) = (states("cpu"), states("vulkan"));
    let state = cpu.len() / shape[0];
    let steps = cpu.chunks(state).zip(gpu.chunks(state));
    let differences: Vec<f64> = steps.map(|(a, b)| largest_difference(a, b)).collect();
    let shown: Vec<String> = differences.iter().map(|difference| format!("{difference:.1e}")).collect();
    say(&format!("{model}: largest difference to the CPU, state by state: {}", shown.join(" ")));
    assert_eq!(cpu.len(), gpu.len());
    assert!(differences.iter().all(|difference| *difference <= TOLERANCE), "{model}: {differences:?}");
}

/// The embedded model in f32, which has the widths that our own convolutions are made for, and another in f16 with the rounding that this
/// brings; and not where nothing at all is tolerated.
fn doctor_trusts(folder: &Path) {
    let small = on_vulkan("classes_scale_shift", "doctor --precision f16 --steps 2");
    for (what, words) in [("embedded, f32", "doctor --device vulkan --steps 2"), ("small, f16", &small)] {
        let ran = run(folder, words).expect_success();
        assert!(
            ran.stdout.contains("a second run") && ran.stdout.contains("the same bit for bit"),
            "{}",
            ran.stdout
        );
        let network = ran.stdout.lines().find(|line| line.starts_with("the whole network")).unwrap_or_default();
        say(&format!("doctor, {what}: {network}"));
    }
    let refused = run(folder, &on_vulkan("classes_scale_shift", "doctor --steps 1 --tolerance 1e-9"));
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("is not to be trusted"), "{}", refused.stderr);
}

/// A batch that is not full is filled up, so that the same kernels see it; and noise belongs to the picture.
fn pictures_are_the_same_in_any_number(folder: &Path) {
    let pictures = |num: usize| {
        let out = folder.join(format!("{num}.safetensors"));
        let words = format!("sample --num {num} --batch-size 2 --steps 2 --eta 1 --out {}", out.display());
        run(folder, &on_vulkan("attention_one_layer", &words)).expect_success();
        Tensors::read(&out).get("final").expect("pictures").0
    };
    let (one, three) = (pictures(1), pictures(3));
    assert_eq!(one.as_slice(), &three[..one.len()], "picture 0 of 1 and of 3");
    assert!(three[..one.len()] != three[2 * one.len()..], "three pictures, not one");
}

fn what_cannot_be_is_refused(folder: &Path) {
    for (words, said) in [
        ("sample --batch-size 65536 --num 65536 --out a.npz", "ask for a batch size of"),
        ("sample --precision bf16 --out a.npz", "does not compute in bf16: choose f32 or f16"),
    ] {
        let ran = run(folder, &on_vulkan("attention_one_layer", words));
        assert!(ran.code == 1 && ran.stderr.contains(said), "{words}: {}", ran.stderr);
    }
    // The program ends when the driver has just been given the weights: some of these crashed.
    std::fs::write(folder.join("taken.png"), "").expect("it is ours");
    for _ in 0..20 {
        let ran = run(folder, "sample --device vulkan --out taken.png");
        assert!(ran.code == 1 && ran.stderr.contains("taken.png exists"), "{}: {}", ran.code, ran.stderr);
    }
    let ran = run(folder, "doctor --device vulkan --batch-size 65536");
    assert!(ran.code == 1 && ran.stderr.contains("ask for a batch size of"), "{}: {}", ran.code, ran.stderr);
    let ran = run(folder, "sample --device vulkan:7 --out a.npz");
    assert!(ran.code == 1 && ran.stderr.contains("--device vulkan:7: the last of these"), "{}", ran.stderr);
    assert!(!folder.join("a.npz").exists(), "a refused run has written something");
}

/// Says it also when the test passes, which `println!` would not.
fn say(text: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
