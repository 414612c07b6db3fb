//! What pictures are compared by.

use anyhow::{Context, bail};
use ddim_eval::{Extractor, Pixels};
use ddim_features::{Classifier, Inception, InceptionOptions, embedded_classifier};

use crate::args::{DistanceArgs, FeatureChoice};
use crate::device::Chosen;

/// Loads it.
///
/// # Errors
/// When there is no such network, or its file is broken.
pub(super) fn extractor(options: &DistanceArgs, device: &Chosen) -> anyhow::Result<Box<dyn Extractor>> {
    let device = &device.device;
    Ok(match &options.features {
        FeatureChoice::Pixels => Box::new(Pixels),
        FeatureChoice::Classifier(Some(folder)) => {
            Box::new(Classifier::load(folder, device).context("--features classifier")?)
        }
        FeatureChoice::Classifier(None) => match ddim_checkpoint::embedded_names().first() {
            Some(name) => Box::new(embedded_classifier(name, device)?),
            None => bail!("--features classifier: this program was built without one; name a folder"),
        },
        FeatureChoice::Inception(file) => {
            let how = InceptionOptions { preparation: options.resize, ..InceptionOptions::default() };
            Box::new(Inception::load(file, how, device).context("--features inception")?)
        }
    })
}
