//! The checkpoint file: everything that a run needs to go on, in the safetensors format.

use crate::TrainError;
use crate::optimizer::Optimizer;
use crate::recipe::Settings;
use crate::seen::Seen;
use ddim_data::write_whole;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) optimizer: Optimizer,
    /// That of a second network, such as an adversary, where there is one.
    pub(crate) second: Option<Optimizer>,
    /// The moving average of the loss; `None` before the first step.
    pub(crate) smoothed_loss: Option<f64>,
    /// What the run began with, in words; empty for random weights.
    pub(crate) origin: String,
    /// The pictures it was trained on last; `None` in checkpoints of a time when they were not remembered.
    pub(crate) seen: Option<Seen>,
}

/// Keys of a recipe that may change when a run goes on, because what has been computed does not depend on them.
const FREE: [&str; 4] = ["name", "classes", "checkpoint_steps", "card"];

impl State {
    /// Writes the file whole or not at all; until the new one is complete the old one stays.
    pub(crate) fn save(&self, path: &Path, recipe: &impl Settings) -> Result<(), TrainError> {
        let mut remarks = json!({
            "step": self.optimizer.step.to_string(),
            "smoothed_loss": self.smoothed_loss.map_or("null".to_owned(), |loss| loss.to_string()),
            "recipe": recipe.to_json(),
            "began_with": self.origin,
            "order": ORDER,
        });
        if let Some(seen) = &self.seen {
            remarks["pictures"] = json!(seen).to_string().into();
        }
        if let Some(second) = &self.second {
            remarks["second_step"] = second.step.to_string().into();
        }
        let second = self.second.iter().flat_map(|second| lists(SECOND, second));
        let lists: Vec<_> = lists("", &self.optimizer).into_iter().chain(second).collect();
        Ok(write_whole(path, &encode(remarks, &lists))?)
    }

    /// Reads the file of a run of this recipe, whose network has `weights` weights, and a second one perhaps so
    /// many too. `None` if there is none.
    pub(crate) fn load(
        path: &Path,
        recipe: &impl Settings,
        weights: usize,
        second: Option<usize>,
    ) -> Result<Option<Self>, TrainError> {
        // Four lists of f32 each, and a header that is far smaller than this.
        let numbers = weights as u64 + second.unwrap_or(0) as u64;
        let Some(bytes) = read(path, numbers * 16 + (1 << 20))? else { return Ok(None) };
        let not_ours = |error: safetensors::SafeTensorError| broken(path, format!("is not a checkpoint: {error}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not_ours)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| metadata.get(key).ok_or_else(|| broken(path, format!("has no {key}")));
        let count = |key: &str| {
            let number = text(key)?.parse();
            number.map_err(|error| broken(path, format!("its {key} is not a number: {error}")))
        };
        let step = count("step")?;
        same_recipe(path, text("recipe")?, recipe, step)?;
        if metadata.get("order").map(String::as_str) != Some(ORDER) {
            return Err(TrainError::EarlierVersion { path: path.to_owned() });
        }
        let steps = recipe.training().steps;
        if step > steps {
            return Err(broken(path, format!("is of step {step}, the recipe ends at {steps}")));
        }
        // Not serde_json, which reads some numbers with an error in the last bit.
        let smoothed_loss = match text("smoothed_loss")?.as_str() {
            "null" => None,
            loss => Some(
                loss.parse()
                    .map_err(|error| broken(path, format!("its smoothed_loss is not a number: {error}")))?,
            ),
        };
        let tensors = SafeTensors::deserialize(&bytes).map_err(not_ours)?;
        let optimizer = read_optimizer(path, &tensors, "", (step, weights))?;
        let second = match second {
            Some(weights) => Some(read_optimizer(path, &tensors, SECOND, (count("second_step")?, weights))?),
            None => None,
        };
        let origin = metadata.get("began_with").cloned().unwrap_or_default();
        let seen = metadata.get("pictures").map(|text| serde_json::from_str(text)).transpose();
        let seen = seen.map_err(|error| broken(path, format!("its pictures: {error}")))?;
        Ok(Some(State { optimizer, second, smoothed_loss, origin, seen }))
    }
}

/// The order of weights; checkpoints of a time when it was another one name none, or another.
const ORDER: &str = "graph";

/// The bytes of a file that has no more than so many, `None` if there is no such file.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, TrainError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(TrainError::io(path))?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(TrainError::io(path))?;
    match bytes.len() as u64 > limit {
        true => Err(broken(path, format!("has more than the {limit} bytes that it can need"))),
        false => Ok(Some(bytes)),
    }
}

/// Whether a checkpoint of a step was made with a recipe that computes the same: [`FREE`] keys may differ, and so
/// may `steps` as long as the learning rate has not depended on it.
fn same_recipe<R: Settings>(path: &Path, made_with: &str, recipe: &R, step: u64) -> Result<(), TrainError> {
    let read =
        |text: &str| serde_json::from_str::<R>(text).map_err(|error| broken(path, format!("its recipe: {error}")));
    // Both have gone through a text, so that reading it changes nothing in one that stays as it is in the other.
    let (before, recipe) = (read(made_with)?, &read(&recipe.to_json())?);
    let steps_free = step <= before.training().free_until().min(recipe.training().free_until());
    let (before, now) = (serde_json::json!(before), serde_json::json!(recipe));
    let keys = now.as_object().into_iter().flat_map(|object| object.keys());
    let bound = keys.filter(|key| !(FREE.contains(&key.as_str()) || steps_free && *key == "steps"));
    match bound.into_iter().find(|key| before.get(key) != now.get(key)) {
        Some(key) => Err(TrainError::OtherRecipe { path: path.to_owned(), key: key.clone() }),
        None => Ok(()),
    }
}

/// What stands before the names of a second network's lists.
const SECOND: &str = "second.";

/// The lists of an optimiser and their names.
fn lists<'a>(before: &str, optimizer: &'a Optimizer) -> [(String, &'a Vec<f32>); 4] {
    let Optimizer { step: _, weights, average, mean, square } = optimizer;
    let lists = [("average", average), ("mean", mean), ("square", square), ("weights", weights)];
    lists.map(|(name, values)| (format!("{before}{name}"), values))
}

/// The optimiser of a network of so many weights after so many steps.
fn read_optimizer(
    path: &Path,
    tensors: &SafeTensors,
    before: &str,
    (step, weights): (u64, usize),
) -> Result<Optimizer, TrainError> {
    let values = |name| values(path, tensors, &format!("{before}{name}"), weights);
    Ok(Optimizer {
        step,
        weights: values("weights")?,
        average: values("average")?,
        mean: values("mean")?,
        square: values("square")?,
    })
}

fn values(path: &Path, tensors: &SafeTensors, name: &str, count: usize) -> Result<Vec<f32>, TrainError> {
    let tensor = tensors.tensor(name).map_err(|error| broken(path, error.to_string()))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != [count] {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        return Err(broken(
            path,
            format!("its {name} is {dtype:?} {shape:?}; the network has {count} f32 weights"),
        ));
    }
    let bytes = tensor.data().as_chunks::<4>().0;
    Ok(bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn broken(path: &Path, problem: String) -> TrainError {
    TrainError::Checkpoint { path: path.to_owned(), problem }
}

/// A safetensors file of lists. Not by the crate of that name, which writes the remarks in another
/// order each time: the same run leaves the same bytes.
fn encode(remarks: Value, lists: &[(String, &Vec<f32>)]) -> Vec<u8> {
    let mut header = json!({ "__metadata__": remarks });
    let mut end = 0;
    for (name, values) in lists {
        let begin = end;
        end += 4 * values.len();
        header[name] = json!({ "dtype": "F32", "shape": [values.len()], "data_offsets": [begin, end] });
    }
    let mut header = header.to_string().into_bytes();
    // The numbers behind it are to lie at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    lists.iter().for_each(|(_, values)| bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;
    use crate::testing::{pictures, recipe};
    use serde_json::json;
    use tempfile::TempDir;

    /// A checkpoint of step 3 of a network of four weights, in a folder that goes away with the value.
    fn saved() -> (TempDir, std::path::PathBuf, State, Recipe) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("train.safetensors");
        let mut optimizer = Optimizer::new(vec![1.0, -0.0, f32::MIN_POSITIVE / 2.0, 0.1]);
        let recipe = recipe(&json!({}));
        (0..3).for_each(|_| optimizer.update(&recipe.training(), &[1.0, 2.0, -1.0, 0.0], 0.5));
        let seen = Seen::new(&pictures(6), 0..6, Some(&[0, 1, 0, 1, 0, 1]), &["left".to_owned()]);
        let origin = "a model".to_owned();
        let state = State { optimizer, second: None, smoothed_loss: Some(0.1 + 0.2), origin, seen: Some(seen) };
        state.save(&path, &recipe).expect("writable");
        (folder, path, state, recipe)
    }

    #[test]
    fn a_state_reads_back_to_the_last_bit() {
        let (_folder, path, state, recipe) = saved();
        assert_eq!(State::load(&path, &recipe, 4, None).expect("reads"), Some(state));
        assert_eq!(State::load(&path.with_file_name("other"), &recipe, 4, None).expect("fine"), None);
    }

    #[test]
    fn the_same_state_is_the_same_bytes() {
        let (_folder, path, state, recipe) = saved();
        let bytes = std::fs::read(&path).expect("there");
        for _ in 0..8 {
            state.save(&path, &recipe).expect("writable");
            assert!(std::fs::read(&path).expect("there") == bytes, "other bytes");
        }
        assert!(bytes.len().is_multiple_of(8));
    }

    /// As it was written until pictures were remembered, by the crate of the format.
    #[test]
    fn a_file_without_pictures_reads() {
        let (_folder, path, state, recipe) = saved();
        let state = State { seen: None, ..state };
        let Optimizer { step, weights, average, mean, square } = &state.optimizer;
        let bytes = |values: &Vec<f32>| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let lists = [("weights", weights), ("average", average), ("mean", mean), ("square", square)]
            .map(|(name, values)| (name, bytes(values)));
        let view = |bytes| safetensors::tensor::TensorView::new(Dtype::F32, vec![4], bytes).expect("fits");
        let remarks = [
            ("step", step.to_string()),
            ("smoothed_loss", "0.30000000000000004".to_owned()),
            ("recipe", recipe.to_json()),
            ("began_with", state.origin.clone()),
            ("order", "graph".to_owned()),
        ];
        let remarks = remarks.map(|(key, text)| (key.to_owned(), text)).into();
        let tensors = lists.iter().map(|(name, bytes)| (*name, view(bytes)));
        std::fs::write(&path, safetensors::serialize(tensors, Some(remarks)).expect("encodes")).expect("writable");
        assert_eq!(State::load(&path, &recipe, 4, None).expect("reads"), Some(state));
    }

    #[test]
    fn a_broken_file_is_named_whatever_is_broken() {
        let (_folder, path, _, recipe) = saved();
        let bytes = std::fs::read(&path).expect("there");
        let values = 16 * 4;
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).expect("writable");
            let error = State::load(&path, &recipe, 4, None).expect_err("cut").to_string();
            assert!(error.contains("train.safetensors: "), "{error}");
        }
        for at in 0..bytes.len() - values {
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            std::fs::write(&path, changed).expect("writable");
            if let Err(error) = State::load(&path, &recipe, 4, None) {
                assert!(error.to_string().contains("train.safetensors: "), "{error}");
            }
        }
    }

    #[test]
    fn a_file_of_another_network_or_too_large_is_refused() {
        let (_folder, path, _, recipe) = saved();
        let error = State::load(&path, &recipe, 5, None).expect_err("another network").to_string();
        assert!(
            error
                .ends_with("its weights is F32 [4]; the network has 5 f32 weights; delete the file to begin anew"),
            "{error}"
        );
        std::fs::write(&path, vec![0; 2 << 20]).expect("writable");
        let error = State::load(&path, &recipe, 4, None).expect_err("too large").to_string();
        assert!(error.contains("has more than the 1048640 bytes that it can need"), "{error}");
    }

    #[test]
    fn a_file_of_another_order_is_refused_with_what_can_be_done() {
        let (_folder, path, _, recipe) = saved();
        let bytes = std::fs::read(&path).expect("there");
        let at = bytes.windows(7).position(|word| word == b"\"graph\"").expect("the order");
        std::fs::write(&path, [&bytes[..at], b"\"other\"", &bytes[at + 7..]].concat()).expect("writable");
        let error = State::load(&path, &recipe, 4, None).expect_err("another order").to_string();
        assert!(error.contains("an earlier version") && error.contains("begin a new run; "), "{error}");
    }

    #[test]
    fn a_step_beyond_the_last_is_refused() {
        let (_folder, path, mut state, recipe) = saved();
        state.optimizer.step = 13;
        state.save(&path, &recipe).expect("writable");
        let error = State::load(&path, &recipe, 4, None).expect_err("no such step").to_string();
        assert!(error.contains("is of step 13, the recipe ends at 12"), "{error}");
    }

    /// A second network has weights of another number and steps of its own; without one a file has the bytes of
    /// before.
    #[test]
    fn a_second_optimizer_reads_back_to_the_last_bit() {
        let (_folder, path, state, recipe) = saved();
        let mut second = Optimizer::new(vec![0.5; 3]);
        second.update(&recipe.training(), &[1.0, -2.0, 0.0], 0.5);
        let state = State { second: Some(second), ..state };
        state.save(&path, &recipe).expect("writable");
        assert_eq!(State::load(&path, &recipe, 4, Some(3)).expect("reads"), Some(state));
        let error = State::load(&path, &recipe, 4, Some(2)).expect_err("another network").to_string();
        assert!(error.contains("its second.weights is F32 [3]; the network has 2 f32 weights"), "{error}");
        let (_folder, path, _, recipe) = saved();
        let error = State::load(&path, &recipe, 4, Some(3)).expect_err("none").to_string();
        assert!(error.contains("train.safetensors: has no second_step"), "{error}");
    }
}
