//! What can be wrong with a configuration.

use thiserror::Error;

/// A configuration that describes no network of its class, or an input that the network cannot take.
///
/// Every message names the option, the value found, and what is allowed instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The text is not JSON at all.
    #[error("the {class} configuration is not JSON: {reason}; expected the object of a diffusers `config.json`")]
    NotJson {
        /// What diffusers calls the network.
        class: &'static str,
        /// What the JSON reader says.
        reason: String,
    },
    /// A key that no configuration of this class has.
    #[error("unknown option `{key}` in the {class} configuration; the options are {known}")]
    UnknownKey {
        /// What diffusers calls the network.
        class: &'static str,
        /// The key as written.
        key: String,
        /// All keys that are understood, separated by commas.
        known: String,
    },
    /// A known key with a value of the wrong kind, or one that names something unknown.
    #[error("option `{key}` of the {class} configuration is {value}: {reason}")]
    UnknownValue {
        /// What diffusers calls the network.
        class: &'static str,
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// Why it was refused, with the values that are allowed.
        reason: String,
    },
    /// A value of the right kind that lies outside what is allowed, alone or together with the others.
    #[error("option `{key}` of the {class} configuration is {value}; it must be {allowed}")]
    OutOfRange {
        /// What diffusers calls the network.
        class: &'static str,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be allowed.
        allowed: String,
    },
    /// A picture size that cannot be halved at every level.
    #[error(
        "a picture of {height}x{width} does not fit this network: \
         height and width must be multiples of {multiple}, and at least {multiple}"
    )]
    PictureSize {
        /// Rows of the picture.
        height: usize,
        /// Columns of the picture.
        width: usize,
        /// Two to the number of downsamplings.
        multiple: usize,
    },
}
