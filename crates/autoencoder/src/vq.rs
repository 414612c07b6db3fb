//! `VQModel`: each pixel of the latents is replaced by the nearest row of a table.

use ddim_graph::Graph;
use ddim_options::range::{self, CHANNELS, ROWS};
use ddim_options::{Activation, ConfigError, Options, SampleSize};
use serde::{Deserialize, Serialize};

use crate::blocks::Levels;
use crate::graph::{self, Ends};
use crate::{DownBlockType, Scale, UpBlockType};

/// The name of the table, `[num_vq_embeddings, vq_embed_dim]`.
pub const CODEBOOK: &str = "quantize.embedding.weight";

/// The options of diffusers' `VQModel`, the first stage of the latent diffusion models of CompVis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VQModelConfig {
    /// Channels of the pictures that are encoded.
    pub in_channels: usize,
    /// Channels of those that are decoded.
    pub out_channels: usize,
    /// One block of the encoder for each resolution, from the finest to the coarsest.
    pub down_block_types: Vec<DownBlockType>,
    /// One block of the decoder for each resolution, from the coarsest to the finest.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels at each resolution, from the finest to the coarsest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks in each block of the encoder; one more in those of the decoder.
    pub layers_per_block: usize,
    /// The nonlinearity inside of residual blocks.
    pub act_fn: Activation,
    /// Channels between encoder and table.
    pub latent_channels: usize,
    /// Height and width of the training pictures, for information.
    pub sample_size: Option<SampleSize>,
    /// Rows of the table.
    pub num_vq_embeddings: usize,
    /// Groups of each group normalisation.
    pub norm_num_groups: usize,
    /// Numbers of a row; none is `latent_channels`. These are the channels of the latents.
    pub vq_embed_dim: Option<usize>,
    /// What latents are multiplied by for diffusion.
    pub scaling_factor: f64,
    /// The normalisation of the decoder.
    pub norm_type: NormType,
    /// Attention in the middle of encoder and decoder.
    pub mid_block_add_attention: bool,
    /// diffusers reads latents as numbers of rows where it is told not to look for the nearest.
    pub lookup_from_codebook: bool,
    /// Pipelines run this part in f32 whatever the rest runs in.
    pub force_upcast: bool,
}

/// The normalisation of a decoder. `spatial`, which looks at the latents (MoVQ), is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormType {
    /// A group normalisation.
    Group,
}

impl Default for VQModelConfig {
    fn default() -> Self {
        VQModelConfig {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownBlockType::Plain],
            up_block_types: vec![UpBlockType::Plain],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 3,
            sample_size: Some(SampleSize::Square(32)),
            num_vq_embeddings: 256,
            norm_num_groups: 32,
            vq_embed_dim: None,
            scaling_factor: 0.18215,
            norm_type: NormType::Group,
            mid_block_add_attention: true,
            lookup_from_codebook: false,
            force_upcast: false,
        }
    }
}

impl Options for VQModelConfig {
    const CLASS: &'static str = "VQModel";
}

impl VQModelConfig {
    /// Reads a `config.json`. A missing key takes its default; a key that begins with `_` is a remark, skipped.
    ///
    /// # Errors
    /// Text that is not a JSON object, an unknown key, an unknown block or other name, a value of the wrong kind.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        ddim_options::from_json(text)
    }

    /// Writes a `config.json` that [`from_json`](Self::from_json) and diffusers read.
    pub fn to_json(&self) -> String {
        ddim_options::to_json(self)
    }

    /// Checks every value, alone and together with the others.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], which names the option at fault and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.levels().check::<Self>()?;
        range::within::<Self>("in_channels", self.in_channels, &CHANNELS)?;
        range::within::<Self>("out_channels", self.out_channels, &CHANNELS)?;
        range::within::<Self>("latent_channels", self.latent_channels, &CHANNELS)?;
        range::within::<Self>("vq_embed_dim", self.row(), &CHANNELS)?;
        range::within::<Self>("num_vq_embeddings", self.num_vq_embeddings, &ROWS)?;
        self.scale().map(|_| ())
    }

    /// From latents to those that a diffusion model draws.
    ///
    /// # Errors
    /// A factor that is not above 0, or not finite.
    pub fn scale(&self) -> Result<Scale, ConfigError> {
        Scale::new::<Self>(self.row(), self.scaling_factor, None, (None, None))
    }

    /// Numbers of a row of the table, which are the channels of the latents.
    pub fn row(&self) -> usize {
        self.vq_embed_dim.unwrap_or(self.latent_channels)
    }

    /// From pictures `[n, in_channels, h, w]` to latents `[n, row, h / factor, w / factor]`, not looked up yet.
    pub(crate) fn encoder(&self) -> Graph {
        let ends =
            Ends { from: self.in_channels, inner: self.latent_channels, to: self.row(), is_projected: true };
        graph::encoder(&self.levels(), ends)
    }

    /// From latents `[n, row, h, w]`, as they are in the table, to pictures.
    pub(crate) fn decoder(&self) -> Graph {
        let ends =
            Ends { from: self.row(), inner: self.latent_channels, to: self.out_channels, is_projected: true };
        graph::decoder(&self.levels(), ends)
    }

    pub(crate) fn levels(&self) -> Levels<'_> {
        Levels {
            channels: &self.block_out_channels,
            down: &self.down_block_types,
            up: &self.up_block_types,
            layers: self.layers_per_block,
            groups: self.norm_num_groups,
            mid_attention: self.mid_block_add_attention,
            activation: self.act_fn,
        }
    }
}
