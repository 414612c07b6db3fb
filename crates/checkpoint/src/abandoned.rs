//! Folders in the making, and those that a killed process has left.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::CheckpointError;
use crate::folder::io_error;

/// An empty folder beside the place of another, hidden, of a name of its own: `a/.model.PID-N.tmp` for `a/model`.
/// It is locked for as long as it is written to, so that others can tell whether someone still does.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) path: PathBuf,
    /// Where folders can be opened: on Unix.
    _lock: Option<File>,
}

impl Draft {
    /// Makes one.
    pub(crate) fn beside(folder: &Path) -> Result<Self, CheckpointError> {
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        let prefix = prefix(folder)?;
        loop {
            let mut name = prefix.clone();
            name.push(format!("{}-{}{ENDING}", process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
            let path = folder.with_file_name(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
            }
            match fs::create_dir(&path) {
                // What a process of the same number has left, or another machine's.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|source| io_error(&path, source))?,
            }
            if let Some(draft) = Self::claim(path) {
                return Ok(draft);
            }
        }
    }

    /// Takes a folder that has just been made. `None` where somebody else took it in between for an abandoned one,
    /// and has removed it or is about to.
    fn claim(path: PathBuf) -> Option<Self> {
        let lock = match File::open(&path).map(|folder| (folder.try_lock(), folder)) {
            Ok((Ok(()), folder)) => Some(folder),
            Ok((Err(TryLockError::WouldBlock), _)) => return None,
            // There are no locks of folders here: then nobody removes any.
            Ok((Err(TryLockError::Error(_)), _)) | Err(_) => None,
        };
        path.is_dir().then_some(Self { path, _lock: lock })
    }
}

const ENDING: &str = ".tmp";

/// Removes the folders that killed processes have left beside the place of a folder that they were writing. Those
/// that someone still writes to stay, and so does whatever is not a folder, a link above all.
///
/// # Errors
/// Whatever the file system refuses.
pub fn remove_abandoned(folder: &Path) -> Result<(), CheckpointError> {
    remove_beside(&std::path::absolute(folder).map_err(|source| io_error(folder, source))?)
}

/// As [`remove_abandoned`], of an absolute path.
pub(crate) fn remove_beside(folder: &Path) -> Result<(), CheckpointError> {
    let prefix = prefix(folder)?;
    let Some(parent) = folder.parent() else { return Ok(()) };
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|source| io_error(parent, source))?,
    };
    for entry in entries {
        let entry = entry.map_err(|source| io_error(parent, source))?;
        // The type is that of the entry itself: a link is not a folder.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && is_draft(&entry.file_name(), &prefix) {
            remove_if_abandoned(&entry.path())?;
        }
    }
    Ok(())
}

/// Without a lock, on Windows and on file systems that have none, nobody can tell: then it stays.
fn remove_if_abandoned(draft: &Path) -> Result<(), CheckpointError> {
    let Some(_lock) = File::open(draft).ok().filter(|folder| folder.try_lock().is_ok()) else { return Ok(()) };
    match fs::remove_dir_all(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(draft, error)),
        _ => Ok(()),
    }
}

/// `.model.PID-N.tmp`, with numbers in place of PID and N.
fn is_draft(name: &std::ffi::OsStr, prefix: &std::ffi::OsStr) -> bool {
    let (name, prefix) = (name.as_encoded_bytes(), prefix.as_encoded_bytes());
    let numbers = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(ENDING.as_bytes()));
    let parts = numbers.map(|numbers| numbers.split(|byte| *byte == b'-').collect::<Vec<_>>());
    parts.is_some_and(|parts| {
        parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    })
}

/// `.model.`
fn prefix(folder: &Path) -> Result<OsString, CheckpointError> {
    let name = folder.file_name().ok_or_else(|| {
        io_error(folder, io::Error::new(io::ErrorKind::InvalidInput, "the path of a model ends in a name"))
    })?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok(prefix)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::folder::{write_folder, write_text};
    use std::os::unix::fs::symlink;

    /// The names in a folder, in order.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_is_being_removed_is_left_to_whoever_removes_it() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join(".model.1-1.tmp");
        fs::create_dir(&path).expect("writable");
        let remover = File::open(&path).expect("there");
        remover.try_lock().expect("free");
        assert!(Draft::claim(path.clone()).is_none(), "locked");
        drop(remover);
        assert!(Draft::claim(path.clone()).is_some(), "free");
        fs::remove_dir(&path).expect("empty");
        assert!(Draft::claim(path).is_none(), "gone");
    }

    #[test]
    fn what_killed_saves_have_left_goes_with_the_next_one() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (model, elsewhere) = (place.path().join("model"), place.path().join("elsewhere"));
        for left in [".model.123-0.tmp", ".model.123-17.tmp"] {
            fs::create_dir_all(place.path().join(left).join("unet")).expect("writable");
            fs::write(place.path().join(left).join("unet/half"), "of it").expect("writable");
        }
        fs::create_dir(&elsewhere).expect("writable");
        fs::write(elsewhere.join("precious"), "kept").expect("writable");
        symlink(&elsewhere, place.path().join(".model.9-9.tmp")).expect("a link");
        // Not of this model, and not of our making.
        let kept = [".model.123-.tmp", ".model.a-1.tmp", ".model.b.1-1.tmp", ".other.1-1.tmp", ".model.1-1"];
        kept.iter().for_each(|name| fs::create_dir(place.path().join(name)).expect("writable"));
        fs::write(place.path().join(".model.5-5.tmp"), "a file").expect("writable");
        let living = Draft::beside(&model).expect("made");

        write_folder(&model, &["text"], |folder| write_text(&folder.join("text"), "new")).expect("writes");
        assert_eq!(fs::read_to_string(model.join("text")).expect("there"), "new");
        let mut expected: Vec<String> = kept.iter().map(|name| (*name).to_owned()).collect();
        expected.extend([".model.5-5.tmp", ".model.9-9.tmp", "elsewhere", "model"].map(str::to_owned));
        expected.push(living.path.file_name().expect("a name").to_string_lossy().into_owned());
        expected.sort();
        assert_eq!(names(place.path()), expected);
        assert_eq!(names(&elsewhere), ["precious"]);
        drop(living);
        remove_abandoned(&model).expect("removes");
        assert_eq!(names(place.path()).len(), expected.len() - 1);
    }
}
