//! The folders around a model: of the run that made it, of the hub's cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::{networks_in, parent};
use crate::layout::{CONFIG, FLAT_SCHEDULER_CONFIG, MODEL_INDEX, SCHEDULER_CONFIG, file_name, previous};

/// The folder of the model: of a run the one that it has written, of the hub's cache the snapshot.
pub(crate) fn with_model(folder: &Path) -> PathBuf {
    let is_model = |folder: &Path| {
        [MODEL_INDEX, CONFIG].iter().any(|part| folder.join(part).exists()) || networks_in(folder).is_some()
    };
    if is_model(folder) {
        return folder.into();
    }
    let run = folder.join("model");
    let inner = [Some(run.clone()), previous(&run), only_snapshot(folder)].into_iter().flatten();
    inner.into_iter().find(|inner| is_model(inner)).unwrap_or_else(|| folder.into())
}

/// What the hub's client keeps of a model: one folder for each revision.
fn only_snapshot(folder: &Path) -> Option<PathBuf> {
    let mut snapshots = fs::read_dir(folder.join("snapshots")).ok()?.flatten().map(|entry| entry.path());
    let only = snapshots.next()?;
    snapshots.next().is_none().then_some(only)
}

/// Where the configuration of a folder's scheduler may be. A checkpoint of a training has none of its own; its run
/// has.
pub(super) fn schedulers(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join(SCHEDULER_CONFIG), folder.join(FLAT_SCHEDULER_CONFIG)];
    if is_training_checkpoint(folder) {
        files.push(parent(folder).join(SCHEDULER_CONFIG));
    }
    files
}

pub(super) fn is_training_checkpoint(folder: &Path) -> bool {
    steps_of(folder).is_some()
}

/// 500 for `checkpoint-500`.
fn steps_of(folder: &Path) -> Option<u64> {
    file_name(folder).strip_prefix("checkpoint-")?.parse().ok()
}

/// The newest of the training checkpoints in a folder.
pub(super) fn newest_inside(folder: &Path) -> Option<PathBuf> {
    let inner = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    inner
        .filter(|path| path.is_dir())
        .max_by_key(|path| steps_of(path))
        .filter(|path| is_training_checkpoint(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_a_training_have_a_number() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["checkpoint-500", "checkpoint-1000", "checkpoint-x", "other"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        assert_eq!(newest_inside(folder.path()), Some(folder.path().join("checkpoint-1000")));
        assert_eq!(newest_inside(&folder.path().join("other")), None);
    }
}
