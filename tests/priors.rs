//! `ddim sample` with a first stage alone: pictures drawn from its prior.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{self, Ran, Tensors, autoencoders, copy, finish, folder};

fn ddim(folder: &Path, line: &str) -> Ran {
    let mut command = program::ddim(folder);
    command.args(line.split_whitespace());
    finish(command)
}

/// The first stages of the goldens in a folder: one whose scale is a shift of 0.0609 and a factor of 1.5305, and
/// one that says what it was trained with.
fn lay_out() -> tempfile::TempDir {
    let place = folder();
    for (name, model) in
        [("kl", "kl_plain_shift"), ("trained", "kl_plain_shift"), ("vq", "vq_codes"), ("tiny", "tiny")]
    {
        copy(&autoencoders().join(model), &place.path().join(name));
    }
    let card = r#"{ "prior_mean": 0.25, "prior_variance": 4.0, "decoder_variance": [0.1] }"#;
    fs::write(place.path().join("trained/ddim.json"), card).expect("writable");
    place
}

/// Latents are the noise of any other model, moved by mean and deviation of the prior, and pictures what they are
/// decoded to. One product and one sum in f32 of numbers below 10 each.
#[test]
fn latents_are_the_priors_and_pictures_their_decoding() {
    let place = lay_out();
    for (model, mean, deviation) in [("kl", 0.0609, 1.0 / 1.5305), ("trained", 0.25, 2.0)] {
        let here = place.path();
        ddim(here, &format!("sample --device cpu --model {model} --num 3 --seed 5 --out o.safetensors --force"))
            .expect_success();
        let drawn = Tensors::read(&here.join("o.safetensors"));
        let (latents, shape) = drawn.get("final_latent").expect("written");
        assert_eq!(shape, [3, 16, 8, 8]);
        let mut noise = vec![0.0; 1024];
        for (k, latents) in latents.chunks(1024).enumerate() {
            ddim_sampler::fill_normals(5, k as u64, 0, &mut noise);
            for (z, n) in latents.iter().zip(&noise) {
                let expected = mean + deviation * f64::from(*n);
                assert!((z - expected).abs() < 2e-6, "{model}: {z}, {expected}");
            }
        }
        let tensors: Vec<f32> = latents.iter().map(|z| *z as f32).collect();
        let bytes: Vec<u8> = tensors.iter().flat_map(|z| z.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes).expect("fits");
        safetensors::serialize_to_file([("z", view)], None, &here.join("z.safetensors")).expect("writable");
        ddim(here, &format!("autoencode z.safetensors --device cpu --model {model} --out d.safetensors --force"))
            .expect_success();
        let decoded = Tensors::read(&here.join("d.safetensors")).values("image");
        assert_eq!(decoded, drawn.values("final"), "{model}");
    }
}

/// In any batch, after a kill, alone, by its seed, and from its record.
#[test]
fn a_picture_is_the_same_however_it_is_drawn() {
    let place = lay_out();
    let here = place.path();
    let draw = |words: &str| ddim(here, &format!("sample --device cpu {words}")).expect_success();
    draw("--model kl --num 5 --seed 3 --out all.safetensors");
    draw("--model kl --num 5 --seed 3 --batch-size 2 --out some.safetensors");
    draw("--model kl --num 5 --seed 3 --out pictures");
    let values = |name: &str| Tensors::read(&here.join(name)).values("final");
    assert_eq!(values("all.safetensors"), values("some.safetensors"));
    let bytes = |name: &str| fs::read(here.join(name)).expect("written");
    let third = bytes("pictures/000003.png");
    fs::remove_file(here.join("pictures/000003.png")).expect("drawn");
    draw("--model kl --num 5 --seed 3 --out pictures --resume");
    assert_eq!(bytes("pictures/000003.png"), third);
    draw("--like pictures/000003.png --out alone.safetensors");
    assert_eq!(values("alone.safetensors"), values("all.safetensors")[3 * 256..4 * 256]);
    draw("--like pictures --out again.safetensors");
    assert_eq!(values("again.safetensors"), values("all.safetensors"));
    draw("--model kl --seeds 3 --out seed.safetensors");
    assert_eq!(values("seed.safetensors"), values("all.safetensors")[..256]);
    let run: Value = serde_json::from_slice(&bytes("pictures/run.json")).expect("JSON");
    assert_eq!(run["command"], "ddim sample --model kl --num 5 --seed 3 --batch-size 16");
    assert!((run["prior"]["deviation"][0].as_f64().expect("a number") - 1.0 / 1.5305).abs() < 1e-12);
    let other = ddim(here, "sample --device cpu --model kl --num 5 --seed 4 --out pictures --resume");
    assert!(other.code == 1 && other.stderr.contains("seed was 3 and is now 4"), "{other:?}");
}

/// Each option that means a diffusion is named, with what to do.
#[test]
fn what_a_prior_knows_nothing_of_is_refused_by_name() {
    let place = lay_out();
    for (words, option) in [
        ("--steps 20", "--steps"),
        ("--eta 1", "--eta"),
        ("--solver euler", "--solver"),
        ("--spacing quad", "--spacing"),
        ("--convention exact", "--convention"),
        ("--no-clip", "--no-clip"),
        ("--guidance 2", "--guidance"),
        ("--class 1", "--class"),
        ("--corrector-steps 1", "--corrector-steps"),
        ("--init a.png", "--init"),
        ("--weights ema", "--weights"),
        ("--scheduler-config s.json", "--scheduler-config"),
        ("--animate a.gif", "--animate"),
        ("--out o.safetensors --trajectory", "--trajectory"),
        ("--precision f16", "--precision f16"),
        ("--resume --out o.png", "--resume"),
        ("--scale 2 --out o.npz", "--scale 2"),
    ] {
        let ran = ddim(place.path(), &format!("sample --device cpu --model kl {words}"));
        assert_eq!(ran.code, 2, "{words}: {ran:?}");
        let said = ran.stderr.lines().last().expect("a line");
        assert!(said.starts_with(&format!("error: {option}")), "{words}: {said}");
    }
    for (model, family) in [("vq", "VQModel"), ("tiny", "AutoencoderTiny")] {
        let ran = ddim(place.path(), &format!("sample --device cpu --model {model}"));
        let expected = format!("latents of {family} have no prior to draw from: take an AutoencoderKL");
        assert!(ran.code == 1 && ran.stderr.contains(&expected), "{ran:?}");
    }
    assert!(fs::read_dir(place.path()).expect("listed").count() == 4, "nothing is left behind");
}
