//! What a user waits for, and what it takes: whole runs of the binary, `just bench start`.
//!
//! Every run is a process of its own, from its start to its end: the embedded model, the CPU, one PNG written. The
//! binary is in the disk's cache after a first run that is not counted. Threads are those of rayon
//! (`RAYON_NUM_THREADS`).

#![allow(clippy::print_stdout, reason = "a benchmark shows what it finds")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

const RUNS: usize = 10;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |steps, pictures| draw(&folder.path().join("picture.png"), steps, pictures);
    finished(start(1, 1));
    let times = |steps, pictures| measure(|| seconds(|| finished(start(steps, pictures))));
    println!("1 step, 1 picture (cold start)      {}", summary(times(1, 1), "s"));
    println!("20 steps, 1 picture                 {}", summary(times(20, 1), "s"));
    println!("20 steps, 16 pictures in a batch    {}", summary(times(20, 16), "s"));
    println!("its peak memory                     {}", summary(measure(|| peak_mib(start(20, 16))), "MiB"));
}

/// Starts a run that draws one batch.
fn draw(out: &Path, steps: usize, pictures: usize) -> Child {
    let [steps, pictures] = [steps, pictures].map(|number| number.to_string());
    Command::new(env!("CARGO_BIN_EXE_ddim"))
        .args(["sample", "--device", "cpu", "--force", "--class", "0", "--steps", &steps])
        .args(["--num", &pictures, "--batch-size", &pictures, "--out"])
        .arg(out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("cargo has built the binary")
}

fn finished(mut run: Child) {
    assert!(run.wait().expect("a child").success(), "the run failed");
}

fn seconds(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// The most memory the run held at a time, in MiB: what Linux says last (`VmHWM` only grows), asked every
/// millisecond. NaN where there is no `/proc`.
fn peak_mib(mut run: Child) -> f64 {
    let status = format!("/proc/{}/status", run.id());
    let mut peak = f64::NAN;
    while run.try_wait().expect("a child").is_none() {
        peak = fs::read_to_string(&status).ok().and_then(|text| high_water_mib(&text)).unwrap_or(peak);
        thread::sleep(Duration::from_millis(1));
    }
    finished(run);
    peak
}

/// `VmHWM:     1024 kB` -> 1
fn high_water_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Sorted.
fn measure(run: impl Fn() -> f64) -> [f64; RUNS] {
    let mut values = std::array::from_fn(|_| run());
    values.sort_by(f64::total_cmp);
    values
}

fn summary(sorted: [f64; RUNS], unit: &str) -> String {
    let median = (sorted[(RUNS - 1) / 2] + sorted[RUNS / 2]) / 2.0;
    let (least, most) = (sorted[0], sorted[RUNS - 1]);
    format!("median {median:8.3} {unit}, {least:.3} to {most:.3} in {RUNS} runs")
}
