//! The options of a configuration that are a choice between named things.

use serde::{Deserialize, Serialize};

/// A block on the way down, one for each resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks, then a strided convolution.
    #[serde(rename = "DownBlock2D", alias = "UNetResDownBlock2D")]
    Plain,
    /// Residual blocks, each followed by self-attention, then a downsampler.
    #[serde(rename = "AttnDownBlock2D", alias = "UNetResAttnDownBlock2D")]
    Attention,
    /// Residual blocks, then a residual block that halves the resolution by averaging.
    #[serde(rename = "ResnetDownsampleBlock2D", alias = "UNetResResnetDownsampleBlock2D")]
    Resnet,
}

/// A block on the way up, one for each resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks, then nearest-neighbour doubling and a convolution.
    #[serde(rename = "UpBlock2D", alias = "UNetResUpBlock2D")]
    Plain,
    /// Residual blocks, each followed by self-attention, then an upsampler.
    #[serde(rename = "AttnUpBlock2D", alias = "UNetResAttnUpBlock2D")]
    Attention,
    /// Residual blocks, then a residual block that doubles the resolution.
    #[serde(rename = "ResnetUpsampleBlock2D", alias = "UNetResResnetUpsampleBlock2D")]
    Resnet,
}

/// The block at the lowest resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MidBlockType {
    /// A residual block, self-attention where `add_attention` says so, a residual block.
    #[serde(rename = "UNetMidBlock2D")]
    Residual,
}

/// How an attention block changes the resolution. The other block types carry the answer in their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResampleType {
    /// A convolution: strided on the way down, after nearest-neighbour doubling on the way up.
    Conv,
    /// A residual block that averages or doubles inside.
    Resnet,
}

/// How a time becomes a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeEmbeddingType {
    /// Sines and cosines at fixed frequencies (Ho et al. 2020, arXiv:2006.11239, appendix B).
    Positional,
    /// Sines and cosines of ln(time) at random frequencies (Song et al. 2021, arXiv:2011.13456, appendix C);
    /// the output is divided by the time.
    Fourier,
    /// A table with one row for each training timestep.
    Learned,
}

/// How the time reaches a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScaleShift {
    /// Added to the features before the second normalisation.
    Default,
    /// As scale and shift of the second normalisation (Dhariwal and Nichol 2021, arXiv:2105.05233, section 3.1).
    ScaleShift,
}

/// What a class label is, where it is not an index into a table of `num_class_embeds` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassEmbedType {
    /// A number, embedded as the time is, with weights of its own.
    Timestep,
    /// A vector of the width of the time embedding, used as it is.
    Identity,
}
