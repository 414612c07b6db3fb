//! Files that appear whole or not at all.

use crate::DataError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and writing is refused.
    Refuse,
    /// It is replaced, in one step, once the new one is complete.
    Replace,
}

/// Writes a file beside its place, forces it to the disk and renames it.
///
/// # Errors
/// [`DataError::Exists`], and whatever the file system or `content` refuses; nothing is left behind then.
pub fn write_whole(
    path: &Path,
    existing: Existing,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    if existing == Existing::Refuse && path.symlink_metadata().is_ok() {
        return Err(DataError::Exists { path: path.to_owned() });
    }
    let temporary = beside(path);
    let written = write_synced(&temporary, content).map_err(DataError::write(path));
    let placed = written.and_then(|()| place(&temporary, path, existing));
    if placed.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    placed
}

/// A hidden name of its own in the same folder.
fn beside(path: &Path) -> PathBuf {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()))
}

fn write_synced(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(OpenOptions::new().write(true).create(true).truncate(true).open(path)?);
    content(&mut file)?;
    let file: File = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn place(temporary: &Path, path: &Path, existing: Existing) -> Result<(), DataError> {
    match existing {
        Existing::Replace => fs::rename(temporary, path).map_err(DataError::write(path)),
        // A link fails where a rename would overwrite a file that has appeared in the meantime. Where the file system
        // has no links, the check before has to do.
        Existing::Refuse => match fs::hard_link(temporary, path) {
            Ok(()) => fs::remove_file(temporary).map_err(DataError::write(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(DataError::Exists { path: path.to_owned() }),
            Err(_) => fs::rename(temporary, path).map_err(DataError::write(path)),
        },
    }
}
