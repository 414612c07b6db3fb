//! The part of a first stage's recipe that adds a second layer of latents.

use crate::recipe::Problems;
use ddim::autoencoder::{Activation, Ladder, UpperConfig};
use serde::{Deserialize, Serialize};

/// The layer above the latents of a first stage, and what keeps it in use (MATH.md section 38). Every key has a
/// default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpperRecipe {
    /// Channels of z2.
    pub latent_channels: usize,
    /// Pixels of z1 each way that become one of z2.
    pub patch_size: usize,
    /// Channels between the two; none for linear layers.
    pub block_out_channels: Vec<usize>,
    /// The nonlinearity behind each of them.
    pub act_fn: Activation,
    /// Whether its encoder is told a draw of z1, or the mean past it.
    pub ladder: Ladder,
    /// What KL(q(z2), p(z2)) counts beside what both layers do; 1 is the bound.
    pub kl_weight: f64,
    /// Steps in which that rises from 0 in a straight line.
    pub kl_warmup_steps: u64,
    /// Nats of that divergence below which it costs nothing more.
    pub free_bits: f64,
    /// The variance of z1 around what z2 says, or where learning it begins.
    pub initial_variance: f64,
    /// The share of the learning rate with which its logarithm moves; 0 holds it.
    pub variance_rate: f64,
}

impl Default for UpperRecipe {
    fn default() -> Self {
        UpperRecipe {
            latent_channels: 8,
            patch_size: 1,
            block_out_channels: vec![64, 64],
            act_fn: Activation::Silu,
            ladder: Ladder::None,
            kl_weight: 1.0,
            kl_warmup_steps: 0,
            free_bits: 0.0,
            initial_variance: 1.0,
            variance_rate: 1.0,
        }
    }
}

impl UpperRecipe {
    /// The layer above latents of so many channels, with the variances that it begins with.
    pub(crate) fn config(&self, in_channels: usize) -> UpperConfig {
        UpperConfig {
            in_channels,
            latent_channels: self.latent_channels,
            patch_size: self.patch_size,
            block_out_channels: self.block_out_channels.clone(),
            act_fn: self.act_fn,
            ladder: self.ladder,
            variance: vec![self.initial_variance; in_channels],
        }
    }

    /// What the divergence of z2 counts in a step, the first of which is 1, beside what both layers do.
    pub(crate) fn kl_weight_at(&self, step: u64) -> f64 {
        self.kl_weight * (step as f64 / self.kl_warmup_steps.max(1) as f64).min(1.0)
    }

    /// What is wrong with its numbers, in a run of so many steps.
    pub(crate) fn look_for(&self, steps: u64, problems: &mut Problems) {
        let weight = (0.0..=1000.0).contains(&self.kl_weight);
        problems.check(&["upper.kl_weight"], self.kl_weight, weight, "from 0 to 1000");
        let warmup = self.kl_warmup_steps;
        let allowed = format!("from 0 to {steps}, which is steps");
        problems.check(&["upper.kl_warmup_steps", "steps"], warmup, warmup <= steps, allowed);
        let free = self.free_bits >= 0.0 && self.free_bits.is_finite();
        problems.check(&["upper.free_bits"], self.free_bits, free, "0 or more");
        let variance = self.initial_variance > 0.0 && self.initial_variance <= 1e6;
        problems.check(&["upper.initial_variance"], self.initial_variance, variance, "above 0, at most 1000000");
        let rate = (0.0..=1.0).contains(&self.variance_rate);
        problems.check(
            &["upper.variance_rate"],
            self.variance_rate,
            rate,
            "from 0, which holds the variance, to 1",
        );
    }
}
