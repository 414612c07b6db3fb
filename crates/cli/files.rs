//! What a run may write where: on top of the files of `ddim-data`, which appear whole or not at all. Hidden files and
//! locks are written down, so that a program that ends at once takes them along.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf, is_separator};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use anyhow::{Context, bail};
use ddim_data::Draft;

use crate::args::misused;

/// The most names that are tried for a file whose name nobody typed.
const MOST_NUMBERED: usize = 10_000;

/// What to do about a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Leave it and fail.
    Keep,
    /// Replace it (`--force`).
    Replace,
    /// Leave it and take the next free name, `samples-2.png` after `samples.png`: nobody has typed this one.
    Number,
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
    /// The name that it was to have.
    usual: PathBuf,
    target: PathBuf,
    draft: Draft,
    existing: Existing,
    _passing: Passing,
}

impl Staged {
    /// Claims `target`, which `option` names, or the next free name after it; its folder is made where it is missing.
    pub(crate) fn create(option: &'static str, target: &Path, existing: Existing) -> anyhow::Result<Self> {
        if existing == Existing::Number {
            return Self::next_free(option, target);
        }
        refuse_existing(option, target, existing)?;
        if target.to_str().is_some_and(|name| name.ends_with(is_separator)) {
            misused!("{option} {}: a file is written, and its name cannot end like a folder's", target.display());
        }
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
        let (usual, target) = (target.to_owned(), target.to_owned());
        Ok(Self { option, usual, target, draft, existing, _passing })
    }

    /// Writes the whole content, puts the file in its place, and says where that is.
    pub(crate) fn finish(self, content: &[u8]) -> anyhow::Result<PathBuf> {
        if self.existing == Existing::Number && exists(&self.target) {
            // Another program has put a file there since.
            return Self::next_free(self.option, &self.usual)?.finish(content);
        }
        let Self { option, target, mut draft, existing, _passing, .. } = self;
        // What is being written is not lost to a program that ends at once.
        let passing = passing();
        let cannot_write = || format!("cannot write {}", target.display());
        draft.write(content).and_then(|()| draft.sync()).with_context(cannot_write)?;
        refuse_existing(option, &target, existing)?;
        draft.place().with_context(cannot_write)?;
        drop(passing);
        Ok(target)
    }

    /// Claims the first of `samples.png`, `samples-2.png`, ... that is not there and that no other run has claimed.
    fn next_free(option: &'static str, usual: &Path) -> anyhow::Result<Self> {
        for number in 1..=MOST_NUMBERED {
            let target = numbered(usual, number);
            if exists(&target) {
                continue;
            }
            let mut passing = passing();
            let draft = match Draft::claim(&target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                draft => {
                    draft.with_context(|| format!("cannot write {}; choose another {option}", target.display()))?
                }
            };
            // A run that has just ended may have written it.
            if exists(&target) {
                continue;
            }
            if number > 1 {
                tracing::info!("{} is taken: {} is written", usual.display(), target.display());
            }
            let _passing = Passing::note(&mut passing, draft.hidden());
            return Ok(Self {
                option,
                usual: usual.to_owned(),
                target,
                draft,
                existing: Existing::Number,
                _passing,
            });
        }
        bail!("{} and {MOST_NUMBERED} names after it are taken; choose one with {option}", usual.display())
    }
}

/// `samples.png`, `samples-2.png`, ...; of a folder `bench`, `bench-2`, ...
pub(crate) fn numbered(usual: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return usual.to_owned();
    }
    let mut name = usual.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(ending) = usual.extension() {
        name.push(".");
        name.push(ending);
    }
    usual.with_file_name(name)
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
    is_held(&PASSING)
}

/// Whether somebody holds it now. One that a panic has poisoned is free.
fn is_held<T>(mutex: &Mutex<T>) -> bool {
    matches!(mutex.try_lock(), Err(TryLockError::WouldBlock))
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
    if existing == Existing::Keep && exists(target) {
        bail!("{} exists; choose another {option}, or replace it with --force", target.display());
    }
    Ok(())
}

/// Whether there is something of that name, be it a link to nothing.
fn exists(target: &Path) -> bool {
    target.symlink_metadata().is_ok()
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

    /// As `cp --remove-destination` and `sed -i` do: nobody has said that what lies elsewhere may be written over.
    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_itself_and_what_it_points_to_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, elsewhere) = (folder.path().join("a.png"), folder.path().join("elsewhere.png"));
        fs::write(&elsewhere, "old").expect("writable");
        std::os::unix::fs::symlink(&elsewhere, &target).expect("writable");
        Staged::create("--out", &target, Existing::Keep).expect_err("kept");
        Staged::create("--out", &target, Existing::Replace).expect("forced").finish(b"new").expect("writable");
        assert!(target.symlink_metadata().expect("written").is_file(), "no link any more");
        assert_eq!([&target, &elsewhere].map(|file| fs::read(file).expect("there")), [b"new", b"old"]);
    }

    #[test]
    fn a_name_that_nobody_typed_gets_a_number_and_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let usual = folder.path().join("samples.png");
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        let write = |content: &str| {
            let staged = Staged::create("--out", &usual, Existing::Number).expect("a free name");
            name(&staged.finish(content.as_bytes()).expect("writable"))
        };
        assert_eq!([write("1"), write("2"), write("3")], ["samples.png", "samples-2.png", "samples-3.png"]);
        fs::remove_file(folder.path().join("samples-2.png")).expect("there");
        // Two runs at once, and a third program that is faster than both.
        let runs = [(); 2].map(|()| Staged::create("--out", &usual, Existing::Number).expect("a free name"));
        assert_eq!(runs.each_ref().map(|run| name(&run.target)), ["samples-2.png", "samples-4.png"]);
        fs::write(folder.path().join("samples-2.png"), "foreign").expect("writable");
        let placed = runs.map(|run| name(&run.finish(b"ours").expect("writable")));
        assert_eq!(placed, ["samples-5.png", "samples-4.png"]);
        assert_eq!(fs::read(folder.path().join("samples-2.png")).expect("kept"), b"foreign");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 5);
    }

    #[test]
    fn a_panic_while_a_file_was_written_is_no_writing_that_goes_on() {
        let mutex = Mutex::new(());
        let held = mutex.lock().expect("new");
        assert!(is_held(&mutex));
        drop(held);
        let panicked = std::panic::catch_unwind(|| {
            let _held = mutex.lock();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err() && mutex.is_poisoned());
        assert!(!is_held(&mutex));
    }

    #[test]
    fn a_file_has_no_slash_behind_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = PathBuf::from(format!("{}/", folder.path().join("a.png").display()));
        let error = Staged::create("--out", &target, Existing::Replace).expect_err("a folder's name").to_string();
        assert!(error.contains("cannot end like a folder's"), "{error}");
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
