//! What pictures are compared by.

use anyhow::{Context, bail};
use ddim_eval::{Extractor, Pixels};
use ddim_features::{Classifier, Inception, InceptionOptions, Preparation, embedded_classifier};

use crate::args::FeatureChoice;
use crate::device::Chosen;

/// Loads it; `preparation` is how pictures become those of Inception.
pub(crate) fn extractor(
    features: &FeatureChoice,
    preparation: Preparation,
    device: &Chosen,
) -> anyhow::Result<Box<dyn Extractor>> {
    let device = &device.device;
    Ok(match features {
        FeatureChoice::Pixels => Box::new(Pixels),
        FeatureChoice::Classifier(Some(folder)) => {
            // The folder of a training run holds its model in another.
            let of_run = folder.join("model");
            let folder = if of_run.is_dir() { &of_run } else { folder };
            Box::new(Classifier::load(folder, device).context("--features classifier")?)
        }
        FeatureChoice::Classifier(None) => match ddim_checkpoint::embedded_names().first() {
            Some(name) => Box::new(embedded_classifier(name, device)?),
            None => bail!("--features classifier: this program was built without one; name a folder"),
        },
        FeatureChoice::Inception(file) => {
            let how = InceptionOptions { preparation, ..InceptionOptions::default() };
            Box::new(Inception::load(file, how, device).context("--features inception")?)
        }
    })
}
