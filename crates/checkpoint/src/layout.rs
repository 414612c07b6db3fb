//! Which files make up a model folder, and where they are.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::CheckpointError;

pub(crate) const MODEL_INDEX: &str = "model_index.json";
pub(crate) const CARD: &str = "ddim.json";
pub(crate) const TUNED: &str = "tuned.json";
pub(crate) const UNET_CONFIG: &str = "unet/config.json";
pub(crate) const SCHEDULER_CONFIG: &str = "scheduler/scheduler_config.json";
pub(crate) const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// The names that diffusers gives a weight file, best first.
const WEIGHT_NAMES: [&str; 4] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
];

/// Endings of weight files under other names.
const WEIGHT_ENDINGS: [&str; 5] = ["safetensors", "bin", "pt", "pth", "ckpt"];

/// The largest configuration of a network or pipeline. Real ones have about a thousand bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// The largest JSON file with a list in it: some 400,000 betas or names of classes.
pub(crate) const MAX_LISTS: u64 = 8 << 20;

/// A model folder that exists.
pub(crate) struct Layout {
    folder: PathBuf,
}

/// A text file of the model, and where it was.
pub(crate) struct Text {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Layout {
    /// # Errors
    /// A path where there is nothing, or a file.
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        if folder.is_dir() {
            return Ok(Self { folder: folder.into() });
        }
        if folder.exists() {
            return Err(CheckpointError::NotAFolder { path: folder.into() });
        }
        // A save that was killed while it replaced this model: the one before is whole.
        match previous(folder) {
            Some(previous) if previous.is_dir() => Ok(Self { folder: previous }),
            _ => Err(CheckpointError::NoFolder { folder: folder.into() }),
        }
    }

    pub(crate) fn model_index(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(MODEL_INDEX, MAX_CONFIG)
    }

    pub(crate) fn card(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(CARD, MAX_LISTS)
    }

    pub(crate) fn tuned(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(TUNED, MAX_LISTS)
    }

    pub(crate) fn unet_config(&self) -> Result<Text, CheckpointError> {
        self.text_of(
            "configuration of the network",
            &[UNET_CONFIG, "config.json"],
            MAX_CONFIG,
            "Is this a model folder in the diffusers layout, and complete?",
        )
    }

    pub(crate) fn scheduler_config(&self) -> Result<Text, CheckpointError> {
        self.text_of(
            "configuration of the scheduler",
            &[SCHEDULER_CONFIG, "scheduler_config.json"],
            MAX_LISTS,
            "Give one",
        )
    }

    /// The weight file: under a name of diffusers, else the only one there is.
    pub(crate) fn weights(&self) -> Result<PathBuf, CheckpointError> {
        let folders = [self.folder.join("unet"), self.folder.clone()];
        let named = folders.iter().flat_map(|folder| WEIGHT_NAMES.map(|name| folder.join(name)));
        if let Some(path) = named.into_iter().find(|path| path.is_file()) {
            return Ok(path);
        }
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            match self.other_weights(folder)?.as_slice() {
                [] => {}
                [path] => return Ok(path.clone()),
                [first, .., last] => {
                    return Err(CheckpointError::Weights {
                        path: folder.clone(),
                        problem: format!(
                            "several weight files, from {} to {}: name the right one {}",
                            file_name(first),
                            file_name(last),
                            WEIGHT_NAMES[0]
                        ),
                    });
                }
            }
        }
        Err(CheckpointError::MissingFile {
            folder: self.folder.clone(),
            what: "weights",
            tried: format!("{WEIGHTS}, .bin, .pt and .ckpt, in unet/ and beside it"),
            next: "Is the download complete? Weights in several parts must be saved as one file first",
        })
    }

    fn other_weights(&self, folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
        let io_error = |source| CheckpointError::Io { path: folder.into(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(io_error)? {
            let path = entry.map_err(io_error)?.path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let is_part = file_name(&path).contains("-of-");
            if WEIGHT_ENDINGS.contains(&ending) && !is_part && path.is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    fn text_if_there(&self, name: &str, limit: u64) -> Result<Option<Text>, CheckpointError> {
        let path = self.folder.join(name);
        if path.is_file() { read_text(path, limit).map(Some) } else { Ok(None) }
    }

    fn text_of(
        &self,
        what: &'static str,
        names: &[&str],
        limit: u64,
        next: &'static str,
    ) -> Result<Text, CheckpointError> {
        match names.iter().map(|name| self.folder.join(name)).find(|path| path.is_file()) {
            Some(path) => read_text(path, limit),
            None => Err(CheckpointError::MissingFile {
                folder: self.folder.clone(),
                what,
                tried: names.join(" and "),
                next,
            }),
        }
    }
}

/// Where the model that a save replaces waits until the new one is in its place.
pub(crate) fn previous(folder: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(folder.file_name()?);
    name.push(".previous");
    Some(folder.with_file_name(name))
}

pub(crate) fn read_text(path: PathBuf, limit: u64) -> Result<Text, CheckpointError> {
    let open = |path: &Path| {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    };
    match open(&path) {
        Ok((_, size)) if size > limit => {
            Err(CheckpointError::TooLarge { path, what: "JSON file of a model", size, limit })
        }
        Ok((file, _)) => {
            let mut text = String::new();
            match file.take(limit).read_to_string(&mut text) {
                Ok(_) => Ok(Text { path, text }),
                Err(source) => Err(CheckpointError::Io { path, source }),
            }
        }
        Err(source) => Err(CheckpointError::Io { path, source }),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
