//! A first stage against a discriminator that learns beside it (MATH.md section 39).

use super::parts::{Half, half};
use super::pass::Pass;
use crate::optimizer::{Optimizer, norm};
use crate::{AdversaryRecipe, TrainError, Training};
use ddim_cpu::Wanted;
use ddim_eval::{Divergence, GeneratorLoss, adaptive_weight};
use ddim_graph::Graph;
use std::ops::Range;

/// A discriminator in training.
pub(super) struct Adversary {
    recipe: AdversaryRecipe,
    network: Half,
    training: Training,
    optimizer: Optimizer,
    /// \[c, h, w\] of the pictures that it judges.
    picture: [usize; 3],
}

/// What the discriminator says of pictures and of what came back.
pub(super) struct Judged {
    /// The slope of the mean loss of the first stage by each value of what came back; empty where it is not told.
    by_pictures: Vec<f32>,
    /// The gradient of the risk by the discriminator's weights.
    by_weights: Vec<f32>,
    /// The loss of the first stage, a mean over all scores.
    loss: f64,
    /// The risk, a mean over both sets.
    risk: f64,
}

/// What is told of a step: the loss of the first stage, what it counts, and the risk of the discriminator.
pub(super) const TOLD: [&str; 3] = ["adversary", "weight", "risk"];

/// What the seed of the discriminator differs by from that of the recipe.
const SEED: u64 = 0x6164_7665_7273_6172;

impl Adversary {
    /// For pictures \[c, h, w\] of a run that is trained so.
    pub(super) fn new(
        recipe: &AdversaryRecipe,
        training: &Training,
        picture: [usize; 3],
    ) -> Result<Self, TrainError> {
        let [channels, height, width] = picture;
        let patches = recipe.patches();
        if patches.scores([height, width]).is_none() {
            let allowed = recipe.allowed_layers([height, width]);
            return Err(TrainError::AdversarySize { layers: recipe.layers, allowed });
        }
        Self::of(patches.graph(channels), recipe, training, picture)
    }

    /// With this network, which gives one channel of scores.
    fn of(
        graph: Graph,
        recipe: &AdversaryRecipe,
        training: &Training,
        picture: [usize; 3],
    ) -> Result<Self, TrainError> {
        let mut first = Vec::new();
        let network = half(graph, training.seed ^ SEED, [picture[1], picture[2]], &mut first)?;
        let steps = training.steps.saturating_sub(recipe.start_step);
        let (learning_rate, betas) = (recipe.learning_rate, recipe.betas);
        let training = Training { learning_rate, betas, weight_decay: 0.0, ..training.clone() }.with_steps(steps);
        Ok(Adversary { recipe: recipe.clone(), network, training, optimizer: Optimizer::new(first), picture })
    }

    /// What it needs to go on later.
    pub(super) fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Goes on from there.
    pub(super) fn go_on(&mut self, optimizer: Optimizer) {
        self.optimizer = optimizer;
    }

    /// Gives its engine the weights of a step.
    pub(super) fn load(&mut self) {
        self.network.load(&self.optimizer.weights);
    }

    /// Whether it has anything to do in a step.
    pub(super) fn learns_at(&self, step: u64) -> bool {
        self.recipe.learns_at(step)
    }

    /// Of some pictures in a step: the gradient of the first stage's loss by all that is trained of it, that of
    /// the risk by the discriminator's weights, and both numbers, in one list of which a mean over shards can be
    /// taken.
    pub(super) fn said(&self, pass: &Pass, step: u64) -> Vec<f32> {
        let judged = self.judge(pass.pictures(), &pass.decoded(), self.recipe.tells_at(step));
        let mut said = pass.pulled_back(&judged.by_pictures);
        said.extend(judged.by_weights);
        said.extend([judged.loss, judged.risk].map(|number| number as f32));
        said
    }

    /// Pictures `x` and what came back of them, both \[n, c, h, w\]; `tells` asks for the slope by the latter.
    fn judge(&self, x: &[f32], back: &[f32], tells: bool) -> Judged {
        let [c, h, w] = self.picture;
        let shape = [x.len() / (c * h * w), c, h, w];
        let (divergence, generator) = (self.recipe.loss.divergence(), self.recipe.generator.loss());
        let network = &self.network.network;
        let (mut risk, mut loss) = (0.0, 0.0);
        let share = 1.0 / (shape[0] * self.scores()) as f64;
        let mut of_set = |values: &[f32], sign: f64| {
            let slopes = |_: usize, scores: &[f32], slopes: &mut [f32]| {
                for (score, slope) in scores.iter().map(|score| f64::from(*score)).zip(slopes) {
                    risk += divergence.surrogate(sign * score) * share / 2.0;
                    *slope = (sign * divergence.surrogate_slope(sign * score) * share / 2.0) as f32;
                    if sign < 0.0 {
                        loss += generator.loss(divergence, score) * share;
                    }
                }
            };
            self.network.of_trained(network.gradients(values, shape, &[], Wanted::Weights, slopes).parameters)
        };
        let mut by_weights = of_set(x, 1.0);
        by_weights.iter_mut().zip(of_set(back, -1.0)).for_each(|(sum, part)| *sum += part);
        let by_pictures =
            if tells { self.slope_of_pictures(back, shape, (divergence, generator), share) } else { Vec::new() };
        Judged { by_pictures, by_weights, loss, risk }
    }

    /// The slope of the first stage's loss by what came back.
    fn slope_of_pictures(
        &self,
        back: &[f32],
        shape: [usize; 4],
        (divergence, generator): (Divergence, GeneratorLoss),
        share: f64,
    ) -> Vec<f32> {
        let slopes = |_: usize, scores: &[f32], slopes: &mut [f32]| {
            for (score, slope) in scores.iter().zip(slopes) {
                *slope = (generator.slope(divergence, f64::from(*score)) * share) as f32;
            }
        };
        self.network.network.gradients(back, shape, &[], Wanted::Input, slopes).input
    }

    /// How many scores a picture has.
    fn scores(&self) -> usize {
        let [_, height, width] = self.picture;
        let sizes = self.network.graph().sizes([height, width]).expect("looked at when it was made");
        sizes.last().map_or(1, |[height, width]| height * width)
    }

    /// Takes what was said of a whole batch: adds its part to the gradient of the first stage, whose decoder's
    /// last layer lies at `last`, and takes a step of the discriminator. Back comes what is told of it. `values`
    /// are those of a picture: the gradient is that of nats for each.
    pub(super) fn step(
        &mut self,
        step: u64,
        gradient: &mut [f32],
        mut said: Vec<f32>,
        (last, values): (Range<usize>, usize),
    ) -> [f64; 3] {
        let mut of_discriminator = said.split_off(gradient.len());
        let numbers = of_discriminator.split_off(self.optimizer.weights.len());
        let weight = match (self.recipe.tells_at(step), self.recipe.adaptive) {
            (false, _) => 0.0,
            (true, false) => self.recipe.weight,
            (true, true) => {
                let likelihood = values as f64 * norm(&gradient[last.clone()]);
                adaptive_weight(likelihood, norm(&said[last]), self.recipe.weight)
            }
        };
        let share = (weight / values as f64) as f32;
        if weight > 0.0 {
            gradient.iter_mut().zip(&said).for_each(|(sum, part)| *sum += share * part);
        }
        let length = norm(&of_discriminator);
        let [loss, risk] = [numbers[0], numbers[1]].map(f64::from);
        // What is no number ends the run, where the loss of the first stage is looked at.
        let risk = if length.is_finite() { risk } else { f64::NAN };
        if risk.is_finite() {
            self.optimizer.update(&self.training, &of_discriminator, length);
        }
        [loss, weight, risk]
    }
}

#[cfg(test)]
mod tests;
