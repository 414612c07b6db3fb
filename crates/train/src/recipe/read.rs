//! From the text of a recipe to a recipe, or to everything that is wrong with it.

use super::Settings;
use super::problems::Problems;
use crate::{AdversaryRecipe, RecipeError, UpperRecipe};
use ddim::autoencoder::AutoencoderKLConfig;
use ddim_checkpoint::{SchedulerConfig, plain_json};
use ddim_schedule::nearest_said;
use ddim_unet::UNet2DConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An object in a recipe whose keys are looked at one by one.
pub(crate) type Part = (&'static str, fn(&Map<String, Value>) -> Problems);

/// Reads a recipe. `example` is one in which every key has a value, `required` are the keys without a default.
pub(crate) fn read<R: Settings>(
    text: &str,
    example: &R,
    required: &[&str],
    parts: &[Part],
) -> Result<R, RecipeError> {
    let text = &plain_json(text);
    let keys: Map<String, Value> = serde_json::from_str(text).map_err(not_json)?;
    let mut problems = of_keys("", &keys, example, parts);
    for missing in required.iter().filter(|key| !keys.contains_key(**key)) {
        problems.add(missing, RecipeError::Missing { key: (*missing).to_owned() });
    }
    // What is sound is compared with the rest: with defaults, or the example's values, in place of what is not.
    let mut sound = json!(example);
    if let Value::Object(values) = &mut sound {
        values.retain(|key, _| required.contains(&key.as_str()));
        values.extend(keys.into_iter().filter(|(key, _)| problems.are_sound(&[key])));
    }
    if let Ok(recipe) = serde_json::from_value::<R>(sound) {
        recipe.look_for(&mut problems);
    }
    problems.into_result()?;
    serde_json::from_str(text).map_err(not_json)
}

/// What is wrong with each key of `unet` alone.
pub(crate) fn unet(keys: &Map<String, Value>) -> Problems {
    let mut keys = keys.clone();
    keys.retain(|key, _| !key.starts_with('_'));
    of_keys("unet.", &keys, &UNet2DConfig::default(), &[])
}

/// What is wrong with each key of `autoencoder` alone.
pub(crate) fn autoencoder(keys: &Map<String, Value>) -> Problems {
    let mut keys = keys.clone();
    keys.retain(|key, _| !key.starts_with('_'));
    of_keys("autoencoder.", &keys, &AutoencoderKLConfig::default(), &[])
}

/// What is wrong with each key of `upper` alone.
pub(crate) fn upper(keys: &Map<String, Value>) -> Problems {
    of_keys("upper.", keys, &UpperRecipe::default(), &[])
}

/// What is wrong with each key of `adversary` alone.
pub(crate) fn adversary(keys: &Map<String, Value>) -> Problems {
    of_keys("adversary.", keys, &AdversaryRecipe::default(), &[])
}

/// What is wrong with each key of `scheduler` alone, or else with all together.
pub(crate) fn scheduler(keys: &Map<String, Value>) -> Problems {
    const CLASS: &str = "_class_name";
    let mut problems = Problems::default();
    let read = |keys: Map<String, Value>| SchedulerConfig::from_json(&Value::Object(keys).to_string());
    let Err(together) = read(keys.clone()) else { return problems };
    let class = keys.get_key_value(CLASS).map(|(key, value)| (key.clone(), value.clone()));
    if problems.take(CLASS, read(class.clone().into_iter().collect())).is_none() {
        return problems;
    }
    for (key, value) in keys.iter().filter(|(key, _)| *key != CLASS) {
        let alone = class.clone().into_iter().chain([(key.clone(), value.clone())]).collect();
        problems.take(key, read(alone));
    }
    if problems.is_empty() {
        problems.add(CLASS, together);
    }
    problems
}

/// What is wrong with each key alone: that there is no such key, or a value of another kind.
fn of_keys<R: Serialize + DeserializeOwned>(
    before: &str,
    keys: &Map<String, Value>,
    example: &R,
    parts: &[Part],
) -> Problems {
    let known = json!(example);
    let known: Vec<&str> = known.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let mut problems = Problems::default();
    for (key, value) in keys {
        let named = format!("{before}{key}");
        let part = parts.iter().find(|(name, _)| name == key);
        if let (Some((_, part)), Value::Object(inner)) = (part, value) {
            problems.append(key, part(inner));
        } else if !known.contains(&key.as_str()) {
            let meant = match nearest_said(key, known.iter().copied()) {
                near if near.is_empty() => format!("; there are {}", known.join(", ")),
                near => near,
            };
            problems.add(key, RecipeError::UnknownKey { key: named, meant });
        } else if let Err(error) = serde_json::from_value::<R>(with(example, [(key.clone(), value.clone())])) {
            let value = value.to_string().chars().take(80).collect();
            problems.add(key, RecipeError::Kind { key: named, value, reason: in_words(&error.to_string()) });
        }
    }
    problems
}

/// What serde says, without Rust's names of numbers.
fn in_words(reason: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
    ];
    let words = words
        .into_iter()
        .chain([("expected i64", "expected a whole number"), ("expected f64", "expected a number")]);
    words.fold(reason.to_owned(), |reason, (rust, plain)| reason.replace(rust, plain))
}

/// The example as JSON with other values.
fn with(example: &impl Serialize, values: impl IntoIterator<Item = (String, Value)>) -> Value {
    let mut all = json!(example);
    values.into_iter().for_each(|(key, value)| all[key] = value);
    all
}

fn not_json(error: serde_json::Error) -> RecipeError {
    RecipeError::Json { reason: error.to_string() }
}
