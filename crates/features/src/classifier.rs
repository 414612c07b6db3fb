//! A small classifier, whose last layer but one are the features.

mod config;
mod network;

use std::path::Path;
use std::sync::Arc;

use ddim_checkpoint::{
    CheckpointError, Weights, read_text, weights_fingerprint, write_folder, write_text, write_weights,
};
use ddim_data::{Picture, Size};
use ddim_engine::{Conditioning, Engine, EngineOptions, Observed};
use ddim_eval::{EvalError, Extracted, Extractor};
use ddim_graph::{Graph, Labels};
use ddim_tensor::{Device, Tensor};

use crate::{FeatureError, output};
pub use config::{ClassifierConfig, ClassifierShape};
use network::{FEATURES, MAP};

/// A classifier of pictures of one size, ready to be asked.
///
/// Pictures are scaled to `level / 127.5 - 1`; nothing is resized and no channel is made up. The features are the
/// [`ClassifierShape::features`] numbers before the last activation and the last layer. The spatial ones are the
/// first seven channels of the map of the last stage but one, as sFID takes seven channels of Inception's (Nash et
/// al. 2021, arXiv:2103.03841, section 4.1).
#[derive(Debug, Clone)]
pub struct Classifier {
    config: ClassifierConfig,
    engine: Engine,
    /// Of nothing: the network asks for no time.
    conditioning: Conditioning,
    device: Device,
    fingerprint: String,
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// What a folder of a classifier consists of; statistics of other weights mean nothing and go with them.
const PARTS: [&str; 4] = [CONFIG, WEIGHTS, "train.npz", "held_out.npz"];

/// Channels of a map that count as spatial features.
const SPATIAL_CHANNELS: usize = 7;

impl ClassifierConfig {
    /// The network: from pictures \[n, channels, height, width\] with values from -1 to 1 to \[n, classes, 1, 1\],
    /// whose softmax are the probabilities.
    ///
    /// # Errors
    /// A configuration that makes no sense.
    pub fn graph(&self) -> Result<Graph, FeatureError> {
        self.check()?;
        Ok(network::graph(self))
    }
}

impl Classifier {
    /// A network with these weights, in the order of [`ClassifierConfig::graph`], on a device.
    ///
    /// # Errors
    /// A configuration that makes no sense.
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    pub fn new(config: ClassifierConfig, weights: Vec<Vec<f32>>, device: &Device) -> Result<Self, FeatureError> {
        let graph = config.graph()?;
        let fingerprint = weights_fingerprint(&graph, &weights);
        let (graph, weights, size) = (Arc::new(graph), Arc::new(weights), config.size);
        let options = EngineOptions { size: Some(size), ..EngineOptions::default() };
        let engine = Engine::new(graph, weights, device, &options).expect("plain layers in f32");
        let conditioning = engine.condition(&[0.0], &Labels::None);
        Ok(Classifier { config, engine, conditioning, device: device.clone(), fingerprint })
    }

    /// Reads the folder that [`save`](Self::save) has written.
    ///
    /// # Errors
    /// Files that are missing or broken, and tensors that do not fit the configuration; each is named.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FeatureError> {
        let (config, weights) = (folder.join(CONFIG), folder.join(WEIGHTS));
        if let Some(missing) =
            [(&config, "configuration"), (&weights, "weights")].iter().find(|(p, _)| !p.is_file())
        {
            return Err(FeatureError::Checkpoint(CheckpointError::MissingFile {
                folder: folder.into(),
                what: missing.1,
                tried: missing.0.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                next: "Is this the folder of a trained classifier?",
            }));
        }
        Self::read(&config, &read_text(&config)?, &Weights::open(&weights)?, device)
    }

    /// The same from parts; the path is for messages.
    pub(crate) fn read(
        path: &Path,
        config: &str,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self, FeatureError> {
        let broken = |problem: String| CheckpointError::Json { path: path.into(), problem };
        let config: ClassifierConfig =
            serde_json::from_str(config).map_err(|error| broken(format!("not that of a classifier: {error}")))?;
        let graph = config.graph().map_err(|error| broken(error.to_string()))?;
        Self::new(config, weights.fill(&graph)?, device)
    }

    /// Writes a folder, whole or not at all, in place of an earlier classifier: `config.json`,
    /// `model.safetensors`.
    ///
    /// # Errors
    /// A folder that holds anything but a classifier, and whatever the file system refuses.
    pub fn save(&self, folder: &Path) -> Result<(), FeatureError> {
        let config = format!("{:#}\n", serde_json::json!(self.config));
        Ok(write_folder(folder, &PARTS, |folder| {
            write_text(&folder.join(CONFIG), &config)?;
            write_weights(self.engine.graph(), self.engine.weights(), &folder.join(WEIGHTS))
        })?)
    }

    /// What it was made from.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// How many weights it has.
    pub fn parameters(&self) -> usize {
        self.engine.graph().parameter_count()
    }

    /// \[n, channels, height, width\], from -1 to 1.
    fn tensor(&self, pictures: &[Picture]) -> Result<Tensor, EvalError> {
        let ClassifierConfig { size: [height, width], channels, .. } = self.config;
        let expected = Size([height, width, channels]);
        let mut values = Vec::with_capacity(pictures.len() * height * width * channels);
        for (index, picture) in pictures.iter().enumerate() {
            let found = Size([picture.height, picture.width, picture.channels]);
            if found != expected {
                return Err(EvalError::PictureSize { picture: index, found, expected });
            }
            values.extend(picture.to_values(|level| f32::from(level) / 127.5 - 1.0));
        }
        let shape = [pictures.len(), channels, height, width];
        Ok(Tensor::new(values, shape).to(&self.device))
    }
}

impl Extractor for Classifier {
    fn identity(&self) -> String {
        let ClassifierConfig { name, network, .. } = &self.config;
        let ClassifierShape { widths, features, .. } = network;
        format!("classifier {name} {widths:?}-{features}, weights {}, level/127.5 - 1", self.fingerprint)
    }

    fn extract(&self, pictures: &[Picture]) -> Result<Extracted, EvalError> {
        if pictures.is_empty() {
            return Ok(Extracted::default());
        }
        let x = self.tensor(pictures)?;
        let Observed { output, points } = self.engine.observe(x, &self.conditioning, &[MAP, FEATURES]);
        let [map, features] = points.try_into().expect("as many as asked for");
        let map = map.channels(0..SPATIAL_CHANNELS.min(map.dims()[1]));
        let width = |x: &Tensor| x.dims()[1..].iter().product();
        let classes = width(&output);
        Ok(Extracted {
            pooled: output::features(width(&features), features.into_values())?,
            spatial: Some(output::features(width(&map), map.into_values())?),
            probabilities: Some(output::features(classes, output::softmax(classes, output.into_values()))?),
        })
    }
}

#[cfg(test)]
mod tests;
