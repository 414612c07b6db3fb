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
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&hidden)?;
        lock(&file)?;
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
        // Once in its place there is nothing to remove; a draft that stays is replaced by the next one.
        let _ = fs::remove_file(&self.hidden);
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

/// `a/b.png` -> `a/.b.png.tmp`
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}
