//! The recipe of a first stage: an autoencoder trained as a model of pictures.

use crate::recipe::{Part, Problems, Settings, adversary, autoencoder, read, upper, without_remarks};
use crate::{AdversaryRecipe, Decay, Flip, Images, RecipeError, Training, UpperRecipe};
use ddim::autoencoder::{AutoencoderConfig, AutoencoderKLConfig, DownBlockType, UpBlockType};
use ddim_data::Alpha;
use ddim_eval::Estimator;
use ddim_unet::SampleSize;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A training run of an `AutoencoderKL` but for its pictures. Every key has a default, those of [`Training`]
/// included:
///
/// ```
/// use ddim_train::{AutoencoderRecipe, GradientChoice};
///
/// let text = r#"{ "name": "shoes", "steps": 200, "gradient": "dreg", "importance": 8,
///                 "autoencoder": { "in_channels": 1, "out_channels": 1, "block_out_channels": [32],
///                                  "latent_channels": 2 } }"#;
/// let recipe = AutoencoderRecipe::from_json(text)?;
/// assert_eq!((recipe.gradient, recipe.importance), (GradientChoice::Dreg, 8));
/// assert!(AutoencoderRecipe::from_json(r#"{ "free_bits": -1 }"#).is_err());
/// # Ok::<(), ddim_train::RecipeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderRecipe {
    /// What the first stage will be called.
    pub name: String,
    /// The network, in the words of diffusers' `AutoencoderKL`; its scale is measured and written.
    #[serde(deserialize_with = "without_remarks")]
    pub autoencoder: AutoencoderKLConfig,
    /// Which pictures of the set are trained on.
    pub images: Images,
    /// What becomes of an alpha channel.
    pub alpha: Alpha,
    /// Mirror images of the pictures.
    pub flip: Flip,
    /// Whether mean and variance of the prior N(mean, variance I) over latents are learned, or are 0 and 1.
    pub prior: PriorChoice,
    /// What the variance of a pixel around what is decoded is.
    pub variance: VarianceChoice,
    /// That variance, or where learning it begins, of pictures in \[-1, 1\].
    pub initial_variance: f64,
    /// How the gradient by the encoder is estimated.
    pub gradient: GradientChoice,
    /// Draws of the latents under one logarithm; 1 is the evidence lower bound.
    pub importance: usize,
    /// What the divergence from the prior counts; 1 is the bound.
    pub kl_weight: f64,
    /// Steps in which that weight rises from 0 in a straight line.
    pub kl_warmup_steps: u64,
    /// Nats of divergence, of each channel of the latents, below which it costs nothing more.
    pub free_bits: f64,
    /// A second layer of latents above those, where there is one.
    pub upper: Option<UpperRecipe>,
    /// A discriminator that it is trained against, where there is one.
    pub adversary: Option<AdversaryRecipe>,
    /// Length and optimiser; its keys stand beside the others.
    #[serde(flatten)]
    pub training: Training,
    /// Anything worth keeping with the first stage, such as licence and source of the pictures.
    pub card: Map<String, Value>,
}

/// The prior over latents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorChoice {
    /// N(0, I).
    #[default]
    Fixed,
    /// N(mean, variance I), both learned.
    Learned,
}

/// The variance of a pixel around what is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceChoice {
    /// As the recipe says.
    Fixed,
    /// One number, learned.
    #[default]
    Scalar,
    /// A number for each value of a picture, learned.
    Pixel,
}

/// How the gradient by the encoder is estimated; see [`Estimator`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientChoice {
    /// Latents as a function of noise. With one draw the divergence from the prior is taken exactly.
    #[default]
    Reparameterised,
    /// The slope of log q, times the bound of the draw less that of others.
    Score,
    /// Reparameterised, without the slope of log q at the draw.
    Stl,
    /// Doubly reparameterised.
    Dreg,
}

impl GradientChoice {
    pub(crate) fn estimator(self) -> Estimator {
        match self {
            GradientChoice::Reparameterised => Estimator::Reparameterised,
            GradientChoice::Score => Estimator::Score,
            GradientChoice::Stl => Estimator::StickTheLanding,
            GradientChoice::Dreg => Estimator::DoublyReparameterised,
        }
    }
}

impl Default for AutoencoderRecipe {
    fn default() -> Self {
        Self::for_images([32, 32, 3], 1)
    }
}

/// The most channels that a suggestion has, and how many more each coarser level has.
const WIDTHS: [usize; 3] = [24, 32, 48];
/// The least side of suggested latents.
const LEAST_SIDE: usize = 6;

impl AutoencoderRecipe {
    /// A recipe for pictures of this height, width and channels, a step shared out among so many threads: sides
    /// are halved twice where that leaves at least 6 pixels, and each pixel of the latents has 4 channels.
    pub fn for_images([height, width, channels]: [usize; 3], threads: usize) -> Self {
        let may_halve = |halvings: &usize| {
            let factor = 1 << halvings;
            height.min(width) / factor >= LEAST_SIDE
                && height.is_multiple_of(factor)
                && width.is_multiple_of(factor)
        };
        let levels = 1 + (1..WIDTHS.len()).take_while(may_halve).count();
        let training = Training {
            steps: 5000,
            shards: 1,
            batch_size: 64,
            learning_rate: 2e-3,
            weight_decay: 0.0,
            decay: Decay::Constant,
            ema_decay: 0.995,
            checkpoint_steps: 500,
            ..Training::default()
        };
        let shards = (1..=threads.max(1)).rev().find(|shards| training.batch_size.is_multiple_of(*shards));
        AutoencoderRecipe {
            name: "first stage".to_owned(),
            autoencoder: AutoencoderKLConfig {
                in_channels: channels,
                out_channels: channels,
                down_block_types: vec![DownBlockType::Plain; levels],
                up_block_types: vec![UpBlockType::Plain; levels],
                block_out_channels: WIDTHS[..levels].to_vec(),
                norm_num_groups: 8,
                sample_size: Some(SampleSize::of([height, width])),
                mid_block_add_attention: false,
                scaling_factor: 1.0,
                ..AutoencoderKLConfig::default()
            },
            images: Images::default(),
            alpha: Alpha::default(),
            flip: Flip::default(),
            prior: PriorChoice::default(),
            variance: VarianceChoice::default(),
            initial_variance: 0.1,
            gradient: GradientChoice::default(),
            importance: 1,
            kl_weight: 1.0,
            kl_warmup_steps: 0,
            free_bits: 0.0,
            upper: None,
            adversary: None,
            training: Training { shards: shards.unwrap_or(1), ..training },
            card: Map::new(),
        }
    }

    /// Reads a recipe and checks that its numbers make sense.
    ///
    /// # Errors
    /// Text that is not a JSON object; else all at once: unknown and misshapen keys, and what
    /// [`check`](Self::check) refuses.
    pub fn from_json(text: &str) -> Result<Self, RecipeError> {
        let parts: [Part; 3] = [("autoencoder", autoencoder), ("upper", upper), ("adversary", adversary)];
        read(text, &Self::default(), &[], &parts)
    }

    /// The text of a recipe file.
    pub fn to_json(&self) -> String {
        Settings::to_json(self)
    }

    /// Whether everything makes sense, alone and together, before anything is computed.
    ///
    /// # Errors
    /// Every key that does not, its value, and what it may be: [`RecipeError::Several`] where that is more than
    /// one.
    pub fn check(&self) -> Result<(), RecipeError> {
        let mut problems = Problems::default();
        self.look_for(&mut problems);
        problems.into_result()
    }

    /// Height and width of the pictures, where the recipe says.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.autoencoder.sample_size.map(SampleSize::height_width)
    }

    /// The network as one of its families.
    pub(crate) fn config(&self) -> AutoencoderConfig {
        self.autoencoder.clone().into()
    }

    /// What the divergence counts in a step, the first of which is 1.
    pub(crate) fn kl_weight_at(&self, step: u64) -> f64 {
        self.kl_weight * (step as f64 / self.kl_warmup_steps.max(1) as f64).min(1.0)
    }

    fn look_at_bound(&self, problems: &mut Problems) {
        let variance = self.initial_variance;
        let fine = variance > 0.0 && variance <= 10.0;
        problems.check(&["initial_variance"], variance, fine, "above 0, at most 10");
        let draws = (1..=MOST_DRAWS).contains(&self.importance);
        problems.check(&["importance"], self.importance, draws, format!("from 1 to {MOST_DRAWS}"));
        let weight = (0.0..=1000.0).contains(&self.kl_weight);
        problems.check(&["kl_weight"], self.kl_weight, weight, "from 0 to 1000");
        let warmup = self.kl_warmup_steps;
        let steps = format!("from 0 to {}, which is steps", self.training.steps);
        problems.check(&["kl_warmup_steps", "steps"], warmup, warmup <= self.training.steps, steps);
        let free = self.free_bits >= 0.0 && self.free_bits.is_finite();
        problems.check(&["free_bits"], self.free_bits, free, "0 or more");
        let exact = self.gradient == GradientChoice::Reparameterised && self.importance == 1;
        let only =
            "0 unless gradient is reparameterised and importance 1: only then is the divergence taken exactly";
        problems.check(
            &["free_bits", "gradient", "importance"],
            self.free_bits,
            exact || self.free_bits == 0.0,
            only,
        );
    }

    /// What an upper layer goes together with.
    fn look_at_upper(&self, problems: &mut Problems) {
        let Some(upper) = &self.upper else { return };
        upper.look_for(self.training.steps, problems);
        let gradient = json!(self.gradient);
        let gradient = gradient.as_str().unwrap_or_default();
        let reparameterised = self.gradient == GradientChoice::Reparameterised;
        let only = "reparameterised beside upper: the others are derived for one layer of latents";
        problems.check(&["gradient", "upper"], gradient, reparameterised, only);
        let only = "1 beside upper, whose layers are drawn once a picture";
        problems.check(&["importance", "upper"], self.importance, self.importance == 1, only);
        let only = "0 beside upper, since the part of z1 is not a divergence; upper.free_bits is for z2";
        problems.check(&["free_bits", "upper"], self.free_bits, self.free_bits == 0.0, only);
        let only = "fixed beside upper: the prior is that of z2, and its networks can move and stretch that";
        problems.check(&["prior", "upper"], "learned", self.prior == PriorChoice::Fixed, only);
        if !problems.are_sound(&["autoencoder"]) {
            return;
        }
        let config = upper.config(self.autoencoder.latent_channels);
        if let Err(problem) = config.validate() {
            problems.add("upper", RecipeError::Autoencoder(problem));
        } else if let Some([height, width]) = self.size() {
            let sides = [height, width].map(|side| side / self.config().factor());
            let fits = sides.iter().all(|side| side.is_multiple_of(upper.patch_size));
            let allowed = format!("a divisor of both sides of the latents, which are {}x{}", sides[0], sides[1]);
            problems.check(&["upper.patch_size"], upper.patch_size, fits, allowed);
        }
    }

    /// What an adversary goes together with.
    fn look_at_adversary(&self, problems: &mut Problems) {
        let Some(adversary) = &self.adversary else { return };
        adversary.look_for(self.training.steps, problems);
        let gradient = json!(self.gradient);
        let gradient = gradient.as_str().unwrap_or_default();
        let reparameterised = self.gradient == GradientChoice::Reparameterised;
        let only = "reparameterised beside adversary: its slope goes back through the draw";
        problems.check(&["gradient", "adversary"], gradient, reparameterised, only);
        let only = "1 beside adversary, which judges one draw of each picture";
        problems.check(&["importance", "adversary"], self.importance, self.importance == 1, only);
        if let Some(size) = self.size().filter(|_| problems.are_sound(&["autoencoder"])) {
            adversary.look_at_size(size, problems);
        }
    }

    fn look_at_network(&self, problems: &mut Problems) {
        if let Err(problem) = self.autoencoder.validate() {
            problems.add("autoencoder", RecipeError::Autoencoder(problem));
            return;
        }
        let [from, to] = [self.autoencoder.in_channels, self.autoencoder.out_channels];
        let both = format!("in_channels, which is {from}: pictures come back as they went in");
        problems.check(&["autoencoder.out_channels"], to, from == to, both);
        if let Some([height, width]) = self.size() {
            let factor = self.config().factor();
            let fits = [height, width].iter().all(|side| *side > 0 && side.is_multiple_of(factor));
            let sides =
                format!("of sides that are multiples of {factor}, by which this network makes them smaller");
            problems.check(&["autoencoder.sample_size"], format!("{height}x{width}"), fits, sides);
        }
    }
}

/// Draws of a picture at most.
const MOST_DRAWS: usize = 1000;

impl Settings for AutoencoderRecipe {
    fn training(&self) -> Training {
        self.training.clone()
    }

    fn look_for(&self, problems: &mut Problems) {
        self.training.look_for(problems);
        problems.take("images", self.images.check());
        self.look_at_bound(problems);
        if problems.are_sound(&["autoencoder"]) {
            self.look_at_network(problems);
        }
        if problems.are_sound(&["upper"]) {
            self.look_at_upper(problems);
        }
        if problems.are_sound(&["adversary"]) {
            self.look_at_adversary(problems);
        }
    }
}
