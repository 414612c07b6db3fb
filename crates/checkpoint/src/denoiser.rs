//! A network in host memory.

use std::fmt;
use std::sync::Arc;

use ddim_graph::{Graph, Parameter};
use ddim_options::Options;
use ddim_transformer::{DiTConfig, Embedders};
use ddim_unet::{ConfigError, SampleSize, UNet2DConfig};

/// The options of a network that predicts, of any architecture.
#[derive(Clone, Debug, PartialEq)]
pub enum DenoiserConfig {
    /// Residual blocks at several resolutions.
    UNet(UNet2DConfig),
    /// A transformer over patches.
    DiT(DiTConfig),
}

impl From<UNet2DConfig> for DenoiserConfig {
    fn from(config: UNet2DConfig) -> Self {
        DenoiserConfig::UNet(config)
    }
}

impl From<DiTConfig> for DenoiserConfig {
    fn from(config: DiTConfig) -> Self {
        DenoiserConfig::DiT(config)
    }
}

impl DenoiserConfig {
    /// What diffusers calls the network.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UNet(_) => UNet2DConfig::CLASS,
            Self::DiT(_) => DiTConfig::CLASS,
        }
    }

    /// What the network is called as a part of a pipeline, and its folder.
    pub fn part(&self) -> &'static str {
        match self {
            Self::UNet(_) => "unet",
            Self::DiT(_) => "transformer",
        }
    }

    /// What it does.
    ///
    /// # Errors
    /// Values that go not together.
    pub fn graph(&self) -> Result<Graph, ConfigError> {
        match self {
            Self::UNet(config) => config.graph(),
            Self::DiT(config) => config.graph(),
        }
    }

    /// Writes a `config.json` that diffusers reads.
    pub fn to_json(&self) -> String {
        match self {
            Self::UNet(config) => config.to_json(),
            Self::DiT(config) => config.to_json(),
        }
    }

    /// Channels of the pictures that come in.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::UNet(config) => config.in_channels,
            Self::DiT(config) => config.in_channels,
        }
    }

    /// Channels of what comes out.
    pub fn out_channels(&self) -> usize {
        match self {
            Self::UNet(config) => config.out_channels,
            Self::DiT(config) => config.out_channels(),
        }
    }

    /// Height and width of the pictures it was trained with, where the configuration says.
    pub fn sample_size(&self) -> Option<[usize; 2]> {
        match self {
            Self::UNet(config) => config.sample_size.map(SampleSize::height_width),
            Self::DiT(config) => Some(config.sample_size.height_width()),
        }
    }

    /// Whether the network takes pictures of this size.
    ///
    /// # Errors
    /// [`ConfigError::PictureSize`], which says what sides must be multiples of.
    pub fn check_size(&self, height: usize, width: usize) -> Result<(), ConfigError> {
        match self {
            Self::UNet(config) => config.check_size(height, width),
            Self::DiT(config) => config.check_size(height, width),
        }
    }

    /// The label that means any class, where the architecture has one; of others the card of a model says.
    pub fn any_class(&self) -> Option<usize> {
        match self {
            Self::UNet(_) => None,
            Self::DiT(config) => Some(config.any_class()),
        }
    }

    /// The options of a UNet.
    pub fn as_unet(&self) -> Option<&UNet2DConfig> {
        match self {
            Self::UNet(config) => Some(config),
            Self::DiT(_) => None,
        }
    }

    /// The configuration under which each tensor of a file has a parameter of its own.
    pub(crate) fn as_stored(&self) -> Self {
        match self {
            Self::UNet(_) => self.clone(),
            Self::DiT(config) => Self::DiT(DiTConfig { embedders: Embedders::Each, ..config.clone() }),
        }
    }
}

/// A network as a file holds it: its options, what it does, and its weights in f32. An engine makes of it what a
/// device runs.
///
/// Copies share their weights.
#[derive(Clone, PartialEq)]
pub struct Denoiser {
    config: DenoiserConfig,
    graph: Arc<Graph>,
    /// In the order of the graph's parameters.
    weights: Arc<Vec<Vec<f32>>>,
}

impl Denoiser {
    /// A network with these weights, in the order of [`Graph::parameters`].
    ///
    /// # Errors
    /// Those of [`DenoiserConfig::graph`].
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    pub fn new(config: impl Into<DenoiserConfig>, weights: Vec<Vec<f32>>) -> Result<Self, ConfigError> {
        let config = config.into();
        let graph = Arc::new(config.graph()?);
        Ok(Denoiser { config, graph, weights: Arc::default() }.with_weights(weights))
    }

    /// The same network with other weights, in the order of [`Graph::parameters`].
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    #[must_use]
    pub fn with_weights(&self, weights: Vec<Vec<f32>>) -> Self {
        let sizes = self.graph.parameters().iter().map(ddim_graph::ParameterInfo::len);
        assert!(sizes.eq(weights.iter().map(Vec::len)), "weights of the sizes that the graph says");
        Denoiser { weights: Arc::new(weights), ..self.clone() }
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &DenoiserConfig {
        &self.config
    }

    /// What it does.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The numbers of a parameter, as a file holds them.
    pub fn weight(&self, parameter: Parameter) -> &[f32] {
        &self.weights[parameter.0]
    }

    /// The numbers of all parameters, in the order of [`Graph::parameters`].
    pub fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// The same, shared.
    pub fn shared(&self) -> Arc<Vec<Vec<f32>>> {
        Arc::clone(&self.weights)
    }

    /// Name, shape and numbers of each tensor of its file: where one embedder serves all blocks, once for each.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (String, Vec<usize>, &[f32])> {
        let graph = match &self.config {
            DenoiserConfig::UNet(_) => Arc::clone(&self.graph),
            DenoiserConfig::DiT(_) => Arc::new(self.config.as_stored().graph().expect("as the one that was made")),
        };
        let of = |name: &str| self.graph.parameters().iter().position(|info| info.name == name);
        let tensors: Vec<_> = graph
            .parameters()
            .iter()
            .map(|info| {
                let place = of(&info.name).or_else(|| of(&Embedders::shared_name(&info.name)));
                let place = place.expect("a parameter of this network, or of its first block");
                (info.name.clone(), info.shape.clone(), self.weights[place].as_slice())
            })
            .collect();
        tensors.into_iter()
    }

    /// The same network with another remark on the size of the pictures it was trained with. That of a transformer
    /// says where its positions are, and stays.
    #[must_use]
    pub fn with_sample_size(mut self, size: SampleSize) -> Self {
        if let DenoiserConfig::UNet(config) = &mut self.config {
            config.sample_size = Some(size);
        }
        self
    }
}

impl fmt::Debug for Denoiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denoiser").field("config", &self.config).finish_non_exhaustive()
    }
}
