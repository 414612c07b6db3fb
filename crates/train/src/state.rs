//! The checkpoint file: everything that a run needs to go on, in the safetensors format.

use crate::optimizer::Optimizer;
use crate::{Recipe, TrainError};
use ddim_data::{Existing, write_whole};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) optimizer: Optimizer,
    /// The moving average of the loss; `None` before the first step.
    pub(crate) smoothed_loss: Option<f64>,
}

/// Keys of a recipe that may change when a run goes on, because what has been computed does not depend on them.
const FREE: [&str; 4] = ["name", "classes", "checkpoint_steps", "card"];

impl State {
    /// Writes the file whole or not at all; until the new one is complete the old one stays.
    pub(crate) fn save(&self, path: &Path, recipe: &Recipe) -> Result<(), TrainError> {
        let Optimizer { step, weights, average, mean, square } = &self.optimizer;
        let tensors = [("weights", weights), ("average", average), ("mean", mean), ("square", square)];
        let tensors = tensors.map(|(name, values)| (name, Values { values, shape: [values.len()] }));
        let metadata = HashMap::from([
            ("step".to_owned(), step.to_string()),
            ("smoothed_loss".to_owned(), serde_json::json!(self.smoothed_loss).to_string()),
            ("recipe".to_owned(), recipe.to_json()),
        ]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|error| broken(path, error.to_string()))?;
        Ok(write_whole(path, Existing::Replace, |file| file.write_all(&bytes))?)
    }

    /// Reads the file of a run of this recipe, whose network has `weights` weights. `None` if there is none.
    pub(crate) fn load(path: &Path, recipe: &Recipe, weights: usize) -> Result<Option<Self>, TrainError> {
        // Four lists of f32, and a header that is far smaller than this.
        let limit = weights as u64 * 16 + (1 << 20);
        let bytes = match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > limit => {
                return Err(broken(path, format!("has {} bytes, more than the {limit} that it can need", metadata.len())));
            }
            Ok(_) => std::fs::read(path).map_err(TrainError::io(path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io(path)(error)),
        };
        let not_ours = |error: safetensors::SafeTensorError| broken(path, format!("is no checkpoint: {error}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not_ours)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| metadata.get(key).ok_or_else(|| broken(path, format!("has no {key}")));
        let step = text("step")?.parse().map_err(|error| broken(path, format!("its step is no number: {error}")))?;
        same_recipe(path, text("recipe")?, recipe, step)?;
        let smoothed_loss = serde_json::from_str(text("smoothed_loss")?)
            .map_err(|error| broken(path, format!("its smoothed_loss is no number: {error}")))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(not_ours)?;
        let values = |name| values(path, &tensors, name, weights);
        let optimizer = Optimizer {
            step,
            weights: values("weights")?,
            average: values("average")?,
            mean: values("mean")?,
            square: values("square")?,
        };
        Ok(Some(State { optimizer, smoothed_loss }))
    }
}

/// Whether a checkpoint of a step was made with a recipe that computes the same: [`FREE`] keys may differ, and so may
/// `steps` as long as the learning rate has not depended on it.
fn same_recipe(path: &Path, made_with: &str, recipe: &Recipe, step: u64) -> Result<(), TrainError> {
    let before: Recipe = serde_json::from_str(made_with).map_err(|error| broken(path, format!("its recipe: {error}")))?;
    let steps_free = step <= before.free_until().min(recipe.free_until());
    let (before, now) = (serde_json::json!(before), serde_json::json!(recipe));
    let keys = now.as_object().into_iter().flat_map(|object| object.keys());
    let bound = keys.filter(|key| !FREE.contains(&key.as_str()) && !(steps_free && *key == "steps"));
    match bound.into_iter().find(|key| before.get(key) != now.get(key)) {
        Some(key) => Err(TrainError::OtherRecipe { path: path.to_owned(), key: key.clone() }),
        None => Ok(()),
    }
}

fn values(path: &Path, tensors: &SafeTensors, name: &str, count: usize) -> Result<Vec<f32>, TrainError> {
    let tensor = tensors.tensor(name).map_err(|error| broken(path, error.to_string()))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != [count] {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        return Err(broken(path, format!("its {name} is {dtype:?} {shape:?}; the network has {count} f32 weights")));
    }
    let bytes = tensor.data().as_chunks::<4>().0;
    Ok(bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn broken(path: &Path, problem: String) -> TrainError {
    TrainError::Checkpoint { path: path.to_owned(), problem }
}

/// A list of numbers as little-endian bytes.
struct Values<'a> {
    values: &'a [f32],
    shape: [usize; 1],
}

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}
