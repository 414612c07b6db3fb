//! `--resume`: what it takes for finished, what it draws again, what it refuses; and more pictures than before.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Ran, ddim, finish, folder, golden, sample};

const MODEL: &str = "no_attention_two_layers_odd_channels";

/// A run of three pictures in the folder `run`.
const RUN: &str = "--num 3 --steps 3 --eta 1 --out run";

fn begun() -> tempfile::TempDir {
    let folder = folder();
    sample(folder.path(), MODEL, RUN).expect_success();
    folder
}

fn resumed(folder: &Path) -> Ran {
    sample(folder, MODEL, &format!("{RUN} --resume"))
}

fn picture(folder: &Path, index: usize) -> PathBuf {
    folder.join("run").join(format!("{index:06}.png"))
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).expect("there")
}

fn pixels(path: &Path) -> Vec<u8> {
    image::open(path).expect("a picture").into_bytes()
}

/// The file of picture 1 is put in the place of picture 2, and the run goes on.
fn with_picture_2(content: &[u8]) -> (tempfile::TempDir, Ran, Vec<u8>) {
    let folder = begun();
    let drawn = bytes(&picture(folder.path(), 2));
    fs::write(picture(folder.path(), 2), content).expect("writable");
    let ran = resumed(folder.path());
    (folder, ran, drawn)
}

/// What is not of the run is named, and stays as it is.
fn is_refused(content: &[u8], why: &str) {
    let (folder, ran, _) = with_picture_2(content);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("000002.png") && ran.stderr.contains(why), "{}", ran.stderr);
    assert_eq!(bytes(&picture(folder.path(), 2)), content);
}

/// A grey or colour PNG of another program.
fn foreign(width: u32, height: u32) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut png, image::ImageFormat::Png).expect("encodes");
    png.into_inner()
}

#[test]
fn a_larger_number_draws_the_rest_and_leaves_the_first_as_they_are() {
    let folder = begun();
    let before: Vec<Vec<u8>> = (0..3).map(|index| bytes(&picture(folder.path(), index))).collect();
    sample(folder.path(), MODEL, "--num 5 --steps 3 --eta 1 --out run --resume").expect_success();
    assert_eq!((0..3).map(|index| bytes(&picture(folder.path(), index))).collect::<Vec<_>>(), before);
    let run = || serde_json::from_slice::<Value>(&bytes(&folder.path().join("run/run.json"))).expect("JSON");
    assert_eq!(run()["num"], 5);
    sample(folder.path(), MODEL, "--num 5 --steps 3 --eta 1 --out whole").expect_success();
    for index in 0..5 {
        let alone = folder.path().join(format!("whole/{index:06}.png"));
        assert_eq!(pixels(&picture(folder.path(), index)), pixels(&alone), "picture {index}");
    }
    assert_eq!(pixels(&folder.path().join("run/grid.png")), pixels(&folder.path().join("whole/grid.png")));
    // As many as before without a number, and fewer take nothing away.
    let five = bytes(&folder.path().join("run/grid.png"));
    sample(folder.path(), MODEL, "--steps 3 --eta 1 --out run --resume").expect_success();
    resumed(folder.path()).expect_success();
    assert_eq!((run()["num"].as_u64(), bytes(&folder.path().join("run/grid.png"))), (Some(5), five));
    assert!(picture(folder.path(), 4).is_file() && !picture(folder.path(), 5).exists());
}

#[test]
fn a_longer_list_of_seeds_goes_on_and_another_does_not() {
    let folder = folder();
    sample(folder.path(), MODEL, "--seeds 3-4 --steps 2 --out run").expect_success();
    let first = bytes(&picture(folder.path(), 0));
    sample(folder.path(), MODEL, "--seeds 3-4,9 --steps 2 --out run --resume").expect_success();
    assert_eq!(bytes(&picture(folder.path(), 0)), first);
    assert!(picture(folder.path(), 2).is_file());
    let other = sample(folder.path(), MODEL, "--seeds 4,9 --steps 2 --out run --resume");
    assert!(
        other.code == 1 && other.stderr.contains("seeds was \"3-4,9\" and is now \"4,9\""),
        "{}",
        other.stderr
    );
}

#[test]
fn a_damaged_picture_is_drawn_again() {
    let good = bytes(&picture(begun().path(), 2));
    let flipped = |at: usize| {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        damaged
    };
    // A checksum, the pixels, the record; then a power cut and a full disk.
    for damaged in
        [flipped(29), flipped(good.len() - 20), flipped(60), Vec::new(), good[..good.len() - 1].to_vec()]
    {
        let (folder, ran, drawn) = with_picture_2(&damaged);
        let ran = ran.expect_success();
        assert!(ran.stderr.contains("it is drawn again"), "{}", ran.stderr);
        assert_eq!(bytes(&picture(folder.path(), 2)), drawn);
    }
}

#[test]
fn what_this_run_has_not_drawn_is_named_and_stays() {
    let size = image::open(picture(begun().path(), 0)).expect("a picture");
    is_refused(&foreign(7, 5), "does not say how it was drawn");
    is_refused(&foreign(size.width(), size.height()), "does not say how it was drawn");
    is_refused(b"a letter", "is not a PNG");
    is_refused(b"notes", "is not a PNG");
    is_refused(&bytes(&picture(begun().path(), 0)), "is picture 0 of the run");
    let other = folder();
    sample(other.path(), MODEL, &format!("{RUN} --seed 5")).expect_success();
    is_refused(&bytes(&picture(other.path(), 2)), "is of another run: seed was 5 and is now 0");
}

/// The record of the run in a picture of another size: what an editor leaves that keeps text chunks.
#[test]
fn a_picture_that_was_scaled_since_is_named() {
    let file = fs::File::open(picture(begun().path(), 2)).expect("there");
    let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
    let mut scaled = Vec::new();
    let mut encoder = png::Encoder::new(&mut scaled, 2, 1);
    for text in &reader.info().uncompressed_latin1_text {
        encoder.add_text_chunk(text.keyword.clone(), text.text.clone()).expect("a chunk");
    }
    encoder.write_header().expect("writes").write_image_data(&[0, 0]).expect("writes");
    is_refused(&scaled, "is 2x1 pixels of 1 channels, and the run draws ");
}

#[test]
fn the_calls_of_all_sessions_are_counted() {
    let folder = folder();
    let run = |words: &str| {
        let words = format!("--solver adaptive:tol=0.1 {words} --json");
        let ran = sample(folder.path(), MODEL, &words).expect_success();
        serde_json::from_str::<Value>(&ran.stdout).expect("JSON")["calls"].clone()
    };
    let first = run("--num 2 --out run");
    let (both, whole) = (run("--num 5 --out run --resume"), run("--num 5 --out whole"));
    assert_eq!((&first["pictures"], &both["pictures"]), (&2.into(), &5.into()));
    assert_eq!(both, whole);
    let record: Value = serde_json::from_slice(&bytes(&folder.path().join("run/run.json"))).expect("JSON");
    assert_eq!(record["calls"], whole);
}

#[test]
fn a_seed_that_was_drawn_is_found_again() {
    let folder = folder();
    let random = "--seed random --num 1 --steps 2 --out run";
    let drawn = sample(folder.path(), MODEL, random).expect_success();
    let seed = drawn.stderr.lines().find_map(|line| line.strip_prefix("seed: ")).expect("it is said").to_owned();
    let record: Value = serde_json::from_slice(&bytes(&folder.path().join("run/run.json"))).expect("JSON");
    assert_eq!(record["seed"].to_string(), seed);
    let again = sample(folder.path(), MODEL, &format!("{random} --resume")).expect_success();
    assert!(again.stderr.contains(&format!("seed: {seed}")), "{}", again.stderr);
    sample(folder.path(), MODEL, &format!("--seed {seed} --num 1 --steps 2 --out same")).expect_success();
    assert_eq!(bytes(&picture(folder.path(), 0)), bytes(&folder.path().join("same/000000.png")));
}

/// More than any memory holds, in every command that takes a number of pictures.
#[test]
fn huge_numbers_are_refused_by_every_command_alike() {
    let folder = folder();
    let run = |command: &str, number: &str| {
        let mut program = ddim(folder.path());
        program
            .args(command.split_whitespace())
            .arg(number)
            .args(["--device", "cpu", "--model"])
            .arg(golden(MODEL));
        finish(program)
    };
    for number in ["9223372036854775807", "18446744073709551615", "99999999999999999999"] {
        for command in [
            "sample --batch-size",
            "warmup --batch-size",
            "doctor --batch-size",
            "tune --steps 2 --out t.json --batch-size",
            "bench --batch-size",
            "interpolate --seeds 1,2 --batch-size",
            "reconstruct a.png --batch-size",
            "eval model: model: --batch-size",
            "sample --num",
            "interpolate --seeds 1,2 --count",
            "interpolate --corners 1,2,3,4 --grid",
            "tune --steps 2 --out t.json --pictures",
        ] {
            let ran = run(command, number);
            assert_eq!(ran.code, 2, "{command} {number}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("invalid value '{number}'")), "{command}: {}", ran.stderr);
            assert!(ran.stderr.contains("at most "), "{command}: {}", ran.stderr);
        }
    }
}

/// Two runs at once, neither of which has a name for its pictures: both are kept.
#[test]
fn two_runs_without_a_name_write_two_files() {
    let folder = folder();
    let start = |seed: usize| {
        let mut program = ddim(folder.path());
        program
            .args(["sample", "-q", "--device", "cpu", "--num", "2", "--steps", "40", "--model"])
            .arg(golden(MODEL));
        program
            .args(["--seed", &seed.to_string()])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("it starts")
    };
    let runs: Vec<_> = (0..4).map(start).collect();
    let mut names: Vec<String> = runs
        .into_iter()
        .map(|run| run.wait_with_output().expect("it ends"))
        .map(|output| String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["samples-2.png", "samples-3.png", "samples-4.png", "samples.png"]);
    let pictures: std::collections::BTreeSet<Vec<u8>> =
        names.iter().map(|name| pixels(&folder.path().join(name))).collect();
    assert_eq!(pictures.len(), 4);
}
