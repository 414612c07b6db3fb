//! The options of a `transformer/config.json` of diffusers, by the same names and with the same defaults.

use ddim_options::range::{self, CHANNELS, LAYERS, ROWS};
use ddim_options::{ConfigError, Options, SampleSize};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything that shapes a network. Fields, defaults and JSON are those of diffusers' `DiTTransformer2DModel`,
/// but for the two last ones, which no such file says.
///
/// ```
/// use ddim_transformer::DiTConfig;
///
/// let config = DiTConfig::from_json(
///     r#"{ "_class_name": "Transformer2DModel", "norm_type": "ada_norm_zero", "out_channels": 8 }"#,
/// )?;
/// assert_eq!((config.width(), config.out_channels(), config.any_class()), (1152, 8, 1000));
///
/// let error = DiTConfig::from_json(r#"{ "activation_fn": "geglu" }"#).unwrap_err();
/// assert!(error.to_string().contains("geglu"));
/// # Ok::<(), ddim_transformer::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiTConfig {
    /// Heads of each attention.
    pub num_attention_heads: usize,
    /// Channels of a head.
    pub attention_head_dim: usize,
    /// Channels of the picture that comes in.
    pub in_channels: usize,
    /// Channels of what comes out; `None` is as many as come in.
    pub out_channels: Option<usize>,
    /// How many blocks there are.
    pub num_layers: usize,
    /// Part of what each half of a block adds that is dropped while training.
    pub dropout: f64,
    /// Without meaning: no layer of these networks has groups.
    pub norm_num_groups: usize,
    /// Whether queries, keys and values have a bias.
    pub attention_bias: bool,
    /// Height and width of the training pictures, at which positions of patches are one apart.
    pub sample_size: SampleSize,
    /// Height and width of a patch.
    pub patch_size: usize,
    /// The nonlinearity between the two layers of a block's second half.
    pub activation_fn: FeedForward,
    /// How many classes there are; the table has one more row, for any class.
    pub num_embeds_ada_norm: usize,
    /// Attention in f32 whatever the rest is in: always so here.
    pub upcast_attention: bool,
    /// How time and class reach a block.
    pub norm_type: NormType,
    /// Weights of the normalisations: there are none.
    pub norm_elementwise_affine: bool,
    /// What is added to the variance in the second normalisation of a block; 1e-6 in all others.
    pub norm_eps: f64,
    /// The frequencies of the time embedding.
    #[serde(skip)]
    pub time_frequencies: TimeFrequencies,
    /// Which blocks have an embedder of times and classes.
    #[serde(skip)]
    pub embedders: Embedders,
}

/// What lies between the two linear layers of a block's second half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForward {
    /// x Phi(x) by a tanh.
    GeluApproximate,
    /// x Phi(x).
    Gelu,
}

/// How time and class reach a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormType {
    /// As scale and shift behind normalisations, and as gates (Peebles and Xie 2023, section 3.2, "adaLN-Zero").
    AdaNormZero,
}

/// The frequencies 10000^(-i / (128 - k)), i from 0 to 127, of the time embedding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeFrequencies {
    /// k = 1: what diffusers computes with any weights.
    #[default]
    Diffusers,
    /// k = 0: what facebookresearch/DiT trained with, and so the published weights.
    Facebook,
}

/// Files have an embedder of times and classes in each block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Embedders {
    /// Each block has its own, and the output that of the first block.
    #[default]
    Each,
    /// All are the same: that of the first block is the only one.
    Shared,
}

/// Options of `Transformer2DModel` for other networks than these, which have none of them.
const OF_OTHERS: [(&str, &str); 10] = [
    ("cross_attention_dim", "null"),
    ("num_vector_embeds", "null"),
    ("only_cross_attention", "false"),
    ("double_self_attention", "false"),
    ("use_linear_projection", "false"),
    ("attention_type", "\"default\""),
    ("caption_channels", "null"),
    ("interpolation_scale", "null"),
    ("use_additional_conditions", "null"),
    ("num_embeds_ada_norm_single", "null"),
];

impl Default for DiTConfig {
    fn default() -> Self {
        DiTConfig {
            num_attention_heads: 16,
            attention_head_dim: 72,
            in_channels: 4,
            out_channels: None,
            num_layers: 28,
            dropout: 0.0,
            norm_num_groups: 32,
            attention_bias: true,
            sample_size: SampleSize::Square(32),
            patch_size: 2,
            activation_fn: FeedForward::GeluApproximate,
            num_embeds_ada_norm: 1000,
            upcast_attention: false,
            norm_type: NormType::AdaNormZero,
            norm_elementwise_affine: false,
            norm_eps: 1e-5,
            time_frequencies: TimeFrequencies::default(),
            embedders: Embedders::default(),
        }
    }
}

impl Options for DiTConfig {
    const CLASS: &'static str = "DiTTransformer2DModel";
}

impl DiTConfig {
    /// What diffusers calls these networks: now, and before 0.29, together with others.
    pub const CLASSES: [&str; 2] = [Self::CLASS, "Transformer2DModel"];

    /// Reads a `config.json`. A missing key takes its default; a key that begins with `_` is a remark, skipped.
    ///
    /// # Errors
    /// Text that is not a JSON object, an unknown key, a value of the wrong kind, a network of another type under
    /// the name `Transformer2DModel`. Whether the values go together is checked by [`validate`](Self::validate)
    /// and [`graph`](Self::graph).
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let Ok(mut options) = serde_json::from_str::<Map<String, Value>>(text) else {
            return ddim_options::from_json(text);
        };
        if options.get("_class_name").is_some_and(|class| class == Self::CLASSES[1]) {
            if !options.contains_key("norm_type") {
                range::out_of_range::<Self>("norm_type", &"layer_norm (by default)", "ada_norm_zero")?;
            }
            for (key, allowed) in OF_OTHERS {
                match options.remove(key) {
                    Some(value) if format!("{value}") != allowed => {
                        range::out_of_range::<Self>(key, &value, allowed)?
                    }
                    _ => {}
                }
            }
        }
        ddim_options::from_json(&Value::Object(options).to_string())
    }

    /// The keys that are understood, those of other networks of the same name included.
    pub fn keys() -> Vec<String> {
        let of_others = OF_OTHERS.iter().map(|(key, _)| (*key).to_owned());
        ddim_options::keys::<Self>().into_iter().chain(of_others).collect()
    }

    /// Writes a `config.json` that [`from_json`](Self::from_json) and diffusers read.
    pub fn to_json(&self) -> String {
        ddim_options::to_json(self)
    }

    /// Channels of a token.
    pub fn width(&self) -> usize {
        self.num_attention_heads.saturating_mul(self.attention_head_dim)
    }

    /// Channels of what comes out.
    pub fn out_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// The label that means any class: the row behind all classes.
    pub fn any_class(&self) -> usize {
        self.num_embeds_ada_norm
    }

    /// Rows of the table of classes.
    pub fn labels(&self) -> usize {
        self.num_embeds_ada_norm + 1
    }

    /// Checks every value, alone and together with the others.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], which names the option at fault and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range::within::<Self>("in_channels", self.in_channels, &CHANNELS)?;
        range::within::<Self>("out_channels", self.out_channels(), &CHANNELS)?;
        range::within::<Self>("num_layers", self.num_layers, &LAYERS)?;
        range::within::<Self>("num_attention_heads", self.num_attention_heads, &CHANNELS)?;
        range::within::<Self>("attention_head_dim", self.attention_head_dim, &CHANNELS)?;
        range::within::<Self>("num_embeds_ada_norm", self.num_embeds_ada_norm, &ROWS)?;
        range::within::<Self>("patch_size", self.patch_size, &(1..=256))?;
        self.check_width()?;
        if self.norm_elementwise_affine {
            range::out_of_range::<Self>("norm_elementwise_affine", &true, "false")?;
        }
        if !(self.norm_eps.is_finite() && self.norm_eps > 0.0) {
            range::out_of_range::<Self>("norm_eps", &self.norm_eps, "a finite number above 0")?;
        }
        if !(0.0..1.0).contains(&self.dropout) {
            range::out_of_range::<Self>("dropout", &self.dropout, "at least 0 and below 1")?;
        }
        let fits = |side: &usize| *side > 0 && side.is_multiple_of(self.patch_size);
        if !self.sample_size.height_width().iter().all(fits) {
            let allowed = format!("a multiple of patch_size, which is {}", self.patch_size);
            range::out_of_range::<Self>("sample_size", &self.sample_size, &allowed)?;
        }
        Ok(())
    }

    fn check_width(&self) -> Result<(), ConfigError> {
        let width = self.width();
        if width.is_multiple_of(4) && CHANNELS.contains(&width) {
            return Ok(());
        }
        let allowed = format!(
            "such that {} heads have a multiple of 4 channels together, {} at most: positions take a quarter each \
             for the sines and cosines of columns and rows",
            self.num_attention_heads,
            CHANNELS.end()
        );
        range::out_of_range::<Self>("attention_head_dim", &self.attention_head_dim, &allowed)
    }

    /// Whether the network takes pictures of this size.
    ///
    /// # Errors
    /// [`ConfigError::PictureSize`] where a side is zero or not a multiple of `patch_size`.
    pub fn check_size(&self, height: usize, width: usize) -> Result<(), ConfigError> {
        let multiple = self.patch_size;
        let fits = |side: usize| side > 0 && side.is_multiple_of(multiple);
        match fits(height) && fits(width) {
            true => Ok(()),
            false => Err(ConfigError::PictureSize { height, width, multiple }),
        }
    }
}
