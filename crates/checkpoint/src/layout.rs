//! The names of a model's files, and the text in them.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::CheckpointError;
use crate::json::plain_json;

pub(crate) const MODEL_INDEX: &str = "model_index.json";
pub(crate) const CARD: &str = "ddim.json";
pub(crate) const TUNED: &str = "tuned.json";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const UNET_CONFIG: &str = "unet/config.json";
pub(crate) const SCHEDULER_CONFIG: &str = "scheduler/scheduler_config.json";
pub(crate) const FLAT_SCHEDULER_CONFIG: &str = "scheduler_config.json";
pub(crate) const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// The largest configuration of a network or pipeline. Real ones have about a thousand bytes.
pub(crate) const MAX_CONFIG: u64 = 64 << 10;

/// The largest JSON file with a list in it: some 400,000 betas or names of classes.
pub(crate) const MAX_LISTS: u64 = 8 << 20;

/// A text file of the model, and where it was.
pub(crate) struct Text {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Where the model that a save replaces waits until the new one is in its place.
pub(crate) fn previous(folder: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(folder.file_name()?);
    name.push(".previous");
    Some(folder.with_file_name(name))
}

/// A JSON file, as [`plain_json`] makes it. What has no length, such as a pipe, is read up to the limit.
pub(crate) fn read_text(path: PathBuf, limit: u64) -> Result<Text, CheckpointError> {
    match read(&path, limit) {
        Ok(Content::Text(text)) => Ok(Text { text: plain_json(&text).into_owned(), path }),
        Ok(Content::TooLarge(size)) => {
            Err(CheckpointError::TooLarge { path, what: "JSON file of a model", size, limit })
        }
        Err(source) => Err(CheckpointError::Io { path, source }),
    }
}

enum Content {
    Text(String),
    /// It has at least so many bytes.
    TooLarge(u64),
}

fn read(path: &Path, limit: u64) -> io::Result<Content> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Ok(Content::TooLarge(size));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Ok(Content::TooLarge(limit + 1));
    }
    String::from_utf8(bytes).map(Content::Text).map_err(|_| io::Error::other("this is not text in UTF-8"))
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
