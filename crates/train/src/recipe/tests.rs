use super::*;
use crate::testing::{recipe, try_recipe};
use crate::{AutoencoderRecipe, ClassifierRecipe};
use serde_json::json;

/// The message about a recipe with these changes.
fn refusal(changes: &Value) -> String {
    try_recipe(changes).expect_err("must be refused").to_string()
}

#[test]
fn a_recipe_reads_back() {
    let changes = json!({
        "alpha": { "over": [1, 2, 3] }, "flip": "horizontal", "decay": { "tail": 3 }, "card": { "a": 1 },
    });
    let recipe = recipe(&changes);
    assert_eq!((recipe.alpha, recipe.decay), (Alpha::Over([1, 2, 3]), Decay::Tail(3)));
    assert_eq!(Recipe::from_json(&recipe.to_json()).expect("its own text"), recipe);
}

#[test]
fn the_recipes_of_the_project_make_sense() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/recipes");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").path()) {
        let text = std::fs::read_to_string(&entry).expect("readable");
        if entry.ends_with("fashion-mnist-classifier.json") {
            let recipe = ClassifierRecipe::from_json(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((recipe.images, recipe.classes.len()), (Images::Range([0, 55_000]), 10));
            continue;
        }
        if entry.ends_with("fashion-mnist-distilled.json") {
            let recipe = crate::DistillationRecipe::from_json(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((recipe.images, recipe.students()), (Images::Range([0, 55_000]), vec![16, 8, 4, 2, 1]));
            continue;
        }
        let sizes = [
            ("fashion-mnist-first-stage.json", 28),
            ("first-stage-plain.json", 28),
            ("first-stage-adversary.json", 28),
            ("two-layers.json", 14),
            ("two-layers-free-bits.json", 14),
        ];
        if let Some((name, side)) = sizes.into_iter().find(|(name, _)| entry.ends_with(name)) {
            let recipe = AutoencoderRecipe::from_json(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(recipe.adversary.is_some(), name.contains("adversary"), "{name}");
            assert_eq!((recipe.images, recipe.size()), (Images::Range([0, 55_000]), Some([side, side])));
            continue;
        }
        let recipe = Recipe::from_json(&text).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
        assert_eq!(recipe.class_count(), Some(recipe.classes.len()), "{}", entry.display());
        names.push(recipe.name);
    }
    assert!(names.contains(&"fashion-mnist".to_owned()), "{names:?}");
}

#[test]
fn unknown_keys_are_named() {
    for (key, named) in
        [("learning_rat", "learning_rat"), ("unet.chanels", "chanels"), ("scheduler.beta_stop", "beta_stop")]
    {
        let message = refusal(&json!({ key: 1 }));
        assert!(message.contains(named), "{key}: {message}");
    }
}

#[test]
fn values_of_another_kind_are_named() {
    assert!(refusal(&json!({ "steps": -1 })).contains("-1"));
    assert!(
        refusal(&json!({ "flip": "vertical" }))
            .contains("unknown variant `vertical`, expected `none` or `horizontal`")
    );
    assert!(
        refusal(&json!({ "unet.down_block_types": ["CrossAttnDownBlock2D"] })).contains("CrossAttnDownBlock2D")
    );
    assert!(refusal(&json!({ "scheduler._class_name": "PNDMSchedulr" })).contains("PNDMSchedulr"));
    assert!(refusal(&json!({ "scheduler.prediction_type": "velocity" })).contains("velocity"));
    let message = Recipe::from_json("{").expect_err("no JSON").to_string();
    assert!(message.starts_with("not a recipe: "), "{message}");
}

#[test]
fn numbers_out_of_range_are_named_with_the_range() {
    for (key, value, message) in [
        ("steps", json!(0), "steps is 0; it must be from 1 to 4294967295"),
        ("batch_size", json!(0), "batch_size is 0; it must be from 1 to 65536"),
        ("shards", json!(0), "shards is 0; it must be from 1 to 4"),
        ("shards", json!(3), "shards is 3; it must be a divisor of batch_size, which is 4"),
        ("warmup_steps", json!(13), "warmup_steps is 13; it must be from 0 to 12"),
        ("checkpoint_steps", json!(0), "checkpoint_steps is 0; it must be from 1 to 18446744073709551615"),
        ("learning_rate", json!(0), "learning_rate is 0; it must be above 0, at most 1"),
        ("learning_rate", json!(1.5), "learning_rate is 1.5; it must be above 0, at most 1"),
        ("weight_decay", json!(-0.1), "weight_decay is -0.1; it must be from 0 to 1"),
        ("betas", json!([0.9, 1]), "betas is [0.9, 1.0]; it must be two numbers from 0 up to but not 1"),
        ("clip_norm", json!(0), "clip_norm is 0; it must be above 0"),
        ("ema_decay", json!(1), "ema_decay is 1; it must be from 0 up to but not 1"),
        ("label_dropout", json!(1.1), "label_dropout is 1.1; it must be from 0 to 1"),
        (
            "classes",
            json!(["a"]),
            "classes is 1 names; it must be empty, or 2 names: unet.num_class_embeds minus one for \"any class\"",
        ),
        (
            "unet.dropout",
            json!(0.1),
            "unet.dropout is 0.1; it must be 0: what it drops could not be drawn again when a run goes on",
        ),
        (
            "unet.num_class_embeds",
            json!(1),
            "unet.num_class_embeds is 1; it must be one more than there are classes, or null",
        ),
        (
            "unet.class_embed_type",
            json!("timestep"),
            "unet.class_embed_type is \"timestep\"; it must be null: labels are indices",
        ),
        (
            "unet.time_embedding_type",
            json!("fourier"),
            "unet.time_embedding_type is \"fourier\"; it must be positional, or learned with num_train_timesteps \
             of at least 50",
        ),
    ] {
        assert_eq!(refusal(&json!({ key: value })), message);
    }
}

#[test]
fn what_the_parts_refuse_is_said_to_be_theirs() {
    assert!(refusal(&json!({ "unet.norm_num_groups": 3 })).starts_with("unet: "));
    assert!(refusal(&json!({ "scheduler.num_train_timesteps": 0 })).starts_with("scheduler: "));
    // alpha_bar ends at 0: trained for hours, and then nothing can be drawn.
    let message =
        refusal(&json!({ "scheduler.rescale_betas_zero_snr": true, "scheduler.prediction_type": "epsilon" }));
    assert!(message.starts_with("scheduler: "), "{message}");
    assert!(
        try_recipe(
            &json!({ "scheduler.rescale_betas_zero_snr": true, "scheduler.prediction_type": "v_prediction" })
        )
        .is_ok()
    );
}

#[test]
fn the_rate_rises_stays_and_falls() {
    let rates = |decay: Value, steps: [u64; 6]| {
        let changes = json!({ "steps": 100, "warmup_steps": 4, "learning_rate": 0.8, "decay": decay });
        steps.map(|step| recipe(&changes).learning_rate_at(step))
    };
    assert_eq!(rates(json!("constant"), [1, 2, 3, 4, 5, 100]), [0.2, 0.4, 0.6000000000000001, 0.8, 0.8, 0.8]);
    assert_eq!(
        rates(json!({ "tail": 10 }), [1, 4, 90, 91, 95, 100]),
        [0.2, 0.8, 0.8, 0.7200000000000001, 0.4, 0.0]
    );
    let cosine = rates(json!("cosine"), [2, 4, 28, 52, 76, 100]);
    // (1 + cos(pi k / 4)) / 2 for k = 0 to 4; the first is of the warm-up. Rounding of f64.
    let quarter = std::f64::consts::FRAC_1_SQRT_2;
    let expected = [0.4, 0.8, 0.4 * (1.0 + quarter), 0.4, 0.4 * (1.0 - quarter), 0.0];
    assert!(cosine.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{cosine:?}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = json!({
        "learning_rat": 0.1, "batch_size": 0, "steps": 1.5, "warmup_steps": -1, "betas": [0.9], "flip": "vertical",
        "ema_decay": 1, "shards": 3, "label_dropout": 2, "images": [3, 1],
        "unet": { "_class_name": "UNet2DModel", "chanels": 3, "norm_num_groups": "8", "in_channels": 3 },
        "scheduler": { "_class_name": "DDIMScheduler", "beta_stop": 1, "num_train_timesteps": 0 },
    });
    let message = Recipe::from_json(&text.to_string()).expect_err("must be refused").to_string();
    let mut lines = message.lines();
    assert_eq!(lines.next(), Some("14 things are wrong:"));
    let expected = [
        "unknown key learning_rat; the nearest is learning_rate",
        "steps is 1.5: invalid type: floating point `1.5`, expected a whole number, 0 or more",
        "warmup_steps is -1: ",
        "betas is [0.9]: ",
        "flip is \"vertical\": unknown variant `vertical`, expected `none` or `horizontal`",
        "unknown key unet.chanels; the nearest is in_channels",
        "unet.norm_num_groups is \"8\": ",
        "scheduler: ",
        "scheduler: ",
        "name is missing",
        "batch_size is 0; it must be from 1 to 65536",
        "ema_decay is 1; it must be from 0 up to but not 1",
        "label_dropout is 2; it must be from 0 to 1",
        "images is [3, 1]; ",
    ];
    for (expected, line) in expected.iter().zip(&mut lines) {
        assert!(line.starts_with(&format!("  {expected}")), "expected {expected:?}, found {line:?}");
    }
    assert_eq!(lines.next(), None);
}

/// A key that is left out has its default beside the others, and nothing else.
#[test]
fn what_is_left_out_is_in_nobodys_way() {
    let mut short = json!(recipe(&json!({ "steps": 1, "batch_size": 1, "shards": 1, "warmup_steps": 0 })));
    short
        .as_object_mut()
        .expect("one")
        .retain(|key, _| ["name", "unet", "scheduler", "steps", "batch_size"].contains(&key.as_str()));
    Recipe::from_json(&short.to_string()).expect("makes sense");
}

#[test]
fn all_that_is_wrong_with_a_network_is_said_at_once() {
    let changes = json!({ "unet.norm_num_groups": 3, "unet.in_channels": 0, "unet.dropout": 0.5, "seed": 3 });
    let message = refusal(&changes);
    for (key, value) in [("norm_num_groups", "3"), ("in_channels", "0"), ("dropout", "0.5")] {
        assert!(message.contains(key) && message.contains(value), "{key}: {message}");
    }
    assert!(message.starts_with("3 things are wrong:"), "{message}");
}

/// The file of a network may be pasted in as it is, and an editor may have put its mark before everything.
#[test]
fn remarks_and_marks_are_passed_over() {
    let plain = recipe(&json!({}));
    let marked = recipe(&json!({ "unet._class_name": "UNet2DModel", "unet._diffusers_version": "0.42.1" }));
    assert_eq!(plain, marked);
    assert_eq!(Recipe::from_json(&format!("\u{feff}{}", plain.to_json())).expect("reads"), plain);
}

#[test]
fn a_classifiers_keys_are_told_at_once_too() {
    let text = r#"{ "step": 3, "network": { "widths": [0] }, "ema_decay": 2, "flip": 1 }"#;
    let message = ClassifierRecipe::from_json(text).expect_err("must be refused").to_string();
    assert!(message.starts_with("4 things are wrong:\n  unknown key step; the nearest is steps"), "{message}");
    assert!(
        ["network.widths", "ema_decay is 2", "flip is 1"].iter().all(|part| message.contains(part)),
        "{message}"
    );
}

/// The row of a key in docs/recipe.md.
fn row(key: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recipe.md");
    let page = std::fs::read_to_string(page).expect("in the repository");
    let begins = format!("| `{key}` |");
    let row = page.lines().find(|line| line.starts_with(&begins));
    row.unwrap_or_else(|| panic!("docs/recipe.md has no row of {key}")).to_owned()
}

#[test]
fn every_key_stands_in_the_documents_with_its_default() {
    let needed = ["name", "unet", "scheduler", "steps", "batch_size"];
    let full = Recipe::for_images([32, 32, 3], 0, 1);
    let mut short = json!(full);
    short.as_object_mut().expect("one").retain(|key, _| needed.contains(&key.as_str()));
    let short = json!(Recipe::from_json(&short.to_string()).expect("nothing else is needed"));
    for (key, value) in short.as_object().expect("one") {
        let default =
            if needed.contains(&key.as_str()) { "| needed |".to_owned() } else { format!("| `{value}`") };
        assert!(row(key).contains(&default), "{key}: {default} is not in {}", row(key));
    }
    for key in json!(ClassifierRecipe::default()).as_object().expect("one").keys().filter(|key| *key != "network")
    {
        row(key);
    }
}

#[test]
fn every_key_of_a_first_stage_stands_in_the_documents_with_its_default() {
    let all = json!(AutoencoderRecipe::default());
    let (of_all, own): (Vec<_>, Vec<_>) =
        all.as_object().expect("one").iter().partition(|(key, _)| json!(Training::default()).get(*key).is_some());
    of_all.into_iter().for_each(|(key, _)| drop(row(key)));
    for (key, value) in own.into_iter().filter(|(key, _)| !["name", "autoencoder"].contains(&key.as_str())) {
        assert!(row(key).contains(&format!("| `{value}`")), "{key}: `{value}` is not in {}", row(key));
    }
}

/// In tables of their own: some of their keys are called as others are.
#[test]
fn every_key_of_a_part_or_of_a_distillation_stands_in_the_documents_with_its_default() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recipe.md");
    let page = std::fs::read_to_string(page).expect("in the repository");
    let own = ["from", "to", "weight", "stage_steps"];
    let mut distillation = json!(crate::DistillationRecipe::default());
    distillation.as_object_mut().expect("keys").retain(|key, _| own.contains(&key.as_str()));
    for key in ["from", "to"] {
        distillation[key] = json!("needed");
    }
    for (section, keys) in [
        ("## A distillation's recipe", distillation),
        ("### A second layer", json!(crate::UpperRecipe::default())),
        ("### An adversary", json!(crate::AdversaryRecipe::default())),
    ] {
        let (_, table) = page.split_once(section).expect("a section");
        let table = table.split("\n##").next().expect("its text");
        for (key, value) in keys.as_object().expect("keys") {
            let begins = format!("| `{key}` |");
            let row = table.lines().find(|line| line.starts_with(&begins)).expect(key);
            let value = value.to_string().replace(',', ", ");
            if value == "\"needed\"" {
                assert!(row.contains("| needed |"), "{row}");
                continue;
            }
            assert!(row.contains(&format!("| `{value}` |")), "{key}: {value} is not in {row}");
        }
    }
}

#[test]
fn the_documents_say_what_the_refusals_say() {
    for (key, wrong) in [
        ("steps", json!(0)),
        ("batch_size", json!(0)),
        ("learning_rate", json!(0)),
        ("weight_decay", json!(2)),
        ("betas", json!([1, 1])),
        ("clip_norm", json!(0)),
        ("ema_decay", json!(1)),
        ("label_dropout", json!(2)),
    ] {
        let refusal = refusal(&json!({ key: wrong }));
        let (_, allowed) = refusal.split_once("it must be ").expect("a range");
        assert!(row(key).contains(&format!("| {allowed} |")), "{key}: {allowed:?} is not in {}", row(key));
    }
}
