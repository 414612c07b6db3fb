//! Everything that decides what a training run computes, as a JSON file.

mod check;
mod fitting;
mod problems;
mod read;

pub use self::fitting::{LONGEST_SIDE, suitable_size};
pub(crate) use self::problems::Problems;
pub(crate) use self::read::{Part, adversary, autoencoder, read, upper};
use crate::{Decay, Images, Objective, RecipeError, Training};
use ddim_checkpoint::SchedulerConfig;
use ddim_data::Alpha;
use ddim_unet::UNet2DConfig;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A training run but for its pictures: network, noise schedule and optimiser.
///
/// The same recipe, pictures and machine give the same model, bit for bit on a CPU, however often the run is
/// interrupted. Recipes are files; `Recipe::from_json` reads one:
///
/// ```
/// use ddim_train::Recipe;
///
/// let recipe = Recipe::from_json(
///     r#"{ "name": "tiny", "steps": 100, "batch_size": 8,
///          "unet": { "in_channels": 1, "out_channels": 1, "block_out_channels": [8], "norm_num_groups": 4,
///                    "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"] },
///          "scheduler": { "_class_name": "DDIMScheduler" } }"#,
/// )?;
/// assert_eq!(recipe.ema_decay, 0.999);
/// # Ok::<(), ddim_train::RecipeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the model will be called.
    pub name: String,
    /// The network, in diffusers' words. With classes its table has one row more than there are classes: the last
    /// one stands for "any class".
    #[serde(deserialize_with = "without_remarks")]
    pub unet: UNet2DConfig,
    /// The noise schedule and what the network predicts, in diffusers' words: a `scheduler_config.json`.
    pub scheduler: Map<String, Value>,
    /// The names of the classes, one for each; empty takes those that come with the pictures.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Which pictures of the set are trained on.
    #[serde(default)]
    pub images: Images,
    /// What becomes of an alpha channel.
    #[serde(default)]
    pub alpha: Alpha,
    /// Mirror images of the pictures.
    #[serde(default)]
    pub flip: Flip,
    /// What is minimised.
    #[serde(default)]
    pub objective: Objective,
    /// Optimiser steps.
    pub steps: u64,
    /// Pictures a step.
    pub batch_size: usize,
    /// Equal parts that a batch is split into. On a CPU each part has a thread; the gradient is the mean over
    /// them.
    #[serde(default = "default::shards")]
    pub shards: usize,
    /// The largest learning rate of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2).
    #[serde(default = "default::learning_rate")]
    pub learning_rate: f64,
    /// Steps in which the learning rate rises in a straight line.
    #[serde(default)]
    pub warmup_steps: u64,
    /// What the learning rate does afterwards.
    #[serde(default)]
    pub decay: Decay,
    /// AdamW's decay of the weights.
    #[serde(default)]
    pub weight_decay: f64,
    /// AdamW's beta1 and beta2.
    #[serde(default = "default::betas")]
    pub betas: [f64; 2],
    /// The largest norm of the whole gradient; a longer one is scaled down to it (Pascanu et al. 2013, algorithm
    /// 1).
    #[serde(default = "default::clip_norm")]
    pub clip_norm: f64,
    /// How much of the averaged weights is kept each step, once the average has warmed up.
    #[serde(default = "default::ema_decay")]
    pub ema_decay: f64,
    /// The part of labels that is replaced by "any class" (Ho and Salimans 2022, arXiv:2207.12598, algorithm 1).
    #[serde(default)]
    pub label_dropout: f64,
    /// Decides first weights, order of the pictures, timesteps, noise, mirroring and dropped labels.
    #[serde(default)]
    pub seed: u64,
    /// Steps between checkpoints.
    #[serde(default = "default::checkpoint_steps")]
    pub checkpoint_steps: u64,
    /// Anything worth keeping with the model, such as licence and source of the pictures.
    #[serde(default)]
    pub card: Map<String, Value>,
}

/// Mirroring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// Pictures are taken as they are.
    #[default]
    None,
    /// Left and right are exchanged in half of the pictures.
    Horizontal,
}

impl Recipe {
    /// Reads a recipe and checks that its numbers make sense.
    ///
    /// # Errors
    /// Text that is not a JSON object; else all at once: unknown, missing and misshapen keys, and what
    /// [`check`](Self::check) refuses.
    pub fn from_json(text: &str) -> Result<Self, RecipeError> {
        let example = Recipe::for_images([32, 32, 3], 0, 1);
        let required = ["name", "unet", "scheduler", "steps", "batch_size"];
        read(text, &example, &required, &[("unet", read::unet), ("scheduler", read::scheduler)])
    }

    /// The text of a recipe file.
    pub fn to_json(&self) -> String {
        Settings::to_json(self)
    }

    /// The noise schedule.
    ///
    /// # Errors
    /// An unknown option or value in `scheduler`.
    pub fn scheduler(&self) -> Result<SchedulerConfig, RecipeError> {
        Ok(SchedulerConfig::from_json(&Value::Object(self.scheduler.clone()).to_string())?)
    }

    /// How many rows of the class table are classes: all but the last, whose index this is. `None` for a network
    /// without classes.
    pub fn class_count(&self) -> Option<usize> {
        self.unet.num_class_embeds.map(|rows| rows.saturating_sub(1))
    }

    /// The learning rate of a step, the first of which is 1: a straight line from 0 over the warm-up, then
    /// [`decay`](Self::decay).
    ///
    /// ```
    /// # let text = r#"{ "name": "x", "steps": 100, "batch_size": 8, "learning_rate": 0.002, "warmup_steps": 10,
    /// #  "decay": "cosine", "unet": { "block_out_channels": [32], "down_block_types": ["DownBlock2D"],
    /// #  "up_block_types": ["UpBlock2D"] }, "scheduler": { "_class_name": "DDIMScheduler" } }"#;
    /// let recipe = ddim_train::Recipe::from_json(text)?; // 100 steps, 10 of them warm-up, rate 0.002, cosine
    /// assert_eq!([1, 10, 100].map(|step| recipe.learning_rate_at(step)), [0.0002, 0.002, 0.0]);
    /// assert!((recipe.learning_rate_at(55) - 0.001).abs() < 1e-12); // half-way
    /// # Ok::<(), ddim_train::RecipeError>(())
    /// ```
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        self.training().learning_rate_at(step)
    }

    /// The part that decides length and optimiser.
    pub fn training(&self) -> Training {
        Training {
            steps: self.steps,
            batch_size: self.batch_size,
            shards: self.shards,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            decay: self.decay,
            weight_decay: self.weight_decay,
            betas: self.betas,
            clip_norm: self.clip_norm,
            ema_decay: self.ema_decay,
            seed: self.seed,
            checkpoint_steps: self.checkpoint_steps,
        }
    }
}

/// What the loop asks of a recipe, whatever network it is for.
pub(crate) trait Settings: Serialize + DeserializeOwned {
    /// Length and optimiser.
    fn training(&self) -> Training;

    /// What does not make sense, alone and together.
    fn look_for(&self, problems: &mut Problems);

    /// The text of a recipe file.
    fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }
}

impl Settings for Recipe {
    fn training(&self) -> Training {
        self.training()
    }

    fn look_for(&self, problems: &mut Problems) {
        self.training().look_for(problems);
        self.look_for_more(problems);
    }
}

/// A network whose remarks, keys that begin with `_` as in every file of diffusers, are passed over.
pub(crate) fn without_remarks<'de, T: DeserializeOwned, D: Deserializer<'de>>(network: D) -> Result<T, D::Error> {
    let mut keys = Map::deserialize(network)?;
    keys.retain(|key, _| !key.starts_with('_'));
    serde_json::from_value(Value::Object(keys)).map_err(D::Error::custom)
}

/// Values of keys that a recipe leaves out.
mod default {
    pub(super) fn shards() -> usize {
        1
    }

    pub(super) fn learning_rate() -> f64 {
        1e-3
    }

    /// Loshchilov and Hutter 2019, algorithm 2.
    pub(super) fn betas() -> [f64; 2] {
        [0.9, 0.999]
    }

    pub(super) fn clip_norm() -> f64 {
        1.0
    }

    pub(super) fn ema_decay() -> f64 {
        0.999
    }

    pub(super) fn checkpoint_steps() -> u64 {
        1000
    }
}

#[cfg(test)]
mod tests;
