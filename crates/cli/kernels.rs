//! Where the kernels of GPUs are kept from run to run.

use std::path::PathBuf;

/// The folder, in the user's cache; none in a build that keeps nothing, or for a user without a home.
#[cfg(feature = "persistence")]
pub(crate) fn folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("ddim"))
}

/// The folder: this build keeps nothing.
#[cfg(not(feature = "persistence"))]
pub(crate) fn folder() -> Option<PathBuf> {
    None
}

/// Has them kept there, from the first device that is opened.
pub(crate) fn keep() {
    #[cfg(feature = "persistence")]
    if let Some(folder) = folder() {
        put_damaged_aside(&folder.join(STORE));
        ddim::device::keep_kernels_in(&folder);
    }
}

/// The file in the folder in which burn keeps them, unless its configuration names another.
#[cfg(feature = "persistence")]
const STORE: &str = "default.db";

/// Renames a store that does not begin as a database of SQLite does: burn would go without one from then on, and say nothing.
#[cfg(feature = "persistence")]
fn put_damaged_aside(store: &std::path::Path) {
    use std::fs::{self, File};
    use std::io::Read;

    let mut head = Vec::new();
    let read = File::open(store).and_then(|file| file.take(16).read_to_end(&mut head));
    // One that is not there is none of our concern, and one without a byte is being made.
    if read.is_ok_and(|bytes| bytes > 0) && head != b"SQLite format 3\0" {
        let aside = store.with_extension("damaged");
        match fs::rename(store, &aside) {
            // Said under -q as well: something of the user's is in another place.
            Ok(()) => tracing::error!(
                "{} is damaged and is now {}: kernels are tuned anew",
                store.display(),
                aside.display()
            ),
            Err(error) => tracing::error!(
                "{} is damaged: remove it, or kernels are tuned in every run ({error})",
                store.display()
            ),
        }
    }
}

#[cfg(all(test, feature = "persistence"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_damaged_store_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join(STORE);
        put_damaged_aside(&store);
        for (content, stays) in [
            ("SQLite format 3\0 and pages", true),
            ("", true),
            ("SQLite", false),
            ("something else altogether", false),
        ] {
            fs::write(&store, content).expect("it is ours");
            put_damaged_aside(&store);
            assert_eq!(store.exists(), stays, "{content}");
        }
        assert_eq!(
            fs::read_to_string(store.with_extension("damaged")).expect("put aside"),
            "something else altogether"
        );
    }
}
