//! `--like`: a run is drawn once more from what it has left, with changes or without, whichever version left it.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma};
use serde_json::Value;

use crate::program::{Ran, Tensors, ddim, finish, folder, golden, sample};

const GREY: &str = "no_attention_two_layers_odd_channels";
const CLASSES: &str = "classes_scale_shift";

fn lay_out(folder: &Path) {
    for k in 0..2 {
        let picture = GrayImage::from_fn(16, 16, |x, y| Luma([(k * 80 + 11 * x + y) as u8]));
        picture.save(folder.join(format!("{k}.png"))).expect("writable");
    }
    let mask = GrayImage::from_fn(16, 16, |_, y| Luma([if y < 8 { 0 } else { 255 }]));
    mask.save(folder.join("mask.png")).expect("writable");
}

/// The embedded model, which can be guided, or one of the goldens.
fn draw(folder: &Path, model: Option<&str>, words: &str) -> Ran {
    let Some(model) = model else {
        let mut program = ddim(folder);
        program.args(["sample", "--device", "cpu"]).args(words.split_whitespace());
        return finish(program);
    };
    sample(folder, model, words)
}

fn like(folder: &Path, words: &str) -> Ran {
    let mut program = ddim(folder);
    program.args(["sample", "--device", "cpu", "--like"]).args(words.split_whitespace());
    finish(program)
}

fn finals(folder: &Path, name: &str) -> Vec<f64> {
    Tensors::read(&folder.join(name)).values("final")
}

fn pixels(folder: &Path, name: &str) -> Vec<u8> {
    image::open(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).into_bytes()
}

/// Bit for bit, from its request, and from a record of a version that kept none.
#[test]
fn every_kind_of_run_is_drawn_once_more() {
    for (model, words) in [
        (None, "--num 2 --steps 3 --eta 0.5 --seed 5 --class coat,bag --guidance 2 --guidance-interval 0.1,inf"),
        (
            None,
            "--seeds 4,9 --steps 4 --class 3 --solver dpm++:order=3 --spacing karras --guidance 3 --guidance-rescale 0.5",
        ),
        (Some(CLASSES), "--num 3 --steps 3 --class 2,1 --eta 1"),
        (Some(GREY), "--num 2 --timesteps 900,500,20 --convention openai --no-clip --batch-size 1"),
        (Some(GREY), "--num 2 --steps 3 --eta hat --clip --rederive-eps"),
        (Some(GREY), "--num 2 --steps 3 --solver ddpm --corrector-steps 1 --corrector-snr 0.1"),
        (Some(GREY), "--num 2 --solver adaptive:rtol=0.1,atol=0.05"),
        (Some(GREY), "--init 0.png 1.png --steps 5 --strength 0.4 --invert"),
        (
            Some(GREY),
            "--init 0.png --mask mask.png --inpaint repaint --jump-length 1 --resample 2 --steps 4 --num 2",
        ),
    ] {
        let folder = folder();
        let here = folder.path();
        lay_out(here);
        let ran = draw(here, model, &format!("{words} --out run.safetensors --json")).expect_success();
        let mut run = serde_json::from_str::<Value>(&ran.stdout).expect("JSON")["run"].take();
        fs::write(here.join("new.json"), run.to_string()).expect("writable");
        let fields = run.as_object_mut().expect("an object");
        assert!(fields.remove("request").is_some() && fields.remove("command").is_some(), "{words}");
        fs::write(here.join("old.json"), run.to_string()).expect("writable");
        for record in ["run.safetensors", "new.json", "old.json"] {
            // What a record of facts does not say, its reader has to.
            let rules = if record == "old.json" && words.contains("--invert") { "--invert" } else { "" };
            like(here, &format!("{record} {rules} --out again.safetensors --force")).expect_success();
            assert_eq!(finals(here, "again.safetensors"), finals(here, "run.safetensors"), "{words}: {record}");
        }
    }
}

/// With the noise, the class and the beginning that it has in its run.
#[test]
fn a_picture_of_a_folder_comes_alone_and_a_grid_with_all() {
    let folder = folder();
    let here = folder.path();
    lay_out(here);
    for (model, words) in [
        (None, "--num 3 --steps 2 --eta 1 --seed 3 --class coat,bag --batch-size 2"),
        (Some(GREY), "--seeds 7,8,2 --steps 3 --init 0.png 1.png"),
    ] {
        draw(here, model, &format!("{words} --out run --force")).expect_success();
        like(here, "run/000002.png --out alone --force").expect_success();
        assert_eq!(pixels(here, "alone/000000.png"), pixels(here, "run/000002.png"), "{words}");
        assert!(!here.join("alone/000001.png").exists());
        // And what was drawn alone says so itself.
        like(here, "alone/000000.png --out twice --force").expect_success();
        assert_eq!(pixels(here, "twice/000000.png"), pixels(here, "run/000002.png"), "{words}");
        for whole in ["run", "run/run.json", "run/grid.png"] {
            like(here, &format!("{whole} --out whole --force")).expect_success();
            assert_eq!(pixels(here, "whole/grid.png"), pixels(here, "run/grid.png"), "{words}: {whole}");
        }
    }
}

#[test]
fn options_beside_it_are_what_differs() {
    let folder = folder();
    let here = folder.path();
    sample(here, GREY, "--num 3 --steps 3 --eta 1 --out run").expect_success();
    for (change, whole) in [
        ("--seed 9", "--num 3 --steps 3 --eta 1 --seed 9"),
        ("--steps 5 --num 1", "--num 1 --steps 5 --eta 1"),
        ("--solver euler", "--num 3 --steps 3 --solver euler"),
        ("--timesteps 700,20", "--num 3 --timesteps 700,20 --eta 1"),
        ("--seeds 4-5", "--seeds 4-5 --steps 3 --eta 1"),
        ("--convention openai", "--num 3 --steps 3 --eta 1 --convention openai"),
    ] {
        like(here, &format!("run/run.json {change} --out changed.safetensors --force")).expect_success();
        sample(here, GREY, &format!("{whole} --out whole.safetensors --force")).expect_success();
        assert_eq!(finals(here, "changed.safetensors"), finals(here, "whole.safetensors"), "{change}");
    }
}

/// The command in a record is one that can be typed.
#[test]
fn the_command_of_a_record_draws_it() {
    let folder = folder();
    let here = folder.path();
    sample(here, GREY, "--num 2 --steps 3 --eta 0.3 --seed 4 --out run.safetensors").expect_success();
    let ran = like(here, "run.safetensors --out again.safetensors --json").expect_success();
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let command = report["run"]["command"].as_str().expect("a command").to_owned();
    let mut program = ddim(here);
    program.args(command.split(' ').skip(1)).args(["--device", "cpu", "--out", "typed.safetensors"]);
    finish(program).expect_success();
    assert_eq!(finals(here, "typed.safetensors"), finals(here, "run.safetensors"));
    assert!(command.contains(&golden(GREY).display().to_string()), "{command}");
}

/// A run that was begun by a version without requests in its records goes on, and its pictures stay.
#[test]
fn an_older_folder_is_completed() {
    let folder = folder();
    let here = folder.path();
    sample(here, GREY, "--num 2 --steps 3 --out run --no-grid").expect_success();
    let path = here.join("run/run.json");
    let mut run: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    let fields = run.as_object_mut().expect("an object");
    assert!(fields.remove("request").is_some() && fields.remove("command").is_some());
    fs::write(&path, format!("{run:#}\n")).expect("writable");
    sample(here, GREY, "--num 3 --steps 3 --out run --no-grid --resume").expect_success();
    sample(here, GREY, "--num 3 --steps 3 --out whole --no-grid").expect_success();
    assert_eq!(pixels(here, "run/000002.png"), pixels(here, "whole/000002.png"));
}

#[test]
fn what_says_nothing_or_something_else_is_refused() {
    let folder = folder();
    let here = folder.path();
    lay_out(here);
    fs::write(here.join("broken.json"), "{ \"plan\": ").expect("writable");
    fs::write(here.join("odd.json"), r#"{ "request": { "solver": "eulr" } }"#).expect("writable");
    let mut encode = ddim(here);
    encode.args(["encode", "0.png", "--device", "cpu", "--steps", "2", "--out", "noise.safetensors", "--model"]);
    encode.arg(golden(GREY));
    finish(encode).expect_success();
    for (file, said) in [
        ("0.png", "--like 0.png: does not say how it was drawn"),
        ("none.png", "--like none.png"),
        ("broken.json", "is not a record of a run"),
        ("odd.json", "there is no solver \"eulr\""),
        ("noise.safetensors", "was written by `ddim encode`"),
    ] {
        let ran = like(here, file);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{file}: {}", ran.stderr);
    }
}
