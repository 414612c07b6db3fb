//! How good pictures are: the one place where the benchmark meets a measure of that.

use anyhow::{Context, bail};
use ddim_data::Picture;
use ddim_eval::{Extractor, Features, Frechet, Statistics};
use ddim_features::Split;
use serde::{Deserialize, Serialize};

use crate::args::{BenchArgs, FeatureChoice, SetHome, SetName};
use crate::device::Chosen as Device;
use crate::features::{Saved, extractor};
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

/// What judges the pictures of this model: what `--features` and `--reference` name; for an embedded model the embedded
/// classifier beside the pictures that it was trained on, unless they name others; for other models nothing.
///
/// # Errors
/// When what judges cannot be made ready, or the reference is of other features.
pub(super) fn of(args: &BenchArgs, model: &Model, device: &Device) -> anyhow::Result<Option<Box<dyn Quality>>> {
    let is_embedded = ddim_checkpoint::embedded_names().contains(&model.name.as_str());
    let judging = &args.judging;
    if judging.features.is_none() && judging.reference.is_none() && !is_embedded {
        return Ok(None);
    }
    let reference = match &judging.reference {
        None => Saved::embedded(Split::Train)?,
        Some(SetName { home: SetHome::Embedded(split), .. }) => Saved::embedded(*split)?,
        Some(SetName { home: SetHome::Path(path), .. }) => Saved::read(path).context("--reference")?.with_context(|| {
            format!(
                "--reference {}: is no .npz with mu and sigma; `ddim eval SET --save-stats FILE.npz` makes one",
                path.display()
            )
        })?,
        Some(name) => {
            bail!("--reference {name}: has to be embedded:train, embedded:held-out or an .npz with mu and sigma")
        }
    };
    let features = judging.features.clone().unwrap_or(FeatureChoice::Classifier(None));
    let extractor = extractor(&features, judging.resize, device)?;
    reference.check_identity(&extractor.identity())?;
    Ok(Some(Box::new(FrechetDistance { extractor, reference })))
}

/// The Frechet distance of features from those of a reference.
struct FrechetDistance {
    extractor: Box<dyn Extractor>,
    reference: Saved,
}

impl Quality for FrechetDistance {
    fn identity(&self) -> String {
        let Saved { name, pooled, .. } = &self.reference;
        let count = pooled.count().map_or(String::new(), |count| format!(", {count} pictures"));
        format!("Frechet distance in {} to {name}{count}", self.extractor.identity())
    }

    fn judge(&self, pictures: Batches<'_>) -> anyhow::Result<Verdict> {
        let mut features = Features::default();
        for batch in pictures {
            features.append(&self.extractor.extract(&batch?)?.pooled)?;
        }
        let (found, needed) = (features.len(), features.width + 1);
        if found < needed {
            return Ok(Verdict::not_measured(format!(
                "{found} pictures are too few: a covariance of {} features needs {needed}",
                features.width
            )));
        }
        let statistics = Statistics::of(&features, &self.extractor.identity())?;
        let distance = Frechet::between(&statistics, &self.reference.pooled)?;
        let standard_error = distance.standard_error(Some(&features), None)?;
        Ok(Verdict::Measured { value: distance.distance, standard_error })
    }
}
