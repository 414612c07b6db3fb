//! How good the pictures of a cell are.

use serde::{Deserialize, Serialize};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Verdict {
    /// A number.
    Measured {
        /// The number.
        value: f64,
        /// Its standard error, where it is known.
        standard_error: Option<f64>,
    },
    /// None.
    NotMeasured {
        /// Why.
        not_measured: String,
    },
}

impl Verdict {
    /// None, for this reason.
    pub fn not_measured(why: impl Into<String>) -> Self {
        Self::NotMeasured { not_measured: why.into() }
    }
}
