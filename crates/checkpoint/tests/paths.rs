//! Models as people name them, and weights as training scripts leave them.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use ddim_checkpoint::{CheckpointError, ModelFiles, Warning, WeightChoice, load, read_scheduler, tuned};
use support::{
    Attributes, Hand, WEIGHTS, archive, contents, edit_weights, pickle_of_list, pickle_of_modules, pickle_of_sets,
    refusal, replace_by_bin, saved, tensors,
};

fn open(path: &Path, weights: &str) -> Result<ModelFiles, CheckpointError> {
    let named = WeightChoice::Named(weights.to_owned());
    ModelFiles::open(path, if weights.is_empty() { &WeightChoice::Usual } else { &named })
}

/// What the network at a path holds, and what is said about it.
#[track_caller]
fn drawn(path: &Path, weights: &str) -> (Vec<f32>, Vec<Warning>) {
    let model = open(path, weights).and_then(|files| files.load());
    let model = model.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (contents(&model), model.warnings)
}

/// The same, silently.
#[track_caller]
fn silent(path: &Path) -> Vec<f32> {
    let (drawn, warnings) = drawn(path, "");
    assert_eq!(warnings, [], "{}", path.display());
    drawn
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a copy");
        }
    }
}

/// Other weights under the same names: halves of them.
fn halved(all: &[Hand]) -> Vec<Hand> {
    let half = |bytes: &[u8; 4]| (f32::from_le_bytes(*bytes) / 2.0).to_le_bytes();
    let halved = |tensor: &Hand| Hand {
        bytes: tensor.bytes.as_chunks::<4>().0.iter().flat_map(half).collect(),
        ..tensor.clone()
    };
    all.iter().map(halved).collect()
}

fn prefixed(all: &[Hand], prefix: &str) -> Vec<Hand> {
    all.iter().map(|tensor| Hand { name: format!("{prefix}{}", tensor.name), ..tensor.clone() }).collect()
}

#[test]
fn a_model_is_found_by_each_of_its_parts() {
    let (folder, model) = saved();
    let before = silent(&model);
    let run = folder.path().join("run");
    copy(&model, &run.join("model"));
    for path in [
        model.join("unet"),
        model.join(WEIGHTS),
        model.join("model_index.json"),
        model.join("unet/config.json"),
        run.clone(),
        run.join("model/unet"),
        run.join("model/."),
        run.join("model/unet/."),
    ] {
        assert_eq!(silent(&path), before, "{}", path.display());
    }
    assert!(tuned(&run).expect("no error").is_none());
    assert_eq!(open(&run, "").expect("a model").folder(), run.join("model"));
    assert_eq!(open(&model.join("unet"), "").expect("a model").folder(), model);
}

#[test]
fn the_hubs_cache_is_a_folder_of_links() {
    let (folder, model) = saved();
    let before = silent(&model);
    let cache = folder.path().join("models--a--b");
    copy(&model, &cache.join("snapshots/0123"));
    assert_eq!(silent(&cache), before);
}

#[test]
fn a_training_checkpoint_takes_the_scheduler_of_its_run() {
    let (folder, model) = saved();
    let before = silent(&model);
    let (out, step) = (folder.path().join("out"), folder.path().join("out/checkpoint-500"));
    copy(&model.join("unet"), &step.join("unet"));
    let error = refusal(&step);
    assert!(error.contains("no configuration of the scheduler") && error.contains("out/scheduler"), "{error}");
    let error = refusal(&out);
    assert!(error.contains("checkpoints of a training") && error.contains("checkpoint-500"), "{error}");
    copy(&model.join("scheduler"), &out.join("scheduler"));
    assert_eq!(silent(&step), before);
    assert_eq!(silent(&step.join("unet")), before);
}

#[test]
fn moving_averages_come_first_and_either_can_be_asked_for() {
    let (_folder, model) = saved();
    let plain = silent(&model);
    copy(&model.join("unet"), &model.join("unet_ema"));
    let averaged_file = model.join("unet_ema/diffusion_pytorch_model.safetensors");
    support::write_tensors(&averaged_file, &halved(&tensors(&averaged_file)));
    let config = fs::read_to_string(model.join("unet_ema/config.json")).expect("a text");
    let of_ema = r#"{"decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 5, "power": 0.75,
        "update_after_step": 0, "use_ema_warmup": true,"#;
    fs::write(model.join("unet_ema/config.json"), config.replacen('{', of_ema, 1)).expect("a text");

    let averaged = silent(&model.join("unet_ema"));
    assert_ne!(averaged, plain);
    let (usual, warnings) = drawn(&model, "");
    assert_eq!(usual, averaged);
    let chosen = Warning::Chosen { path: model.clone(), chosen: "unet_ema".into(), others: vec!["unet".into()] };
    assert_eq!(warnings, [chosen]);
    for (asked, expected) in [("ema", &averaged), ("unet_ema", &averaged), ("model", &plain), ("unet", &plain)] {
        assert_eq!(drawn(&model, asked), (expected.clone(), vec![]), "{asked}");
    }
    assert_eq!(&silent(&model.join("unet")), &plain);
    assert_eq!(&silent(&averaged_file), &averaged);
    fs::remove_dir_all(model.join("unet")).expect("a folder");
    assert_eq!(&silent(&model), &averaged);
}

#[test]
fn prefixes_and_wrappers_fall_away() {
    for prefix in ["module.", "_orig_mod.", "model.module._orig_mod.", "my.own.words."] {
        let (_folder, model) = saved();
        let before = silent(&model);
        let all = tensors(&model.join(WEIGHTS));
        support::write_tensors(&model.join(WEIGHTS), &prefixed(&all, prefix));
        assert_eq!(silent(&model), before, "{prefix}");
        replace_by_bin(&model, &archive(&prefixed(&all, prefix)));
        assert_eq!(silent(&model), before, "{prefix}");
    }
}

#[test]
fn names_that_become_the_same_are_one_tensor_or_refused() {
    let (_folder, model) = saved();
    let before = silent(&model);
    edit_weights(&model, |all| all.extend(prefixed(&all.clone(), "_orig_mod.")));
    assert_eq!(silent(&model), before);
    edit_weights(&model, |all| {
        let twin = all.iter_mut().find(|tensor| tensor.name == "_orig_mod.conv_in.bias");
        twin.expect("a tensor").bytes[0] ^= 1;
    });
    let error = refusal(&model);
    assert!(error.contains("are both conv_in.bias") && error.contains("_orig_mod.conv_in.bias"), "{error}");
}

#[test]
fn of_several_sets_the_moving_average_is_taken_and_the_others_are_told() {
    let (_folder, model) = saved();
    let plain = silent(&model);
    let all = tensors(&model.join(WEIGHTS));
    let averaged = halved(&all);
    let extra = Hand { name: "optimizer.state.0.exp_avg".into(), ..all[0].clone() };
    // Lightning; lucidrains; one file of weights beside their averages.
    for (plain_set, averaged_set) in
        [("state_dict.model.", "state_dict.ema_model."), ("model.model.", "ema.ema_model.model."), ("", "ema.")]
    {
        let file = [prefixed(&all, plain_set), prefixed(&averaged, averaged_set), vec![extra.clone()]].concat();
        support::write_tensors(&model.join(WEIGHTS), &file);
        let (usual, warnings) = drawn(&model, "");
        assert_ne!(usual, plain);
        let [Warning::Chosen { chosen, others, .. }] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert_eq!((format!("{chosen}."), others.len()), (averaged_set.to_owned(), 1));
        assert_eq!(drawn(&model, "ema").0, usual);
        assert_eq!(drawn(&model, "model").0, plain);
        assert_eq!(drawn(&model, averaged_set.trim_end_matches('.')).0, usual);
        let error = open(&model, "teacher").err().expect("no such set").to_string();
        assert!(error.contains("no weights called \"teacher\"") && error.contains(chosen.as_str()), "{error}");
        let prints = ["ema", "model"].map(|set| open(&model, set).and_then(|files| files.fingerprint()));
        let [Ok(a), Ok(b)] = prints else { panic!("readable") };
        assert_ne!(a, b, "{plain_set}");
    }
}

/// As Lightning and others save weights that are their own moving averages: two names, one storage.
#[test]
fn one_storage_under_two_names_is_read_once() {
    let (_folder, model) = saved();
    let before = silent(&model);
    let all = tensors(&model.join(WEIGHTS));
    replace_by_bin(&model, &pickle_of_sets(&["state_dict", "ema_state_dict"], &all));
    let (after, warnings) = drawn(&model, "");
    assert_eq!(after, before);
    assert!(matches!(warnings.as_slice(), [Warning::Chosen { chosen, .. }] if chosen == "ema_state_dict"));
    assert_eq!(drawn(&model, "state_dict").0, before);
}

/// As `LitEma` of CompVis keeps them beside the weights, in safetensors and in archives.
#[test]
fn moving_averages_under_names_without_dots_are_read() {
    let (_folder, model) = saved();
    let plain = silent(&model);
    let all = tensors(&model.join(WEIGHTS));
    let mut averaged = halved(&all);
    averaged.iter_mut().for_each(|tensor| tensor.name = tensor.name.replace('.', ""));
    support::write_tensors(&model.join(WEIGHTS), &halved(&all));
    let expected = silent(&model);
    let counter = Hand { name: "model_ema.decay".into(), ..all[0].clone() };
    let file = [prefixed(&all, "model."), prefixed(&averaged, "model_ema."), vec![counter]].concat();
    support::write_tensors(&model.join(WEIGHTS), &file);
    let (usual, warnings) = drawn(&model, "");
    assert!(usual == expected && usual != plain);
    let [Warning::Chosen { chosen, others, .. }] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!((chosen.as_str(), others.as_slice()), ("model_ema", ["model".to_owned()].as_slice()));
    assert_eq!(drawn(&model, "model").0, plain);
    replace_by_bin(&model, &archive(&prefixed(&averaged, "model_ema.")));
    assert_eq!(silent(&model), expected);
}

/// As `EMAModel` of diffusers and `torch_ema` keep them: which tensor is which only Python knows.
#[test]
fn moving_averages_without_names_are_refused_with_what_names_them() {
    let (_folder, model) = saved();
    let plain = silent(&model);
    let all = tensors(&model.join(WEIGHTS));
    replace_by_bin(&model, &pickle_of_list("", "ema", &all));
    let error = refusal(&model);
    assert!(error.contains("its weights are a list without names (ema.shadow_params), as EMAModel"), "{error}");
    let [config, averaged, file] =
        ["unet/config.json", "unet_ema", "unet/diffusion_pytorch_model.bin"].map(|part| model.join(part));
    let words = format!("{} {} {} ema shadow_params", config.display(), averaged.display(), file.display());
    assert!(error.contains("python -c \"import functools") && error.ends_with(&words), "{error}");
    // Beside weights that have names these are taken, and the others told; asked for they are refused.
    fs::write(&file, pickle_of_list("net", "ema", &all)).expect("writable");
    let (usual, warnings) = drawn(&model, "");
    assert_eq!(usual, plain);
    let [warning @ Warning::UnnamedWeights { list, command, .. }] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!(list, "ema.shadow_params");
    assert!(command.ends_with(&words) && warning.to_string().ends_with(command.as_str()), "{warning}");
    assert!(open(&model, "ema").err().expect("no names").to_string().ends_with(&words));
    assert_eq!(drawn(&model, "net"), (plain, vec![]));
}

/// `torch.save(model)`: read where the file holds nothing but modules, or else refused with what makes a file of
/// weights.
#[test]
fn whole_networks_are_read_or_refused_with_what_saves_their_weights() {
    let (_folder, model) = saved();
    let before = silent(&model);
    let all = tensors(&model.join(WEIGHTS));
    replace_by_bin(&model, &pickle_of_modules(&all, Attributes::Plain));
    assert_eq!(silent(&model), before);
    let file = model.join("unet/diffusion_pytorch_model.bin");
    fs::write(&file, pickle_of_modules(&all, Attributes::Configuration)).expect("writable");
    let error = refusal(&model);
    assert!(error.contains("holds a whole network as a Python object, as torch.save(model) writes it"), "{error}");
    let made = file.with_extension("weights.pt");
    assert!(error.contains("python -c \"import sys, torch; "), "{error}");
    assert!(error.ends_with(&format!("{} {}", file.display(), made.display())), "{error}");
    // What that command writes.
    fs::write(&made, pickle_of_sets(&["model"], &all)).expect("writable");
    assert_eq!(silent(&made), before);
}

#[test]
fn tensors_that_are_no_parameters_are_named_and_passed_over() {
    let (_folder, model) = saved();
    let before = silent(&model);
    edit_weights(&model, |all| {
        for name in ["betas", "alphas_of_the_schedule", "num_batches_tracked"] {
            all.push(Hand { name: name.into(), ..all[0].clone() });
        }
    });
    let (after, warnings) = drawn(&model, "");
    assert_eq!(after, before);
    let [warning @ Warning::UnusedTensors { names, .. }] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!(names.len(), 3);
    assert!(warning.to_string().contains("3 tensors are not part of the network"), "{warning}");
}

#[test]
fn weights_of_another_network_are_refused_with_a_hint() {
    let (_folder, model) = saved();
    edit_weights(&model, |all| all.iter_mut().for_each(|tensor| tensor.name = format!("x{}", tensor.name)));
    assert!(refusal(&model).contains("None of the names is one of this network's"));
    let (_folder, model) = saved();
    edit_weights(&model, |all| drop(all.remove(3)));
    assert!(refusal(&model).contains("those of one model?"));
}

/// Spreads the weights of a model over two files with an index.
fn shard(model: &Path) -> (PathBuf, serde_json::Value) {
    let all = tensors(&model.join(WEIGHTS));
    let unet = model.join("unet");
    let (first, second) = all.split_at(all.len() / 2);
    let mut map = serde_json::Map::new();
    for (number, part) in [(1, first), (2, second)] {
        let name = format!("diffusion_pytorch_model-0000{number}-of-00002.safetensors");
        support::write_tensors(&unet.join(&name), part);
        map.extend(part.iter().map(|tensor| (tensor.name.clone(), name.clone().into())));
    }
    fs::remove_file(model.join(WEIGHTS)).expect("a file");
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    let file = unet.join("diffusion_pytorch_model.safetensors.index.json");
    fs::write(&file, index.to_string()).expect("a file");
    (file, index)
}

#[test]
fn weights_in_several_files_are_read_by_their_index() {
    let (_folder, model) = saved();
    let before = silent(&model);
    let (index, _) = shard(&model);
    let part = model.join("unet/diffusion_pytorch_model-00001-of-00002.safetensors");
    for path in [&model, &index, &part, &model.join("unet")] {
        assert_eq!(silent(path), before, "{}", path.display());
    }
    let print = || open(&model, "").and_then(|files| files.fingerprint()).expect("readable");
    let first = print();
    let mut bytes = fs::read(&part).expect("a file");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&part, bytes).expect("a file");
    assert_ne!(print(), first);
}

#[test]
fn an_index_that_lies_is_refused() {
    let second = "diffusion_pytorch_model-00002-of-00002.safetensors";
    let (_folder, model) = saved();
    let (file, index) = shard(&model);
    fs::remove_file(model.join("unet").join(second)).expect("a file");
    let error = refusal(&model);
    assert!(error.contains("1 of the 2 files that it lists are missing") && error.contains(second), "{error}");

    for name in ["../secret.safetensors", "/etc/passwd", "..", "", "a/b.safetensors", "a\\b.safetensors"] {
        let mut index = index.clone();
        index["weight_map"]["conv_in.bias"] = name.into();
        fs::write(&file, index.to_string()).expect("a file");
        let error = refusal(&model);
        assert!(error.contains("the files of an index lie beside it"), "{name}: {error}");
    }
    for text in ["", "[]", "{}", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 1}}", "\u{0}"] {
        fs::write(&file, text).expect("a file");
        assert!(refusal(&model).contains("index.json"), "{text}");
    }
}

#[test]
fn files_of_different_downloads_are_not_mixed() {
    let (_folder, model) = saved();
    let (file, index) = shard(&model);
    let change = |edit: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut index = index.clone();
        edit(index["weight_map"].as_object_mut().expect("an object"));
        fs::write(&file, index.to_string()).expect("a file");
        refusal(&model)
    };
    let error = change(&|map| drop(map.remove("conv_in.bias")));
    assert!(error.contains("does not look for there: conv_in.bias"), "{error}");
    let error = change(&|map| {
        let home = map["conv_in.bias"].clone();
        map.insert("conv_in.extra".into(), home);
    });
    assert!(error.contains("which it does not: conv_in.extra"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_of_an_index_stay_in_the_folder_or_in_the_hubs_store() {
    use std::os::unix::fs::symlink;
    let (folder, model) = saved();
    let before = silent(&model);
    shard(&model);
    let part = model.join("unet/diffusion_pytorch_model-00001-of-00002.safetensors");
    let outside = folder.path().join("outside.safetensors");
    fs::rename(&part, &outside).expect("a rename");
    symlink(&outside, &part).expect("a link");
    assert!(refusal(&model).contains("is a link to a file outside of its folder"));

    let cache = folder.path().join("models--a--b");
    fs::create_dir_all(cache.join("blobs")).expect("a folder");
    fs::create_dir_all(cache.join("snapshots")).expect("a folder");
    fs::rename(&outside, cache.join("blobs/0123")).expect("a rename");
    fs::remove_file(&part).expect("a link");
    symlink("../../../blobs/0123", &part).expect("a link");
    fs::rename(&model, cache.join("snapshots/4567")).expect("a rename");
    assert_eq!(silent(&cache), before);
}

#[test]
fn a_weight_file_can_be_named_where_there_are_several() {
    let (_folder, model) = saved();
    let before = silent(&model);
    fs::rename(model.join(WEIGHTS), model.join("unet/a.safetensors")).expect("a rename");
    fs::copy(model.join("unet/a.safetensors"), model.join("unet/b.safetensors")).expect("a copy");
    let error = refusal(&model);
    assert!(error.contains("several weight files: a.safetensors, b.safetensors"), "{error}");
    assert_eq!(drawn(&model, "b.safetensors").0, before);
    assert_eq!(silent(&model.join("unet/b.safetensors")), before);
    // What training scripts write beside the weights does not count.
    fs::remove_file(model.join("unet/b.safetensors")).expect("a file");
    fs::write(model.join("unet/optimizer.bin"), "state").expect("a file");
    assert_eq!(silent(&model), before);
}

#[test]
fn files_of_other_programs_say_what_to_do() {
    let (folder, _) = saved();
    for (name, part) in [
        ("edm-cifar10-32x32-cond-vp.pkl", "save_pretrained"),
        ("model.tar.gz", "unpack it"),
        ("model.ZIP", "unpack it"),
        ("model.onnx", "another format"),
        ("notes.txt", "is not a folder"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, "x").expect("a file");
        let error = refusal(&path);
        assert!(error.contains(part) && error.contains(name), "{error}");
    }
}

#[test]
fn null_parts_and_options_of_a_pipeline_are_no_parts() {
    let (_folder, model) = saved();
    let before = silent(&model);
    let index = |parts: &str| {
        let unet = r#""unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDIMScheduler"]"#;
        fs::write(model.join("model_index.json"), format!("{{{unet}, {parts}}}")).expect("a file");
    };
    index(r#""safety_checker": [null, null], "requires_safety_checker": false, "x": null, "y": "z""#);
    assert_eq!(silent(&model), before);
    index(r#""vae": ["diffusers", "AutoencoderKL"]"#);
    // Without it, latents would be taken for pictures.
    assert!(refusal(&model).contains("vae"));
}

#[test]
fn options_that_no_class_has_are_named_and_passed_over() {
    let (_folder, model) = saved();
    let before = silent(&model);
    let add = |file: &str, options: &str| {
        let text = fs::read_to_string(model.join(file)).expect("a text");
        fs::write(model.join(file), text.replacen('{', &format!("{{{options},"), 1)).expect("a text");
    };
    add("unet/config.json", r#""resnet_eps": 1e-6, "name_or_path": "x""#);
    add("scheduler/scheduler_config.json", r#""beta_fish": 1, "skip_prk_steps": true, "solver_order": 3"#);
    let (after, warnings) = drawn(&model, "");
    assert_eq!(after, before);
    let (unet, scheduler) = (model.join("unet/config.json"), model.join("scheduler/scheduler_config.json"));
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let expected = [
        Warning::UnknownOptions { path: unet, keys: keys(&["resnet_eps", "name_or_path"]) },
        Warning::UnknownOptions { path: scheduler.clone(), keys: keys(&["beta_fish"]) },
        Warning::OptionsOfOthers {
            path: scheduler,
            class: "DDIMScheduler",
            keys: keys(&["skip_prk_steps", "solver_order"]),
        },
    ];
    assert_eq!(warnings, expected);
    // A file that is not a configuration of such a network at all.
    fs::write(model.join("unet/config.json"), r#"{"hidden_size": 8}"#).expect("a text");
    assert!(refusal(&model).contains("hidden_size"));
}

#[test]
fn json_is_read_as_python_and_editors_write_it() {
    let (folder, model) = saved();
    let before = silent(&model);
    for file in ["model_index.json", "ddim.json", "unet/config.json", "scheduler/scheduler_config.json"] {
        let text = fs::read_to_string(model.join(file)).expect("a text");
        fs::write(model.join(file), format!("\u{feff}{text}")).expect("a text");
    }
    assert_eq!(silent(&model), before);

    let solver = folder.path().join("scheduler_config.json");
    let write = |value: &str| {
        let text = format!(r#"{{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": {value}}}"#);
        fs::write(&solver, text).expect("a text");
        read_scheduler(folder.path()).expect("a scheduler")
    };
    for value in ["-Infinity", "\"-inf\""] {
        let (config, warnings) = write(value);
        assert_eq!((config.settings(5).expect("settings").lambda_min, warnings), (f64::NEG_INFINITY, vec![]));
    }
    // A number that has to be one is still asked for where it is used.
    let error = write("NaN").0.settings(5).expect_err("no number").to_string();
    assert!(error.contains("lambda_min_clipped is \"nan\""), "{error}");
    let text = fs::read_to_string(model.join("scheduler/scheduler_config.json")).expect("a text");
    let text = text.replacen('{', "{\"beta_start\": Infinity,", 1).replacen("\"beta_start\": 0.0001,", "", 1);
    fs::write(model.join("scheduler/scheduler_config.json"), text).expect("a text");
    assert!(refusal(&model).contains("beta_start is \"inf\", allowed is a number"), "{}", refusal(&model));
}

#[cfg(unix)]
#[test]
fn what_has_no_end_is_not_read_to_its_end() {
    let error = read_scheduler(Path::new("/dev/zero")).expect_err("too large").to_string();
    assert!(error.contains("/dev/zero has 8388609 bytes or more"), "{error}");
    let error = load(Path::new("/dev/zero")).expect_err("no model").to_string();
    assert!(error.contains("/dev/zero is not a folder"), "{error}");
}

#[test]
fn a_scheduler_is_found_in_its_folder() {
    let (folder, model) = saved();
    let file = model.join("scheduler/scheduler_config.json");
    let expected = read_scheduler(&file).expect("a scheduler");
    for path in [model.clone(), model.join("scheduler"), model.join("unet")] {
        assert_eq!(read_scheduler(&path).expect("a scheduler"), expected, "{}", path.display());
    }
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let error = read_scheduler(&empty).expect_err("none").to_string();
    assert!(error.contains("no configuration of the scheduler"), "{error}");
}
