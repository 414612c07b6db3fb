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
    assert_eq!(expected.len(), 5); // two methods in two numbers of steps, and DDPM in 1000
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
