//! The second layer of latents in training: its two parts of the bound, and their slopes (MATH.md section 38).

use super::parts::{Half, half};
use super::pass::limits;
use crate::{TrainError, UpperRecipe};
use ddim::autoencoder::Ladder;
use ddim_cpu::Wanted;
use ddim_eval::{EncoderSlope, Gaussian, Told, free_bits};
use std::ops::Range;

/// What of the upper layer is trained.
pub(super) struct UpperParts {
    pub(super) encoder: Half,
    pub(super) decoder: Half,
    /// How far the logarithm of each channel's variance of z1 around what z2 says has moved, divided by the share
    /// of the learning rate: Adam moves every number by as much, whatever the size of its slope. None where it is
    /// held.
    pub(super) variance: Range<usize>,
    recipe: UpperRecipe,
    /// \[c, h, w\] of z1 and of z2.
    below: [usize; 3],
    pub(super) latent: [usize; 3],
}

/// What both layers say of some pictures, and its slopes.
pub(super) struct Layered {
    /// The part of z1, the mean over the pictures in nats; it may be negative.
    pub(super) lower: f64,
    /// KL(q(z2), p(z2)), likewise.
    pub(super) upper: f64,
    /// What both cost with their weights and the free nats: what is taken from the bound.
    pub(super) cost: f64,
    /// The slope of minus the cost, summed over pictures, by what q(z1 | x) says of each.
    pub(super) encoder: Vec<EncoderSlope>,
    /// The slope of minus the cost by all that is trained of the layer, in the order of the list; a picture counts
    /// as much as `share` says.
    pub(super) weights: Vec<f32>,
}

/// Pictures on their way through the upper layer.
pub(super) struct UpperPass<'a> {
    parts: &'a UpperParts,
    /// What q(z1 | x) says of each, the draws of z1, and the noise of both layers.
    lower: &'a [Gaussian],
    draws: Vec<Vec<f64>>,
    noise: [&'a [Vec<f64>]; 2],
    upper: Vec<Gaussian>,
    limited: Vec<bool>,
    log_variances: Vec<f64>,
    /// What both parts count, and the upper one beside that.
    counts: [f64; 2],
    share: f64,
}

/// The slopes on the way back through `p(z1 | z2)`.
struct Back {
    weights: Vec<f32>,
    by_z2: Vec<f32>,
    by_variances: Vec<f64>,
    lower: f64,
    /// By the draw of z1, and by mean and logarithm of the variance of q(z1 | x).
    draw: Vec<Vec<f64>>,
    encoder: Vec<EncoderSlope>,
}

impl UpperParts {
    /// Above latents of this shape; its first weights are added to the list.
    pub(super) fn new(
        recipe: &UpperRecipe,
        below: [usize; 3],
        seed: u64,
        list: &mut Vec<f32>,
    ) -> Result<Self, TrainError> {
        let refused = |problem| TrainError::Recipe(crate::RecipeError::Autoencoder(problem));
        let config = recipe.config(below[0]);
        let latent = config
            .latent_shape(below)
            .ok_or(TrainError::UpperSize { sides: [below[1], below[2]], patch: recipe.patch_size })?;
        // Numbers of its own for each network.
        let encoder = half(config.encoder().map_err(refused)?, seed ^ ENCODER, [below[1], below[2]], list)?;
        let decoder = half(config.decoder().map_err(refused)?, seed ^ DECODER, [latent[1], latent[2]], list)?;
        let begin = list.len();
        if recipe.variance_rate > 0.0 {
            list.extend(vec![0.0; below[0]]);
        }
        let variance = begin..list.len();
        Ok(UpperParts { encoder, decoder, variance, recipe: recipe.clone(), below, latent })
    }

    /// The logarithm of the variance of each channel of z1 around what z2 says, at these weights.
    pub(super) fn log_variances(&self, weights: &[f32]) -> Vec<f64> {
        let first = self.recipe.initial_variance.ln();
        match &weights[self.variance.clone()] {
            [] => vec![first; self.below[0]],
            moved => moved.iter().map(|moved| first + self.recipe.variance_rate * f64::from(*moved)).collect(),
        }
    }

    /// How many numbers z2 has.
    pub(super) fn numbers(&self) -> usize {
        self.latent.iter().product()
    }

    /// The prior of z2.
    fn prior(&self) -> Gaussian {
        Gaussian::alike(0.0, 1.0, self.numbers())
    }

    fn told(&self) -> Told {
        match self.recipe.ladder {
            Ladder::None => Told::Draw,
            Ladder::Skip => Told::Mean,
        }
    }

    /// The options of the layer as it is at these weights.
    pub(super) fn config(&self, weights: &[f32]) -> ddim::autoencoder::UpperConfig {
        let variance = self.log_variances(weights).into_iter().map(f64::exp).collect();
        ddim::autoencoder::UpperConfig { variance, ..self.recipe.config(self.below[0]) }
    }
}

/// What the seeds of the upper networks differ by from that of the recipe.
const ENCODER: u64 = 0x7570_7065_7265_6e63;
const DECODER: u64 = 0x7570_7065_7264_6563;

impl<'a> UpperPass<'a> {
    /// Up to z2, at the weights that the engines were loaded with. `noise` is that of z1 and of z2, of each
    /// picture, and `share` what a picture counts in the slopes by weights.
    pub(super) fn new(
        parts: &'a UpperParts,
        weights: &[f32],
        lower: &'a [Gaussian],
        noise: [&'a [Vec<f64>]; 2],
        (counts, share): ([f64; 2], f64),
    ) -> Self {
        let draws: Vec<Vec<f64>> = lower.iter().zip(noise[0]).map(|(q, noise)| q.at(noise)).collect();
        let mut pass = Self {
            parts,
            lower,
            draws,
            noise,
            upper: Vec::new(),
            limited: Vec::new(),
            log_variances: Vec::new(),
            counts,
            share,
        };
        let [_, h, w] = parts.below;
        let moments = parts.encoder.network.forward(&pass.told(), [lower.len(), parts.below[0], h, w], &[]);
        (pass.upper, pass.limited) = limits(&moments, parts.numbers());
        let of_channels = parts.log_variances(weights);
        pass.log_variances = of_channels.into_iter().flat_map(|log| vec![log; h * w]).collect();
        pass
    }

    /// What q(z2) says of each picture.
    #[cfg(test)]
    pub(super) fn posteriors(&self) -> &[Gaussian] {
        &self.upper
    }

    /// What the encoder of z2 is told of all pictures.
    fn told(&self) -> Vec<f32> {
        let both = self.lower.iter().zip(&self.draws);
        both.flat_map(|(q, draw)| self.parts.told().seen(q, draw)).map(|z| *z as f32).collect()
    }

    /// Both parts of the bound, and their slopes.
    pub(super) fn layered(&self) -> Layered {
        let n = self.lower.len() as f64;
        let prior = self.parts.prior();
        let upper = self.upper.iter().map(|q| q.divergence(&prior)).sum::<f64>() / n;
        let (paid, has_slope) = free_bits(&[upper], self.parts.recipe.free_bits);
        let [both, above] = self.counts;
        let back = self.through_decoder();
        let cost = both * (back.lower + above * paid);
        let of_upper = if has_slope[0] { both * above } else { 0.0 };
        let (mut weights, by_told) = self.through_encoder(&back.by_z2, of_upper);
        let mut encoder = back.encoder;
        let numbers = self.parts.below.iter().product::<usize>();
        for (k, slope) in encoder.iter_mut().enumerate() {
            let by_told =
                by_told[k * numbers..(k + 1) * numbers].iter().map(|slope| f64::from(*slope) / self.share);
            self.gather(k, slope, &back.draw[k], by_told);
        }
        weights.extend(back.weights);
        let rate = self.parts.recipe.variance_rate;
        let moved = if self.parts.variance.is_empty() { &[][..] } else { &back.by_variances[..] };
        weights.extend(moved.iter().map(|slope| (rate * slope * self.share) as f32));
        Layered { lower: back.lower, upper, cost, encoder, weights }
    }

    /// Adds what comes through the draw of z1 of a picture, and through what the encoder of z2 was told.
    fn gather(
        &self,
        picture: usize,
        slope: &mut EncoderSlope,
        by_draw: &[f64],
        by_told: impl Iterator<Item = f64>,
    ) {
        let (q, noise) = (&self.lower[picture], &self.noise[0][picture]);
        for (k, by_told) in by_told.enumerate() {
            let by_draw = match self.parts.told() {
                Told::Draw => by_draw[k] + by_told,
                Told::Mean => {
                    slope.mean[k] += by_told;
                    by_draw[k]
                }
            };
            slope.mean[k] += by_draw;
            slope.log_variance[k] += by_draw * noise[k] * (q.log_variance()[k] / 2.0).exp() / 2.0;
        }
    }

    /// Draws z2, and goes through `p(z1 | z2)` and back.
    fn through_decoder(&self) -> Back {
        let (parts, both) = (self.parts, self.counts[0]);
        let n = self.lower.len();
        let z2 = self.upper.iter().zip(self.noise[1]).flat_map(|(q, noise)| q.at(noise));
        let z2: Vec<f32> = z2.map(|z| z as f32).collect();
        let numbers = parts.below.iter().product::<usize>();
        let pixels = parts.below[1] * parts.below[2];
        let (mut by_variances, mut lower) = (vec![0.0; parts.below[0]], 0.0);
        let (mut draw, mut encoder) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let [c, h, w] = parts.latent;
        let gradients =
            parts.decoder.network.gradients(&z2, [n, c, h, w], &[], Wanted::All, |first, out, slope| {
                for (k, (out, to)) in (first..).zip(out.chunks(numbers).zip(slope.chunks_mut(numbers))) {
                    let means = out.iter().map(|mean| f64::from(*mean)).collect();
                    let p = Gaussian::new(means, self.log_variances.clone());
                    let (q, z1) = (&self.lower[k], &self.draws[k]);
                    lower += parts.told().lower(q, z1, &p) / n as f64;
                    let slopes = parts.told().lower_slopes(q, z1, &p);
                    to.iter_mut().zip(&slopes.of_mean).for_each(|(to, by)| *to = (-both * by * self.share) as f32);
                    for (by, some) in by_variances.iter_mut().zip(slopes.of_log_variance.chunks(pixels)) {
                        *by -= both * some.iter().sum::<f64>();
                    }
                    let costs =
                        |slopes: Vec<f64>| slopes.into_iter().map(|slope| -both * slope).collect::<Vec<_>>();
                    draw.push(costs(slopes.draw));
                    let (mean, log_variance) = (costs(slopes.mean), costs(slopes.log_variance));
                    encoder.push(EncoderSlope { mean, log_variance });
                }
            });
        let weights = parts.decoder.of_trained(gradients.parameters);
        Back { weights, by_z2: gradients.input, by_variances, lower, draw, encoder }
    }

    /// Through the encoder of z2 and back: the slopes by its weights, and by what it was told. `counts` is what
    /// the divergence costs.
    fn through_encoder(&self, by_z2: &[f32], counts: f64) -> (Vec<f32>, Vec<f32>) {
        let (parts, numbers, n) = (self.parts, self.parts.numbers(), self.lower.len());
        let [c, h, w] = parts.below;
        let told = self.told();
        let gradients =
            parts.encoder.network.gradients(&told, [n, c, h, w], &[], Wanted::All, |first, _, slope| {
                for (k, to) in (first..).zip(slope.chunks_exact_mut(2 * numbers)) {
                    let (by_mean, by_log) = to.split_at_mut(numbers);
                    for place in 0..numbers {
                        let (q, noise) = (&self.upper[k], self.noise[1][k][place]);
                        let (mean, log) = (q.mean()[place], q.log_variance()[place]);
                        let by_z = f64::from(by_z2[k * numbers + place]);
                        let costs = counts * self.share;
                        by_mean[place] = (by_z - costs * mean) as f32;
                        let along = by_z * noise * (log / 2.0).exp() / 2.0;
                        let is_limited = self.limited[k * numbers + place];
                        by_log[place] =
                            if is_limited { 0.0 } else { (along - costs * (log.exp() - 1.0) / 2.0) as f32 };
                    }
                }
            });
        (parts.encoder.of_trained(gradients.parameters), gradients.input)
    }
}
