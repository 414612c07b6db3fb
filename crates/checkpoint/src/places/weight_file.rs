//! Which file of a model's folders holds the weights.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Places, WeightChoice, WeightPlace, is_plain_name};
use crate::error::CheckpointError;
use crate::layout::{WEIGHTS, file_name};
use crate::shards;

/// The names that diffusers gives a weight file, best first.
const WEIGHT_NAMES: [&str; 6] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.fp16.bin",
];

/// Endings of weight files under other names.
const WEIGHT_ENDINGS: [&str; 5] = ["safetensors", "bin", "pt", "pth", "ckpt"];

/// Files with such endings that training scripts write beside the weights.
const NO_WEIGHTS: [&str; 7] = [
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.bin",
    "scheduler.pt",
    "scaler.pt",
    "training_args.bin",
    "rng_state.pth",
];

impl Places {
    /// The weight file, or the index of the files that the weights are spread over, and what is left to be chosen
    /// in it: the one named, or one under a name of diffusers, or the only one there is.
    pub(crate) fn weights(&self) -> Result<(PathBuf, WeightChoice), CheckpointError> {
        let folders = match &self.weights {
            WeightPlace::File(file) => return Ok((file.clone(), self.choice.clone())),
            WeightPlace::Folders(folders) => folders,
        };
        if let WeightChoice::Named(name) = &self.choice
            && is_plain_name(name)
            && let Some(file) = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
        {
            return Ok((file, WeightChoice::Usual));
        }
        match first_weights(folders)? {
            Some(path) => Ok((path, self.choice.clone())),
            None => Err(missing(&self.root, format!("{WEIGHTS}, .bin, .pt and .ckpt, in unet/ and beside it"))),
        }
    }
}

/// The weight file in a folder, or the index of the files that they are spread over.
pub(crate) fn weights_in(folder: &Path) -> Result<PathBuf, CheckpointError> {
    let found = first_weights(&[folder.to_owned()])?;
    found.ok_or_else(|| missing(folder, format!("{}, .bin, .pt and .ckpt", WEIGHT_NAMES[0])))
}

/// The one under a name of diffusers, or the only one there is.
fn first_weights(folders: &[PathBuf]) -> Result<Option<PathBuf>, CheckpointError> {
    let mut named = folders.iter().flat_map(|folder| WEIGHT_NAMES.map(|name| folder.join(name)));
    if let Some(path) = named.find(|path| path.is_file()) {
        return Ok(Some(path));
    }
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        match other_weights(folder)?.as_slice() {
            [] => {}
            [path] => return Ok(Some(path.clone())),
            several => {
                let names: Vec<String> = several.iter().map(|path| file_name(path)).collect();
                let problem = format!(
                    "several weight files: {}; name one of them in place of the folder, as in {}",
                    names.join(", "),
                    several[0].display()
                );
                return Err(CheckpointError::Weights { path: folder.clone(), problem });
            }
        }
    }
    Ok(None)
}

fn missing(folder: &Path, tried: String) -> CheckpointError {
    let next = "Is the download complete? Weights in several parts need the .index.json that lists them";
    CheckpointError::MissingFile { folder: folder.into(), what: "weights", tried, next }
}

pub(super) fn is_weights(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    WEIGHT_ENDINGS.contains(&ending) && path.is_file()
}

/// Weight files under names of their own, and indices of such.
fn other_weights(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: folder.into(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let name = file_name(&path);
        let is_file = is_weights(&path) && !name.contains("-of-") && !NO_WEIGHTS.contains(&name.as_str());
        if is_file || (shards::is_index(&name) && path.is_file()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
