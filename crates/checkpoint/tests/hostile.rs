//! Folders that are broken or lie: each ends in an error that names the place, and none in a panic.

mod support;

use std::fs;
use std::path::Path;

use ddim_checkpoint::{CheckpointError, embedded, embedded_names, inspect, load};
use proptest::prelude::*;
use safetensors::Dtype;
use support::{
    FILES, Hand, WEIGHTS, ZipEntry, archive, edit_weights, pickle, refusal, replace_by_bin, saved, tensors, zip,
};

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_missing_folder_and_a_file_are_told_apart() {
    let (_folder, model) = saved();
    assert_says(&refusal(&model.join("nowhere")), &["no model folder at", "nowhere"]);
    assert_says(&refusal(&model.join("ddim.json")), &["ddim.json is not a folder"]);
}

#[test]
fn a_missing_file_is_named() {
    for (file, parts) in [
        ("unet/config.json", ["no configuration of the network", "unet/config.json"]),
        ("scheduler/scheduler_config.json", ["no configuration of the scheduler", "Give one"]),
        (WEIGHTS, ["no weights", "diffusion_pytorch_model.safetensors"]),
    ] {
        let (_folder, model) = saved();
        fs::remove_file(model.join(file)).expect("a file");
        assert_says(&refusal(&model), &parts);
    }
    let empty = tempfile::tempdir().expect("a temporary folder");
    assert_says(&refusal(empty.path()), &["scheduler_config.json"]);
}

#[test]
fn weights_in_parts_are_not_taken_for_the_whole() {
    let (_folder, model) = saved();
    let part = model.join("unet/diffusion_pytorch_model-00001-of-00002.safetensors");
    fs::rename(model.join(WEIGHTS), part).expect("a rename");
    assert_says(&refusal(&model), &["no weights", "several parts"]);
}

#[test]
fn a_weight_file_cut_off_anywhere_is_refused() {
    let (_folder, model) = saved();
    let whole = fs::read(model.join(WEIGHTS)).expect("a file");
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().expect("8 bytes")) as usize;
    let inside = (0..whole.len()).step_by(997);
    for length in [0, 1, 7, 8, 9, header - 1, header, header + 1, whole.len() - 1].into_iter().chain(inside) {
        fs::write(model.join(WEIGHTS), &whole[..length]).expect("a file");
        assert_says(&refusal(&model), &["diffusion_pytorch_model.safetensors"]);
    }
    let mut longer = whole;
    longer.push(0);
    fs::write(model.join(WEIGHTS), longer).expect("a file");
    assert_says(&refusal(&model), &["1 bytes at the end belong to no tensor"]);
}

#[test]
fn every_tensor_that_does_not_fit_is_listed() {
    let (_folder, model) = saved();
    edit_weights(&model, |all| {
        all.retain(|tensor| tensor.name != "conv_out.bias");
        let weight = all.iter_mut().find(|tensor| tensor.name == "conv_in.weight").expect("a tensor");
        weight.shape.swap(0, 1);
        let stranger = Hand { name: "extra.weight".into(), dtype: Dtype::F32, shape: vec![1], bytes: vec![0; 4] };
        all.push(stranger);
    });
    let parts = [
        "1 missing: conv_out.bias",
        "1 not used: extra.weight",
        "1 of another shape: conv_in.weight should be [4, 1, 3, 3] and is [1, 4, 3, 3]",
        "safetensors does not fit the configuration",
    ];
    assert_says(&refusal(&model), &parts);
    let Err(CheckpointError::Mismatch { report, .. }) = load(&model) else { panic!("a mismatch") };
    assert_eq!(report.missing, ["conv_out.bias"]);
}

#[test]
fn linear_layers_the_wrong_way_round_do_not_fit() {
    let (_folder, model) = saved();
    edit_weights(&model, |all| {
        let weight = all.iter_mut().find(|tensor| tensor.name == "time_embedding.linear_1.weight");
        weight.expect("a tensor").shape.reverse();
    });
    assert_says(&refusal(&model), &["time_embedding.linear_1.weight should be [16, 4] and is [4, 16]"]);
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let (_folder, model) = saved();
    let original = tensors(&model.join(WEIGHTS));
    edit_weights(&model, |all| all[3].dtype = Dtype::I32);
    assert_says(&refusal(&model), &[&original[3].name, "it holds I32", "F32, F16, BF16 or F64"]);

    for (bad, said) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        support::write_tensors(&model.join(WEIGHTS), &original);
        edit_weights(&model, |all| all[2].bytes[4..8].copy_from_slice(&bad.to_le_bytes()));
        assert_says(&refusal(&model), &[&original[2].name, &format!("value 1 is {said}")]);
    }
}

#[test]
fn a_configuration_cannot_ask_for_more_than_there_is() {
    for (option, value, parts) in [
        ("block_out_channels", "[1000000000000, 8]".to_owned(), ["unet/config.json", "block_out_channels"]),
        ("block_out_channels", "[65536, 65536]".to_owned(), ["does not fit", "should be [65536, 65536, 3, 3]"]),
        ("block_out_channels", format!("[{}8]", "8,".repeat(20_000)), ["unet/config.json", "block_out_channels"]),
        ("block_out_channels", format!("[{}8]", "8,".repeat(500_000)), ["unet/config.json", "at most 65536"]),
        ("layers_per_block", "1000000".to_owned(), ["unet/config.json", "layers_per_block"]),
        ("layers_per_block", "256".to_owned(), ["does not fit", "missing"]),
        ("num_class_embeds", "16777216".to_owned(), ["class_embedding.weight", "[16777216, 16]"]),
        ("num_class_embeds", "18446744073709551615".to_owned(), ["unet/config.json", "num_class_embeds"]),
        ("time_embedding_dim", "1000000000000".to_owned(), ["unet/config.json", "time_embedding_dim"]),
        ("sample_size", "1000000000000".to_owned(), ["unet/config.json", "at most 16384"]),
        ("norm_num_groups", "0".to_owned(), ["unet/config.json", "norm_num_groups"]),
        ("down_block_types", "[\"Nonsense\", \"DownBlock2D\"]".to_owned(), ["unet/config.json", "Nonsense"]),
        ("_class_name", "\"UNet2DConditionModel\"".to_owned(), ["unet/config.json", "UNet2DConditionModel"]),
    ] {
        let (_folder, model) = saved();
        set(&model.join("unet/config.json"), option, &value);
        assert_says(&refusal(&model), &parts);
    }
}

#[test]
fn a_scheduler_that_is_not_understood_is_named() {
    for (option, value, parts) in [
        (
            "_class_name",
            "\"FlowMatchEulerDiscreteScheduler\"",
            ["FlowMatchEulerDiscreteScheduler", "Give the configuration of one of them"],
        ),
        ("_class_name", "null", ["_class_name is null", "scheduler_config.json"]),
        ("beta_schedule", "\"zigzag\"", ["beta_schedule is \"zigzag\"", "linear"]),
        ("num_train_timesteps", "1000000000000", ["num_train_timesteps", "1 to 1000000"]),
        ("num_train_timesteps", "0", ["num_train_timesteps", "1 to 1000000"]),
        ("num_train_timesteps", "-1", ["num_train_timesteps", "scheduler_config.json"]),
        ("clip_sample", "\"yes\"", ["clip_sample", "true or false"]),
    ] {
        let (_folder, model) = saved();
        set(&model.join("scheduler/scheduler_config.json"), option, value);
        assert_says(&refusal(&model), &parts);
        assert!(inspect(&model).expect("an inspection").scheduler.is_err());
    }
}

#[test]
fn pipelines_of_other_kinds_are_refused() {
    let (_folder, model) = saved();
    set(&model.join("model_index.json"), "text_encoder", "[\"transformers\", \"CLIPTextModel\"]");
    assert_says(&refusal(&model), &["model_index.json", "text_encoder"]);
    let (_folder, model) = saved();
    set(&model.join("model_index.json"), "vqvae", "[\"diffusers\", \"VQModel\"]");
    assert_says(&refusal(&model), &["vqvae"]);
}

#[test]
fn text_files_may_be_anything() {
    let deep = "[".repeat(1_000_000);
    let deep_object = "{\"a\":".repeat(1_000_000);
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(9 << 20));
    for file in FILES {
        for text in ["", "null", "[]", "\u{0}", "{\"a\"", "{\"unet\": 1e999}", &deep, &deep_object, &large] {
            let (_folder, model) = saved();
            fs::write(model.join(file), text).expect("a file");
            let name = Path::new(file).file_name().expect("a name").to_string_lossy().into_owned();
            let message = refusal(&model);
            assert_says(&message, &[&name]);
            assert!(message.len() < 2000, "{} bytes for {file}", message.len());
        }
        let (_folder, model) = saved();
        fs::write(model.join(file), b"{\xff}").expect("a file");
        refusal(&model);
    }
}

#[test]
fn files_that_are_folders_do_not_count() {
    for file in ["unet/config.json", "scheduler/scheduler_config.json", WEIGHTS] {
        let (_folder, model) = saved();
        fs::remove_file(model.join(file)).expect("a file");
        fs::create_dir(model.join(file)).expect("a folder");
        refusal(&model);
    }
}

#[test]
fn archives_that_are_none_are_refused() {
    for (bytes, parts) in [
        (vec![], ["diffusion_pytorch_model.bin", "PyTorch 1.6"]),
        (b"\x80\x02}.".to_vec(), ["diffusion_pytorch_model.bin", "PyTorch 1.6"]),
        (b"version https://git-lfs.github.com/spec/v1".to_vec(), ["diffusion_pytorch_model.bin", "git lfs pull"]),
        (b"PK\x03\x04".to_vec(), ["diffusion_pytorch_model.bin", "not a readable PyTorch archive"]),
        (zip(&[]), ["diffusion_pytorch_model.bin", "PyTorch 1.6"]),
        (zip(&[ZipEntry::stored("a", vec![])]), ["diffusion_pytorch_model.bin", "data.pkl"]),
        (archive(&[]), ["diffusion_pytorch_model.bin", "no tensors"]),
    ] {
        let (_folder, model) = saved();
        replace_by_bin(&model, &bytes);
        assert_says(&refusal(&model), &parts);
    }
}

#[test]
fn archives_that_would_grow_are_refused() {
    let name = "archive/data.pkl".to_owned();
    let compressed = ZipEntry { name: name.clone(), method: 8, size: 1 << 30, bytes: vec![0; 100] };
    let lying = ZipEntry { name: name.clone(), method: 0, size: 1 << 20, bytes: vec![b'.'; 100] };
    let large = ZipEntry::stored(&name, vec![b']'; 5 << 20]);
    let behind_a_long_name = ZipEntry {
        name: format!("{}/data.pkl", "long".repeat(10_000)),
        method: 8,
        size: 1 << 30,
        bytes: vec![0; 100],
    };
    for (entry, part) in [
        (compressed, "compressed"),
        (lying, "claims 1048576 bytes"),
        (large, "claims 5242880 bytes"),
        (behind_a_long_name, "compressed"),
    ] {
        let (_folder, model) = saved();
        // Put the directory across the boundary between two windows of the check.
        let padding = ZipEntry::stored("padding", vec![0; 262_000]);
        replace_by_bin(&model, &zip(&[padding, entry]));
        assert_says(&refusal(&model), &[part]);
    }
}

#[test]
fn archives_cannot_call_functions() {
    let (_folder, model) = saved();
    let proof = model.join("called");
    let call = format!("cos\nsystem\n(X{}touch {}tR.", "\x20\0\0\0", proof.display());
    replace_by_bin(&model, &zip(&[ZipEntry::stored("archive/data.pkl", call.into_bytes())]));
    refusal(&model);
    assert!(!proof.exists());
}

#[test]
fn archives_without_the_bytes_of_a_tensor_name_it() {
    let (_folder, model) = saved();
    let mut all = tensors(&model.join(WEIGHTS));
    let mut entries = vec![ZipEntry::stored("archive/data.pkl", pickle(&all))];
    let bytes = |tensor: &Hand| tensor.bytes.clone();
    entries.extend(all.iter().enumerate().map(|(key, tensor)| {
        ZipEntry::stored(&format!("archive/data/{key}"), if key == 5 { vec![] } else { bytes(tensor) })
    }));
    entries.push(ZipEntry::stored("archive/padding", vec![0; 1 << 20]));
    replace_by_bin(&model, &zip(&entries));
    assert_says(&refusal(&model), &[&all.remove(5).name, "diffusion_pytorch_model.bin"]);
}

#[test]
fn tensors_of_an_archive_cannot_be_larger_than_the_archive() {
    let (_folder, model) = saved();
    let large = Hand { name: "a".into(), dtype: Dtype::F32, shape: vec![1 << 20, 64], bytes: vec![] };
    replace_by_bin(&model, &archive(&[large]));
    assert_says(&refusal(&model), &["its tensors claim 268435456 bytes, but the file has"]);
}

#[test]
fn unknown_embedded_models_are_refused_with_the_known_ones() {
    let error = embedded("no-such-model").expect_err("a refusal").to_string();
    assert_says(&error, &["no-such-model"]);
    for name in embedded_names() {
        assert_says(&error, &[name]);
        embedded(name).expect("an embedded model");
    }
}

/// Puts a value, as JSON, into an object.
fn set(file: &Path, option: &str, value: &str) {
    let text = fs::read_to_string(file).expect("a text file");
    let mut options: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("an object");
    options.insert(option.into(), serde_json::from_str(value).expect("a value"));
    fs::write(file, serde_json::to_string(&options).expect("plain JSON")).expect("a file");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage of any kind to any file gives a model or an error; a panic would fail the test.
    #[test]
    fn damage_never_panics(
        file in 0usize..FILES.len(),
        cut in proptest::option::of(0.0..1.0),
        flips in proptest::collection::vec((0.0..1.0, any::<u8>()), 0..4),
        in_header: bool,
    ) {
        let (_folder, model) = saved();
        let path = model.join(FILES[file]);
        let mut bytes = fs::read(&path).expect("a file");
        damage(&mut bytes, cut, &flips, in_header);
        fs::write(&path, bytes).expect("a file");
        let _ = inspect(&model);
        let _ = load(&model);
    }

    #[test]
    fn damage_to_an_archive_never_panics(
        cut in proptest::option::of(0.0..1.0),
        flips in proptest::collection::vec((0.0..1.0, any::<u8>()), 0..4),
        in_header: bool,
    ) {
        let (_folder, model) = saved();
        let mut bytes = archive(&tensors(&model.join(WEIGHTS)));
        damage(&mut bytes, cut, &flips, in_header);
        replace_by_bin(&model, &bytes);
        let _ = inspect(&model);
        let _ = load(&model);
    }
}

/// Changes bytes at some parts of the length, of the whole or of the first 4096 bytes, and cuts the end off.
fn damage(bytes: &mut Vec<u8>, cut: Option<f64>, flips: &[(f64, u8)], in_header: bool) {
    let reach = if in_header { bytes.len().min(4096) } else { bytes.len() };
    for (part, change) in flips {
        bytes[(part * reach as f64) as usize] ^= change;
    }
    if let Some(cut) = cut {
        bytes.truncate((cut * reach as f64) as usize);
    }
}
