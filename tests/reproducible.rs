//! The same command draws the same pictures: for any batch size, in any part, and after a run was killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Ran, Tensors, ddim, folder, golden, lay_out_labelled, sample};

const MODEL: &str = "no_attention_two_layers_odd_channels";
const CLASSES: &str = "classes_scale_shift";

/// The numbers of a run's pictures.
fn finals(folder: &Path, model: &str, words: &str) -> Vec<f64> {
    sample(folder, model, &format!("{words} --out run.safetensors --force")).expect_success();
    Tensors::read(&folder.join("run.safetensors")).values("final")
}

#[test]
fn batch_sizes_do_not_change_a_bit() {
    let folder = folder();
    for (model, method) in
        [(MODEL, "--eta 0"), (MODEL, "--eta 1"), (CLASSES, "--eta 0.5"), (CLASSES, "--solver ddpm")]
    {
        let run = |size| finals(folder.path(), model, &format!("--num 7 --steps 4 {method} --batch-size {size}"));
        let alone = run(1);
        assert_eq!(run(3), alone, "{model} {method}, batches of 3");
        assert_eq!(run(16), alone, "{model} {method}, one batch");
    }
}

#[test]
fn more_pictures_leave_the_first_ones_as_they_are() {
    let folder = folder();
    let many = finals(folder.path(), MODEL, "--num 5 --steps 4 --eta 1 --seed 9");
    let few = finals(folder.path(), MODEL, "--num 2 --steps 4 --eta 1 --seed 9");
    assert_eq!(many[..few.len()], few);
}

#[test]
fn a_listed_seed_draws_the_first_picture_of_that_seed() {
    let folder = folder();
    let listed = finals(folder.path(), MODEL, "--seeds 3-4,100 --steps 4 --eta 1");
    let one = listed.len() / 3;
    for (place, seed) in [3, 4, 100].into_iter().enumerate() {
        let alone = finals(folder.path(), MODEL, &format!("--seed {seed} --num 1 --steps 4 --eta 1"));
        assert_eq!(listed[place * one..(place + 1) * one], alone, "seed {seed}");
    }
}

#[test]
fn a_picture_has_the_label_of_its_turn() {
    let folder = folder();
    lay_out_labelled(folder.path());
    let model = folder.path().join("timestep");
    let of = |label: &str| {
        let words = format!("--label={label} --num 4 --steps 4 --eta 0.5");
        finals(folder.path(), model.to_str().expect("UTF-8"), &words)
    };
    let (both, each) = (of("10,-2.5"), [of("10"), of("-2.5")]);
    let one = both.len() / 4;
    for k in 0..4 {
        let picture = k * one..(k + 1) * one;
        assert_eq!(both[picture.clone()], each[k % 2][picture.clone()], "picture {k}");
        assert_ne!(both[picture.clone()], each[(k + 1) % 2][picture], "picture {k}");
    }
}

#[test]
fn seeds_differ() {
    let folder = folder();
    let of = |seed| finals(folder.path(), MODEL, &format!("--seed {seed} --num 1 --steps 2"));
    assert_ne!(of(0), of(1));
}

/// Names and bytes of the files in a folder, hidden ones left out.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, fs::read(path).expect("readable")))
        .collect();
    files.sort();
    files
}

const RESUMED: &str = "--num 12 --steps 150 --eta 1 --batch-size 2";

fn whole_run(folder: &Path) -> Vec<(String, Vec<u8>)> {
    sample(folder, MODEL, &format!("{RESUMED} --out whole")).expect_success();
    files(&folder.join("whole"))
}

/// Starts the run and waits until it has written its third picture.
fn started(folder: &Path) -> Child {
    let mut command = ddim(folder);
    command.args(["sample", "--device", "cpu", "--model"]).arg(golden(MODEL)).args(RESUMED.split_whitespace());
    command.args(["--out", "part"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let begin = Instant::now();
    while !folder.join("part/000002.png").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no picture after two minutes");
        sleep(Duration::from_millis(5));
    }
    child
}

fn resume(folder: &Path) -> Ran {
    sample(folder, MODEL, &format!("{RESUMED} --out part --resume"))
}

#[test]
fn a_killed_run_is_completed_without_drawing_a_picture_twice() {
    let folder = folder();
    let mut child = started(folder.path());
    child.kill().expect("still running");
    child.wait().expect("ended");
    let before: Vec<_> = pictures(&folder.path().join("part"));
    assert!(before.len() < 12, "it was killed on the way");
    resume(folder.path()).expect_success();
    for (name, modified) in before {
        let now = fs::metadata(folder.path().join("part").join(&name)).expect("still there");
        assert_eq!(now.modified().expect("a time"), modified, "{name} was drawn again");
    }
    assert_eq!(files(&folder.path().join("part")), whole_run(folder.path()));
}

fn pictures(folder: &Path) -> Vec<(String, std::time::SystemTime)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry))
        .filter(|(name, _)| name.len() == 10 && name.ends_with(".png"))
        .map(|(name, entry)| (name, entry.metadata().expect("there").modified().expect("a time")))
        .collect()
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_finished_pictures_and_says_how_to_go_on() {
    let folder = folder();
    let child = started(folder.path());
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("kill is there").success());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("interrupted with") && said.contains("--resume"), "{said}");
    resume(folder.path()).expect_success();
    assert_eq!(files(&folder.path().join("part")), whole_run(folder.path()));
}

#[test]
fn resuming_with_other_options_names_the_difference_and_changes_nothing() {
    let folder = folder();
    sample(folder.path(), MODEL, "--num 2 --steps 2 --out a").expect_success();
    let before = files(&folder.path().join("a"));
    let ran = sample(folder.path(), MODEL, "--num 2 --steps 2 --seed 5 --out a --resume");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("seed was 0 and is now 5"), "{}", ran.stderr);
    assert_eq!(files(&folder.path().join("a")), before);
}

#[test]
fn two_runs_in_one_folder_are_refused() {
    let folder = folder();
    let mut child = started(folder.path());
    let second = resume(folder.path());
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another run is writing part"), "{}", second.stderr);
    child.kill().expect("still running");
    child.wait().expect("ended");
}

#[test]
fn run_json_is_in_every_picture_and_beside_them() {
    let folder = folder();
    sample(folder.path(), MODEL, "--num 2 --steps 3 --eta 1 --seed 4 --out a").expect_success();
    let beside = fs::read_to_string(folder.path().join("a/run.json")).expect("written");
    let run: serde_json::Value = serde_json::from_str(&beside).expect("JSON");
    assert_eq!((&run["seed"], &run["num"], &run["plan"]["eta"]), (&4.into(), &2.into(), &1.0.into()));
    for name in ["000000.png", "000001.png", "grid.png"] {
        let file = fs::File::open(folder.path().join("a").join(name)).expect("written");
        let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
        let text = &reader.info().uncompressed_latin1_text;
        assert_eq!((text[0].keyword.as_str(), text[0].text.as_str()), ("ddim", beside.as_str()), "{name}");
    }
    sample(folder.path(), MODEL, "--num 2 --steps 3 --eta 1 --seed 4 --out a.safetensors").expect_success();
    assert_eq!(Tensors::read(&folder.path().join("a.safetensors")).metadata("ddim"), beside);
}
