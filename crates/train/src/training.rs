//! Optimiser and length of a run: what all recipes have.

use crate::recipe::Problems;
use serde::{Deserialize, Serialize};

/// How long, how fast and in which parts a network is trained, whatever it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Training {
    /// Optimiser steps.
    pub steps: u64,
    /// Pictures a step.
    pub batch_size: usize,
    /// Equal parts that a batch is split into. On a CPU each part has a thread; the gradient is the mean over
    /// them.
    pub shards: usize,
    /// The largest learning rate of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2).
    pub learning_rate: f64,
    /// Steps in which the learning rate rises in a straight line.
    pub warmup_steps: u64,
    /// What the learning rate does afterwards.
    pub decay: Decay,
    /// AdamW's decay of the weights.
    pub weight_decay: f64,
    /// AdamW's beta1 and beta2.
    pub betas: [f64; 2],
    /// The largest norm of the whole gradient; a longer one is scaled down to it (Pascanu et al. 2013, algorithm
    /// 1).
    pub clip_norm: f64,
    /// How much of the averaged weights is kept each step, once the average has warmed up.
    pub ema_decay: f64,
    /// Decides everything random.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_steps: u64,
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

/// A classifier of some 170,000 weights, trained for a few minutes.
impl Default for Training {
    fn default() -> Self {
        Training {
            steps: 4000,
            batch_size: 128,
            shards: 2,
            learning_rate: 2e-3,
            warmup_steps: 100,
            decay: Decay::Cosine,
            weight_decay: 0.01,
            betas: [0.9, 0.999],
            clip_norm: 1.0,
            ema_decay: 0.99,
            seed: 0,
            checkpoint_steps: 500,
        }
    }
}

impl Training {
    /// The learning rate of a step, the first of which is 1: a straight line from 0 over the warm-up, then
    /// [`decay`](Self::decay).
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

    /// The same with this number of steps, and no longer warm-up.
    #[must_use]
    pub fn with_steps(self, steps: u64) -> Self {
        Training { steps, warmup_steps: self.warmup_steps.min(steps), ..self }
    }

    /// The same with this number of pictures a step, in as many shards as still divide it.
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        let shards = (1..=self.shards.min(batch_size)).rev().find(|shards| batch_size.is_multiple_of(*shards));
        Training { batch_size, shards: shards.unwrap_or(1), ..self }
    }

    /// The step after which the learning rate depends on how many steps there are.
    pub(crate) fn free_until(&self) -> u64 {
        match self.decay {
            Decay::Constant => self.steps,
            Decay::Cosine => 0,
            Decay::Tail(length) => self.steps.saturating_sub(length),
        }
    }

    /// What does not make sense about the numbers, alone and together.
    pub(crate) fn look_for(&self, problems: &mut Problems) {
        self.look_at_steps(problems);
        let rate = self.learning_rate;
        problems.check(&["learning_rate"], rate, rate > 0.0 && rate <= 1.0, "above 0, at most 1");
        let decay = (0.0..=1.0).contains(&self.weight_decay);
        problems.check(&["weight_decay"], self.weight_decay, decay, "from 0 to 1");
        let betas = self.betas.iter().all(|beta| (0.0..1.0).contains(beta));
        problems.check(&["betas"], format!("{:?}", self.betas), betas, "two numbers from 0 up to but not 1");
        problems.check(&["clip_norm"], self.clip_norm, self.clip_norm > 0.0, "above 0");
        let ema = (0.0..1.0).contains(&self.ema_decay);
        problems.check(&["ema_decay"], self.ema_decay, ema, "from 0 up to but not 1");
    }

    fn look_at_steps(&self, problems: &mut Problems) {
        let mut within = |keys: &[&'static str], value: u64, least: u64, most: u64| {
            problems.check(keys, value, (least..=most).contains(&value), format!("from {least} to {most}"));
        };
        within(&["steps"], self.steps, 1, u32::MAX.into());
        within(&["batch_size"], self.batch_size as u64, 1, 1 << 16);
        within(&["shards", "batch_size"], self.shards as u64, 1, self.batch_size as u64);
        within(&["warmup_steps", "steps"], self.warmup_steps, 0, self.steps);
        within(&["checkpoint_steps"], self.checkpoint_steps, 1, u64::MAX);
        let divisor = format!("a divisor of batch_size, which is {}", self.batch_size);
        let divides = self.batch_size.is_multiple_of(self.shards);
        problems.check(&["shards", "batch_size"], self.shards, divides, divisor);
    }
}
