//! `ddim bench` loses nothing that is finished, whatever stops it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::program::{ddim, finish, folder, golden};

/// A benchmark that takes a second or so, on the clock that says the same in every run.
fn bench(folder: &Path, out: &str) -> Command {
    let mut command = ddim(folder);
    command.args(["bench", "--device", "cpu", "--clock", "fake", "--eta", "0,1", "--steps", "4,100"]);
    command.args(["--num", "8", "--batch-size", "2", "--out", out, "--model"]);
    command.arg(golden("attention_one_layer"));
    command
}

/// The finished rows, in the order in which they were finished.
fn rows(folder: &Path, out: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join(out).join("rows.jsonl")).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).expect("a whole line is JSON"))
        .collect()
}

/// Starts a run, and stops it in this way once it has `enough` rows.
fn stopped(folder: &Path, out: &str, enough: usize, signal: &str) -> i32 {
    let before = rows(folder, out).len();
    let mut run = bench(folder, out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    while rows(folder, out).len() < enough && run.try_wait().expect("a child").is_none() {
        sleep(Duration::from_millis(1));
    }
    let killed = Command::new("kill").args([signal, &run.id().to_string()]).status().expect("kill is there");
    let status = run.wait().expect("a child");
    assert!(killed.success() && rows(folder, out).len() >= enough.max(before), "{status}");
    status.code().unwrap_or(-1)
}

#[cfg(unix)]
#[test]
fn a_run_that_was_killed_goes_on_to_the_same_rows() {
    let folder = folder();
    let folder = folder.path();
    let whole = finish(bench(folder, "whole")).expect_success();
    let expected = rows(folder, "whole");
    // Two methods in two numbers of steps, and DDPM and DDIM in 1000.
    assert_eq!(expected.len(), 6);
    for enough in [0, 1, 2, 4] {
        let finished = rows(folder, "killed");
        stopped(folder, "killed", enough, "-KILL");
        let now = rows(folder, "killed");
        assert_eq!(now[..finished.len()], finished[..], "a finished row was lost");
    }
    let resumed = finish(bench(folder, "killed")).expect_success();
    assert_eq!(rows(folder, "killed"), expected);
    assert_eq!(resumed.stdout.replace("killed/", "whole/"), whole.stdout);
    let pictures = |out: &str| fs::read(folder.join(out).join("strip.png")).expect("a strip");
    assert_eq!(pictures("killed"), pictures("whole"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_after_the_batch_under_way_and_keeps_the_rows() {
    let folder = folder();
    let folder = folder.path();
    assert_eq!(stopped(folder, "run", 1, "-INT"), 130);
    let finished = rows(folder, "run");
    assert!(folder.join("run/report.html").exists() && finished.len() < 5);
    finish(bench(folder, "run")).expect_success();
    assert_eq!(rows(folder, "run")[..finished.len()], finished[..]);
}

/// A model that no features know is judged by the pictures of all steps from the same noise, and times by a machine that
/// is measured at both ends.
#[test]
fn pictures_of_any_model_are_compared_with_those_of_all_steps() {
    let folder = folder();
    let folder = folder.path();
    let said = finish(bench(folder, "bench")).expect_success();
    let quality = |method: &str, steps: u64| {
        let is_it = |row: &serde_json::Value| row["method"] == method && row["steps"] == steps;
        rows(folder, "bench").into_iter().find(is_it).expect("a row")["quality"].clone()
    };
    let distances = [4, 100].map(|steps| quality("eta 0", steps)["value"].as_f64().expect("a distance"));
    assert!(0.0 < distances[1] && distances[1] < distances[0] && distances[0] < 1.0, "{distances:?}");
    let error = quality("eta 0", 4)["standard_error"].as_f64().expect("two pictures");
    assert!(0.0 < error && error < distances[0], "{error}");
    for (method, steps, why) in [
        ("eta 1", 4, "a method that draws noise of its own"),
        ("eta 1", 1000, "only its time was needed"),
        ("eta 0", 1000, "the pictures that the others are compared with"),
    ] {
        let reason = quality(method, steps)["not_measured"].as_str().expect("a reason").to_owned();
        assert!(reason.starts_with(why), "{method} {steps}: {reason}");
    }
    assert!(
        said.stdout
            .contains("machine: a call of the reference took 1.00 ms at the start and 1.00 ms at the end, +0.0%")
    );
}

/// A set of pictures is a reference for any model; those of another size are brought to the model's, and that is said.
#[test]
fn a_folder_of_pictures_is_a_reference_for_any_model() {
    let folder = folder();
    let folder = folder.path();
    let mut sample = ddim(folder);
    sample.args([
        "sample",
        "-q",
        "--device",
        "cpu",
        "--steps",
        "2",
        "--num",
        "6",
        "--out",
        "drawn",
        "--no-grid",
        "--model",
    ]);
    sample.arg(golden("attention_one_layer"));
    finish(sample).expect_success();
    let with_reference = |out: &str, reference: &str| {
        let mut command = bench(folder, out);
        command.args(["--reference", reference]);
        finish(command)
    };
    let said = with_reference("bench", "drawn").expect_success();
    assert!(said.stdout.contains("quality: sliced Wasserstein distance"), "{}", said.stdout);
    for row in rows(folder, "bench").iter().filter(|row| row["role"] == "asked") {
        assert!(row["quality"]["value"].as_f64().is_some_and(|value| value > 0.0), "{row}");
    }
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/flat-sets/grey4");
    let said = with_reference("other", cases.to_str().expect("UTF-8")).expect_success();
    assert!(said.stderr.contains("4 pictures resized to 16x16 by --fit crop"), "{}", said.stderr);
}

/// The first picture of a cell is that of `ddim sample` with the same method.
#[test]
fn its_pictures_are_those_of_sample() {
    let folder = folder();
    let folder = folder.path();
    finish(bench(folder, "bench")).expect_success();
    let mut sample = ddim(folder);
    sample.args([
        "sample", "--device", "cpu", "--eta", "1", "--steps", "100", "--num", "1", "--out", "one", "--model",
    ]);
    sample.arg(golden("attention_one_layer"));
    finish(sample).expect_success();
    let pixels = |path: &str| image::open(folder.join(path)).expect("a picture").into_rgb8();
    assert_eq!(pixels("bench/pictures/eta-1-100.png"), pixels("one/000000.png"));
}

/// DDPM's pictures are judged as if they had been drawn here, and only a batch is.
#[test]
fn pictures_drawn_before_stand_for_those_of_ddpm() {
    let folder = folder();
    let folder = folder.path();
    let sample = |options: &[&str]| {
        let mut sample = ddim(folder);
        sample.args(["sample", "-q", "--device", "cpu", "--no-grid", "--model"]);
        sample.arg(golden("attention_one_layer")).args(options);
        finish(sample).expect_success();
    };
    sample(&["--steps", "1000", "--eta", "1", "--num", "8", "--out", "ddpm"]);
    sample(&["--steps", "3", "--num", "6", "--out", "others"]);
    let frontier = |out: &str, more: &[&str]| {
        let mut command = bench(folder, out);
        command.args(["--frontier", "--reference", "others"]).args(more);
        finish(command)
    };
    let here = frontier("here", &[]).expect_success();
    let before = frontier("before", &["--drawn", "ddpm"]).expect_success();
    let reference = |out: &str| rows(folder, out).swap_remove(0);
    assert_eq!(reference("before")["quality"], reference("here")["quality"]);
    let counts = |out: &str| ["pictures", "judged"].map(|name| reference(out)[name].as_u64());
    assert_eq!((counts("here"), counts("before")), ([Some(8), None], [Some(2), Some(8)]));
    let sentence = |stdout: &str| {
        let lines = stdout.lines().find(|line| line.contains("DDPM (eta 1) in 1000 steps") && line.ends_with("."));
        lines.map(str::to_owned).unwrap_or_else(|| panic!("{stdout}"))
    };
    assert_eq!(sentence(&before.stdout), sentence(&here.stdout));
    assert!(folder.join("here/frontier.svg").exists());

    let refused = |drawn: &str| {
        let ran = frontier("refused", &["--drawn", drawn]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        ran.stderr
    };
    let others = refused("others");
    assert!(others.contains("--drawn others holds no pictures of eta 1 in 1000 steps"), "{others}");
    fs::remove_file(folder.join("ddpm/000007.png")).expect("drawn");
    let fewer = refused("ddpm");
    assert!(fewer.contains("holds 7 pictures, and its run.json says 8"), "{fewer}");
}
