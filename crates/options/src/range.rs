//! What numbers of a network may be.

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::{ConfigError, Options};

/// Far above any published network; below what would overflow or exhaust memory by a slip in a file.
pub const CHANNELS: RangeInclusive<usize> = 1..=65_536;
/// Resolutions of a network.
pub const LEVELS: RangeInclusive<usize> = 1..=16;
/// Layers of a block.
pub const LAYERS: RangeInclusive<usize> = 1..=256;
/// Rows of a table.
pub const ROWS: RangeInclusive<usize> = 1..=16_777_216;

/// # Errors
/// A value outside of the range.
pub fn within<T: Options>(
    key: &'static str,
    value: usize,
    range: &RangeInclusive<usize>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    out_of_range::<T>(key, &value, &format!("from {} to {}", range.start(), range.end()))
}

/// # Errors
/// Groups that do not share out one of these numbers of channels.
pub fn groups<T: Options>(key: &'static str, groups: usize, channels: &[usize]) -> Result<(), ConfigError> {
    let divides = |channels: &&usize| groups > 0 && channels.is_multiple_of(groups);
    match channels.iter().find(|channels| !divides(channels)) {
        None => Ok(()),
        Some(channels) => {
            let allowed = format!("a divisor of {channels}, the channels it has to share out");
            out_of_range::<T>(key, &groups, &allowed)
        }
    }
}

/// The error of a value that is told as the file has it, not as Rust does.
///
/// # Errors
/// Always.
pub fn out_of_range<T: Options>(
    key: &'static str,
    value: &impl Serialize,
    allowed: &str,
) -> Result<(), ConfigError> {
    let value = serde_json::json!(value).to_string();
    Err(ConfigError::OutOfRange { class: T::CLASS, key, value, allowed: allowed.into() })
}
