use super::*;
use crate::diffusion::{self, Beginning, initialised};
use crate::testing::{pictures, recipe};
use crate::{Recipe, flat};
use ddim_data::ImageSet;
use ddim_tensor::Device;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// Trains on the CPU from random weights.
fn train(
    recipe: &Recipe,
    set: &ImageSet,
    out: &Path,
    observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    diffusion::train(recipe, set, &Beginning::Random, out, &Device::Cpu, observe)
}

/// Trains without interruption.
fn run(recipe: &Recipe, out: &Path) -> Result<Trained, TrainError> {
    train(recipe, &pictures(6), out, |_| ControlFlow::Continue(()))
}

/// Trains until the observer has seen this step taken.
fn run_until(stop: u64, recipe: &Recipe, out: &Path) -> Trained {
    let observe = |event: &TrainEvent| match event {
        TrainEvent::Step { step, .. } if *step == stop => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    train(recipe, &pictures(6), out, observe).expect("trains")
}

/// What there is of the process once a panic has gone through `train` at this step is what a kill leaves: no code
/// of the run writes anything on the way out but lines of the loss curve.
fn killed_at(kill: u64, recipe: &Recipe, out: &Path) {
    let observe = |event: &TrainEvent| match event {
        TrainEvent::Step { step, .. } if *step == kill => std::panic::resume_unwind(Box::new("killed")),
        _ => ControlFlow::Continue(()),
    };
    let killed = std::panic::AssertUnwindSafe(|| train(recipe, &pictures(6), out, observe));
    assert!(std::panic::catch_unwind(killed).is_err());
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Every file that a run leaves, with its bytes.
fn left(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["loss.csv", "samples.png", "recipe.json", "train.safetensors"];
    let parts = ["model/unet/diffusion_pytorch_model.safetensors", "model/unet/config.json", "model/ddim.json"];
    let read = |name: &str| fs::read(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let files = names.into_iter().chain(parts).map(|name| (name.to_owned(), read(name)));
    files.collect()
}

fn message(result: Result<Trained, TrainError>) -> String {
    result.expect_err("must be refused").to_string()
}

/// The same to the last bit, file by file, so that a failure says which, and where.
fn assert_same(one: &Path, other: &Path) {
    for ((name, a), (_, b)) in left(one).into_iter().zip(left(other)) {
        let at = a.iter().zip(&b).position(|(a, b)| a != b);
        assert!(a == b, "{name} differs: {} and {} bytes, first at {at:?}", a.len(), b.len());
    }
}

#[test]
fn the_loss_falls() {
    for kind in ["epsilon", "sample", "v_prediction"] {
        let changes = json!({
            "steps": 300, "scheduler.prediction_type": kind, "batch_size": 8, "checkpoint_steps": 1000,
            "unet.block_out_channels": [16],
        });
        let (out, mut losses) = (folder(), Vec::new());
        let trained = train(&recipe(&changes), &pictures(6), out.path(), |event| {
            if let TrainEvent::Step { loss, .. } = event {
                losses.push(*loss);
            }
            ControlFlow::Continue(())
        });
        assert_eq!(trained.expect("trains"), Trained::Finished { model: out.path().join("model") });
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..20]), mean(&losses[280..]));
        assert!(last < 0.5 * first, "{kind}: {first} to {last}");
        let config = fs::read_to_string(out.path().join("model/scheduler/scheduler_config.json")).expect("there");
        assert!(config.contains(&format!("\"prediction_type\": \"{kind}\"")), "{config}");
    }
}

/// Before, at and after checkpoints, which are at 5, 10 and 12.
#[test]
fn a_stopped_run_goes_on_with_the_same_curve() {
    let (recipe, whole) = (recipe(&json!({})), folder());
    run(&recipe, whole.path()).expect("trains");
    for stops in [vec![1], vec![5], vec![3, 4, 11], vec![10, 11]] {
        let out = folder();
        for stop in &stops {
            assert_eq!(run_until(*stop, &recipe, out.path()), Trained::Stopped { step: *stop });
        }
        run(&recipe, out.path()).expect("trains");
        assert_same(whole.path(), out.path());
    }
}

#[test]
fn a_killed_run_goes_on_with_the_same_curve() {
    let (recipe, whole) = (recipe(&json!({})), folder());
    run(&recipe, whole.path()).expect("trains");
    for kills in [vec![1], vec![4, 5], vec![6, 7, 12]] {
        let out = folder();
        for kill in &kills {
            killed_at(*kill, &recipe, out.path());
        }
        run(&recipe, out.path()).expect("trains");
        assert_same(whole.path(), out.path());
    }
}

/// Half-written files beside their places, a curve that is ahead of the checkpoint and ends within a line.
#[test]
fn a_run_killed_while_writing_goes_on_with_the_same_curve() {
    let (recipe, whole, out) = (recipe(&json!({})), folder(), folder());
    run(&recipe, whole.path()).expect("trains");
    killed_at(8, &recipe, out.path());
    let path = |name: &str| out.path().join(name);
    let half = &fs::read(path("train.safetensors")).expect("there")[..100];
    for name in [".train.safetensors.tmp", ".samples.png.tmp", ".loss.csv.tmp", ".recipe.json.tmp"] {
        fs::write(path(name), half).expect("writable");
    }
    let curve = fs::read_to_string(whole.path().join("loss.csv")).expect("there");
    let ahead: String = curve.lines().take(8).flat_map(|line| [line, "\n"]).collect();
    fs::write(path("loss.csv"), format!("{ahead}8,0.1")).expect("writable");
    run(&recipe, out.path()).expect("trains");
    assert_same(whole.path(), out.path());
    for name in [".train.safetensors.tmp", ".samples.png.tmp", ".loss.csv.tmp", ".recipe.json.tmp"] {
        assert!(!path(name).exists(), "{name} is left");
    }
}

/// Killed after the last state was written and before the model was.
#[test]
fn the_model_of_a_finished_run_is_written_again() {
    let (recipe, whole, out) = (recipe(&json!({})), folder(), folder());
    run(&recipe, whole.path()).expect("trains");
    run(&recipe, out.path()).expect("trains");
    fs::remove_dir_all(out.path().join("model")).expect("there");
    fs::remove_file(out.path().join("samples.png")).expect("there");
    assert_eq!(
        run(&recipe, out.path()).expect("nothing to do"),
        Trained::Finished { model: out.path().join("model") }
    );
    assert_same(whole.path(), out.path());
}

#[test]
fn the_curve_has_a_line_a_step() {
    let (recipe, out, mut losses) = (recipe(&json!({})), folder(), vec![]);
    let observe = |event: &TrainEvent| {
        if let TrainEvent::Step { step, loss, .. } = event {
            losses.push(format!("{step},{loss}"));
        }
        ControlFlow::Continue(())
    };
    train(&recipe, &pictures(6), out.path(), observe).expect("trains");
    let curve = fs::read_to_string(out.path().join("loss.csv")).expect("there");
    assert_eq!(curve.lines().next(), Some("step,loss"));
    assert_eq!(curve.lines().skip(1).collect::<Vec<_>>(), losses);
    assert_eq!(losses.len(), 12);
}

#[test]
fn the_observer_hears_of_everything_in_order() {
    let (recipe, out, mut heard) = (recipe(&json!({})), folder(), Vec::new());
    let observe = |event: &TrainEvent| {
        heard.push(match event {
            TrainEvent::Started { step, steps, .. } => format!("started {step} {steps}"),
            TrainEvent::Stage { .. } => unreachable!("one stage"),
            TrainEvent::Step { step, smoothed_loss, images_per_second, .. } => {
                assert!(smoothed_loss.is_finite() && *images_per_second > 0.0);
                step.to_string()
            }
            TrainEvent::Saved { step, shown: Shown::Samples(samples) } => {
                assert!(samples.is_file());
                format!("saved {step}")
            }
            TrainEvent::Saved { shown: Shown::Accuracy(_), .. } => unreachable!("no classifier"),
        });
        ControlFlow::Continue(())
    };
    train(&recipe, &pictures(6), out.path(), observe).expect("trains");
    let expected = "started 0 12,1,2,3,4,5,saved 5,6,7,8,9,10,saved 10,11,12,saved 12";
    assert_eq!(heard.join(","), expected);
}

#[test]
fn the_model_loads_with_the_averaged_weights_and_its_card() {
    let (recipe, out) = (recipe(&json!({ "card": { "license": "CC0" } })), folder());
    run(&recipe, out.path()).expect("trains");
    let loaded = ddim_checkpoint::load(&out.path().join("model")).expect("loads");
    let (_, first) = initialised(&recipe).expect("fine");
    let state = State::load(&out.path().join("train.safetensors"), &recipe, first.len(), None)
        .expect("reads")
        .expect("there");
    assert!(
        flat::read(loaded.denoiser.graph(), loaded.denoiser.weights()) == state.optimizer.average,
        "other weights in the model"
    );
    assert!(state.optimizer.average != state.optimizer.weights, "no average");
    assert_eq!((loaded.card.name.as_str(), loaded.card.null_class), ("tiny", Some(2)));
    assert_eq!(loaded.card.classes, ["left", "top"]);
    let extra = |key: &str| loaded.card.extra.get(key).cloned();
    assert_eq!((extra("license"), extra("trained_images")), (Some("CC0".into()), Some(48.into())));
}

#[test]
fn another_recipe_is_refused_and_its_key_named() {
    let out = folder();
    run_until(6, &recipe(&json!({ "decay": { "tail": 4 } })), out.path());
    let before = left(out.path());
    for (changes, key) in [
        (json!({ "learning_rate": 0.02 }), "learning_rate"),
        (json!({ "seed": 8 }), "seed"),
        (json!({ "unet.norm_eps": 1e-4 }), "unet"),
        (json!({ "scheduler.beta_end": 0.1 }), "scheduler"),
        (json!({ "decay": "constant" }), "decay"),
        // The tail of 9 steps would have begun at step 4.
        (json!({ "steps": 9 }), "steps"),
    ] {
        let mut all = json!({ "decay": { "tail": 4 } });
        all.as_object_mut().expect("one").extend(changes.as_object().expect("one").clone());
        let message = message(run(&recipe(&all), out.path()));
        assert!(
            message.contains(&format!("train.safetensors: was made with another recipe ({key} differs)")),
            "{message}"
        );
    }
    assert!(before == left(out.path()), "a refused run has written something");
}

#[test]
fn what_does_not_matter_may_change() {
    let out = folder();
    run_until(6, &recipe(&json!({ "decay": { "tail": 4 } })), out.path());
    let changes =
        json!({ "decay": { "tail": 4 }, "name": "other", "checkpoint_steps": 3, "steps": 20, "card": { "a": 1 } });
    run(&recipe(&changes), out.path()).expect("goes on");
    let whole = folder();
    run(&recipe(&changes), whole.path()).expect("trains");
    assert_same(whole.path(), out.path());
}

#[test]
fn two_runs_keep_out_of_each_others_folder() {
    let (recipe, out) = (recipe(&json!({})), folder());
    let mut refused = None;
    let observe = |event: &TrainEvent| {
        if let TrainEvent::Step { step: 2, .. } = event {
            refused = Some(message(run(&recipe, out.path())));
        }
        ControlFlow::Continue(())
    };
    train(&recipe, &pictures(6), out.path(), observe).expect("the first is not disturbed");
    let refused = refused.expect("the second was tried");
    assert!(refused.contains(".lock: another run is writing into this folder"), "{refused}");
    run(&recipe, out.path()).expect("the lock went with the first run");
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let out = folder();
    let with = |changes: Value, set: &ImageSet| {
        message(train(&recipe(&changes), set, out.path(), |_| ControlFlow::Continue(())))
    };
    let set = pictures(6);
    let colour = with(json!({ "unet.in_channels": 3, "unet.out_channels": 3 }), &set);
    assert!(
        colour.starts_with("the pictures are 4x4x1 (height x width x channels), the recipe's network takes 3"),
        "{colour}"
    );
    let deep = json!({
        "unet.block_out_channels": [4, 4, 4, 4],
        "unet.down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"],
        "unet.up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"],
    });
    assert!(with(deep, &set).contains("sizes divisible by 8"));
    assert!(
        with(json!({ "unet.out_channels": 2 }), &set).starts_with("unet.out_channels is 2; training predicts one")
    );
    let unlabelled = ImageSet { labels: None, ..set.clone() };
    assert!(with(json!({}), &unlabelled).starts_with("the recipe has 2 classes"));
    assert!(
        with(json!({ "unet.num_class_embeds": 2 }), &set)
            .starts_with("the pictures have 2 classes, the recipe has 1")
    );
    assert!(fs::read_dir(out.path()).expect("there").next().is_none(), "a refused run has written something");
}

#[test]
fn unlabelled_pictures_train_a_network_without_classes() {
    let (out, set) = (folder(), ImageSet { labels: None, class_names: Vec::new(), ..pictures(6) });
    let changes = json!({ "unet.num_class_embeds": null, "steps": 2, "warmup_steps": 0 });
    train(&recipe(&changes), &set, out.path(), |_| ControlFlow::Continue(())).expect("trains");
    let loaded = ddim_checkpoint::load(&out.path().join("model")).expect("loads");
    assert_eq!((loaded.card.null_class, loaded.card.classes.len()), (None, 0));
}

#[test]
fn alpha_is_settled_by_the_recipe() {
    let grey = pictures(6);
    let set = ImageSet {
        pixels: grey.pixels.iter().flat_map(|value| [*value, *value, *value, 255]).collect(),
        shape: [4, 4, 4],
        ..grey
    };
    let changes = json!({
        "unet.in_channels": 3, "unet.out_channels": 3, "alpha": { "over": [0, 0, 0] },
        "steps": 2, "warmup_steps": 0,
    });
    train(&recipe(&changes), &set, folder().path(), |_| ControlFlow::Continue(())).expect("trains");
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint() {
    let (recipe, out) = (recipe(&json!({})), folder());
    run_until(6, &recipe, out.path());
    let path = out.path().join("train.safetensors");
    let (_, first) = initialised(&recipe).expect("fine");
    let mut state = State::load(&path, &recipe, first.len(), None).expect("reads").expect("there");
    state.optimizer.weights[0] = f32::NAN;
    state.save(&path, &recipe).expect("writable");
    let before = left(out.path());
    let message = message(run(&recipe, out.path()));
    assert!(message.starts_with("training has diverged: at step 7 the loss is NaN"), "{message}");
    assert!(before == left(out.path()), "something was written after the divergence");
}

#[test]
fn a_run_may_begin_with_a_model_and_says_so() {
    let (recipe, out, second) = (recipe(&json!({})), folder(), folder());
    run(&recipe, out.path()).expect("trains");
    let load = |folder: &Path| ddim_checkpoint::load(&folder.join("model"));
    let first = load(out.path()).expect("loads");
    let weights = flat::read(first.denoiser.graph(), first.denoiser.weights());
    // A step that moves nothing shows where it stands.
    let still = crate::testing::recipe(&json!({ "steps": 1, "warmup_steps": 0, "learning_rate": 1e-30 }));
    let begun = |recipe: &Recipe, out: &Path| {
        let beginning = Beginning::Model(first.clone());
        diffusion::train(recipe, &pictures(6), &beginning, out, &Device::Cpu, |_| ControlFlow::Continue(()))
    };
    begun(&still, second.path()).expect("trains");
    let after = load(second.path()).expect("loads");
    assert_eq!(flat::read(after.denoiser.graph(), after.denoiser.weights()), weights);
    let images = json!({ "name": "tiny", "trained_steps": 12, "trained_images": 48 });
    assert_eq!(after.card.extra["began_with"], images);
    let other = crate::testing::recipe(&json!({ "unet.block_out_channels": [4] }));
    let refused = message(begun(&other, folder().path()));
    let place =
        "the model \"tiny\" to begin with has another block_out_channels than the recipe, [8] in place of [4]";
    assert!(refused.starts_with(place), "{refused}");
    let refused = message(run(&still, second.path()));
    assert!(refused.contains("this run began with the model {\"name\":\"tiny\""), "{refused}");
    assert!(refused.contains(", not with random weights; begin it with the same again"), "{refused}");
    begun(&still, second.path()).expect("goes on");
}

/// Trains to the end on these pictures, and says what was recognised.
fn on(set: &ImageSet, out: &Path, other_pictures: OtherPictures) -> Result<Recognised, TrainError> {
    let mut recognised = None;
    let observe = |event: &TrainEvent| {
        if let TrainEvent::Started { pictures, .. } = event {
            recognised = Some(pictures.clone());
        }
        ControlFlow::Continue(())
    };
    let folder = RunFolder { path: out, other_pictures };
    diffusion::train(&recipe(&json!({})), set, &Beginning::Random, folder, &Device::Cpu, observe)?;
    Ok(recognised.expect("a beginning"))
}

#[test]
fn other_pictures_are_noticed_when_a_run_goes_on() {
    let out = folder();
    run_until(6, &recipe(&json!({})), out.path());
    let before = left(out.path());
    let mut other = pictures(6);
    other.pixels[0] ^= 1;
    let named = ImageSet { class_names: vec!["a".to_owned(), "b".to_owned()], ..pictures(6) };
    for (set, difference) in [
        (pictures(8), "there were 6, now there are 8"),
        (other.clone(), "show something else"),
        (named, "the classes were left, top, now they are a, b"),
    ] {
        let refused = on(&set, out.path(), OtherPictures::Refuse).expect_err("other pictures").to_string();
        assert!(refused.contains("trained on other pictures (") && refused.contains(difference), "{refused}");
        assert!(refused.contains("train.safetensors") && refused.contains("name another folder"), "{refused}");
    }
    assert!(before == left(out.path()), "a refused run has written something");
    let Recognised::Others(difference) = on(&other, out.path(), OtherPictures::Accept).expect("goes on") else {
        panic!("not noticed");
    };
    assert!(difference.contains("show something else"), "{difference}");
    // From now on these are its pictures.
    assert_eq!(on(&other, out.path(), OtherPictures::Refuse).expect("the same"), Recognised::Same);
    on(&pictures(6), out.path(), OtherPictures::Refuse).expect_err("those of before");
}

#[test]
fn a_checkpoint_that_remembers_no_pictures_goes_on() {
    let (out, recipe) = (folder(), recipe(&json!({})));
    run_until(6, &recipe, out.path());
    let path = out.path().join("train.safetensors");
    let (_, first) = initialised(&recipe).expect("fine");
    let state = State::load(&path, &recipe, first.len(), None).expect("reads").expect("there");
    State { seen: None, ..state }.save(&path, &recipe).expect("writable");
    assert_eq!(on(&pictures(6), out.path(), OtherPictures::Refuse).expect("goes on"), Recognised::Unknown);
    assert_eq!(on(&pictures(6), out.path(), OtherPictures::Refuse).expect("goes on"), Recognised::Same);
}

/// A saved model never lies about the size of its pictures.
#[test]
fn the_size_of_the_pictures_is_the_models() {
    let wide = ImageSet { shape: [2, 8, 1], ..pictures(6) };
    let out = folder();
    let observe = |_: &TrainEvent| ControlFlow::Continue(());
    let refused = message(train(&recipe(&json!({ "unet.sample_size": 16 })), &wide, out.path(), observe));
    assert!(
        refused.starts_with("the pictures are 2x8 (height x width), and the recipe is for 16x16"),
        "{refused}"
    );
    for size in [Value::Null, json!([2, 8])] {
        let out = folder();
        let short = json!({ "unet.sample_size": size, "steps": 1, "warmup_steps": 0 });
        train(&recipe(&short), &wide, out.path(), observe).expect("trains");
        let loaded = ddim_checkpoint::load(&out.path().join("model")).expect("loads");
        assert_eq!(loaded.denoiser.config().sample_size(), Some([2, 8]));
    }
}

/// Folders named by numbers stand in the order of their names: 10 before 2.
#[test]
fn classes_named_by_numbers_keep_their_names() {
    let numbers = ["1", "10"].map(str::to_owned).to_vec();
    let (set, out) = (ImageSet { class_names: numbers.clone(), ..pictures(6) }, folder());
    let short = recipe(&json!({ "steps": 1, "warmup_steps": 0 }));
    train(&short, &set, out.path(), |_| ControlFlow::Continue(())).expect("trains");
    let loaded = ddim_checkpoint::load(&out.path().join("model")).expect("loads");
    assert_eq!(loaded.card.classes, numbers);
}

#[cfg(unix)]
#[test]
fn what_killed_runs_have_left_goes_when_the_next_one_begins() {
    let (recipe, out, elsewhere) = (recipe(&json!({})), folder(), folder());
    run_until(2, &recipe, out.path());
    fs::write(elsewhere.path().join("precious"), "kept").expect("writable");
    std::os::unix::fs::symlink(elsewhere.path(), out.path().join(".model.1-1.tmp")).expect("a link");
    fs::create_dir_all(out.path().join(".model.4242-0.tmp/unet")).expect("writable");
    // It stops before it would save anything.
    train(&recipe, &pictures(6), out.path(), |_| ControlFlow::Break(())).expect("stops");
    assert!(!out.path().join(".model.4242-0.tmp").exists());
    assert!(out.path().join(".model.1-1.tmp").is_symlink() && elsewhere.path().join("precious").exists());
}
