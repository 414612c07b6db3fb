//! Model folders in all the forms they come in.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use ddim_checkpoint::{Card, CheckpointError, SchedulerConfig, inspect, load, load_with_scheduler, save};
use ddim_schedule::Convention;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use support::{FILES, Hand, WEIGHTS, archive, contents, edit_weights, replace_by_bin, saved, small, tensors};

#[test]
fn a_saved_model_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let mut model = small();
    model.card.null_class = Some(1);
    model.card.convention = Some(Convention::Exact);
    model.card.extra.insert("licence".into(), "MIT".into());
    model.scheduler.clip_sample = false;

    save(&model, &first).expect("a save");
    let again = load(&first).expect("a load");
    save(&again, &second).expect("a save");

    assert_eq!(again.card, model.card);
    assert_eq!(again.scheduler, model.scheduler);
    assert_eq!(again.denoiser.config(), model.denoiser.config());
    assert_eq!(contents(&again), contents(&model));
    for file in FILES {
        let bytes = |model: &Path| fs::read(model.join(file)).expect(file);
        assert_eq!(bytes(&first), bytes(&second), "{file}");
    }
}

#[test]
fn a_save_leaves_nothing_else_behind_and_can_be_repeated() {
    let (folder, model) = saved();
    save(&small(), &model).expect("a second save");
    let names: Vec<_> =
        fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(names, ["model"]);
}

#[test]
fn a_save_replaces_nothing_but_a_saved_model() {
    let (_folder, model) = saved();
    fs::write(model.join("unet/notes.txt"), "mine").expect("a file");
    let error = save(&small(), &model).expect_err("a refusal");
    assert!(matches!(&error, CheckpointError::Occupied { found, .. } if found.ends_with("notes.txt")), "{error}");
    assert!(load(&model).is_ok());

    let file = model.join("ddim.json");
    assert!(matches!(save(&small(), &file), Err(CheckpointError::NotAFolder { .. })));
}

#[test]
fn a_save_that_fails_leaves_no_trace() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let error = save(&small(), &file.join("model")).expect_err("no folder can be made inside a file");
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_replacement_that_was_killed_half_way_loses_nothing() {
    let (folder, model) = saved();
    let before = contents(&load(&model).expect("a load"));
    fs::rename(&model, folder.path().join(".model.previous")).expect("a rename");
    assert_eq!(contents(&load(&model).expect("the earlier model")), before);

    save(&small(), &model).expect("a save");
    assert!(!folder.path().join(".model.previous").exists());
    assert!(load(&model).is_ok());
}

#[test]
fn everything_may_lie_at_the_root() {
    let (_folder, model) = saved();
    let before = contents(&load(&model).expect("a load"));
    for file in ["unet/config.json", "scheduler/scheduler_config.json", WEIGHTS] {
        let path = model.join(file);
        fs::rename(&path, model.join(path.file_name().expect("a name"))).expect("a rename");
    }
    fs::remove_dir(model.join("unet")).expect("an empty folder");
    fs::remove_dir(model.join("scheduler")).expect("an empty folder");
    fs::remove_file(model.join("ddim.json")).expect("a card");
    fs::remove_file(model.join("model_index.json")).expect("an index");
    let flat = load(&model).expect("a load");
    assert_eq!(contents(&flat), before);
    assert_eq!(flat.card, Card::default());
}

#[test]
fn weights_may_have_another_name_if_they_are_alone() {
    let (_folder, model) = saved();
    fs::rename(model.join(WEIGHTS), model.join("unet/ema.safetensors")).expect("a rename");
    assert!(load(&model).is_ok());
    fs::copy(model.join("unet/ema.safetensors"), model.join("unet/raw.safetensors")).expect("a copy");
    let error = support::refusal(&model);
    assert!(error.contains("ema.safetensors") && error.contains("raw.safetensors"), "{error}");
}

/// The attention names of diffusers before 0.12, weights as convolutions of one pixel.
fn legacy(tensor: &mut Hand) {
    for (new, old) in [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")] {
        if tensor.name.contains(new) {
            tensor.name = tensor.name.replace(new, old);
            if tensor.shape.len() == 2 {
                tensor.shape.extend([1, 1]);
            }
        }
    }
}

#[test]
fn old_attention_names_and_wrappers_are_understood() {
    let (_folder, model) = saved();
    let before = contents(&load(&model).expect("a load"));
    edit_weights(&model, |all| all.iter_mut().for_each(legacy));
    assert!(tensors(&model.join(WEIGHTS)).iter().any(|tensor| tensor.name.contains("proj_attn")));
    assert_eq!(contents(&load(&model).expect("old names")), before);

    edit_weights(&model, |all| all.iter_mut().for_each(|tensor| tensor.name.insert_str(0, "module.")));
    assert_eq!(contents(&load(&model).expect("a prefix")), before);
}

#[test]
fn other_float_types_become_f32() {
    fn convert<const N: usize>(tensor: &mut Hand, dtype: Dtype, write: impl Fn(f32) -> [u8; N]) {
        let values = tensor.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        tensor.bytes = values.flat_map(write).collect();
        tensor.dtype = dtype;
    }
    // Values of eight significant bits are the same in every type.
    let round =
        |tensor: &mut Hand| convert(tensor, Dtype::F32, |value| bf16::from_f32(value).to_f32().to_le_bytes());
    let (_folder, model) = saved();
    edit_weights(&model, |all| all.iter_mut().for_each(round));
    let before = contents(&load(&model).expect("a load"));
    let kinds: [fn(&mut Hand); 3] = [
        |tensor| convert(tensor, Dtype::F64, |value| f64::from(value).to_le_bytes()),
        |tensor| convert(tensor, Dtype::BF16, |value| bf16::from_f32(value).to_le_bytes()),
        |tensor| convert(tensor, Dtype::F16, |value| f16::from_f32(value).to_le_bytes()),
    ];
    let original = fs::read(model.join(WEIGHTS)).expect("a file");
    for (index, kind) in kinds.into_iter().enumerate() {
        fs::write(model.join(WEIGHTS), &original).expect("a file");
        edit_weights(&model, |all| all.iter_mut().for_each(kind));
        let after = contents(&load(&model).expect("a load"));
        let difference = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Only f16 loses anything: weights below 2^-14 lose up to 8 bits there, 2^-25 in absolute terms.
        assert!(difference <= [0.0, 0.0, 1e-4][index], "{index}: {difference}");
    }
}

#[test]
fn archives_of_torch_save_are_read() {
    let (_folder, model) = saved();
    let before = contents(&load(&model).expect("a load"));
    let all = tensors(&model.join(WEIGHTS));
    replace_by_bin(&model, &archive(&all));
    assert_eq!(contents(&load(&model).expect("a load")), before);
    let inspection = inspect(&model).expect("an inspection");
    assert!(inspection.report.is_clean());
    assert_eq!(inspection.dtypes["F32"], all.len());
}

#[test]
fn another_scheduler_can_take_the_place_of_a_missing_one() {
    let (_folder, model) = saved();
    fs::remove_dir_all(model.join("scheduler")).expect("a folder");
    let error = support::refusal(&model);
    assert!(error.contains("Give one") && error.contains("scheduler_config.json"), "{error}");
    let model = load_with_scheduler(&model, SchedulerConfig::default());
    assert_eq!(model.expect("a load").scheduler, SchedulerConfig::default());
}

#[test]
fn an_inspection_counts_and_reports() {
    let (_folder, model) = saved();
    let clean = inspect(&model).expect("an inspection");
    assert!(clean.report.is_clean());
    let elements: usize = tensors(&model.join(WEIGHTS)).iter().map(|tensor| tensor.bytes.len() / 4).sum();
    assert_eq!(clean.parameters, elements);
    assert_eq!(clean.blocks.iter().map(|block| block.parameters).sum::<usize>(), elements);
    let names: Vec<_> = clean.blocks.iter().map(|block| block.name.as_str()).collect();
    for name in
        ["conv_in", "time_embedding", "class_embedding", "down_blocks.1", "mid_block", "up_blocks.0", "conv_out"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert_eq!(clean.card.classes, ["a", "b"]);

    edit_weights(&model, |all| {
        all.retain(|tensor| tensor.name != "conv_in.bias");
        all[0].name = "stranger".into();
    });
    let report = inspect(&model).expect("an inspection").report;
    assert!(report.missing.contains(&"conv_in.bias".to_owned()));
    assert_eq!(report.unused, ["stranger"]);
}

/// Folders that diffusers 0.42.1 wrote.
fn goldens() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/models");
    let entries = fs::read_dir(&folder).expect("the goldens").map(|entry| entry.expect("an entry").path());
    let models: Vec<_> = entries.filter(|path| path.join("model_index.json").is_file()).collect();
    assert!(!models.is_empty());
    models
}

#[test]
fn a_folder_of_diffusers_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for golden in goldens() {
        let copy = folder.path().join(golden.file_name().expect("a name"));
        let model = load(&golden).expect("a golden");
        save(&model, &copy).expect("a save");
        assert_eq!(tensors(&golden.join(WEIGHTS)), tensors(&copy.join(WEIGHTS)), "{}", golden.display());
        let bytes = fs::read(copy.join(WEIGHTS)).expect("a weight file");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
        let format = header.metadata().as_ref().and_then(|remarks| remarks.get("format"));
        assert_eq!(format.map(String::as_str), Some("pt"), "diffusers asks for this remark");
        for file in ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"] {
            assert_eq!(options(&golden.join(file)), options(&copy.join(file)), "{file} of {}", golden.display());
        }
    }
}

/// A JSON object without the remark on the version.
fn options(file: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(file).expect("a text file");
    let mut map: Map<String, Value> = serde_json::from_str(&text).expect("an object");
    map.remove("_diffusers_version");
    // 1 and 1.0 are the same option.
    for value in map.values_mut().filter(|value| value.is_number()) {
        *value = value.as_f64().into();
    }
    map
}
