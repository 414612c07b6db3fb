//! Folders that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::abandoned::{self, Draft};
use crate::error::CheckpointError;
use crate::layout;

/// Writes a folder beside its place with `write`, which is given where, forces it to the disk and renames it, in
/// place of an earlier folder that holds nothing but `parts`.
///
/// If the process dies between the two renames of a replacement, the earlier folder is hidden beside the place.
///
/// # Errors
/// An earlier folder that holds anything else, what `write` says, and whatever the file system refuses.
pub fn write_folder(
    folder: &Path,
    parts: &[&str],
    write: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let folder = std::path::absolute(folder).map_err(|source| io_error(folder, source))?;
    refuse_to_lose(&folder, parts)?;
    abandoned::remove_beside(&folder)?;
    let draft = Draft::beside(&folder)?;
    let written = write(&draft.path).and_then(|()| sync_folder(&draft.path));
    let result = written.and_then(|()| put_in_place(&draft.path, &folder));
    if result.is_err() {
        // The first error is the one to report; a leftover is named so that nothing reads it, and goes with the
        // next save.
        let _ = fs::remove_dir_all(&draft.path);
    }
    result
}

/// The text of a JSON file of a model.
///
/// # Errors
/// A file that is missing, not UTF-8, or larger than any such file is.
pub fn read_text(path: &Path) -> Result<String, CheckpointError> {
    layout::read_text(path.into(), layout::MAX_LISTS).map(|file| file.text)
}

/// Writes a text file and waits until it is on the disk.
///
/// # Errors
/// Whatever the file system refuses.
pub fn write_text(path: &Path, text: &str) -> Result<(), CheckpointError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| io_error(path, source))
}

/// What the folder to be replaced holds beside `parts` would be lost.
fn refuse_to_lose(folder: &Path, parts: &[&str]) -> Result<(), CheckpointError> {
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
            if !parts.iter().any(|part| Path::new(part) == name) {
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
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| io_error(folder, source))
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.into(), source }
}
