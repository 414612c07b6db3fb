//! Models that draw latents: whole pictures through the command line, number by number against LDMPipeline and
//! DiTPipeline of diffusers 0.42.1, and every command that draws or takes pictures.

use std::path::Path;

use serde_json::Value;

use crate::program::{self, Ran, Tensors, autoencoders, copy, finish, folder};

/// The runs of each pipeline, and what they are asked with.
const RUNS: [(&str, &str, &str); 8] = [
    ("ldm", "ddim_eta0_10steps", "--steps 10 --eta 0"),
    ("ldm", "ddim_eta0_20steps", "--steps 20 --eta 0"),
    ("ldm", "ddim_eta1_10steps", "--steps 10 --eta 1"),
    ("dit", "ddim_10steps_guidance_1", "--steps 10 --eta 0"),
    ("dit", "ddim_10steps_guidance_4", "--steps 10 --eta 0 --guidance 4"),
    ("dit", "ddim_10steps_guidance_4_on_three_channels", "--steps 10 --eta 0 --guidance 4 --guided-channels 3"),
    ("dit", "ddim_10steps_guidance_2_eta1", "--steps 10 --eta 1 --guidance 2"),
    ("dit", "dpmsolverpp_order2_10steps_guidance_1.5", "--steps 10 --solver dpm++:order=2 --guidance 1.5"),
];

/// Runs this line.
fn ddim(folder: &Path, line: &str) -> Ran {
    let mut command = program::ddim(folder);
    command.args(line.split_whitespace());
    finish(command)
}

fn golden(pipeline: &str, run: &str) -> std::path::PathBuf {
    autoencoders().with_file_name("outputs").join(pipeline).join(format!("{run}.safetensors"))
}

/// The rule of the goldens' README for f32 code: of latents, then of pictures.
fn tolerances(pipeline: &str, run: &str) -> [f64; 2] {
    let index = golden(pipeline, "index").with_extension("json");
    // Python writes what JSON does not know.
    let index = std::fs::read_to_string(index).expect("an index").replace("-Infinity", "null");
    let index: Value = serde_json::from_str(&index).expect("JSON");
    let files = index["files"].as_array().expect("goldens");
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
    for (pipeline, run, words) in RUNS {
        let (model, noise) = (autoencoders().join(pipeline), golden(pipeline, run));
        let golden = Tensors::read(&noise);
        let labels = golden.get("class_labels").map(|(labels, _)| labels).unwrap_or_default();
        let labels = labels.iter().map(|label| format!("--class #{label} ")).collect::<String>();
        let line = format!(
            "sample --device cpu --model {} --noise {} {words} {labels} --trajectory --out o.safetensors --force",
            model.display(),
            noise.display()
        );
        ddim(place.path(), &line).expect_success();
        let ours = Tensors::read(&place.path().join("o.safetensors"));
        let [of_latents, of_pictures] = tolerances(pipeline, run);
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
    ["ldm", "dit"].into_iter().for_each(assert_same_in_any_batch);
}

fn assert_same_in_any_batch(pipeline: &str) {
    let place = folder();
    copy(&autoencoders().join(pipeline), &place.path().join("m"));
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
    assert_every_command("ldm", "first stage VQModel");
    assert_every_command("dit", "first stage AutoencoderKL");
}

fn assert_every_command(pipeline: &str, stage: &str) {
    let place = folder();
    copy(&autoencoders().join(pipeline), &place.path().join("m"));
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
    assert!(inspected.stdout.contains(stage), "{}", inspected.stdout);
    for (line, said) in [
        ("sample --init p/000000.png --mask mask.png --steps 9", "a mask of pixels has no meaning there"),
        ("train --init m --data p --steps 1 --out run", "its network draws latents"),
        ("eval --likelihood p --num 2 --steps 3", "bits of latents are not bits of pictures"),
        ("eval --bound p --num 2 --steps 3", "bits of latents are not bits of pictures"),
    ] {
        let refused = if line.starts_with("train") { ddim(place.path(), line) } else { run(line) };
        assert_eq!(refused.code, 1, "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{line}: {}", refused.stderr);
    }
}

/// Classes have the names of `id2label`, each entry of a list by itself, and are asked for like any others.
#[test]
fn classes_of_a_pipeline_have_their_names() {
    let place = folder();
    copy(&autoencoders().join("dit"), &place.path().join("m"));
    let draw = |class: &str| {
        let mut command = program::ddim(place.path());
        command.args("sample --device cpu --model m --steps 2 --num 1 --out o.npz --force".split(' '));
        finish({
            command.args(["--class", class]);
            command
        })
    };
    let drawn = |class: &str| {
        draw(class).expect_success();
        std::fs::read(place.path().join("o.npz")).expect("drawn")
    };
    assert!(drawn("goldfish") == drawn("#1") && drawn("Tinca tinca") == drawn("#0"));
    assert!(drawn("#0") != drawn("any") && drawn("golden retriever") == drawn("207"));
    let refused = draw("hound");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("the model has no such class"), "{}", refused.stderr);
    let inspected = ddim(place.path(), "inspect m").expect_success();
    let classes = "1000, of which 4 have names: \"tench, Tinca tinca\"";
    assert!(inspected.stdout.contains(classes), "{}", inspected.stdout);
}

/// Channels that are guided are the first of those that there are, and a run's record knows of them.
#[test]
fn guided_channels_are_recorded_and_counted() {
    let place = folder();
    copy(&autoencoders().join("dit"), &place.path().join("m"));
    let draw = |words: &str| ddim(place.path(), &format!("sample --device cpu --steps 2 --num 1 {words} --force"));
    draw("--model m --guidance 3 --guided-channels 3 --out some").expect_success();
    draw("--model m --guidance 3 --guided-channels 4 --out all").expect_success();
    draw("--model m --guidance 3 --out usual").expect_success();
    draw("--like some --out again").expect_success();
    let read = |folder: &str| std::fs::read(place.path().join(folder).join("000000.png")).expect("drawn");
    let pixels = |folder: &str| image::load_from_memory(&read(folder)).expect("a picture").into_bytes();
    assert!(
        pixels("all") == pixels("usual") && pixels("some") != pixels("usual") && pixels("again") == pixels("some")
    );
    let record = std::fs::read_to_string(place.path().join("some/run.json")).expect("a record");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!((&record["guided_channels"], &record["request"]["guided_channels"]), (&3.into(), &3.into()));
    let refused = draw("--model m --guidance 3 --guided-channels 5 --out none");
    assert!(refused.code != 0 && refused.stderr.contains("use 1 to 4"), "{}", refused.stderr);
}

/// Another autoencoder makes pictures of the same latents: that of another pipeline, one of another factor, and one for a
/// network that lies alone; the record says which, and `--like` takes it.
#[test]
fn another_first_stage_takes_the_place_of_the_models_own() {
    let place = folder();
    let here = place.path();
    let (dit, kl) = (autoencoders().join("dit"), autoencoders().join("kl_attention_quant"));
    copy(&dit, &here.join("dit"));
    let sample = |line: &str| ddim(here, &format!("sample --device cpu --num 2 --class 1 --steps 2 {line}"));
    let numbers = |file: &str, what: &str| {
        let (values, shape) = Tensors::read(&here.join(file)).get(what).expect("there");
        (values, shape)
    };
    let other = format!("--first-stage {}", kl.display());
    sample("--model dit --out own.safetensors").expect_success();
    sample(&format!("--model dit {other} --out other.safetensors")).expect_success();
    assert_eq!(numbers("own.safetensors", "final_latent"), numbers("other.safetensors", "final_latent"));
    assert_eq!(numbers("own.safetensors", "final").1, [2, 3, 16, 16]);
    assert_eq!(numbers("other.safetensors", "final").1, [2, 3, 32, 32]);

    let like = ddim(here, "sample --like other.safetensors --device cpu --out like.safetensors");
    like.expect_success();
    assert_eq!(numbers("like.safetensors", "final"), numbers("other.safetensors", "final"));

    // The pipeline's own may be missing.
    std::fs::remove_dir_all(here.join("dit/vae")).expect("a copy");
    let missing = sample("--model dit --out missing.safetensors");
    assert!(missing.code == 1 && missing.stderr.contains("vae"), "{}", missing.stderr);
    sample(&format!("--model dit --first-stage {} --out again.safetensors", dit.display())).expect_success();
    assert_eq!(numbers("again.safetensors", "final"), numbers("own.safetensors", "final"));
}

#[test]
fn a_first_stage_that_does_not_fit_is_named() {
    let place = folder();
    let refused = |model: &str, stage: &str, code: i32| {
        let stage = autoencoders().join(stage);
        let words = format!("sample --device cpu --steps 1 {model} --out o.npz --first-stage {}", stage.display());
        let ran = ddim(place.path(), &words);
        assert!(ran.code == code && ran.stderr.contains("--first-stage"), "{}: {}", ran.code, ran.stderr);
        ran.stderr
    };
    let dit = format!("--model {}", autoencoders().join("dit").display());
    let channels = refused(&dit, "kl_plain_shift", 1);
    assert!(channels.contains("have 16 channels, and the transformer beside it takes 4"), "{channels}");
    assert!(refused(&dit, "nowhere", 1).contains("nowhere"));
    assert!(refused("", "kl_attention_quant", 2).contains("draws pictures and no latents"));
}
