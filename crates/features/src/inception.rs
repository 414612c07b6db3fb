//! The Inception-v3 of the Frechet inception distance.

mod blocks;
mod network;
mod prepare;
mod source;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ddim_checkpoint::{Weights, weights_fingerprint};
use ddim_data::Picture;
use ddim_engine::{Conditioning, Engine, EngineOptions, Observed};
use ddim_eval::{EvalError, Extracted, Extractor};
use ddim_graph::Labels;
use ddim_tensor::{Device, Tensor};

use crate::{FeatureError, output};
use network::{POOLED, SPATIAL};

/// The network that the Frechet inception distance, the inception score and sFID are defined with: Inception-v3
/// (Szegedy et al. 2015, arXiv:1512.00567) as released by Google on 2015-12-05 and ported to PyTorch.
///
/// It is not torchvision's: average pools leave the padding out of the mean, and the last block pools by the
/// maximum. Its weights are a file that the user has: pytorch-fid's `pt_inception-2015-12-05-6726825d.pth` or
/// torch-fidelity's `weights-inception-2015-12-05-6726825d.pth`, or the same tensors as safetensors.
///
/// What it gives for a picture of any size; grey is repeated to RGB, transparency is laid over white:
///
/// | | |
/// |---|---|
/// | `pooled` | 2048: the mean over the last map, "pool_3" |
/// | `spatial` | 2023: the first seven channels of `mixed_6/conv`, \[17, 17, 7\] (Nash et al. 2021, arXiv:2103.03841, section 4.1, and guided-diffusion's evaluator) |
/// | `probabilities` | 1008: softmax of [`Logits`] |
#[derive(Debug, Clone)]
pub struct Inception {
    engine: Engine,
    /// Of nothing: the network asks for no time.
    conditioning: Conditioning,
    options: InceptionOptions,
    device: Device,
    fingerprint: String,
}

/// Channels of the map that sFID takes.
const SPATIAL_CHANNELS: usize = 7;

/// On what published programs disagree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InceptionOptions {
    /// How a picture becomes 299x299 numbers.
    pub preparation: Preparation,
    /// What the class probabilities are computed from.
    pub logits: Logits,
}

/// How 8-bit levels of any size become the 299x299 input, named by the program that does so. None of them rounds
/// after the resize.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preparation {
    /// Bilinear as TensorFlow 1 has it, pixel k of the output at k n/299 of the input, then `(level - 128) / 128`:
    /// the original FID, guided-diffusion and torch-fidelity.
    #[default]
    TorchFidelity,
    /// `level / 255`, bilinear with pixel centres at (k + 1/2) n/299 - 1/2, then `2 x - 1`.
    PytorchFid,
    /// Bicubic (a = -1/2) widened when a picture shrinks, as PIL has it, cut off at 0 and 255, then
    /// `(level - 128) / 128` (Parmar et al. 2022, arXiv:2104.11222).
    CleanFid,
}

/// The scores whose softmax are the class probabilities of the inception score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Logits {
    /// Without the bias of the last layer: what every published inception score has been computed from (Salimans
    /// et al. 2016, arXiv:1606.03498, by their code).
    #[default]
    Unbiased,
    /// With it.
    Biased,
}

impl Preparation {
    /// Every convention, by the name that [`FromStr`] reads.
    pub const NAMES: [(&str, Self); 3] = [
        ("torch-fidelity", Self::TorchFidelity),
        ("pytorch-fid", Self::PytorchFid),
        ("clean-fid", Self::CleanFid),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, preparation)| *preparation == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Preparation {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, preparation)| *preparation).ok_or_else(|| FeatureError::Value {
            key: "preparation",
            value: text.to_owned(),
            allowed: Self::NAMES.map(|(name, _)| name).join(", "),
        })
    }
}

impl Inception {
    /// Reads a weight file onto a device.
    ///
    /// # Errors
    /// A file that cannot be read, and one that holds another network: every tensor that is missing, left over or
    /// misshapen is named.
    pub fn load(path: &Path, options: InceptionOptions, device: &Device) -> Result<Self, FeatureError> {
        let graph = network::graph();
        let mut weights = source::read(&graph, &Weights::open(path)?)?;
        let fingerprint = weights_fingerprint(&graph, &weights);
        if options.logits == Logits::Unbiased {
            weights.last_mut().expect("the bias of the last layer").fill(0.0);
        }
        let (graph, weights, side) = (Arc::new(graph), Arc::new(weights), prepare::SIDE);
        let usual = EngineOptions { size: Some([side; 2]), ..EngineOptions::default() };
        let engine = Engine::new(graph, weights, device, &usual).expect("plain layers in f32");
        let conditioning = engine.condition(&[0.0], &Labels::None);
        Ok(Inception { engine, conditioning, options, device: device.clone(), fingerprint })
    }

    /// \[n, 3, 299, 299\].
    fn tensor(&self, pictures: &[Picture]) -> Result<Tensor, EvalError> {
        let mut values = Vec::with_capacity(pictures.len() * 3 * prepare::SIDE * prepare::SIDE);
        for (index, picture) in pictures.iter().enumerate() {
            let found = picture.channels;
            let colours = matches!(found, 1 | 3 | 4).then(|| picture.clone());
            let rgb = colours.and_then(|picture| picture.with_channels(3));
            let rgb = rgb.ok_or(EvalError::PictureChannels { picture: index, found })?;
            values.extend(self.options.preparation.values(&rgb));
        }
        let shape = [pictures.len(), 3, prepare::SIDE, prepare::SIDE];
        Ok(Tensor::new(values, shape).to(&self.device))
    }
}

impl Extractor for Inception {
    fn identity(&self) -> String {
        let logits = match self.options.logits {
            Logits::Unbiased => "unbiased",
            Logits::Biased => "biased",
        };
        format!(
            "inception-v3-2015-12-05, weights {}, prepared as {}, logits {logits}",
            self.fingerprint,
            self.options.preparation.name()
        )
    }

    fn extract(&self, pictures: &[Picture]) -> Result<Extracted, EvalError> {
        if pictures.is_empty() {
            return Ok(Extracted::default());
        }
        let x = self.tensor(pictures)?;
        let Observed { output, points } = self.engine.observe(x, &self.conditioning, &[SPATIAL, POOLED]);
        let [spatial, pooled] = points.try_into().expect("as many as asked for");
        let spatial = spatial.channels(0..SPATIAL_CHANNELS);
        let width = |x: &Tensor| x.dims()[1..].iter().product();
        let classes = width(&output);
        Ok(Extracted {
            pooled: output::features(width(&pooled), pooled.into_values())?,
            // Channels innermost, as TensorFlow lays them out.
            spatial: Some(output::features(width(&spatial), spatial.values_by_pixel())?),
            probabilities: Some(output::features(classes, output::softmax(classes, output.into_values()))?),
        })
    }
}

#[cfg(test)]
mod tests;
