//! The configuration: the options of a diffusers `unet/config.json`, by the same names and with the same defaults.

use crate::ConfigError;
use crate::options::{
    ClassEmbedType, DownBlockType, MidBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UpBlockType,
};
use ddim_options::{Activation, Options, SampleSize};
use serde::{Deserialize, Serialize};

mod check;

/// Everything that shapes a network. Fields, defaults and JSON are those of diffusers' `UNet2DModel`.
///
/// ```
/// use ddim_unet::UNet2DConfig;
///
/// let config = UNet2DConfig::from_json(
///     r#"{ "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32], "norm_num_groups": 8,
///          "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
///          "up_block_types": ["AttnUpBlock2D", "UpBlock2D"] }"#,
/// )?;
/// assert_eq!(config.size_multiple(), 2);
///
/// let error = UNet2DConfig::from_json(r#"{ "down_block_types": ["CrossAttnDownBlock2D"] }"#).unwrap_err();
/// assert!(error.to_string().contains("CrossAttnDownBlock2D"));
/// # Ok::<(), ddim_unet::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNet2DConfig {
    /// Height and width of the training pictures, for information.
    pub sample_size: Option<SampleSize>,
    /// Channels of the picture that comes in.
    pub in_channels: usize,
    /// Channels of what comes out.
    pub out_channels: usize,
    /// Maps the input from \[0, 1\] to \[-1, 1\] first.
    pub center_input_sample: bool,
    /// How a time becomes a vector.
    pub time_embedding_type: TimeEmbeddingType,
    /// Width of the time embedding; `None` is four times the first of `block_out_channels`.
    pub time_embedding_dim: Option<usize>,
    /// The k in the frequencies 10000^(-i / (half - k)), i = 0..half, of the positional embedding.
    pub freq_shift: i64,
    /// Cosines before sines in the positional embedding.
    pub flip_sin_to_cos: bool,
    /// One block for each resolution, from the finest to the coarsest.
    pub down_block_types: Vec<DownBlockType>,
    /// The block in the middle; `None` leaves it out.
    pub mid_block_type: Option<MidBlockType>,
    /// One block for each resolution, from the coarsest to the finest.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels at each resolution, from the finest to the coarsest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks in each block on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// What the sum at the end of each part of the middle block is divided by.
    pub mid_block_scale_factor: f64,
    /// Padding of the strided convolutions: 1 on all sides; or 0, which stands for one row below and one column
    /// to the right.
    pub downsample_padding: usize,
    /// How attention blocks halve the resolution.
    pub downsample_type: ResampleType,
    /// How attention blocks double the resolution.
    pub upsample_type: ResampleType,
    /// Part of the features that is dropped in each residual block while training.
    pub dropout: f64,
    /// The nonlinearity inside the residual blocks.
    pub act_fn: Activation,
    /// Channels of one attention head; `None` makes one head of all channels.
    pub attention_head_dim: Option<usize>,
    /// Groups of each group normalisation.
    pub norm_num_groups: usize,
    /// Groups of the normalisation before the attention of the middle block; `None` is `norm_num_groups`,
    /// and no normalisation there with [`TimeScaleShift::ScaleShift`].
    pub attn_norm_num_groups: Option<usize>,
    /// What is added to each variance.
    pub norm_eps: f64,
    /// How the time reaches a residual block.
    pub resnet_time_scale_shift: TimeScaleShift,
    /// Attention in the middle block.
    pub add_attention: bool,
    /// What a class label is; `None` is an index, where `num_class_embeds` is given.
    pub class_embed_type: Option<ClassEmbedType>,
    /// Rows of the table of classes.
    pub num_class_embeds: Option<usize>,
    /// Rows of the table of times of [`TimeEmbeddingType::Learned`].
    pub num_train_timesteps: Option<usize>,
}

impl Default for UNet2DConfig {
    fn default() -> Self {
        UNet2DConfig {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: TimeEmbeddingType::Positional,
            time_embedding_dim: None,
            freq_shift: 0,
            flip_sin_to_cos: true,
            down_block_types: vec![
                DownBlockType::Plain,
                DownBlockType::Attention,
                DownBlockType::Attention,
                DownBlockType::Attention,
            ],
            mid_block_type: Some(MidBlockType::Residual),
            up_block_types: vec![
                UpBlockType::Attention,
                UpBlockType::Attention,
                UpBlockType::Attention,
                UpBlockType::Plain,
            ],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: ResampleType::Conv,
            upsample_type: ResampleType::Conv,
            dropout: 0.0,
            act_fn: Activation::Silu,
            attention_head_dim: Some(8),
            norm_num_groups: 32,
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: TimeScaleShift::Default,
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
        }
    }
}

impl Options for UNet2DConfig {
    const CLASS: &'static str = "UNet2DModel";
}

impl UNet2DConfig {
    /// Reads a `config.json`. A missing key takes its default; a key that begins with `_` is a remark, skipped.
    ///
    /// # Errors
    /// Text that is not a JSON object, an unknown key, an unknown block or other name, a value of the wrong kind.
    /// Whether the values go together is checked by [`validate`](Self::validate) and [`graph`](Self::graph).
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        ddim_options::from_json(text)
    }

    /// Writes a `config.json` that [`from_json`](Self::from_json) and diffusers read.
    pub fn to_json(&self) -> String {
        ddim_options::to_json(self)
    }

    /// Width of the time embedding.
    pub fn time_embed_dim(&self) -> usize {
        self.time_embedding_dim.unwrap_or_else(|| 4 * self.block_out_channels.first().unwrap_or(&0))
    }

    /// Height and width must be multiples of this: each level but the last halves them.
    pub fn size_multiple(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1)
    }

    /// Whether the network takes pictures of this size.
    ///
    /// # Errors
    /// [`ConfigError::PictureSize`] where a side is zero or not a multiple of
    /// [`size_multiple`](Self::size_multiple).
    pub fn check_size(&self, height: usize, width: usize) -> Result<(), ConfigError> {
        let multiple = self.size_multiple();
        let fits = |side: usize| side > 0 && side.is_multiple_of(multiple);
        if fits(height) && fits(width) {
            Ok(())
        } else {
            Err(ConfigError::PictureSize { height, width, multiple })
        }
    }
}
