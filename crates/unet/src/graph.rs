//! The only place where the network is written down (Ho et al. 2020, arXiv:2006.11239, appendix B, in the variants
//! of diffusers' `UNet2DModel`, whose names the parameters have).

mod attention;
mod blocks;
mod embedding;
mod resnet;

use ddim_graph::{Activation, Border, Builder, Convolution, Graph, Row, Value};

use crate::{ConfigError, UNet2DConfig};

impl UNet2DConfig {
    /// The network: a picture, a time and perhaps a label in; a tensor of the size of the picture out.
    ///
    /// ```
    /// use ddim_unet::UNet2DConfig;
    ///
    /// let graph = UNet2DConfig::default().graph()?;
    /// assert_eq!(graph.parameters()[0].name, "conv_in.weight");
    /// # Ok::<(), ddim_unet::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn graph(&self) -> Result<Graph, ConfigError> {
        self.validate()?;
        Ok(Writer::new(self).write())
    }
}

/// Writes the layers down, in the order in which they run.
struct Writer<'a> {
    config: &'a UNet2DConfig,
    graph: Builder,
    /// Time and label as a vector, behind the activation through which every residual block sees it.
    embedding: Row,
    /// Features kept for the way up.
    skips: Vec<Value>,
}

impl<'a> Writer<'a> {
    fn new(config: &'a UNet2DConfig) -> Self {
        let mut graph = Builder::new();
        let (scale, shift) = if config.center_input_sample { (2.0, -1.0) } else { (1.0, 0.0) };
        graph.block("conv_in");
        let x = graph.scaled_input(config.in_channels, scale, shift);
        let x = graph.convolve(x, conv3x3("conv_in", config.block_out_channels[0]));
        let embedding = embedding::write(config, &mut graph);
        let embedding = graph.activate(embedding, config.act_fn.into());
        graph.observe("conv_in", x);
        Writer { config, graph, embedding, skips: vec![x] }
    }

    fn write(mut self) -> Graph {
        let levels = self.config.block_out_channels.len();
        let mut x = self.skips[0];
        for level in 0..levels {
            x = self.down_block(x, level);
        }
        if self.config.mid_block_type.is_some() {
            x = self.mid_block(x);
        }
        for index in 0..levels {
            x = self.up_block(x, index);
        }
        self.graph.block("conv_out");
        let UNet2DConfig { norm_num_groups, norm_eps, out_channels, .. } = *self.config;
        let x = self.graph.normalize(x, "conv_norm_out", norm_num_groups, norm_eps, None, Activation::Silu);
        self.graph.observe_before_activation("conv_norm_out", x);
        let x = self.graph.convolve(x, conv3x3("conv_out", out_channels));
        self.graph.observe("conv_out", x);
        let x = embedding::scaled_output(self.config, &mut self.graph, x);
        self.graph.finish(x)
    }
}

/// A 3x3 convolution that keeps the size.
fn conv3x3(name: impl Into<String>, to: usize) -> Convolution {
    Convolution::new(name, to).kernel(3).border(Border::even(1))
}
