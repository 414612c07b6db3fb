//! A second layer of latents above those of an `AutoencoderKL`: `q(z2 | z1)` and `p(z1 | z2)`. Ours; diffusers has
//! nothing like it.

use ddim_graph::{Builder, Convolution, Graph, Resample, Value};
use ddim_options::range::{self, CHANNELS, LAYERS, out_of_range};
use ddim_options::{Activation, ConfigError, Options};
use serde::{Deserialize, Serialize};

/// The options of the layer above a first stage, as they lie in `upper/config.json`. A pixel of z2 describes a
/// square of `patch_size` pixels of z1 each way, by layers of single pixels with a nonlinearity between them;
/// without `block_out_channels` both ways are linear.
///
/// ```
/// use ddim_autoencoder::UpperConfig;
///
/// let config = UpperConfig { in_channels: 4, latent_channels: 16, patch_size: 7, ..UpperConfig::default() };
/// let (encoder, decoder) = (config.encoder()?, config.decoder()?);
/// assert_eq!(encoder.sizes([7, 7]).unwrap().last(), Some(&[1, 1]));
/// assert_eq!(decoder.sizes([1, 1]).unwrap().last(), Some(&[7, 7]));
/// assert_eq!(config.latent_shape([4, 7, 14]), Some([16, 1, 2]));
/// # Ok::<(), ddim_autoencoder::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpperConfig {
    /// Channels of z1, the latents of the first stage.
    pub in_channels: usize,
    /// Channels of z2.
    pub latent_channels: usize,
    /// Pixels of z1 each way that become one of z2.
    pub patch_size: usize,
    /// Channels between the two, from z1 to z2; `p(z1 | z2)` has them the other way round.
    pub block_out_channels: Vec<usize>,
    /// The nonlinearity behind each of them.
    pub act_fn: Activation,
    /// What the encoder of z2 is told.
    pub ladder: Ladder,
    /// The variance of z1 around what is decoded from z2: a number for each channel of z1.
    pub variance: Vec<f64>,
}

/// What the encoder of the upper layer is told about a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ladder {
    /// A draw of z1: `q(z2 | z1)`.
    #[default]
    None,
    /// The mean of z1, which has no noise: `q(z2 | x)`, by a way that leads past the draw.
    Skip,
}

impl Default for UpperConfig {
    fn default() -> Self {
        UpperConfig {
            in_channels: 4,
            latent_channels: 8,
            patch_size: 1,
            block_out_channels: vec![64, 64],
            act_fn: Activation::Silu,
            ladder: Ladder::None,
            variance: vec![1.0; 4],
        }
    }
}

impl Options for UpperConfig {
    const CLASS: &'static str = "UpperLayer";
}

/// The largest patch: far above the sides of any latents that are described as a whole.
const MAX_PATCH: usize = 64;

impl UpperConfig {
    /// Reads a `config.json`. A missing key takes its default; a key that begins with `_` is a remark, skipped.
    ///
    /// # Errors
    /// Text that is not a JSON object, an unknown key or name, a value of the wrong kind.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        ddim_options::from_json(text)
    }

    /// Writes a `config.json` that [`from_json`](Self::from_json) reads.
    pub fn to_json(&self) -> String {
        ddim_options::to_json(self)
    }

    /// Checks every value, alone and together with the others.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], which names the option at fault and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range::within::<Self>("in_channels", self.in_channels, &CHANNELS)?;
        range::within::<Self>("latent_channels", self.latent_channels, &CHANNELS)?;
        range::within::<Self>("patch_size", self.patch_size, &(1..=MAX_PATCH))?;
        range::within::<Self>(
            "block_out_channels (its length)",
            self.block_out_channels.len(),
            &(0..=*LAYERS.end()),
        )?;
        for channels in &self.block_out_channels {
            range::within::<Self>("block_out_channels", *channels, &CHANNELS)?;
        }
        let above_0 = |variance: &f64| variance.is_finite() && *variance > 0.0;
        if self.variance.len() != self.in_channels || !self.variance.iter().all(above_0) {
            let allowed = format!("{} finite numbers above 0, one for each of in_channels", self.in_channels);
            out_of_range::<Self>("variance", &self.variance, &allowed)?;
        }
        Ok(())
    }

    /// Channels, height and width of z2 for a z1 of these; none where `patch_size` does not divide its sides.
    pub fn latent_shape(&self, [_, height, width]: [usize; 3]) -> Option<[usize; 3]> {
        let patch = self.patch_size;
        let fits = height.is_multiple_of(patch) && width.is_multiple_of(patch);
        fits.then(|| [self.latent_channels, height / patch, width / patch])
    }

    /// From z1 `[n, in_channels, h, w]` to `[n, 2 latent_channels, h / patch_size, w / patch_size]`: the means of
    /// z2, then the logarithms of their variances, not limited yet.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn encoder(&self) -> Result<Graph, ConfigError> {
        self.validate()?;
        let mut graph = Builder::new();
        let mut x = graph.input(self.in_channels);
        let ends = self.block_out_channels.iter().copied().chain([2 * self.latent_channels]);
        for (layer, channels) in ends.enumerate() {
            let patch = if layer == 0 { self.patch_size } else { 1 };
            let conv = Convolution::new(format!("encoder.layers.{layer}"), channels).kernel(patch).stride(patch);
            x = self.layer(&mut graph, x, conv, layer);
        }
        Ok(graph.finish(x))
    }

    /// From z2 `[n, latent_channels, h, w]` to the means of z1, `[n, in_channels, patch_size h, patch_size w]`.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn decoder(&self) -> Result<Graph, ConfigError> {
        self.validate()?;
        let mut graph = Builder::new();
        let mut x = graph.input(self.latent_channels);
        let last = self.patch_size * self.patch_size * self.in_channels;
        for (layer, channels) in self.block_out_channels.iter().rev().copied().chain([last]).enumerate() {
            let conv = Convolution::new(format!("decoder.layers.{layer}"), channels);
            x = self.layer(&mut graph, x, conv, layer);
        }
        if self.patch_size > 1 {
            x = graph.resample(x, Resample::Unpatch(self.patch_size));
        }
        Ok(graph.finish(x))
    }

    /// A layer, and the nonlinearity behind all but the last.
    fn layer(&self, graph: &mut Builder, x: Value, conv: Convolution, layer: usize) -> Value {
        let x = graph.convolve(x, conv);
        match layer < self.block_out_channels.len() {
            true => graph.apply(x, self.act_fn.into()),
            false => x,
        }
    }
}
