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
    if let Some(damaged) = folder().and_then(|folder| ddim::device::keep_kernels_in(&folder).err()) {
        // Said under -q as well: something of the user's is in another place.
        tracing::error!("{damaged}");
    }
}
