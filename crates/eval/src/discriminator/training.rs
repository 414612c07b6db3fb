//! Training a discriminator.

use std::ops::ControlFlow;

use super::Discriminator;
use super::learner::{Learner, Weights};
use crate::Divergence;
use crate::pick::shuffled;

/// Inputs by number, and how a batch of them is made.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// How many there are.
    pub len: usize,
    /// The values of those with these numbers, `[n, c, h, w]`.
    pub batch: &'a dyn Fn(&[usize]) -> Vec<f32>,
}

/// How a discriminator is trained: Adam (Kingma & Ba 2015, with their constants) under a rate that falls to 0 as a
/// cosine, and decoupled weight decay. A fifth of what it may see is kept from it, to tell which of its states was
/// the best and when to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// How often it sees each input of the larger set at most.
    pub epochs: usize,
    /// How many inputs make a step, half of them from each set.
    pub batch_size: usize,
    /// The first step's rate.
    pub learning_rate: f64,
    /// By how much a weight shrinks in a step, in units of the rate.
    pub weight_decay: f64,
    /// It stops after so many epochs without a better state.
    pub patience: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self { epochs: 20, batch_size: 64, learning_rate: 1e-3, weight_decay: 1e-2, patience: 5, seed: 0 }
    }
}

/// The numbers of some samples.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    pub(crate) samples: Samples<'a>,
    pub(crate) indices: Vec<usize>,
}

/// Streams of random numbers: those below are of the weights.
const OF_EPOCHS: u32 = 1 << 16;

impl Training {
    /// The discriminator at the best weights for telling `sets` apart under the loss of `divergence`, the first
    /// weights included; none if `observe`, which is told after every step which share of them is done at most,
    /// breaks. Each `run` has random numbers of its own.
    pub(crate) fn train(
        &self,
        discriminator: &Discriminator,
        divergence: Divergence,
        sets: &[Part<'_>; 2],
        run: u64,
        mut observe: impl FnMut(f64) -> ControlFlow<()>,
    ) -> Option<Learner> {
        let kept = sets.each_ref().map(|part| part.every_fifth(true));
        let shown = sets.each_ref().map(|part| part.every_fifth(false));
        let mut adam = Adam::new(discriminator, discriminator.first_weights(self.seed, run));
        let mut learner = discriminator.at(&adam.weights);
        let risk = |learner: &Learner| divergence.surrogate_risk(&learner.margins(&kept));
        let mut best = (risk(&learner), adam.weights.clone(), 0);
        for epoch in 0..self.epochs {
            let stream = OF_EPOCHS + 2 * epoch as u32;
            let order = [0, 1].map(|k| shuffled(&shown[k].indices, self.seed, run, stream + k as u32));
            let batches = self.batches(&order);
            for (step, [first, second]) in batches.iter().enumerate() {
                let x = [(shown[0].samples.batch)(first), (shown[1].samples.batch)(second)].concat();
                let done = epoch as f64 + step as f64 / batches.len() as f64;
                adam.step(&learner.gradient(divergence, &x), self.rate(done), self.weight_decay);
                learner.load(&adam.weights);
                let after = epoch as f64 + (step + 1) as f64 / batches.len() as f64;
                if observe(after / self.epochs as f64).is_break() {
                    return None;
                }
            }
            let risk = risk(&learner);
            if risk < best.0 {
                best = (risk, adam.weights.clone(), epoch);
            }
            if epoch >= best.2 + self.patience {
                break;
            }
        }
        learner.load(&best.1);
        Some(learner)
    }

    /// The inputs of each step of an epoch, as many of each set: the smaller set begins again where it ends.
    fn batches(&self, order: &[Vec<usize>; 2]) -> Vec<[Vec<usize>; 2]> {
        let half = (self.batch_size / 2).max(1);
        let steps = order[0].len().max(order[1].len()).div_ceil(half);
        let of = |order: &Vec<usize>, step: usize| {
            (step * half..(step + 1) * half).map(|place| order[place % order.len()]).collect()
        };
        (0..steps).map(|step| order.each_ref().map(|order| of(order, step))).collect()
    }

    /// The rate after so many epochs.
    fn rate(&self, epochs: f64) -> f64 {
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * epochs / self.epochs as f64).cos())
    }
}

impl<'a> Part<'a> {
    /// Every fifth, or all the others.
    fn every_fifth(&self, fifth: bool) -> Self {
        let indices = self.indices.iter().enumerate().filter(|(k, _)| (k % 5 == 4) == fifth).map(|(_, i)| *i);
        Self { samples: self.samples, indices: indices.collect() }
    }
}

/// Weights, and what Adam remembers of their gradients.
struct Adam {
    weights: Weights,
    /// Which of them it changes.
    trained: Vec<bool>,
    mean: Weights,
    square: Weights,
    steps: i32,
}

impl Adam {
    const BETAS: [f64; 2] = [0.9, 0.999];
    const EPSILON: f32 = 1e-8;

    fn new(discriminator: &Discriminator, weights: Weights) -> Self {
        let zeros: Weights = weights.iter().map(|values| vec![0.0; values.len()]).collect();
        Self { weights, trained: discriminator.trained(), mean: zeros.clone(), square: zeros, steps: 0 }
    }

    /// One step down this gradient.
    fn step(&mut self, gradient: &Weights, rate: f64, decay: f64) {
        self.steps += 1;
        let [keep_mean, keep_square] = Self::BETAS.map(|beta| beta as f32);
        let [take_mean, take_square] = Self::BETAS.map(|beta| (1.0 - beta) as f32);
        let [mean_share, square_share] = Self::BETAS.map(|beta| 1.0 - beta.powi(self.steps));
        let (shrink, rate, square_share) =
            ((1.0 - rate * decay) as f32, (rate / mean_share) as f32, square_share as f32);
        for k in (0..gradient.len()).filter(|k| self.trained[*k]) {
            let moments = self.mean[k].iter_mut().zip(&mut self.square[k]);
            for ((weight, gradient), (mean, square)) in self.weights[k].iter_mut().zip(&gradient[k]).zip(moments) {
                *mean = *mean * keep_mean + gradient * take_mean;
                *square = *square * keep_square + gradient * gradient * take_square;
                let root = (*square / square_share).sqrt() + Self::EPSILON;
                *weight = *weight * shrink - *mean / root * rate;
            }
        }
    }
}
