//! A network in host memory.

use std::fmt;
use std::sync::Arc;

use ddim_graph::{Graph, Parameter};
use ddim_unet::{ConfigError, SampleSize, UNet2DConfig};

/// A network as a file holds it: its options, what it does, and its weights in f32. An engine makes of it what a
/// device runs.
///
/// Copies share their weights.
#[derive(Clone, PartialEq)]
pub struct UNet {
    config: UNet2DConfig,
    graph: Arc<Graph>,
    /// In the order of the graph's parameters.
    weights: Arc<Vec<Vec<f32>>>,
}

impl UNet {
    /// A network with these weights, in the order of [`Graph::parameters`].
    ///
    /// # Errors
    /// Those of [`UNet2DConfig::graph`].
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    pub fn new(config: UNet2DConfig, weights: Vec<Vec<f32>>) -> Result<Self, ConfigError> {
        let graph = Arc::new(config.graph()?);
        Ok(UNet { config, graph, weights: Arc::default() }.with_weights(weights))
    }

    /// The same network with other weights, in the order of [`Graph::parameters`].
    ///
    /// # Panics
    /// Weights of other sizes than the graph says.
    #[must_use]
    pub fn with_weights(&self, weights: Vec<Vec<f32>>) -> Self {
        let sizes = self.graph.parameters().iter().map(ddim_graph::ParameterInfo::len);
        assert!(sizes.eq(weights.iter().map(Vec::len)), "weights of the sizes that the graph says");
        UNet { weights: Arc::new(weights), ..self.clone() }
    }

    /// The configuration that it was made from.
    pub fn config(&self) -> &UNet2DConfig {
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

    /// The same network with another remark on the size of the pictures it was trained with.
    #[must_use]
    pub fn with_sample_size(mut self, size: SampleSize) -> Self {
        self.config.sample_size = Some(size);
        self
    }
}

impl fmt::Debug for UNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UNet").field("config", &self.config).finish_non_exhaustive()
    }
}
