//! The models that are part of the program.

use std::path::{Path, PathBuf};

use ddim_unet::UNet2DConfig;

use crate::error::CheckpointError;
use crate::layout::{CARD, SCHEDULER_CONFIG, TUNED, Text, UNET_CONFIG, WEIGHTS};
use crate::weights::Weights;
use crate::{Card, Checkpoint, Inspection, SchedulerConfig, TunedSteps, fit, read, tuned};

/// A model folder, file by file, as it was when the program was compiled.
struct Embedded {
    name: &'static str,
    unet_config: &'static str,
    scheduler_config: &'static str,
    card: &'static str,
    tuned: &'static str,
    weights: &'static [u8],
}

/// The folder of that name in `assets/`, in the layout that [`save`](crate::save) writes.
#[allow(unused_macros, reason = "the table may be empty")]
macro_rules! embed {
    ($name:literal) => {
        Embedded {
            name: $name,
            unet_config: include_str!(asset!($name, "/unet/config.json")),
            scheduler_config: include_str!(asset!($name, "/scheduler/scheduler_config.json")),
            card: include_str!(asset!($name, "/ddim.json")),
            tuned: include_str!(asset!($name, "/tuned.json")),
            weights: include_bytes!(asset!($name, "/unet/diffusion_pytorch_model.safetensors")),
        }
    };
}

#[allow(unused_macros, reason = "the table may be empty")]
macro_rules! asset {
    ($name:literal, $file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/", $name, $file)
    };
}

/// The embedded models, the default first: one line each, `embed!("name")` for `assets/name/`.
const MODELS: &[Embedded] = &[embed!("fashion-mnist")];

/// The names of the embedded models, the default first.
pub fn embedded_names() -> &'static [&'static str] {
    static NAMES: [&str; MODELS.len()] = {
        let mut names = [""; MODELS.len()];
        let mut index = 0;
        while index < MODELS.len() {
            names[index] = MODELS[index].name;
            index += 1;
        }
        names
    };
    &NAMES
}

/// The embedded model of that name.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn embedded(name: &str) -> Result<Checkpoint, CheckpointError> {
    find(name)?.load()
}

/// The weight file of the embedded model of that name, to tell whether it is the one of an earlier run.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn embedded_weights(name: &str) -> Result<&'static [u8], CheckpointError> {
    Ok(find(name)?.weights)
}

/// What was tuned for the embedded model of that name.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn embedded_tuned(name: &str) -> Result<Option<TunedSteps>, CheckpointError> {
    let model = find(name)?;
    tuned::parsed(Some(model.text(TUNED, model.tuned)))
}

/// What the embedded model of that name holds.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn inspect_embedded(name: &str) -> Result<Inspection, CheckpointError> {
    let model = find(name)?;
    let (unet, weights) = (model.unet_config()?, model.weights()?);
    let slots = read::slots(&unet, &model.path(UNET_CONFIG))?;
    let report = fit::compare(&slots, &weights);
    Ok(Inspection::of(unet, model.scheduler(), model.card()?, &weights, &slots, report, Vec::new()))
}

fn find(name: &str) -> Result<&'static Embedded, CheckpointError> {
    MODELS.iter().find(|model| model.name == name).ok_or_else(|| CheckpointError::NotEmbedded {
        name: name.to_owned(),
        known: if MODELS.is_empty() { "none".to_owned() } else { embedded_names().join(", ") },
    })
}

impl Embedded {
    fn load(&self) -> Result<Checkpoint, CheckpointError> {
        let unet = read::network(self.unet_config()?, &self.path(UNET_CONFIG), &self.weights()?)?;
        Ok(Checkpoint {
            unet,
            first_stage: None,
            scheduler: self.scheduler()?,
            card: self.card()?,
            warnings: Vec::new(),
        })
    }

    fn unet_config(&self) -> Result<UNet2DConfig, CheckpointError> {
        read::unet_config(&self.text(UNET_CONFIG, self.unet_config), &mut Vec::new())
    }

    fn scheduler(&self) -> Result<SchedulerConfig, CheckpointError> {
        read::scheduler(&self.text(SCHEDULER_CONFIG, self.scheduler_config)).map(|(scheduler, _)| scheduler)
    }

    fn card(&self) -> Result<Card, CheckpointError> {
        read::card(Some(self.text(CARD, self.card)))
    }

    fn weights(&self) -> Result<Weights, CheckpointError> {
        Weights::in_memory(&self.path(WEIGHTS), self.weights)
    }

    fn text(&self, file: &str, text: &str) -> Text {
        Text { path: self.path(file), text: text.to_owned() }
    }

    /// For messages.
    fn path(&self, file: &str) -> PathBuf {
        Path::new("embedded").join(self.name).join(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! golden {
        ($file:literal) => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer/", $file)
        };
    }

    #[test]
    fn a_model_in_memory_is_the_same_as_in_a_folder() {
        let model = Embedded {
            name: "golden",
            unet_config: include_str!(golden!("unet/config.json")),
            scheduler_config: include_str!(golden!("scheduler/scheduler_config.json")),
            card: r#"{"name": "Golden"}"#,
            tuned: "{}",
            weights: include_bytes!(golden!("unet/diffusion_pytorch_model.safetensors")),
        };
        let (ours, folder) = (model.load(), read::load(Path::new(golden!(""))));
        let (ours, folder) = (ours.expect("a model in memory"), folder.expect("a model in a folder"));
        assert_eq!(ours.card.name, "Golden");
        assert_eq!(ours.scheduler, folder.scheduler);
        assert!(ours.unet == folder.unet && !ours.unet.weights().is_empty());
    }

    #[test]
    fn every_embedded_model_loads_under_its_name() {
        for name in embedded_names() {
            let model = embedded(name).expect(name);
            assert!(!model.card.name.is_empty(), "{name} has no name on its card");
            assert!(inspect_embedded(name).expect(name).report.is_clean());
            assert!(inspect_embedded(name).expect(name).warnings.is_empty());
            assert!(embedded_tuned(name).expect(name).is_some());
        }
    }
}
