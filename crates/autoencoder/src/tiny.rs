//! `AutoencoderTiny`: small and fast, without normalisations, for previews.

use ddim_graph::{Activation as Function, Border, Builder, Convolution, Graph, Resample, Value};
use ddim_options::range::{self, CHANNELS, LAYERS, LEVELS};
use ddim_options::{Activation, ConfigError, Options};
use serde::{Deserialize, Serialize};

use crate::Scale;

/// The options of diffusers' `AutoencoderTiny`. Latents are those of the diffusion model that it is made for,
/// scaled already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderTinyConfig {
    /// Channels of the pictures that are encoded.
    pub in_channels: usize,
    /// Channels of those that are decoded.
    pub out_channels: usize,
    /// Channels at each resolution of the encoder, from the finest to the coarsest: the same everywhere.
    pub encoder_block_out_channels: Vec<usize>,
    /// Channels at each resolution of the decoder, from the coarsest to the finest: the same everywhere.
    pub decoder_block_out_channels: Vec<usize>,
    /// The nonlinearity inside of blocks; behind them it is always ReLU.
    pub act_fn: Activation,
    /// How pictures are made larger.
    pub upsample_fn: UpsampleFn,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// How much larger pictures become at each step.
    pub upsampling_scaling_factor: usize,
    /// Blocks at each resolution of the encoder.
    pub num_encoder_blocks: Vec<usize>,
    /// Blocks at each resolution of the decoder.
    pub num_decoder_blocks: Vec<usize>,
    /// Where latents are kept in bytes: how large they become.
    pub latent_magnitude: f64,
    /// Where latents are kept in bytes: what 0 becomes.
    pub latent_shift: f64,
    /// Pipelines run this part in f32 whatever the rest runs in.
    pub force_upcast: bool,
    /// What latents are multiplied by for diffusion.
    pub scaling_factor: f64,
    /// What is taken from latents before.
    pub shift_factor: f64,
    /// `decoder_block_out_channels`, which diffusers writes here as well.
    pub block_out_channels: Option<Vec<usize>>,
}

/// How pictures are made larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpsampleFn {
    /// Each pixel becomes four.
    Nearest,
}

impl Default for AutoencoderTinyConfig {
    fn default() -> Self {
        AutoencoderTinyConfig {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            act_fn: Activation::Relu,
            upsample_fn: UpsampleFn::Nearest,
            latent_channels: 4,
            upsampling_scaling_factor: 2,
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            latent_magnitude: 3.0,
            latent_shift: 0.5,
            force_upcast: false,
            scaling_factor: 1.0,
            shift_factor: 0.0,
            block_out_channels: None,
        }
    }
}

impl Options for AutoencoderTinyConfig {
    const CLASS: &'static str = "AutoencoderTiny";
}

impl AutoencoderTinyConfig {
    /// Reads a `config.json`. A missing key takes its default; a key that begins with `_` is a remark, skipped.
    ///
    /// # Errors
    /// Text that is not a JSON object, an unknown key, an unknown name, a value of the wrong kind.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        ddim_options::from_json(text)
    }

    /// Writes a `config.json` that [`from_json`](Self::from_json) and diffusers read.
    pub fn to_json(&self) -> String {
        let block_out_channels = Some(self.decoder_block_out_channels.clone());
        ddim_options::to_json(&Self { block_out_channels, ..self.clone() })
    }

    /// Checks every value, alone and together with the others.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], which names the option at fault and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let out_of_range = range::out_of_range::<Self>;
        let sides = [
            ("encoder_block_out_channels", &self.encoder_block_out_channels, &self.num_encoder_blocks),
            ("decoder_block_out_channels", &self.decoder_block_out_channels, &self.num_decoder_blocks),
        ];
        for (key, channels, blocks) in sides {
            range::within::<Self>(key, channels.len(), &LEVELS)?;
            channels.iter().try_for_each(|channels| range::within::<Self>(key, *channels, &CHANNELS))?;
            if channels.iter().any(|other| *other != channels[0]) {
                out_of_range(key, channels, "the same channels at each resolution")?;
            }
            let of = if key.starts_with('e') { "num_encoder_blocks" } else { "num_decoder_blocks" };
            if blocks.len() != channels.len() {
                let allowed = format!("as long as {key}, which has {} entries", channels.len());
                out_of_range(of, blocks, &allowed)?;
            }
            blocks.iter().try_for_each(|layers| range::within::<Self>(of, *layers, &LAYERS))?;
        }
        if self.num_encoder_blocks.len() != self.num_decoder_blocks.len() {
            let allowed = "as long as num_encoder_blocks";
            out_of_range("num_decoder_blocks", &self.num_decoder_blocks, allowed)?;
        }
        range::within::<Self>("in_channels", self.in_channels, &CHANNELS)?;
        range::within::<Self>("out_channels", self.out_channels, &CHANNELS)?;
        range::within::<Self>("latent_channels", self.latent_channels, &CHANNELS)?;
        range::within::<Self>("upsampling_scaling_factor", self.upsampling_scaling_factor, &(2..=2))?;
        self.scale().map(|_| ())
    }

    /// From latents to those that a diffusion model draws.
    ///
    /// # Errors
    /// A factor that is not above 0, or a number that is not finite.
    pub fn scale(&self) -> Result<Scale, ConfigError> {
        let (factor, shift) = (self.scaling_factor, Some(self.shift_factor));
        Scale::new::<Self>(self.latent_channels, factor, shift, (None, None))
    }

    /// How much smaller a side becomes.
    pub(crate) fn factor(&self) -> usize {
        1 << self.num_encoder_blocks.len().saturating_sub(1)
    }

    /// From pictures in \[-1, 1\], `[n, in_channels, h, w]`, to latents
    /// `[n, latent_channels, h / factor, w / factor]`.
    pub(crate) fn encoder(&self) -> Graph {
        let mut layers = Layers::new("encoder");
        let mut x = layers.graph.scaled_input(self.in_channels, 0.5, 0.5);
        for (level, blocks) in self.num_encoder_blocks.iter().enumerate() {
            let channels = self.encoder_block_out_channels[level];
            x = match level {
                0 => layers.convolve(x, channels, |convolution| convolution),
                _ => layers.convolve(x, channels, |convolution| convolution.stride(2).without_bias()),
            };
            x = layers.blocks(x, *blocks, self.act_fn);
        }
        let x = layers.convolve(x, self.latent_channels, |convolution| convolution);
        layers.graph.finish(x)
    }

    /// From latents `[n, latent_channels, h, w]` to pictures in \[0, 1\], `[n, out_channels, factor h, factor w]`.
    pub(crate) fn decoder(&self) -> Graph {
        let mut layers = Layers::new("decoder");
        let x = layers.graph.scaled_input(self.latent_channels, 1.0 / LIMIT, 0.0);
        let x = layers.graph.apply(x, Function::Tanh);
        let twice = layers.graph.sum(x, x);
        let limited = layers.graph.sum(twice, x);
        let x = layers.convolve(limited, self.decoder_block_out_channels[0], |convolution| convolution);
        let mut x = layers.activate(x, self.act_fn);
        let levels = self.num_decoder_blocks.len();
        for (level, blocks) in self.num_decoder_blocks.iter().enumerate() {
            let channels = self.decoder_block_out_channels[level];
            x = layers.blocks(x, *blocks, self.act_fn);
            x = if level + 1 < levels {
                let doubled = layers.double(x);
                layers.convolve(doubled, channels, Convolution::without_bias)
            } else {
                layers.convolve(x, self.out_channels, |convolution| convolution)
            };
        }
        layers.graph.finish(x)
    }
}

/// Latents are taken through `LIMIT tanh(z / LIMIT)` before they are decoded. The graph adds tanh up three times.
const LIMIT: f64 = 3.0;

/// Layers one behind the other, which their numbers name.
struct Layers {
    graph: Builder,
    part: &'static str,
    next: usize,
}

impl Layers {
    fn new(part: &'static str) -> Self {
        Layers { graph: Builder::new(), part, next: 0 }
    }

    fn name(&mut self) -> String {
        let name = format!("{}.layers.{}", self.part, self.next);
        self.graph.block(&name);
        self.next += 1;
        name
    }

    fn convolve(&mut self, x: Value, to: usize, as_it_is: impl FnOnce(Convolution) -> Convolution) -> Value {
        let name = self.name();
        let x = self.graph.convolve(x, as_it_is(conv3x3(name.clone(), to)));
        self.graph.observe(name, x);
        x
    }

    fn activate(&mut self, x: Value, activation: Activation) -> Value {
        let name = self.name();
        let x = self.graph.apply(x, activation.into());
        self.graph.observe(name, x);
        x
    }

    fn double(&mut self, x: Value) -> Value {
        let name = self.name();
        let x = self.graph.resample(x, Resample::Double);
        self.graph.observe(name, x);
        x
    }

    /// relu(x + conv.4(act(conv.2(act(conv.0(x)))))), one block behind the other.
    fn blocks(&mut self, mut x: Value, count: usize, activation: Activation) -> Value {
        let channels = self.graph.channels(x);
        for _ in 0..count {
            let name = self.name();
            let h = self.graph.convolve(x, conv3x3(format!("{name}.conv.0"), channels));
            let h = self.graph.apply(h, activation.into());
            let h = self.graph.convolve(h, conv3x3(format!("{name}.conv.2"), channels));
            let h = self.graph.apply(h, activation.into());
            let sum = self.graph.convolve(h, conv3x3(format!("{name}.conv.4"), channels).residual(x));
            x = self.graph.apply(sum, Function::Relu);
            self.graph.observe(name, x);
        }
        x
    }
}

fn conv3x3(name: String, to: usize) -> Convolution {
    Convolution::new(name, to).kernel(3).border(Border::even(1))
}
