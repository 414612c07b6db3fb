//! The options of a network, as diffusers writes them to a `config.json`: read one by one, so that an error names
//! the key, the value found and what is allowed.
//!
//! An architecture is a struct of its options with diffusers' names and defaults, and [`Options`] for it:
//!
//! ```
//! use ddim_options::{ConfigError, Options, from_json};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(default)]
//! struct Config {
//!     in_channels: usize,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Config { in_channels: 3 }
//!     }
//! }
//!
//! impl Options for Config {
//!     const CLASS: &'static str = "UNet2DModel";
//! }
//!
//! assert_eq!(from_json::<Config>(r#"{ "_class_name": "UNet2DModel" }"#)?.in_channels, 3);
//! let error = from_json::<Config>(r#"{ "in_channels": "three" }"#).err().expect("a number is missing");
//! assert!(error.to_string().contains("`in_channels` of the UNet2DModel configuration"));
//! # Ok::<(), ConfigError>(())
//! ```
//!
//! The crate knows no network: [`range`] has what is said of numbers in any, [`Activation`] and [`SampleSize`] are
//! what several share.

mod choices;
mod error;
pub mod range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use choices::{Activation, SampleSize};
pub use error::ConfigError;

/// The options of one class of network. A field that is missing takes its default.
pub trait Options: Serialize + DeserializeOwned + Default {
    /// What diffusers calls the network.
    const CLASS: &'static str;
}

/// Reads a `config.json`. A missing key takes its default; a key that begins with `_` is a remark, skipped.
///
/// # Errors
/// Text that is not a JSON object, an unknown key, a value of the wrong kind. Whether the values go together is
/// another question.
pub fn from_json<T: Options>(text: &str) -> Result<T, ConfigError> {
    let not_json = |error: serde_json::Error| ConfigError::NotJson { class: T::CLASS, reason: error.to_string() };
    let mut options: Map<String, Value> = serde_json::from_str(text).map_err(not_json)?;
    options.retain(|key, _| !key.starts_with('_'));
    for (key, value) in &options {
        check_option::<T>(key, value)?;
    }
    serde_json::from_value(Value::Object(options)).map_err(not_json)
}

/// Writes a `config.json` that [`from_json`] and diffusers read.
pub fn to_json<T: Options>(config: &T) -> String {
    let mut options = Map::new();
    options.insert("_class_name".into(), T::CLASS.into());
    options.append(&mut fields(config));
    format!("{:#}\n", Value::Object(options))
}

/// The keys that are understood, in their order.
pub fn keys<T: Options>() -> Vec<String> {
    fields(&T::default()).keys().cloned().collect()
}

/// Reads one option alone, so that an error can name it.
fn check_option<T: Options>(key: &str, value: &Value) -> Result<(), ConfigError> {
    let known = keys::<T>();
    if !known.iter().any(|known| known == key) {
        return Err(ConfigError::UnknownKey { class: T::CLASS, key: key.into(), known: known.join(", ") });
    }
    let alone = Map::from_iter([(key.to_owned(), value.clone())]);
    let read = serde_json::from_value::<T>(Value::Object(alone));
    read.map(|_| ()).map_err(|error| ConfigError::UnknownValue {
        class: T::CLASS,
        key: key.into(),
        value: value.to_string(),
        reason: error.to_string(),
    })
}

/// The options as a JSON object, in the order of the fields.
fn fields<T: Options>(config: &T) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        other => unreachable!("a struct of plain fields is a JSON object, got {other:?}"),
    }
}
