//! Files that appear whole or not at all.

use crate::DataError;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file in the making: hidden beside its place and locked, until it is put there or dropped.
///
/// The hidden file always has the same name, so that the next one replaces what a killed process has left.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    hidden: PathBuf,
    file: File,
}

impl Draft {
    /// Begins the file that is to appear at `path`.
    ///
    /// # Errors
    /// Whatever the file system refuses; [`WouldBlock`](io::ErrorKind::WouldBlock) while another draft of the same
    /// file lives, in this process or in another.
    pub fn claim(path: &Path) -> io::Result<Self> {
        let hidden = beside(path);
        let file = open_locked(&hidden)?;
        Ok(Draft { path: path.to_owned(), hidden, file })
    }

    /// Writes the content, all of it in one call.
    ///
    /// # Errors
    /// Whatever the file system refuses, for instance on a full disk.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(content)
    }

    /// Waits until the content is on the disk, so that it also survives a power cut.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Renames the file over whatever is in its place.
    ///
    /// # Errors
    /// Whatever the file system refuses; what was in the place is still there then.
    pub fn place(self) -> io::Result<()> {
        fs::rename(&self.hidden, &self.path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once this draft is in its place the name may be that of another one, which has to stay. A draft that
        // stays by mistake is replaced by the next one.
        if lies_at(&self.file, &self.hidden) {
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// Writes a file beside its place, forces it to the disk and renames it over whatever was there.
///
/// # Errors
/// Whatever the file system refuses; an earlier file is still there then, and nothing else.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), DataError> {
    let written = Draft::claim(path).and_then(|mut draft| {
        draft.write(content)?;
        draft.sync()?;
        draft.place()
    });
    written.map_err(DataError::write(path))
}

/// Opens a file, makes it where it is missing, and locks it for as long as it stays open. Whoever holds the lock may
/// rename or remove the file: the next one to ask gets a new file and not the old one.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock) when it is locked already, and whatever the file system refuses.
pub fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        lock(&file)?;
        // Between the two the file may have been moved away by whoever held its lock.
        if lies_at(&file, path) {
            return Ok(file);
        }
    }
}

/// Locks a file for as long as it stays open. A file system without locks is no error: two writers at once are then
/// the user's to avoid.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock) when it is locked already, and whatever the file system refuses.
pub fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        locked => Ok(locked?),
    }
}

/// Whether the open file is the one that has this name now.
#[cfg(unix)]
fn lies_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, named) = (file.metadata().map(identity), fs::symlink_metadata(path).map(identity));
    matches!((open, named), (Ok(open), Ok(named)) if open == named)
}

/// Whether the open file is the one that has this name now, as far as can be told without its identity.
#[cfg(not(unix))]
fn lies_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// `a/b.png` -> `a/.b.png.tmp`
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}
