//! Everything that decides what a training run computes, as a JSON file.

mod check;

use crate::{Objective, RecipeError};
use ddim_checkpoint::SchedulerConfig;
use ddim_data::Alpha;
use ddim_unet::UNet2DConfig;
use serde::{Deserialize, Serialize};
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
    pub unet: UNet2DConfig,
    /// The noise schedule and what the network predicts, in diffusers' words: a `scheduler_config.json`.
    pub scheduler: Map<String, Value>,
    /// The names of the classes, one for each; empty takes those that come with the pictures.
    #[serde(default)]
    pub classes: Vec<String>,
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
    /// Equal parts that a batch is split into. On a CPU each part has a thread; the gradient is the mean over them.
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
    /// The largest norm of the whole gradient; a longer one is scaled down to it (Pascanu et al. 2013, algorithm 1).
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

/// The learning rate after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Stays.
    #[default]
    Constant,
    /// Falls to 0 at the last step along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, Eq. 5).
    Cosine,
    /// Stays, and falls to 0 in a straight line over this many last steps (Hu et al. 2024, arXiv:2404.06395,
    /// section 4). Until they begin, `steps` can be changed in a run under way.
    Tail(u64),
}

impl Recipe {
    /// Reads a recipe and checks that its numbers make sense.
    ///
    /// # Errors
    /// Text that is not such JSON, an unknown key, and what [`check`](Self::check) refuses.
    pub fn from_json(text: &str) -> Result<Self, RecipeError> {
        let recipe: Recipe =
            serde_json::from_str(text).map_err(|error| RecipeError::Json { reason: error.to_string() })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The text of a recipe file.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
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
        if step < self.warmup_steps {
            return self.learning_rate * step as f64 / self.warmup_steps as f64;
        }
        match self.decay {
            Decay::Constant => self.learning_rate,
            Decay::Cosine => {
                let length = self.steps.saturating_sub(self.warmup_steps).max(1);
                let done = (step - self.warmup_steps) as f64 / length as f64;
                // sin^2 of the rest: 0 exactly at the end, which (1 + cos)/2 would miss by rounding.
                let rest = (1.0 - done.min(1.0)) * std::f64::consts::FRAC_PI_2;
                self.learning_rate * rest.sin().powi(2)
            }
            Decay::Tail(length) => {
                let left = self.steps.saturating_sub(step);
                self.learning_rate * (left as f64 / length.max(1) as f64).min(1.0)
            }
        }
    }

    /// The step after which the learning rate depends on how many steps there are.
    pub(crate) fn free_until(&self) -> u64 {
        match self.decay {
            Decay::Constant => self.steps,
            Decay::Cosine => 0,
            Decay::Tail(length) => self.steps.saturating_sub(length),
        }
    }
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
