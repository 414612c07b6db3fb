//! A first stage with two layers of latents: trained, drawn from, measured, and refused, through the command line.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{self, Ran, Tensors, finish, folder};

fn ddim(folder: &Path, line: &str) -> Ran {
    let mut command = program::ddim(folder);
    command.args(line.split_whitespace());
    finish(command)
}

const RECIPE: &str = r#"{
    "steps": 30, "warmup_steps": 2, "batch_size": 4, "shards": 1, "checkpoint_steps": 30, "learning_rate": 0.01,
    "autoencoder": { "in_channels": 1, "out_channels": 1, "block_out_channels": [4, 8], "norm_num_groups": 2,
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"], "latent_channels": 2, "sample_size": 8,
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"], "mid_block_add_attention": false },
    "upper": { "latent_channels": 3, "patch_size": 4, "block_out_channels": [8], "free_bits": 0.5 } }"#;

/// Twelve pictures of 8x8, and a model of them in `run`.
fn trained() -> tempfile::TempDir {
    let place = folder();
    let head = [0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0, 0, 8];
    let pixels = (0..12 * 64).map(|k| (k * 37 % 256) as u8);
    let set: Vec<u8> = head.into_iter().chain(pixels).collect();
    fs::write(place.path().join("set-images-idx3-ubyte"), set).expect("writable");
    fs::write(place.path().join("recipe.json"), RECIPE).expect("writable");
    ddim(place.path(), "train --autoencoder --data set-images-idx3-ubyte --recipe recipe.json --out run")
        .expect_success();
    place
}

#[test]
fn two_layers_are_drawn_measured_and_diagnosed() {
    let place = trained();
    let here = place.path();
    let json = |line: &str| -> Value {
        serde_json::from_str(&ddim(here, &format!("{line} --json --device cpu")).expect_success().stdout)
            .expect("JSON")
    };
    for (batch, out) in [(3, "a"), (1, "b")] {
        let line = format!("sample --device cpu --model run --num 3 --batch-size {batch} --out {out}.safetensors");
        ddim(here, &line).expect_success();
    }
    let drawn = ["a", "b"].map(|name| Tensors::read(&here.join(name).with_extension("safetensors")));
    assert_eq!(drawn[0].values("final"), drawn[1].values("final"));
    assert_eq!(drawn[0].get("final_latent").expect("written").1, [3, 2, 4, 4]);

    let found = &json("eval --elbo set-images-idx3-ubyte --model run --importance 1,20")["elbo"];
    let nats = |key: &str| found[key]["nats"].as_f64().expect("a number");
    let sum = nats("reconstruction") - nats("kl") - nats("kl_upper");
    assert!((nats("elbo") - sum).abs() < 1e-9 && nats("kl_upper") > 0.0, "{found}");
    let weights = |k: usize| found["importance"][k]["nats"].as_f64().expect("a number");
    assert!(weights(1) > weights(0), "{found}");
    let text = ddim(here, "eval --elbo set-images-idx3-ubyte --model run --device cpu").expect_success().stdout;
    for name in ["ELBO ", "E log p(x | z1) ", "part of z1 ", "KL of z2 "] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }

    let whole = json("autoencode set-images-idx3-ubyte --model run --diagnose");
    let upper = &whole["diagnosis"]["layers"]["z2"];
    assert!(upper["numbers"] == 3 && upper["part"].as_f64() > Some(0.0), "{whole}");
    // Weights of 0: q(z2 | z1) = p(z2) whatever z1 is.
    let weights = here.join("run/model/upper/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).expect("written");
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    bytes[header..].fill(0);
    fs::write(&weights, bytes).expect("writable");
    let said = ddim(here, "autoencode set-images-idx3-ubyte --model run --diagnose --device cpu").expect_success();
    let verdict = said.stdout.lines().find(|line| line.starts_with("verdict")).expect("a verdict");
    assert!(verdict.contains("z2 carries 0.00 nats") && verdict.contains("upper.free_bits"), "{verdict}");
    // A layer that is lost is missed.
    let upper = here.join("run/model/upper");
    let missed = |said: &str| {
        let ran = ddim(here, "sample --device cpu --model run");
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    };
    fs::remove_file(upper.join("config.json")).expect("there");
    missed("upper/config.json");
    fs::remove_dir_all(upper).expect("there");
    missed("upper layer that its ddim.json counts");
    // Without one to miss it is a plain first stage, whose pictures come back as before.
    let card = here.join("run/model/ddim.json");
    let text = fs::read_to_string(&card).expect("written");
    assert!(text.contains("\"layers\": 2,"), "{text}");
    fs::write(&card, text.replace("\"layers\": 2,", "")).expect("writable");
    let plain = json("autoencode set-images-idx3-ubyte --model run --diagnose");
    assert_eq!(plain["squared_error"], whole["squared_error"]);
    assert_eq!(plain["diagnosis"]["layers"], Value::Null);
}

#[test]
fn what_two_layers_cannot_do_is_refused_by_name() {
    let place = trained();
    let here = place.path();
    let noise = ddim(here, "sample --device cpu --model run --noise n.safetensors");
    assert!(noise.code == 2 && noise.stderr.contains("--noise n.safetensors: with two layers"), "{noise:?}");
    let refined = ddim(here, "eval --elbo set-images-idx3-ubyte --model run --refine 2 --device cpu");
    assert!(refined.code == 2 && refined.stderr.contains("--refine 2: it is one layer"), "{refined:?}");
    let config = here.join("run/model/upper/config.json");
    let text = fs::read_to_string(&config).expect("written");
    for (from, to, said) in [
        ("\"in_channels\": 2", "\"in_channels\": 3", "`variance` of the UpperLayer configuration"),
        ("\"patch_size\": 4", "\"patch_size\": 0", "`patch_size` of the UpperLayer configuration"),
        ("\"patch_size\": 4", "\"patch_size\": 2", "encoder.layers.0.weight"),
        ("\"ladder\"", "\"ladders\"", "ladders"),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&config, text.replace(from, to)).expect("writable");
        let ran = ddim(here, "sample --device cpu --model run");
        assert!(ran.code == 1 && ran.stderr.contains(said) && ran.stderr.contains("upper"), "{to}: {ran:?}");
    }
}
