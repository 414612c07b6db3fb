//! A model that lies in memory, file by file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::error::CheckpointError;
use crate::layout::{CARD, SCHEDULER_CONFIG, Text, UNET_CONFIG, WEIGHTS};
use crate::warning::Warning;
use crate::weights::Weights;
use crate::{Card, Checkpoint, DenoiserConfig, SchedulerConfig, read};

/// The files of a model folder as they lie in memory: for a program that has no file system, or carries its model.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// What they are called in messages.
    pub name: &'a str,
    /// `unet/config.json`.
    pub unet_config: &'a str,
    /// `scheduler/scheduler_config.json`.
    pub scheduler_config: &'a str,
    /// `ddim.json`, where there is one.
    pub card: Option<&'a str>,
    /// `unet/diffusion_pytorch_model.safetensors`.
    pub weights: Cow<'static, [u8]>,
}

impl Parts<'_> {
    /// The model that they are.
    ///
    /// # Errors
    ///
    /// As for the files of a folder, with the name and the file.
    pub fn load(&self) -> Result<Checkpoint, CheckpointError> {
        let (config, mut warnings) = self.unet_config()?;
        let (scheduler, of_scheduler) = self.scheduler()?;
        warnings.extend(of_scheduler);
        let card = read::with_classes(self.card()?, Vec::new(), &config);
        Ok(Checkpoint {
            denoiser: read::network(config, &self.path(UNET_CONFIG), &self.weights()?)?,
            first_stage: None,
            scheduler,
            card,
            warnings,
        })
    }

    /// With what was passed over in it.
    pub(crate) fn unet_config(&self) -> Result<(DenoiserConfig, Vec<Warning>), CheckpointError> {
        let mut warnings = Vec::new();
        let text = self.text(UNET_CONFIG, self.unet_config);
        Ok((read::denoiser_config(&text, &self.card()?, &mut warnings)?, warnings))
    }

    /// Likewise.
    pub(crate) fn scheduler(&self) -> Result<(SchedulerConfig, Vec<Warning>), CheckpointError> {
        read::scheduler(&self.text(SCHEDULER_CONFIG, self.scheduler_config))
    }

    pub(crate) fn card(&self) -> Result<Card, CheckpointError> {
        read::card(self.card.map(|card| self.text(CARD, card)))
    }

    pub(crate) fn weights(&self) -> Result<Weights, CheckpointError> {
        Weights::in_memory(&self.path(WEIGHTS), self.weights.clone())
    }

    pub(crate) fn text(&self, file: &str, text: &str) -> Text {
        Text { path: self.path(file), text: text.to_owned() }
    }

    /// For messages.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        Path::new(self.name).join(file)
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
        let model = Parts {
            name: "golden",
            unet_config: include_str!(golden!("unet/config.json")),
            scheduler_config: include_str!(golden!("scheduler/scheduler_config.json")),
            card: Some(r#"{"name": "Golden"}"#),
            weights: Cow::Borrowed(include_bytes!(golden!("unet/diffusion_pytorch_model.safetensors"))),
        };
        let (ours, folder) = (model.load(), read::load(Path::new(golden!(""))));
        let (ours, folder) = (ours.expect("a model in memory"), folder.expect("a model in a folder"));
        assert_eq!(ours.card.name, "Golden");
        assert_eq!(ours.scheduler, folder.scheduler);
        assert!(ours.denoiser == folder.denoiser && !ours.denoiser.weights().is_empty());
    }

    #[test]
    fn what_is_passed_over_is_told() {
        let model = Parts {
            name: "golden",
            unet_config: include_str!(golden!("unet/config.json")),
            scheduler_config: r#"{"_class_name": "DDIMScheduler", "skip_everything": true}"#,
            card: None,
            weights: Cow::Borrowed(include_bytes!(golden!("unet/diffusion_pytorch_model.safetensors"))),
        };
        let told = match model.load() {
            Ok(found) => found.warnings.iter().map(ToString::to_string).collect::<String>(),
            Err(refused) => refused.to_string(),
        };
        assert!(told.contains("skip_everything"), "{told}");
    }
}
