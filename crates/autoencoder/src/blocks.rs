//! What the encoders and decoders of [`AutoencoderKLConfig`](crate::AutoencoderKLConfig) and
//! [`VQModelConfig`](crate::VQModelConfig) have in common.

use ddim_options::range::{self, CHANNELS, LAYERS, LEVELS};
use ddim_options::{Activation, ConfigError, Options};
use serde::{Deserialize, Serialize};

/// A block of an encoder, one for each resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks, then a strided convolution.
    #[serde(rename = "DownEncoderBlock2D")]
    Plain,
    /// Residual blocks, each followed by self-attention, then a strided convolution.
    #[serde(rename = "AttnDownEncoderBlock2D")]
    Attention,
}

/// A block of a decoder, one for each resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks, then nearest-neighbour doubling and a convolution.
    #[serde(rename = "UpDecoderBlock2D")]
    Plain,
    /// Residual blocks, each followed by self-attention, then doubling and a convolution.
    #[serde(rename = "AttnUpDecoderBlock2D")]
    Attention,
}

/// The resolutions, from the finest to the coarsest, and what they are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels<'a> {
    pub(crate) channels: &'a [usize],
    /// From the finest to the coarsest.
    pub(crate) down: &'a [DownBlockType],
    /// From the coarsest to the finest.
    pub(crate) up: &'a [UpBlockType],
    /// Residual blocks of a block of the encoder; the decoder has one more.
    pub(crate) layers: usize,
    /// Groups of each normalisation.
    pub(crate) groups: usize,
    /// Attention between the residual blocks of the middle.
    pub(crate) mid_attention: bool,
    pub(crate) activation: Activation,
}

impl Levels<'_> {
    /// Whether they go together.
    pub(crate) fn check<T: Options>(&self) -> Result<(), ConfigError> {
        let levels = self.channels.len();
        range::within::<T>("block_out_channels (its length)", levels, &LEVELS)?;
        let same = format!("as long as block_out_channels, which has {levels} entries");
        if self.down.len() != levels {
            return range::out_of_range::<T>("down_block_types", &self.down, &same);
        }
        if self.up.len() != levels {
            return range::out_of_range::<T>("up_block_types", &self.up, &same);
        }
        for channels in self.channels {
            range::within::<T>("block_out_channels", *channels, &CHANNELS)?;
        }
        range::within::<T>("layers_per_block", self.layers, &LAYERS)?;
        range::groups::<T>("norm_num_groups", self.groups, self.channels)
    }

    /// How much smaller a side becomes.
    pub(crate) fn factor(&self) -> usize {
        1 << self.channels.len().saturating_sub(1)
    }
}
