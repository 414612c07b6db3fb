//! Files that appear whole or not at all.

use crate::DataError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file beside its place, forces it to the disk and renames it over whatever was there.
///
/// The file beside it is hidden and always has the same name, so that the next write replaces what a killed process
/// has left; two writers of one path must keep out of each other's way.
///
/// # Errors
/// Whatever the file system or `content` refuses; an earlier file is still there then, and nothing else.
pub fn write_whole(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    let temporary = beside(path);
    let placed = write_synced(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    placed.map_err(|error| {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        DataError::write(path)(error)
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn write_synced(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    content(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}
