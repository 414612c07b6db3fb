//! A discriminator with weights: its scores, and how they change with the weights.

use std::borrow::Cow;
use std::sync::Arc;

use ddim_cpu::{Convolution, Isa, Network, Parameter, Precision, Wanted};
use ddim_graph::ParameterInfo;
use ddim_sampler::{fill_normals, fill_uniforms};
use rayon::prelude::*;

use super::Discriminator;
use super::training::Part;
use crate::Divergence;

/// The numbers of each parameter of a graph.
pub(crate) type Weights = Vec<Vec<f32>>;

/// A discriminator at some weights.
pub(crate) struct Learner {
    network: Network,
    shape: [usize; 3],
}

/// Inputs whose scores are computed at once.
const SCORED_AT_ONCE: usize = 256;

/// Parts of a batch whose gradients are added up in their order: as many for any number of threads, so that the
/// sum has the same bits.
const PIECES: usize = 8;

impl Discriminator {
    /// Those of a seed and a run; the parameter with the number k takes stream k.
    pub(crate) fn first_weights(&self, seed: u64, run: u64) -> Weights {
        let numbers = |(k, info): (usize, &ParameterInfo)| {
            let uniforms = |out: &mut [f32]| fill_uniforms(seed, run, k as u32, out);
            let normals = |out: &mut [f32]| fill_normals(seed, run, k as u32, out);
            info.initial.numbers(info.len(), uniforms, normals)
        };
        self.graph.parameters().iter().enumerate().map(numbers).collect()
    }

    /// Which of its parameters training changes.
    pub(crate) fn trained(&self) -> Vec<bool> {
        self.graph.parameters().iter().map(|info| info.trained).collect()
    }

    /// # Panics
    /// A graph that the processor's engine cannot train.
    pub(crate) fn at(&self, weights: &Weights) -> Learner {
        let [_, height, width] = self.shape;
        let (graph, isa) = (Arc::clone(&self.graph), Isa::detect());
        let network = Network::new(graph, of(weights), isa, Convolution::Direct, Precision::F32, [height, width]);
        let network = network.unwrap_or_else(|problem| panic!("a discriminator of such layers: {problem}"));
        assert!(network.trains(), "a discriminator with dropout");
        Learner { network, shape: self.shape }
    }
}

impl Learner {
    /// Other weights.
    pub(crate) fn load(&mut self, weights: &Weights) {
        self.network.load(of(weights));
    }

    /// How far on its right side of 0 each input is: its score in the first set, and minus its score in the
    /// second.
    pub(crate) fn margins(&self, sets: &[Part<'_>; 2]) -> [Vec<f64>; 2] {
        let of = |part: &Part<'_>, sign: f64| {
            let scores = |indices: &[usize]| {
                let x = (part.samples.batch)(indices);
                self.network.forward(&x, self.batch_of(indices.len()), &[])
            };
            let scores = part.indices.chunks(SCORED_AT_ONCE).flat_map(scores);
            scores.map(|score| sign * f64::from(score)).collect()
        };
        [of(&sets[0], 1.0), of(&sets[1], -1.0)]
    }

    /// The gradient of the mean loss of a batch `[n, c, h, w]`, the first half of which is of the first set.
    pub(crate) fn gradient(&self, divergence: Divergence, x: &[f32]) -> Weights {
        let values: usize = self.shape.iter().product();
        let n = x.len() / values;
        let each = n.div_ceil(PIECES);
        let piece = |(k, x): (usize, &[f32])| {
            let slopes = |first: usize, scores: &[f32], slopes: &mut [f32]| {
                for (input, (score, slope)) in (k * each + first..).zip(scores.iter().zip(slopes)) {
                    let sign = if input < n / 2 { 1.0 } else { -1.0 };
                    *slope = (sign * divergence.surrogate_slope(sign * f64::from(*score)) / n as f64) as f32;
                }
            };
            let shape = self.batch_of(x.len() / values);
            self.network.gradients(x, shape, &[], Wanted::Weights, slopes).parameters
        };
        let pieces: Vec<Weights> = x.par_chunks(each * values).enumerate().map(piece).collect();
        pieces.into_iter().reduce(sum).expect("a batch has inputs")
    }

    fn batch_of(&self, n: usize) -> [usize; 4] {
        let [channels, height, width] = self.shape;
        [n, channels, height, width]
    }
}

fn of<'a>(weights: &'a Weights) -> impl Fn(Parameter) -> Cow<'a, [f32]> {
    |Parameter(k)| Cow::Borrowed(&weights[k])
}

fn sum(mut total: Weights, part: Weights) -> Weights {
    for (total, part) in total.iter_mut().zip(&part) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}
