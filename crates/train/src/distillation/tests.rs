use super::*;
use crate::testing::{pictures, recipe};
use crate::{Objective, Recipe, SnrWeight, train};
use ddim::{Labels, Model, Options};
use ddim_checkpoint::{Card, Denoiser};
use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Prediction};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// `tests/goldens/distillation/make_targets.py`, in double precision: each stage, from 16 steps to one.
#[test]
fn targets_are_those_of_an_independent_script() {
    let stages: Value =
        serde_json::from_str(include_str!("../../../../tests/goldens/distillation/targets.json")).expect("JSON");
    let schedule = NoiseSchedule::new(&BetaSchedule::SquaredCosCapV2, 1000).expect("a schedule");
    let (mut cases, mut off) = (0, 0.0_f64);
    for stage in stages.as_array().expect("stages") {
        let prediction: Prediction = stage["prediction"].as_str().expect("a word").parse().expect("known");
        let routes = target::routes(stage["from"].as_u64().expect("a number") as usize, &schedule).expect("steps");
        assert_eq!(routes.len(), stage["cases"].as_array().expect("cases").len());
        for (route, golden) in routes.iter().zip(stage["cases"].as_array().expect("cases")) {
            let numbers =
                |key: &str| -> Vec<f64> { serde_json::from_value(golden[key].clone()).expect("numbers") };
            let (z, alpha_bar) = (numbers("z"), route.start.alpha_bar);
            assert_eq!([route.start.time, route.middle.time], numbers("timesteps")[..2]);
            let network = |x: &[f64], times: &[f64]| -> Vec<f64> {
                x.iter().map(|x| 0.7 * (x + times[0] / 500.0).sin() + 0.2 * x).collect()
            };
            let x0 = target::x0_of_two_steps(&[*route], &z, prediction, network);
            let output = target::output_of_x0(&[alpha_bar], &z, &x0, prediction);
            let weights =
                [SnrWeight::TruncatedSnr, SnrWeight::SnrPlusOne].map(|w| w.of_output(prediction, alpha_bar));
            let expected = [numbers("x0"), numbers("output")].concat();
            let expected = expected
                .into_iter()
                .chain(["truncated_snr", "snr_plus_one"].map(|key| golden[key].as_f64().expect("a number")));
            for (ours, theirs) in [x0, output, weights.to_vec()].concat().into_iter().zip(expected) {
                off = off.max((ours - theirs).abs() / theirs.abs().max(1.0));
                cases += 1;
            }
        }
    }
    assert!(cases == 2 * 15 * 12 && off < 1e-12, "{cases} numbers, off by {off}");
}

/// Pictures of a batch have levels of their own: together they are what each is alone.
#[test]
fn pictures_at_different_levels_do_not_mix() {
    let schedule = NoiseSchedule::new(&BetaSchedule::SquaredCosCapV2, 1000).expect("a schedule");
    let routes = target::routes(8, &schedule).expect("steps");
    let x: Vec<f64> = (0..12).map(|k| f64::from(k) / 4.0 - 1.3).collect();
    let network = |x: &[f64], times: &[f64]| -> Vec<f64> {
        let size = x.len() / times.len();
        x.iter().enumerate().map(|(at, x)| (x + times[at / size] / 300.0).sin()).collect()
    };
    let together = target::x0_of_two_steps(&routes, &x, Prediction::V, network);
    let alone = routes.iter().zip(x.chunks_exact(3));
    let alone = alone.flat_map(|(route, x)| target::x0_of_two_steps(&[*route], x, Prediction::V, network));
    assert_eq!(together, alone.collect::<Vec<_>>());
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A teacher that was trained for a moment, of a network and a schedule of 48 timesteps that these keys change.
fn teacher(changes: &Value) -> Checkpoint {
    let mut changes = changes.clone();
    changes["steps"] = changes.get("steps").cloned().unwrap_or(60.into());
    changes["scheduler.num_train_timesteps"] = 48.into();
    let out = folder();
    let go_on = |_: &TrainEvent| ControlFlow::Continue(());
    train(&recipe(&changes), &pictures(6), &Beginning::Random, out.path(), &Device::Cpu, go_on).expect("trains");
    ddim_checkpoint::load(&out.path().join("model")).expect("a model")
}

fn predicts(kind: &str) -> Checkpoint {
    teacher(&json!({ "scheduler.prediction_type": kind }))
}

/// Two stages of six steps with these keys changed.
fn distillation(changes: &Value) -> DistillationRecipe {
    let mut recipe = json!({
        "name": "tiny student", "from": 8, "to": 2, "steps": 6, "batch_size": 4, "shards": 2,
        "learning_rate": 0.005,
        "warmup_steps": 1, "label_dropout": 0.25, "checkpoint_steps": 4, "seed": 3, "ema_decay": 0.9,
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        recipe[key] = value.clone();
    }
    DistillationRecipe::from_json(&recipe.to_string()).expect("a recipe that makes sense")
}

fn run(recipe: &DistillationRecipe, teacher: &Checkpoint, out: &Path) -> Result<Trained, TrainError> {
    distill(recipe, &pictures(6), teacher, out, &Device::Cpu, |_| ControlFlow::Continue(()))
}

fn refusal(recipe: &DistillationRecipe, teacher: &Checkpoint) -> String {
    let out = folder();
    let told = run(recipe, teacher, out.path()).expect_err("must be refused").to_string();
    assert_eq!(fs::read_dir(out.path()).expect("a folder").count(), 0, "nothing is written");
    told
}

/// Every file that was left, with its bytes.
fn left(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((
                    path.strip_prefix(out).expect("within").to_owned(),
                    fs::read(&path).expect("readable"),
                )),
            }
        }
    }
    found.sort();
    found
}

fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (left(one), left(other));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    let differs = one.iter().zip(&other).find(|(a, b)| a.1 != b.1);
    assert!(differs.is_none(), "{:?} differs", differs.map(|(a, _)| &a.0));
}

/// A student that has learned: its loss has fallen, and from the same noise it comes closer to what its teacher
/// draws in twice the steps than the teacher itself in as few.
#[test]
fn a_student_comes_closer_to_its_teacher_than_the_teacher_in_as_few_steps() {
    for (kind, weight) in [("v_prediction", "truncated_snr"), ("sample", "snr_plus_one")] {
        let teacher =
            teacher(&json!({ "scheduler.prediction_type": kind, "steps": 400, "unet.block_out_channels": [16] }));
        let changes =
            json!({ "from": 4, "to": 2, "steps": 300, "batch_size": 8, "weight": weight, "warmup_steps": 10 });
        let (out, mut losses) = (folder(), Vec::new());
        let observe = |event: &TrainEvent| {
            if let TrainEvent::Step { loss, .. } = event {
                losses.push(*loss);
            }
            ControlFlow::Continue(())
        };
        distill(&distillation(&changes), &pictures(6), &teacher, out.path(), &Device::Cpu, observe)
            .expect("trains");
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..10]), mean(&losses[290..]));
        assert!(last < 0.5 * first, "{kind}: {first} to {last}");

        let student = Model::load(out.path().join("model"), &Device::Cpu).expect("a model");
        let teacher = Model::from_checkpoint(teacher, &Device::Cpu).expect("a model");
        let drawn = |model: &Model, steps| {
            let labels: Labels = vec![0, 1].into();
            let options = Options { steps, count: 32, labels, ..Options::default() };
            let (drawn, _) =
                model.run(&options).expect("runs").all(|_, _| ControlFlow::Continue(())).expect("draws");
            drawn.tensor().values().to_vec()
        };
        let from = |wanted: &[f32], is: &[f32]| {
            let squares = wanted.iter().zip(is).map(|(a, b)| f64::from(a - b).powi(2));
            (squares.sum::<f64>() / wanted.len() as f64).sqrt()
        };
        let wanted = drawn(&teacher, 4);
        let (learned, before) = (from(&wanted, &drawn(&student, 2)), from(&wanted, &drawn(&teacher, 2)));
        assert!(learned < 0.7 * before, "{kind}: {learned}, the teacher {before}");
    }
}

/// Folders of students are those of ordinary models, in v, and say which timesteps they were made for: those of
/// drawing.
#[test]
fn a_student_is_an_ordinary_model_made_for_its_steps() {
    let (out, teacher) = (folder(), predicts("v_prediction"));
    let model = out.path().join("model");
    let recipe = distillation(&json!({ "to": 1, "card": { "license": "MIT" } }));
    assert_eq!(run(&recipe, &teacher, out.path()).expect("trains"), Trained::Finished { model: model.clone() });
    for (stage, timesteps) in
        [("4-steps", vec![47, 35, 23, 11]), ("2-steps", vec![47, 23]), ("1-step", vec![47]), (".", vec![47])]
    {
        let student = ddim_checkpoint::load(&out.path().join(stage).join("model")).expect("a model");
        assert_eq!(student.scheduler.prediction(), Prediction::V);
        assert!(!student.scheduler.clip_sample, "what it says is not clipped");
        let Card { made_for, extra, name, .. } = student.card.clone();
        assert_eq!(made_for.expect("it says").timesteps, timesteps, "{stage}");
        assert_eq!(
            (name.as_str(), &extra["license"], &extra["trained_steps"]),
            ("tiny student", &json!("MIT"), &json!(6))
        );
        let student = Model::from_checkpoint(student, &Device::Cpu).expect("drawable");
        let plan: Plan = student.plan(&student.options()).expect("a plan");
        assert_eq!(plan.steps().iter().map(|step| step.time as usize).collect::<Vec<_>>(), timesteps);
        assert_eq!(plan.steps().last().expect("a step").alpha_bar_prev, 1.0);
    }
    let config = fs::read_to_string(model.join("scheduler/scheduler_config.json")).expect("there");
    for said in ["\"v_prediction\"", "\"trailing\"", "\"clip_sample\": false", "\"set_alpha_to_one\": true"] {
        assert!(config.contains(said), "{said}: {config}");
    }
}

/// Before, at and after checkpoints, which are at 4 and 6 of both stages, and between stages.
#[test]
fn a_distillation_that_was_killed_goes_on_bit_for_bit() {
    let (recipe, teacher, whole) = (distillation(&json!({})), predicts("v_prediction"), folder());
    run(&recipe, &teacher, whole.path()).expect("trains");
    for kills in [vec![1], vec![5, 6], vec![7, 11], vec![12]] {
        let out = folder();
        for kill in kills {
            let observe = |event: &TrainEvent| match event {
                TrainEvent::Step { step, .. } if *step == kill => std::panic::resume_unwind(Box::new("killed")),
                _ => ControlFlow::Continue(()),
            };
            let begin = std::panic::AssertUnwindSafe(|| {
                distill(&recipe, &pictures(6), &teacher, out.path(), &Device::Cpu, observe)
            });
            assert!(std::panic::catch_unwind(begin).is_err());
        }
        run(&recipe, &teacher, out.path()).expect("trains");
        assert_same(whole.path(), out.path());
    }
}

/// An observer hears of all stages as of one run, and of stages that were finished before nothing.
#[test]
fn events_count_the_steps_of_all_stages() {
    let (recipe, teacher, out) =
        (distillation(&json!({ "stage_steps": { "2": 5 } })), predicts("v_prediction"), folder());
    let mut heard = Vec::new();
    let mut hear = |stop: u64| {
        heard.clear();
        let ended = distill(&recipe, &pictures(6), &teacher, out.path(), &Device::Cpu, |event| {
            let told = match event {
                TrainEvent::Stage { number, of, teacher, student, .. } => {
                    format!("{number}/{of} {teacher:?} {student}")
                }
                TrainEvent::Started { step, steps, .. } => format!("from {step}/{steps}"),
                TrainEvent::Step { step, steps, .. } => format!("{step}/{steps}"),
                TrainEvent::Saved { step, .. } => format!("saved {step}"),
            };
            heard.push(told);
            match event {
                TrainEvent::Step { step, .. } if *step == stop => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        (ended.expect("trains"), heard.join("; "))
    };
    assert_eq!(distillation_steps(&recipe, &teacher).expect("a teacher"), 11);
    let (ended, told) = hear(8);
    assert_eq!(ended, Trained::Stopped { step: 8 });
    let first = "from 0/11; 1/2 Some(8) 4; 1/11; 2/11; 3/11; 4/11; saved 4; 5/11; 6/11; saved 6";
    assert_eq!(told, format!("{first}; 2/2 Some(4) 2; 7/11; 8/11; saved 8"));
    let (ended, told) = hear(0);
    assert_eq!(ended, Trained::Finished { model: out.path().join("model") });
    assert_eq!(told, "from 8/11; 2/2 Some(4) 2; 9/11; 10/11; saved 10; 11/11; saved 11");
    assert_eq!(hear(0).1, "");
}

/// Whoever stops at the last step of a stage has its student, and no step of the next.
#[test]
fn a_stop_at_the_end_of_a_stage_is_a_stop() {
    let (recipe, teacher, out) =
        (distillation(&json!({ "stage_steps": { "2": 5 } })), predicts("v_prediction"), folder());
    let stop = |event: &TrainEvent| match event {
        TrainEvent::Step { step: 6, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let ended = distill(&recipe, &pictures(6), &teacher, out.path(), &Device::Cpu, stop).expect("trains");
    assert_eq!(ended, Trained::Stopped { step: 6 });
    let model = ddim_checkpoint::load(&out.path().join("model")).expect("the first student");
    assert_eq!(model.card.made_for.expect("it says").timesteps.len(), 4);
    assert!(!out.path().join("2-steps").exists());
}

/// What is refused leaves the run that lies there as it was, and its recipe too.
#[test]
fn a_refusal_writes_nothing() {
    let (teacher, out) = (predicts("v_prediction"), folder());
    run(&distillation(&json!({ "from": 4, "to": 2 })), &teacher, out.path()).expect("trains");
    let before = fs::read_to_string(out.path().join("recipe.json")).expect("a recipe");
    for other in [json!({ "from": 4, "to": 2, "seed": 9 }), json!({ "from": 8, "to": 2 })] {
        let error = run(&distillation(&other), &teacher, out.path()).expect_err("another recipe");
        assert!(matches!(error, TrainError::OtherRecipe { .. }), "{error}");
    }
    let lock = run::lock(out.path()).expect("nobody trains");
    let longer = distillation(&json!({ "from": 4, "to": 1 }));
    assert!(matches!(run(&longer, &teacher, out.path()), Err(TrainError::Locked { .. })));
    drop(lock);
    assert_eq!(fs::read_to_string(out.path().join("recipe.json")).expect("a recipe"), before);
    assert!(!out.path().join("4-steps").exists() && !out.path().join("1-step").exists());
    run(&longer, &teacher, out.path()).expect("goes on");
}

/// A longer distillation goes on where a shorter one ended: its stages are the same runs.
#[test]
fn fewer_steps_can_be_asked_for_later() {
    let (teacher, out, whole) = (predicts("v_prediction"), folder(), folder());
    run(&distillation(&json!({ "to": 4 })), &teacher, out.path()).expect("trains");
    run(&distillation(&json!({ "to": 2 })), &teacher, out.path()).expect("trains");
    run(&distillation(&json!({ "to": 2 })), &teacher, whole.path()).expect("trains");
    assert_same(whole.path(), out.path());
}

/// A teacher of eps is asked for v first, at its own steps; where hardly a signal is left, the data say it.
#[test]
fn a_teacher_of_eps_has_a_student_that_says_the_same_in_v() {
    let teacher = predicts("epsilon");
    let (recipe, out) = (distillation(&json!({})), folder());
    let of = |stages: Vec<DistillationRecipe>| stages.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>();
    assert_eq!(of(stages(&recipe, &teacher).expect("a teacher")), [(8, 8), (8, 4), (4, 2)]);
    run(&recipe, &teacher, out.path()).expect("trains");
    let first = ddim_checkpoint::load(&out.path().join("8-steps/model")).expect("a model");
    assert_eq!(first.scheduler.prediction(), Prediction::V);
    let timesteps = first.card.made_for.expect("it says").timesteps;
    assert_eq!(timesteps, [47, 41, 35, 29, 23, 17, 11, 5]);

    let stage = &stages(&recipe, &teacher).expect("a teacher")[0];
    let student = teacher::student(stage, &teacher).expect("a recipe");
    let (beginning, set) = (Beginning::Model(teacher.clone()), pictures(6));
    let task =
        Diffusion::new(&student, &set, &beginning, &Device::Cpu, teacher.denoiser.clone()).expect("trainable");
    let mut task = task.at(timesteps);
    let knows = Teacher::new(&teacher, stage, &Device::Cpu).expect("a teacher");
    let said = Model::from_checkpoint(teacher, &Device::Cpu).expect("a model");
    let weights = flat::read(said.checkpoint().denoiser.graph(), said.checkpoint().denoiser.weights());
    let seen = std::sync::Mutex::new([0, 0]);
    let check = |batch: crate::batch::Batch| {
        let own = batch.target.clone();
        let aimed = knows.aim(batch);
        let size = own.len() / aimed.times.len();
        let labels = aimed.labels.clone().into();
        let network = said.network_at_times(aimed.shape(), &labels).expect("fits");
        let eps = network(ddim_tensor::Tensor::new(aimed.x_t.clone(), aimed.shape()), &aimed.times).into_values();
        for (k, alpha_bar) in aimed.alpha_bars.iter().enumerate() {
            let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
            let told = alpha_bar / (1.0 - alpha_bar) < 0.01;
            seen.lock().expect("alone")[usize::from(told)] += 1;
            for at in k * size..(k + 1) * size {
                // v = alpha eps - sigma x0 and z = alpha x0 + sigma eps.
                let of_eps = (f64::from(eps[at]) - noise * f64::from(aimed.x_t[at])) / signal;
                let expected = if told { f64::from(own[at]) } else { of_eps };
                let is = f64::from(aimed.target[at]);
                assert!((is - expected).abs() < 2e-5 * (1.0 + expected.abs()), "{alpha_bar}: {is} and {expected}");
            }
        }
        aimed
    };
    (1..=4).for_each(|step| drop(task.gradient_towards(step, &weights, check)));
    let seen = seen.into_inner().expect("alone");
    assert!(seen[0] > 0 && seen[1] > 0, "pictures of both kinds: {seen:?}");
}

/// What cannot teach is refused with its reason before anything is written.
#[test]
fn teachers_that_cannot_teach_are_refused() {
    let (recipe, good) = (distillation(&json!({})), predicts("v_prediction"));
    let made_for = Some(MadeFor { solver: "ddim".to_owned(), timesteps: vec![47, 23] });
    let student = Checkpoint { card: Card { made_for, ..good.card.clone() }, ..good.clone() };
    assert!(refusal(&recipe, &student).contains("it was made for 2 steps, and `from` is 8; begin from 2"));
    let nameless = Checkpoint { card: Card { null_class: None, ..good.card.clone() }, ..good.clone() };
    assert!(refusal(&recipe, &nameless).contains("3 classes, the last of which does not mean \"any class\""));
    let renamed =
        Checkpoint { card: Card { classes: vec!["a".into(), "b".into()], ..good.card.clone() }, ..good.clone() };
    assert!(refusal(&recipe, &renamed).contains("its class \"a\" is called \"left\" in the pictures"));
    let edm = json!({
        "_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "num_train_timesteps": 48
    });
    let scheduler = ddim_checkpoint::SchedulerConfig::from_json(&edm.to_string()).expect("known");
    let edm = Checkpoint { scheduler, ..good.clone() };
    assert!(
        refusal(&recipe, &edm).contains("teachers predict epsilon, sample or v_prediction"),
        "{}",
        refusal(&recipe, &edm)
    );
    let two: Recipe =
        crate::testing::recipe(&json!({ "unet.out_channels": 2, "objective": Objective::Denoising }));
    let weights = flat::initial(&two.unet.graph().expect("a graph"), 0);
    let wide = Checkpoint { denoiser: Denoiser::new(two.unet, weights).expect("a network"), ..good.clone() };
    assert!(
        refusal(&recipe, &wide).contains("2 channels for pictures of 1, as models that learned a variance do")
    );
    let nothing = DistillationRecipe { to: 8, ..recipe.clone() };
    assert!(refusal(&nothing, &good).contains("predicts v already, and both it and its student draw in 8 steps"));
    let far = DistillationRecipe { from: 64, ..recipe };
    assert!(refusal(&far, &good).contains("it has 48 timesteps, and `from` is 64"));
}

#[test]
fn what_lies_in_the_folder_and_is_not_of_a_distillation_stays() {
    let (recipe, good) = (distillation(&json!({})), predicts("v_prediction"));
    for (name, text) in [("recipe.json", r#"{ "flour": 500 }"#), ("model", "mine")] {
        let out = folder();
        fs::write(out.path().join(name), text).expect("writable");
        let error = run(&recipe, &good, out.path()).expect_err("somebody else's");
        assert!(matches!(&error, TrainError::Occupied { path } if *path == out.path().join(name)), "{error}");
        assert_eq!(fs::read_to_string(out.path().join(name)).expect("kept"), text);
        assert_eq!(fs::read_dir(out.path()).expect("listed").count(), 1);
    }
}

/// Another teacher is another run.
#[test]
fn a_stage_does_not_go_on_with_another_teacher() {
    let (recipe, out) = (distillation(&json!({})), folder());
    run(&recipe, &predicts("v_prediction"), out.path()).expect("trains");
    let other = teacher(&json!({ "scheduler.prediction_type": "v_prediction", "seed": 8 }));
    let told = run(&recipe, &other, out.path()).expect_err("another teacher").to_string();
    assert!(told.contains("4-steps/train.safetensors: this run began with the model"), "{told}");
}
