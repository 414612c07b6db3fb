//! Wrong usage: what was typed cannot be done, and another file or machine would not change that.
//!
//! What is known from the words alone is refused while they are read. The rest, such as a list of timesteps beyond those of
//! the model, is found on the way and comes out as this error, so that a script can tell it by its exit code.

use std::fmt;

/// What is wrong with the words that were typed.
#[derive(Debug)]
pub(crate) struct WrongUsage(String);

impl WrongUsage {
    /// As said.
    pub(crate) fn new(said: impl fmt::Display) -> Self {
        Self(said.to_string())
    }

    /// An option, with or without its dashes, that would change nothing, and where it does something.
    pub(crate) fn no_effect(option: &str, beside: &str) -> Self {
        Self(format!("--{} {beside}", option.trim_start_matches('-').replace('_', "-")))
    }
}

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// Returns with [`WrongUsage`], as `bail!` does with other failures.
macro_rules! misused {
    ($($said:tt)*) => {
        return Err($crate::args::WrongUsage::new(format!($($said)*)).into())
    };
}

pub(crate) use misused;
