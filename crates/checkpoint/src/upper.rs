//! The second layer of latents above a first stage, in the folder `upper/`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddim_autoencoder::{AutoencoderConfig, UpperConfig};
use ddim_graph::Graph;

use crate::autoencoder::{Network, PARTS};
use crate::error::CheckpointError;
use crate::fit;
use crate::layout::{CONFIG, MAX_CONFIG, file_name, read_text};
use crate::places::{WeightChoice, weights_in};
use crate::warning::Warning;
use crate::weights::Weights;

/// The folder, beside the files of the first stage or beside the `vae/` that it is.
pub(crate) const UPPER: &str = "upper";

/// A second layer of latents in host memory: `q(z2 | z1)` and `p(z1 | z2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Upper {
    /// Its options.
    pub config: UpperConfig,
    /// From z1 to means and logarithms of variances of z2.
    pub encoder: Network,
    /// From z2 to the means of z1.
    pub decoder: Network,
}

/// Its files, found and checked; of the weights the headers only.
pub(crate) struct UpperFiles {
    config: UpperConfig,
    encoder: Graph,
    decoder: Graph,
    weights: Weights,
}

impl UpperFiles {
    /// That of a first stage in this folder, where there is one; also what was passed over.
    pub(crate) fn beside(
        folder: &Path,
        below: &AutoencoderConfig,
    ) -> Result<Option<(Self, Vec<Warning>)>, CheckpointError> {
        let Some(upper) = place(folder) else { return Ok(None) };
        let text = read_text(upper.join(CONFIG), MAX_CONFIG)?;
        let refused = |source| CheckpointError::NetworkConfig { path: text.path.clone(), source };
        let config = UpperConfig::from_json(&text.text).map_err(refused)?;
        let (encoder, decoder) = (config.encoder().map_err(refused)?, config.decoder().map_err(refused)?);
        let (found, channels) = (config.in_channels, below.latent_channels());
        if found != channels || !matches!(below, AutoencoderConfig::Kl(_)) {
            let problem = format!(
                "it lies above latents of {found} channels, and those of the {} below have {channels}: it must be \
                 that of an AutoencoderKL with as many",
                below.class()
            );
            return Err(CheckpointError::Json { path: text.path, problem });
        }
        let slots = [fit::slots(&encoder), fit::slots(&decoder)].concat();
        let (weights, chosen) =
            Weights::of_network(&weights_in(&upper)?, &text.path, &slots, &WeightChoice::Usual)?;
        fit::check(&slots, &weights)?;
        let unused = fit::compare(&slots, &weights).unused;
        let unused =
            (!unused.is_empty()).then(|| Warning::UnusedTensors { path: weights.path().into(), names: unused });
        let warnings = chosen.into_iter().chain(unused).collect();
        Ok(Some((Self { config, encoder, decoder, weights }, warnings)))
    }

    /// How many numbers the weights are.
    pub(crate) fn parameters(&self) -> usize {
        self.encoder.parameter_count() + self.decoder.parameter_count()
    }

    /// A number that changes with the weights, and with the variance beside them.
    pub(crate) fn fingerprint(&self) -> Result<String, CheckpointError> {
        let options = crate::fingerprint(self.config.to_json().as_bytes());
        Ok(self.weights.fingerprint()? + &options)
    }

    /// Reads the weights.
    pub(crate) fn load(self) -> Result<Upper, CheckpointError> {
        let network = |graph: Graph| -> Result<Network, CheckpointError> {
            let values = self.weights.fill(&graph)?;
            Ok(Network { graph: Arc::new(graph), weights: Arc::new(values) })
        };
        Ok(Upper { encoder: network(self.encoder)?, decoder: network(self.decoder)?, config: self.config })
    }
}

fn place(folder: &Path) -> Option<PathBuf> {
    let is_part = PARTS.contains(&file_name(folder).as_str());
    let around = folder.parent().filter(|_| is_part).map(|around| around.join(UPPER));
    [Some(folder.join(UPPER)), around].into_iter().flatten().find(|upper| upper.is_dir())
}
