//! What can go wrong.

use ddim_checkpoint::CheckpointError;

/// A feature network that cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// The files, or their tensors.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A value of a configuration that makes no network.
    #[error("{key} is {value}; it must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// No embedded classifier has this name.
    #[error("no embedded classifier is called {name:?}; there are: {known}")]
    NotEmbedded {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}
