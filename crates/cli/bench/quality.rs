//! How good pictures are: the one place where the benchmark meets a measure of that.

use ddim_data::Picture;
use serde::{Deserialize, Serialize};

use crate::model::Model;

/// Pictures, batch after batch.
pub(super) type Batches<'a> = &'a mut dyn Iterator<Item = anyhow::Result<Vec<Picture>>>;

/// Judges the pictures of a cell.
pub(super) trait Quality {
    /// What it measures, and against what, in words that do not change while the numbers do not.
    fn identity(&self) -> String;

    /// The number for these pictures; smaller is better.
    ///
    /// # Errors
    /// When a picture cannot be read back, or the measure fails.
    fn judge(&self, pictures: Batches<'_>) -> anyhow::Result<Verdict>;
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Verdict {
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
    pub(super) fn not_measured(why: impl Into<String>) -> Self {
        Self::NotMeasured { not_measured: why.into() }
    }
}

/// What judges the pictures of this model, if anything does.
///
/// # Errors
/// When what judges cannot be made ready.
pub(super) fn of(_: &Model) -> anyhow::Result<Option<Box<dyn Quality>>> {
    Ok(None)
}
