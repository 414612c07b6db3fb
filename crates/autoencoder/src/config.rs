//! One of the three families.

use ddim_graph::Graph;
use ddim_options::{ConfigError, Options, SampleSize};

use crate::{AutoencoderKLConfig, AutoencoderTinyConfig, Scale, VQModelConfig};

/// The options of an autoencoder of any family.
#[derive(Clone, Debug, PartialEq)]
pub enum AutoencoderConfig {
    /// A normal distribution of each latent number.
    Kl(AutoencoderKLConfig),
    /// A row of a table for each pixel.
    Vq(VQModelConfig),
    /// Numbers, fast.
    Tiny(AutoencoderTinyConfig),
}

impl From<AutoencoderKLConfig> for AutoencoderConfig {
    fn from(config: AutoencoderKLConfig) -> Self {
        AutoencoderConfig::Kl(config)
    }
}

impl From<VQModelConfig> for AutoencoderConfig {
    fn from(config: VQModelConfig) -> Self {
        AutoencoderConfig::Vq(config)
    }
}

impl From<AutoencoderTinyConfig> for AutoencoderConfig {
    fn from(config: AutoencoderTinyConfig) -> Self {
        AutoencoderConfig::Tiny(config)
    }
}

impl AutoencoderConfig {
    /// What diffusers calls the families.
    pub const CLASSES: [&str; 3] =
        [AutoencoderKLConfig::CLASS, VQModelConfig::CLASS, AutoencoderTinyConfig::CLASS];

    /// Reads the `config.json` of a family by its name in diffusers, one of [`CLASSES`](Self::CLASSES).
    ///
    /// # Errors
    /// Those of [`AutoencoderKLConfig::from_json`]; nothing for another class.
    pub fn from_json(class: &str, text: &str) -> Option<Result<Self, ConfigError>> {
        Some(match class {
            AutoencoderKLConfig::CLASS => AutoencoderKLConfig::from_json(text).map(Self::Kl),
            VQModelConfig::CLASS => VQModelConfig::from_json(text).map(Self::Vq),
            AutoencoderTinyConfig::CLASS => AutoencoderTinyConfig::from_json(text).map(Self::Tiny),
            _ => return None,
        })
    }

    /// The keys that a family by this name understands; none for another class.
    pub fn keys(class: &str) -> Option<Vec<String>> {
        Some(match class {
            AutoencoderKLConfig::CLASS => ddim_options::keys::<AutoencoderKLConfig>(),
            VQModelConfig::CLASS => ddim_options::keys::<VQModelConfig>(),
            AutoencoderTinyConfig::CLASS => ddim_options::keys::<AutoencoderTinyConfig>(),
            _ => return None,
        })
    }

    /// Writes a `config.json` that diffusers reads.
    pub fn to_json(&self) -> String {
        match self {
            Self::Kl(config) => config.to_json(),
            Self::Vq(config) => config.to_json(),
            Self::Tiny(config) => config.to_json(),
        }
    }

    /// What diffusers calls the family.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Kl(_) => AutoencoderKLConfig::CLASS,
            Self::Vq(_) => VQModelConfig::CLASS,
            Self::Tiny(_) => AutoencoderTinyConfig::CLASS,
        }
    }

    /// Checks every value, alone and together with the others.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], which names the option at fault and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Kl(config) => config.validate(),
            Self::Vq(config) => config.validate(),
            Self::Tiny(config) => config.validate(),
        }
    }

    /// From pictures `[n, in_channels, h, w]` in \[-1, 1\] to what describes their latents, each side divided by
    /// [`factor`](Self::factor) and rounded down: means, then logarithms of variances, of a
    /// [`Kl`](Self::Kl); the latents themselves of the others.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn encoder(&self) -> Result<Graph, ConfigError> {
        self.validate()?;
        Ok(match self {
            Self::Kl(config) => config.encoder(),
            Self::Vq(config) => config.encoder(),
            Self::Tiny(config) => config.encoder(),
        })
    }

    /// From latents `[n, latent_channels, h, w]` to pictures, each side times [`factor`](Self::factor): in
    /// \[0, 1\] of a [`Tiny`](Self::Tiny), in \[-1, 1\] of the others, and not limited.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn decoder(&self) -> Result<Graph, ConfigError> {
        self.validate()?;
        Ok(match self {
            Self::Kl(config) => config.decoder(),
            Self::Vq(config) => config.decoder(),
            Self::Tiny(config) => config.decoder(),
        })
    }

    /// From latents to those that a diffusion model draws.
    ///
    /// # Errors
    /// A factor that is not above 0, a number that is not finite, a list of another length than there
    /// are channels.
    pub fn scale(&self) -> Result<Scale, ConfigError> {
        match self {
            Self::Kl(config) => config.scale(),
            Self::Vq(config) => config.scale(),
            Self::Tiny(config) => config.scale(),
        }
    }

    /// How much smaller a side of a picture becomes.
    pub fn factor(&self) -> usize {
        match self {
            Self::Kl(config) => config.levels().factor(),
            Self::Vq(config) => config.levels().factor(),
            Self::Tiny(config) => config.factor(),
        }
    }

    /// Channels of the pictures that are encoded.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::Kl(config) => config.in_channels,
            Self::Vq(config) => config.in_channels,
            Self::Tiny(config) => config.in_channels,
        }
    }

    /// Channels of the pictures that are decoded.
    pub fn out_channels(&self) -> usize {
        match self {
            Self::Kl(config) => config.out_channels,
            Self::Vq(config) => config.out_channels,
            Self::Tiny(config) => config.out_channels,
        }
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Kl(config) => config.latent_channels,
            Self::Vq(config) => config.row(),
            Self::Tiny(config) => config.latent_channels,
        }
    }

    /// Height and width of the training pictures, where the configuration says.
    pub fn sample_size(&self) -> Option<[usize; 2]> {
        match self {
            Self::Kl(config) => config.sample_size.map(SampleSize::height_width),
            Self::Vq(config) => config.sample_size.map(SampleSize::height_width),
            Self::Tiny(_) => None,
        }
    }
}
