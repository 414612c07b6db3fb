//! From a model to a folder that diffusers reads.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use safetensors::{Dtype, SafeTensorError, View};
use serde_json::json;

use crate::error::CheckpointError;
use crate::fit::{self, Filled};
use crate::layout::{self, CARD, MODEL_INDEX, SCHEDULER_CONFIG, TUNED, UNET_CONFIG, WEIGHTS};
use crate::scheduler_names::SchedulerClass;
use crate::{Checkpoint, DIFFUSERS_VERSION};

/// Writes a model as a folder that [`load`](crate::load) and diffusers read, replacing an earlier save there.
///
/// The folder appears whole or not at all: it is written beside its place, forced to the disk, and renamed.
/// If the process dies between the two renames of a replacement, [`load`](crate::load) finds the earlier model.
///
/// # Errors
/// A folder that holds anything but a saved model, and whatever the file system refuses.
pub fn save(checkpoint: &Checkpoint, folder: &Path) -> Result<(), CheckpointError> {
    let folder = std::path::absolute(folder).map_err(|source| io_error(folder, source))?;
    refuse_to_lose(&folder)?;
    let temporary = temporary(&folder)?;
    let result = write_all(checkpoint, &temporary).and_then(|()| put_in_place(&temporary, &folder));
    if result.is_err() {
        // The first error is the one to report; a leftover is named so that nothing reads it.
        let _ = fs::remove_dir_all(&temporary);
    }
    result
}

/// What a saved model consists of; a folder with anything else in it is not replaced. What was tuned for the weights
/// before means nothing to new ones, and goes with them.
const PARTS: [&str; 8] = [MODEL_INDEX, CARD, TUNED, "unet", UNET_CONFIG, WEIGHTS, "scheduler", SCHEDULER_CONFIG];

fn refuse_to_lose(folder: &Path) -> Result<(), CheckpointError> {
    if !folder.exists() {
        return Ok(());
    }
    if !folder.is_dir() {
        return Err(CheckpointError::NotAFolder { path: folder.into() });
    }
    let mut open = vec![folder.to_path_buf()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(&inner).map_err(|source| io_error(&inner, source))? {
            let path = entry.map_err(|source| io_error(&inner, source))?.path();
            let name = path.strip_prefix(folder).unwrap_or(&path);
            if !PARTS.iter().any(|part| Path::new(part) == name) {
                let found = name.display().to_string();
                return Err(CheckpointError::Occupied { folder: folder.into(), found });
            }
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(())
}

/// An empty folder beside the place of the model, hidden, of a name of its own.
fn temporary(folder: &Path) -> Result<PathBuf, CheckpointError> {
    static SAVES: AtomicU64 = AtomicU64::new(0);
    let name = folder.file_name().ok_or_else(|| {
        io_error(folder, io::Error::new(io::ErrorKind::InvalidInput, "the path of a model ends in a name"))
    })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", process::id(), SAVES.fetch_add(1, Ordering::Relaxed)));
    let path = folder.with_file_name(hidden);
    fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
    Ok(path)
}

fn write_all(checkpoint: &Checkpoint, folder: &Path) -> Result<(), CheckpointError> {
    for part in ["unet", "scheduler"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
    }
    let texts = [
        (MODEL_INDEX, model_index(checkpoint.scheduler.class_name)),
        (CARD, checkpoint.card.to_json()),
        (UNET_CONFIG, checkpoint.unet.config().to_json()),
        (SCHEDULER_CONFIG, checkpoint.scheduler.to_json()),
    ];
    for (name, text) in texts {
        let path = folder.join(name);
        write_text(&path, &text).map_err(|source| io_error(&path, source))?;
    }
    write_weights(checkpoint, &folder.join(WEIGHTS))?;
    [folder.join("unet"), folder.join("scheduler"), folder.into()].iter().try_for_each(|path| sync_folder(path))
}

fn model_index(scheduler: SchedulerClass) -> String {
    let pipeline = match scheduler {
        SchedulerClass::Ddpm => "DDPMPipeline",
        SchedulerClass::Ddim | SchedulerClass::Other(_) => "DDIMPipeline",
    };
    let index = json!({
        "_class_name": pipeline,
        "_diffusers_version": DIFFUSERS_VERSION,
        "scheduler": ["diffusers", scheduler.name()],
        "unet": ["diffusers", "UNet2DModel"],
    });
    format!("{index:#}\n")
}

fn write_text(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// diffusers asks for the remark that the layout of the tensors is PyTorch's.
fn write_weights(checkpoint: &Checkpoint, path: &Path) -> Result<(), CheckpointError> {
    let tensors = fit::values(&checkpoint.unet).into_iter().map(Little::new);
    let remark = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(tensors, Some(remark), path);
    let synced = written.and_then(|()| Ok(File::open(path)?.sync_all()?));
    synced.map_err(|error| match error {
        SafeTensorError::IoError(source) => io_error(path, source),
        other => CheckpointError::Weights { path: path.into(), problem: other.to_string() },
    })
}

/// A tensor as little-endian bytes.
struct Little {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Little {
    fn new(filled: Filled) -> (String, Self) {
        let bytes = filled.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        (filled.slot.name, Self { shape: filled.slot.shape, bytes })
    }
}

impl View for Little {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Renames the written folder to its place. An earlier model is moved aside first and removed last.
fn put_in_place(temporary: &Path, folder: &Path) -> Result<(), CheckpointError> {
    let previous = layout::previous(folder).unwrap_or_else(|| temporary.with_extension("previous"));
    if folder.exists() {
        remove(&previous)?;
        fs::rename(folder, &previous).map_err(|source| io_error(folder, source))?;
    }
    if let Err(source) = fs::rename(temporary, folder) {
        // Back to where it was; if even that fails, `load` looks for it under its other name.
        let _ = fs::rename(&previous, folder);
        return Err(io_error(folder, source));
    }
    folder.parent().map_or(Ok(()), sync_folder)?;
    remove(&previous)
}

fn remove(folder: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(folder, error)),
        _ => Ok(()),
    }
}

/// Forces the names in a folder to the disk. Windows does that by itself and opens no folders.
fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| io_error(folder, source))
}

fn io_error(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.into(), source }
}
