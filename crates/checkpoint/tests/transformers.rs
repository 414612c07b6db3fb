//! Pipelines with a transformer: read, written, and refused.

use std::fs;
use std::path::{Path, PathBuf};

use ddim_checkpoint::{Checkpoint, DenoiserConfig, SchedulerConfig, inspect, load, load_with_scheduler, save};
use ddim_transformer::{DiTConfig, Embedders, TimeFrequencies};
use safetensors::SafeTensors;
use serde_json::Value;

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent/models");
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn golden(name: &str) -> PathBuf {
    Path::new(MODELS).join(name)
}

fn config(model: &Checkpoint) -> &DiTConfig {
    match model.denoiser.config() {
        DenoiserConfig::DiT(config) => config,
        other => panic!("{other:?}"),
    }
}

fn object(path: &Path) -> serde_json::Map<String, Value> {
    serde_json::from_str(&fs::read_to_string(path).expect("text")).expect("an object")
}

/// Whether two files hold the same tensors, bit for bit.
fn assert_same_tensors(a: &Path, b: &Path) {
    let [a, b] = [a, b].map(|path| fs::read(path).expect("weights"));
    let [a, b] = [&a, &b].map(|bytes| SafeTensors::deserialize(bytes).expect("tensors"));
    let sorted = |file: &SafeTensors| {
        let mut names: Vec<String> = file.names().into_iter().map(|name| name.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(sorted(&a), sorted(&b));
    for name in sorted(&a) {
        let [a, b] = [&a, &b].map(|file| file.tensor(&name).expect("it is there"));
        assert!((a.shape(), a.dtype(), a.data()) == (b.shape(), b.dtype(), b.data()), "{name}");
    }
}

#[test]
fn a_pipeline_is_written_as_it_was_read() {
    let (place, original) = (tempfile::tempdir().expect("a folder"), golden("dit"));
    let model = load(&original).expect("a pipeline");
    assert_eq!((model.warnings.len(), config(&model).embedders), (0, Embedders::Shared));
    assert_eq!((model.card.null_class, model.card.classes.len()), (Some(1000), 418));
    let saved = place.path().join("saved");
    save(&model, &saved).expect("room");
    for part in ["transformer", "vae"] {
        assert_same_tensors(&saved.join(part).join(WEIGHTS), &original.join(part).join(WEIGHTS));
    }
    let [ours, theirs] = [&saved, &original].map(|folder| object(&folder.join("model_index.json")));
    for key in ["_class_name", "id2label", "scheduler", "vae"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(ours["transformer"], serde_json::json!(["diffusers", "DiTTransformer2DModel"]));
    let [ours, theirs] = [&saved, &original].map(|folder| object(&folder.join("transformer/config.json")));
    for (key, value) in ours.iter().filter(|(key, _)| !key.starts_with('_')) {
        assert_eq!(theirs.get(key), Some(value), "{key}");
    }
    let again = load(&saved).expect("what was saved");
    assert!(again.denoiser == model.denoiser && again.first_stage == model.first_stage);
    assert_eq!(again.card, model.card);
    // A second save takes the place of the first.
    save(&again, &saved).expect("room");
}

#[test]
fn embedders_of_their_own_stay_each_blocks_own() {
    let place = tempfile::tempdir().expect("a folder");
    let read = || load_with_scheduler(&golden("dit_few_classes"), SchedulerConfig::default());
    let mut model = read().expect("a network");
    assert_eq!(config(&model).embedders, Embedders::Each);
    assert_eq!(model.card.null_class, Some(5));
    model.card.time_embedding = Some(TimeFrequencies::Facebook);
    let saved = place.path().join("saved");
    save(&model, &saved).expect("room");
    assert_same_tensors(&saved.join("transformer").join(WEIGHTS), &golden("dit_few_classes").join(WEIGHTS));
    assert_eq!(config(&load(&saved).expect("what was saved")).time_frequencies, TimeFrequencies::Facebook);
}

#[test]
fn a_pipeline_is_inspected_by_its_parts() {
    for path in ["dit", "dit/transformer", "dit/transformer/diffusion_pytorch_model.safetensors"] {
        let seen = inspect(&golden(path)).expect("a pipeline");
        assert!(seen.report.is_clean() && seen.first_stage.is_some(), "{path}: {:?}", seen.report);
        assert_eq!(seen.denoiser.class(), "DiTTransformer2DModel");
        let blocks: Vec<&str> = seen.blocks.iter().map(|block| block.name.as_str()).collect();
        let expected = ["pos_embed", "transformer_blocks.0", "transformer_blocks.1", "proj_out_1", "proj_out_2"];
        assert_eq!(blocks, expected, "{path}");
    }
}

/// A copy of the pipeline in which one text is changed.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for part in ["", "transformer", "vae", "scheduler"] {
        fs::create_dir_all(place.path().join(part)).expect("room");
        for entry in fs::read_dir(golden("dit").join(part)).expect("a part") {
            let path = entry.expect("a file").path();
            if path.is_file() {
                fs::copy(&path, place.path().join(part).join(path.file_name().expect("a name"))).expect("room");
            }
        }
    }
    let path = place.path().join(file);
    let text = fs::read_to_string(&path).expect("text");
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).expect("room");
    place
}

#[test]
fn what_does_not_fit_is_named() {
    let network = "transformer/config.json";
    for (file, from, to, said) in [
        (network, "Transformer2DModel", "SD3Transformer2DModel", "of the class \"SD3Transformer2DModel\""),
        (network, "ada_norm_zero", "layer_norm", "`norm_type`"),
        (network, "gelu-approximate", "geglu", "`activation_fn`"),
        (network, "\"num_embeds_ada_norm\": 1000", "\"num_embeds_ada_norm\": 16000000", "embedding_table.weight"),
        (network, "\"num_layers\": 2", "\"num_layers\": 3", "transformer_blocks.2"),
        (network, "\"sample_size\": 8", "\"sample_size\": 9", "`sample_size`"),
        (network, "\"sample_size\": 8", "\"sample_size\": 65536", "a side has at most 16384 pixels"),
        (network, "\"cross_attention_dim\": null", "\"cross_attention_dim\": 8", "`cross_attention_dim`"),
        (network, "\"out_channels\": 8", "\"out_channels\": 12", "the transformer beside it takes 4 and gives 12"),
        (network, "\"in_channels\": 4", "\"in_channels\": 3", "the transformer beside it takes 3 and gives 8"),
        ("model_index.json", "\"vae\"", "\"text_encoder\"", "the pipeline has a part text_encoder"),
    ] {
        let place = changed(file, from, to);
        let error = load(place.path()).expect_err(to).to_string();
        assert!(error.contains(said), "{to}: {error}");
    }
    let place = changed("model_index.json", "\"207\"", "\"20700000000\"");
    assert_eq!(load(place.path()).expect("other classes").card.classes.len(), 418);
}
