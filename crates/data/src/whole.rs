//! Files that appear whole or not at all.

use crate::DataError;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file in the making: hidden beside its place and locked, until it is put there or dropped.
///
/// The hidden file always has the same name, so that the next one removes what a killed process has left.
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

    /// The hidden file, which has to go if the process ends before the draft does.
    #[must_use]
    pub fn hidden(&self) -> &Path {
        &self.hidden
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

/// Makes a file and locks it for as long as it stays open. What a process that has ended left under this name is
/// removed first, never written to: it may be another user's. Nor is a symbolic link followed. Whoever holds the
/// lock may rename or remove the file: the next one to ask gets a file of its own.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock) when it is locked already, and whatever the file system refuses; what
/// is in the way and cannot be removed is named.
pub fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        match OpenOptions::new().create_new(true).write(true).open(path) {
            Ok(file) => {
                lock(&file)?;
                // Between the two another process may have taken it for a file that was left.
                if lies_at(&file, path) {
                    return Ok(file);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove_left(path)?,
            Err(error) => return Err(error),
        }
    }
}

/// Removes a file that is there and that nobody holds the lock of.
fn remove_left(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(found) => {
            let what =
                if found.is_symlink() { "a symbolic link is never followed" } else { "it is not a plain file" };
            return Err(in_the_way(path, io::ErrorKind::AlreadyExists, &format!("{what}; remove it")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let removed = OpenOptions::new().write(true).open(path).and_then(|file| {
        lock(&file)?;
        // Whoever held the lock before may have moved the file away; then the name is another one's.
        if lies_at(&file, path) { fs::remove_file(path) } else { Ok(()) }
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(in_the_way(
            path,
            error.kind(),
            "left by another run, and not this user's to remove; ask its owner",
        )),
        removed => removed,
    }
}

/// A name that this program needs, and what has it.
fn in_the_way(path: &Path, kind: io::ErrorKind, why: &str) -> io::Error {
    io::Error::new(kind, format!("{} is in the way: {why}", path.display()))
}

/// Locks a file for as long as it stays open. A file system without locks is not an error: two writers at once are
/// then the user's to avoid.
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
