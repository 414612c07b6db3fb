//! What a run may write where: on top of the files of `ddim-data`, which appear whole or not at all. Hidden files and
//! locks are written down, so that a program that ends at once takes them along.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use ddim_data::Draft;

/// What to do about a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Leave it and fail.
    Keep,
    /// Replace it (`--force`).
    Replace,
}

impl Existing {
    /// What `--force` means.
    pub(crate) fn from_force(force: bool) -> Self {
        if force { Self::Replace } else { Self::Keep }
    }
}

/// A file in the making. Its place is claimed from the start, so that a folder that cannot be written, a file
/// that must not be replaced and a second run with the same target are found before any work is done.
#[derive(Debug)]
pub(crate) struct Staged {
    option: &'static str,
    target: PathBuf,
    draft: Draft,
    existing: Existing,
    _passing: Passing,
}

impl Staged {
    /// Claims `target`, which `option` names; its folder is made where it is missing.
    ///
    /// # Errors
    /// When the file exists and is to be kept, cannot be written, or another run is writing it.
    pub(crate) fn create(option: &'static str, target: &Path, existing: Existing) -> anyhow::Result<Self> {
        refuse_existing(option, target, existing)?;
        if target.is_dir() {
            bail!("{} is a folder, and a file was to be written there; choose another name", target.display());
        }
        let folder = parent(target);
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}; choose another {option}", folder.display()))?;
        let mut passing = passing();
        let draft = claimed(option, Draft::claim(target), target, || {
            format!("cannot write in {}; choose another {option}", folder.display())
        })?;
        refuse_existing(option, target, existing)?; // a run that has just ended may have written it
        let _passing = Passing::note(&mut passing, draft.hidden());
        Ok(Self { option, target: target.to_owned(), draft, existing, _passing })
    }

    /// Writes the whole content and puts the file in its place.
    ///
    /// # Errors
    /// When the content cannot be written, for instance on a full disk; nothing is left behind then.
    pub(crate) fn finish(self, content: &[u8]) -> anyhow::Result<()> {
        let Self { option, target, mut draft, existing, _passing } = self;
        // What is being written is not lost to a program that ends at once.
        let passing = passing();
        let cannot_write = || format!("cannot write {}", target.display());
        draft.write(content).and_then(|()| draft.sync()).with_context(cannot_write)?;
        refuse_existing(option, &target, existing)?;
        let placed = draft.place().with_context(cannot_write);
        drop(passing);
        placed
    }
}

/// The hidden files and locks of this process that are there now. Held while a file is put in its place.
static PASSING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn passing() -> MutexGuard<'static, Vec<PathBuf>> {
    PASSING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that goes when the program ends, until this is dropped.
#[derive(Debug)]
struct Passing(PathBuf);

impl Passing {
    fn note(passing: &mut Vec<PathBuf>, path: &Path) -> Self {
        passing.push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        passing().retain(|path| *path != self.0);
    }
}

/// Whether a file is being written at this moment.
pub(crate) fn is_writing() -> bool {
    PASSING.try_lock().is_err()
}

/// Removes what nobody would miss, and keeps this process from writing anything more: for its very end. Waits until what
/// is being written is whole.
pub(crate) fn leave_nothing_behind() -> MutexGuard<'static, Vec<PathBuf>> {
    let mut passing = passing();
    for path in passing.drain(..) {
        // Nothing is left to do about one that stays: the next run removes it.
        let _ = fs::remove_file(path);
    }
    passing
}

/// Writes a file whole or not at all, in a folder that this run has locked. Not synced: thousands of pictures would
/// wait for the disk one by one.
///
/// # Errors
/// When it cannot be written; nothing is left behind then.
pub(crate) fn write_unsynced(target: &Path, content: &[u8]) -> anyhow::Result<()> {
    let _passing = passing();
    let written = Draft::claim(target).and_then(|mut draft| {
        draft.write(content)?;
        draft.place()
    });
    written.with_context(|| format!("cannot write {}", target.display()))
}

/// A file that keeps other runs out of a folder; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// Held open for its lock.
    _file: File,
    _passing: Passing,
}

impl Lock {
    /// Makes the file; `place` is what the user knows it by.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be written.
    pub(crate) fn take(path: &Path, place: &Path) -> anyhow::Result<Self> {
        let mut passing = passing();
        let file = claimed("--out", ddim_data::open_locked(path), place, || {
            format!("cannot write in the folder {}; choose another --out", place.display())
        })?;
        Ok(Self { path: path.to_owned(), _file: file, _passing: Passing::note(&mut passing, path) })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still locked, so that it is this run's own. A name that stays behind does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// What came of a lock; `problem` says what failed where it is not that another run holds it.
fn claimed<T>(
    option: &str,
    claim: io::Result<T>,
    place: &Path,
    problem: impl FnOnce() -> String,
) -> anyhow::Result<T> {
    match claim {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            bail!("another run is writing {}; wait until it ends, or choose another {option}", place.display())
        }
        claim => claim.with_context(problem),
    }
}

fn refuse_existing(option: &str, target: &Path, existing: Existing) -> anyhow::Result<()> {
    if existing == Existing::Keep && target.symlink_metadata().is_ok() {
        bail!("{} exists; choose another {option}, or replace it with --force", target.display());
    }
    Ok(())
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("new/a.png");
        let staged = Staged::create("--out", &target, Existing::Keep).expect("a free place");
        assert!(!target.exists());
        staged.finish(b"content").expect("writable");
        assert_eq!(fs::read(&target).expect("written"), b"content");
        assert_eq!(fs::read_dir(target.parent().expect("new")).expect("listed").count(), 1);
    }

    #[test]
    fn keeps_what_exists_unless_forced() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        fs::write(&target, "old").expect("writable");
        let error = Staged::create("--out", &target, Existing::Keep).expect_err("kept");
        assert!(error.to_string().contains("--force"), "{error}");
        Staged::create("--out", &target, Existing::Replace).expect("forced").finish(b"new").expect("writable");
        assert_eq!(fs::read(&target).expect("written"), b"new");
    }

    #[test]
    fn a_second_run_with_the_same_target_is_refused_and_an_abandoned_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        let first = Staged::create("--out", &target, Existing::Keep).expect("a free place");
        let error = Staged::create("--out", &target, Existing::Keep).expect_err("taken");
        assert!(error.to_string().contains("another run"), "{error}");
        drop(first);
        fs::write(folder.path().join(".a.png.tmp"), "left by a killed run").expect("writable");
        Staged::create("--out", &target, Existing::Keep).expect("free again").finish(b"x").expect("writable");
        assert_eq!(fs::read(&target).expect("written"), b"x");
    }
}
