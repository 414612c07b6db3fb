//! What makes an autoencoder a model of pictures: a prior over latents, and how far pictures lie from what is
//! decoded.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::CheckpointError;
use crate::layout::{CARD, MAX_LISTS, read_text};

/// `p(z) = N(prior mean, prior variance I)` and `p(x | z) = N(decoded z, diag variance)`, of pictures in \[-1,
/// 1\]. Without these two an autoencoder says nothing about how likely a picture is. It lies in `ddim.json` beside
/// the weights; diffusers ignores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// The mean of every latent number, before scaling.
    pub prior_mean: f64,
    /// Its variance.
    pub prior_variance: f64,
    /// The variance of a value of a picture: one for all, or one for each, `[channels, height, width]`.
    pub decoder_variance: Vec<f64>,
    /// Layers of latents, 1 or 2. Of two the prior is that of the upper one, which lies in `upper/`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub layers: usize,
    /// Everything else in the file, such as name, licence and training data.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Likelihood {
    /// The text of a `ddim.json`.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", json!(self))
    }

    /// That of a folder, where it has one.
    ///
    /// # Errors
    /// Broken JSON, a number that is missing, variances that are not above 0.
    pub(crate) fn beside(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(CARD);
        if !path.is_file() {
            return Ok(None);
        }
        let text = read_text(path, MAX_LISTS)?;
        let broken = |problem: String| CheckpointError::Json { path: text.path.clone(), problem };
        let keys: Map<String, Value> =
            serde_json::from_str(&text.text).map_err(|error| broken(error.to_string()))?;
        if !keys.contains_key(VARIANCE) {
            return Ok(None);
        }
        let found: Self =
            serde_json::from_value(Value::Object(keys)).map_err(|error| broken(error.to_string()))?;
        let above_0 = |value: f64| value.is_finite() && value > 0.0;
        if !found.prior_mean.is_finite() {
            return Err(broken(format!("prior_mean is {}; it must be a finite number", found.prior_mean)));
        }
        let all = || found.decoder_variance.iter().copied().chain([found.prior_variance]);
        if let Some(variance) = all().find(|variance| !above_0(*variance)) {
            return Err(broken(format!("a variance is {variance}; it must be above 0 and finite")));
        }
        if found.decoder_variance.is_empty() {
            return Err(broken(format!("{VARIANCE} is empty; it must have one number, or one for each value")));
        }
        Ok(Some(found))
    }
}

fn one() -> usize {
    1
}

fn is_one(layers: &usize) -> bool {
    *layers == 1
}

/// The key that only such a file has.
const VARIANCE: &str = "decoder_variance";
