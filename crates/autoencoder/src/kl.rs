//! `AutoencoderKL`: a picture becomes a normal distribution of each latent number.

use ddim_graph::Graph;
use ddim_options::range::{self, CHANNELS};
use ddim_options::{Activation, ConfigError, Options, SampleSize};
use serde::{Deserialize, Serialize};

use crate::blocks::Levels;
use crate::graph::{self, Ends};
use crate::{DownBlockType, Scale, UpBlockType};

/// The options of diffusers' `AutoencoderKL`, the first stage of Stable Diffusion, SDXL, SD3, FLUX.1 and DiT.
///
/// ```
/// use ddim_autoencoder::AutoencoderKLConfig;
///
/// // As old files have it: what is missing takes its default.
/// let config = AutoencoderKLConfig::from_json(r#"{ "_class_name": "AutoencoderKL" }"#)?;
/// assert_eq!(config.scaling_factor, 0.18215);
/// # Ok::<(), ddim_autoencoder::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderKLConfig {
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
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of each group normalisation.
    pub norm_num_groups: usize,
    /// Height and width of the training pictures, for information.
    pub sample_size: Option<SampleSize>,
    /// What latents less their mean are multiplied by for diffusion.
    pub scaling_factor: f64,
    /// What is taken from latents before; none is 0.
    pub shift_factor: Option<f64>,
    /// The mean of each channel of the latents, in place of `shift_factor`.
    pub latents_mean: Option<Vec<f64>>,
    /// The standard deviation of each channel; `scaling_factor` divided by it is what they are multiplied by.
    pub latents_std: Option<Vec<f64>>,
    /// Pipelines run this part in f32 whatever the rest runs in.
    pub force_upcast: bool,
    /// A convolution of one pixel behind the encoder.
    pub use_quant_conv: bool,
    /// A convolution of one pixel before the decoder.
    pub use_post_quant_conv: bool,
    /// Attention in the middle of encoder and decoder.
    pub mid_block_add_attention: bool,
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        AutoencoderKLConfig {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownBlockType::Plain],
            up_block_types: vec![UpBlockType::Plain],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: Some(SampleSize::Square(32)),
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

impl Options for AutoencoderKLConfig {
    const CLASS: &'static str = "AutoencoderKL";
}

impl AutoencoderKLConfig {
    /// The defaults with so many resolutions, each of 64 channels.
    pub fn with_levels(levels: usize) -> Self {
        AutoencoderKLConfig {
            down_block_types: vec![DownBlockType::Plain; levels],
            up_block_types: vec![UpBlockType::Plain; levels],
            block_out_channels: vec![64; levels],
            ..Self::default()
        }
    }

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
        self.scale().map(|_| ())
    }

    /// From latents to those that a diffusion model draws.
    ///
    /// # Errors
    /// A factor or deviation that is not above 0, a number that is not finite, a list of another length than
    /// `latent_channels`.
    pub fn scale(&self) -> Result<Scale, ConfigError> {
        let of_channels = (self.latents_mean.as_deref(), self.latents_std.as_deref());
        Scale::new::<Self>(self.latent_channels, self.scaling_factor, self.shift_factor, of_channels)
    }

    /// From pictures `[n, in_channels, h, w]` to `[n, 2 latent_channels, h / factor, w / factor]`: the means of
    /// the latents, then the logarithms of their variances, not limited yet.
    pub(crate) fn encoder(&self) -> Graph {
        let ends = Ends {
            from: self.in_channels,
            inner: 2 * self.latent_channels,
            to: 2 * self.latent_channels,
            is_projected: self.use_quant_conv,
        };
        graph::encoder(&self.levels(), ends)
    }

    /// From latents `[n, latent_channels, h, w]` to pictures `[n, out_channels, factor h, factor w]`.
    pub(crate) fn decoder(&self) -> Graph {
        let ends = Ends {
            from: self.latent_channels,
            inner: self.latent_channels,
            to: self.out_channels,
            is_projected: self.use_post_quant_conv,
        };
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
