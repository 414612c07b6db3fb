//! Models that draw latents: whole pictures through the command line, number by number against LDMPipeline of diffusers
//! 0.42.1, and every command that draws or takes pictures.

use std::path::Path;

use serde_json::Value;

use crate::program::{self, Ran, Tensors, autoencoders, copy, finish, folder};

/// The runs of one pipeline.
const RUNS: [&str; 3] = ["ddim_eta0_10steps", "ddim_eta0_20steps", "ddim_eta1_10steps"];

/// Runs this line.
fn ddim(folder: &Path, line: &str) -> Ran {
    let mut command = program::ddim(folder);
    command.args(line.split_whitespace());
    finish(command)
}

fn golden(run: &str) -> std::path::PathBuf {
    autoencoders().with_file_name("outputs").join("ldm").join(format!("{run}.safetensors"))
}

/// The rule of the goldens' README for f32 code: of latents, then of pictures.
fn tolerances(run: &str) -> [f64; 2] {
    let index = golden("index").with_extension("json");
    let index: Value = serde_json::from_str(&std::fs::read_to_string(index).expect("an index")).expect("JSON");
    let files = index["files"].as_array().or(index["pipeline"].as_array()).expect("goldens");
    let entry = files.iter().find(|entry| entry["name"] == run).expect("an entry");
    ["latent", "image"].map(|what| {
        let number = |key: &str| entry[key][what].as_f64().expect("a number");
        1e-5 * number("largest_abs_value").max(1.0) + 4.0 * number("max_abs_difference_from_float64")
    })
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn latents_and_their_pictures_are_those_of_the_pipeline() {
    let place = folder();
    for run in RUNS {
        let steps = if run.contains("20") { 20 } else { 10 };
        let eta = if run.contains("eta1") { 1 } else { 0 };
        let (model, noise) = (autoencoders().join("ldm"), golden(run));
        let line = format!(
            "sample --device cpu --model {} --noise {} --steps {steps} --eta {eta} --trajectory --out o.safetensors --force",
            model.display(),
            noise.display()
        );
        ddim(place.path(), &line).expect_success();
        let (ours, golden) = (Tensors::read(&place.path().join("o.safetensors")), Tensors::read(&golden(run)));
        let [of_latents, of_pictures] = tolerances(run);
        for (name, theirs, tolerance) in [
            ("final_latent", "final_latent", of_latents),
            ("final", "image", of_pictures),
            ("x", "latents", of_latents),
        ] {
            let Some((expected, shape)) = golden.get(theirs) else { continue };
            let (found, found_shape) = ours.get(name).expect("written");
            assert_eq!(found_shape, shape, "{run} {name}");
            let largest = largest_difference(&found, &expected);
            println!("{run} {name}: largest difference {largest:.2e}, tolerance {tolerance:.2e}");
            assert!(largest <= tolerance, "{run} {name}: {largest:e} > {tolerance:e}");
        }
    }
}

/// The same noise, whatever else is in the batch, and after a kill.
#[test]
fn pictures_of_latents_are_the_same_in_any_batch() {
    let place = folder();
    copy(&autoencoders().join("ldm"), &place.path().join("m"));
    let draw = |words: &str| {
        ddim(place.path(), &format!("sample --device cpu --model m --steps 3 {words}")).expect_success()
    };
    draw("--num 5 --batch-size 5 --out all.npz");
    draw("--num 5 --batch-size 2 --out some.npz");
    draw("--num 5 --out folder");
    std::fs::remove_file(place.path().join("folder/000003.png")).expect("drawn");
    let before = std::fs::read(place.path().join("folder/000004.png")).expect("drawn");
    draw("--num 5 --out folder --resume");
    let read = |name: &str| std::fs::read(place.path().join(name)).expect("written");
    assert!(read("all.npz") == read("some.npz") && read("folder/000004.png") == before);
    let size = image::image_dimensions(place.path().join("folder/000003.png")).expect("a picture");
    assert_eq!(size, (16, 16), "twice the sides of the latents");
}

/// Every way to noise and back, and what makes no sense of latents.
#[test]
fn every_command_takes_a_model_of_latents_or_says_why_not() {
    let place = folder();
    copy(&autoencoders().join("ldm"), &place.path().join("m"));
    let run = |line: &str| ddim(place.path(), &format!("{line} --device cpu --model m"));
    run("sample --num 3 --steps 3 --out p --no-grid").expect_success();
    run("sample --num 3 --steps 3 --out a.npz --animate a.gif").expect_success();
    run("sample --num 3 --steps 3 --out b.npz --animate b.gif --animate-what x0").expect_success();
    run("sample --num 2 --steps 9 --init p/000000.png --strength 0.5 --out i.npz").expect_success();
    run("sample --num 2 --solver adaptive --out c.npz").expect_success();
    run("encode p --steps 4 --out n.safetensors").expect_success();
    run("decode n.safetensors --out d.npz").expect_success();
    run("reconstruct p --steps 4 --out pairs").expect_success();
    run("interpolate --seeds 1,2 --count 3 --steps 3 --out e.npz").expect_success();
    run("interpolate --from p/000000.png --to p/000001.png --count 3 --steps 3 --out f.npz").expect_success();
    run("bench --num 2 --steps 1,2 --eta 0 --clock fake --out table").expect_success();
    run("tune --steps 2 --pictures 1 --held-out 1 --rounds 0 --solver ddim --out t.json").expect_success();
    ddim(place.path(), "eval a.npz model: --num 3 --steps 2 --metrics sliced --device cpu --model m")
        .expect_success();
    image::GrayImage::new(16, 16).save(place.path().join("mask.png")).expect("writable");
    let inspected = ddim(place.path(), "inspect m").expect_success();
    assert!(inspected.stdout.contains("first stage VQModel"), "{}", inspected.stdout);
    for (line, said) in [
        ("sample --init p/000000.png --mask mask.png --steps 9", "a mask of pixels has no meaning there"),
        ("train --init m --data p --steps 1 --out run", "its network draws latents"),
        ("eval --likelihood p --num 2 --steps 3", "bits of latents are no bits of pictures"),
        ("eval --bound p --num 2 --steps 3", "bits of latents are no bits of pictures"),
    ] {
        let refused = if line.starts_with("train") { ddim(place.path(), line) } else { run(line) };
        assert_eq!(refused.code, 1, "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{line}: {}", refused.stderr);
    }
}
