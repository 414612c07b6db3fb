//! Training a discriminator.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};

use super::Discriminator;
use crate::Divergence;
use crate::pick::shuffled;

/// Inputs by number, and how a batch of them is made.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// How many there are.
    pub len: usize,
    /// Those with these numbers, `[n, c, h, w]`.
    pub batch: &'a dyn Fn(&[usize]) -> Tensor<4>,
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

/// Inputs whose scores are computed at once.
const SCORED_AT_ONCE: usize = 256;
/// Streams of random numbers: those below are of the weights.
const OF_EPOCHS: u32 = 1 << 16;

impl Training {
    /// The best weights for telling `sets` apart under the loss of `divergence`, those of the first weights
    /// included; none if `observe`, which is told after every step which share of them is done at most, breaks.
    /// Each `run` has random numbers of its own.
    pub(crate) fn train(
        &self,
        discriminator: &impl Discriminator,
        divergence: Divergence,
        sets: &[Part<'_>; 2],
        run: u64,
        mut observe: impl FnMut(f64) -> ControlFlow<()>,
    ) -> Option<Vec<Tensor<4>>> {
        let kept = sets.each_ref().map(|part| part.every_fifth(true));
        let shown = sets.each_ref().map(|part| part.every_fifth(false));
        let device = (sets[0].samples.batch)(&sets[0].indices[..1]).device();
        let risk = |weights: &[Tensor<4>]| divergence.surrogate_risk(&margins(discriminator, weights, &kept));
        let mut adam = Adam::new(discriminator, self.seed, run, &device);
        let mut best = (risk(&adam.weights), adam.weights.clone(), 0);
        for epoch in 0..self.epochs {
            let stream = OF_EPOCHS + 2 * epoch as u32;
            let order = [0, 1].map(|k| shuffled(&shown[k].indices, self.seed, run, stream + k as u32));
            let batches = self.batches(&order);
            for (step, [first, second]) in batches.iter().enumerate() {
                let inputs = [(shown[0].samples.batch)(first), (shown[1].samples.batch)(second)];
                let done = epoch as f64 + step as f64 / batches.len() as f64;
                adam.step(inputs, discriminator, divergence, self.rate(done), self.weight_decay);
                let after = epoch as f64 + (step + 1) as f64 / batches.len() as f64;
                if observe(after / self.epochs as f64).is_break() {
                    return None;
                }
            }
            let risk = risk(&adam.weights);
            if risk < best.0 {
                best = (risk, adam.weights.clone(), epoch);
            }
            if epoch >= best.2 + self.patience {
                break;
            }
        }
        Some(best.1)
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

/// How far on its right side of 0 each input is: its score in the first set, and minus its score in the second.
pub(crate) fn margins(
    discriminator: &impl Discriminator,
    weights: &[Tensor<4>],
    sets: &[Part<'_>; 2],
) -> [Vec<f64>; 2] {
    let of = |part: &Part<'_>, sign: f64| {
        let scores = |chunk: &[usize]| discriminator.scores((part.samples.batch)(chunk), weights).into_data();
        let chunks = part.indices.chunks(SCORED_AT_ONCE).map(scores);
        chunks.flat_map(|scores| scores.iter::<f64>().map(|score| sign * score).collect::<Vec<_>>()).collect()
    };
    [of(&sets[0], 1.0), of(&sets[1], -1.0)]
}

/// Weights, and what Adam remembers of their gradients.
struct Adam {
    weights: Vec<Tensor<4>>,
    mean: Vec<Tensor<4>>,
    square: Vec<Tensor<4>>,
    steps: i32,
}

impl Adam {
    const BETAS: [f64; 2] = [0.9, 0.999];
    const EPSILON: f64 = 1e-8;

    fn new(discriminator: &impl Discriminator, seed: u64, run: u64, device: &Device) -> Self {
        let weights = discriminator.weights();
        let weights: Vec<_> =
            weights.iter().enumerate().map(|(k, weight)| weight.draw(seed, run, k as u32, device)).collect();
        let zeros: Vec<_> = weights.iter().map(Tensor::zeros_like).collect();
        Self { weights, mean: zeros.clone(), square: zeros, steps: 0 }
    }

    /// One step down the mean loss of as many inputs from each set.
    fn step(
        &mut self,
        inputs: [Tensor<4>; 2],
        discriminator: &impl Discriminator,
        divergence: Divergence,
        rate: f64,
        decay: f64,
    ) {
        let leaves: Vec<_> = self.weights.iter().map(|w| w.clone().autodiff().require_grad()).collect();
        let half = inputs[0].dims()[0];
        let scores = discriminator.scores(Tensor::cat(inputs.into(), 0).autodiff(), &leaves);
        let margins = Tensor::cat(vec![scores.clone().slice([0..half]), -scores.slice([half..2 * half])], 0);
        let mut gradients = divergence.surrogate(margins).mean().backward();
        self.steps += 1;
        let [keep_mean, keep_square] = Self::BETAS;
        let corrections = Self::BETAS.map(|beta| 1.0 - beta.powi(self.steps));
        for (k, leaf) in leaves.iter().enumerate() {
            let gradient = leaf.grad_remove(&mut gradients).unwrap_or_else(|| self.weights[k].zeros_like());
            let mean = self.mean[k].clone() * keep_mean + gradient.clone() * (1.0 - keep_mean);
            let square = self.square[k].clone() * keep_square + gradient.square() * (1.0 - keep_square);
            let root = (square.clone() / corrections[1]).sqrt() + Self::EPSILON;
            let weight = self.weights[k].clone() * (1.0 - rate * decay);
            self.weights[k] = weight - mean.clone() / root * (rate / corrections[0]);
            (self.mean[k], self.square[k]) = (mean, square);
        }
    }
}
