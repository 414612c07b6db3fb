//! The bound of some pictures, and its gradient by all that is trained.

use super::parts::{LEAST_VARIANCE, Parts};
use super::upper::{Layered, UpperParts, UpperPass};
use crate::{AutoencoderRecipe, GradientChoice};
use ddim_cpu::Wanted;
use ddim_eval::{Draw, EncoderSlope, Gaussian, free_bits, normalised};
use std::f64::consts::TAU;

/// Between these lie the logarithms of an encoder's variances, as in latent diffusion's code; beyond them the
/// slope is 0.
const LOG_VARIANCES: [f64; 2] = [-30.0, 20.0];

/// What an encoder says, with logarithms of variances between limits, of pictures with so many latent numbers; and
/// which of them were limited.
pub(super) fn limits(moments: &[f32], numbers: usize) -> (Vec<Gaussian>, Vec<bool>) {
    let [least, most] = LOG_VARIANCES;
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|value| f64::from(*value)).collect() };
    let both = moments.chunks_exact(2 * numbers).map(|both| both.split_at(numbers));
    let limited = both.clone().flat_map(|(_, log)| log.iter().map(|log| !(-30.0..=20.0).contains(log)));
    let limited = limited.collect();
    let posteriors = both.map(|(mean, log)| {
        let log = wide(log).into_iter().map(|log| log.clamp(least, most)).collect();
        Gaussian::new(wide(mean), log)
    });
    (posteriors.collect(), limited)
}

/// Pictures on their way through both halves.
pub(super) struct Pass<'a> {
    recipe: &'a AutoencoderRecipe,
    parts: &'a Parts,
    /// \[n, c, h, w\].
    x: &'a [f32],
    /// Of each draw of each picture.
    noise: &'a [Vec<f64>],
    /// What the encoder says of each picture, limited.
    posteriors: Vec<Gaussian>,
    /// Which of its logarithms were limited.
    limited: Vec<bool>,
    prior: Gaussian,
    log_variances: Vec<f64>,
    /// Whether a learned variance is as small as it may be.
    least: Vec<bool>,
    /// How many numbers are trained.
    count: usize,
}

/// What the decoder says, of draws weighted by their shares.
struct Decoded {
    /// log p(x | z) of each draw.
    likelihoods: Vec<f64>,
    /// The gradient of the sum of shares times that, divided by all values of the pictures: by the decoder's
    /// weights, by the draws \[n k, numbers\], and by the logarithms of the variances.
    weights: Vec<f32>,
    by_latents: Vec<f32>,
    by_variances: Vec<f64>,
}

/// The gradient of the bounds by what encoder and prior say.
struct Latents {
    /// The mean of the bounds.
    bound: f64,
    /// Of the sum of the bounds of all pictures.
    encoder: Vec<EncoderSlope>,
    /// By mean and logarithm of the variance of the prior.
    prior: [f64; 2],
    /// Of the mean of the bounds, by what is trained of the upper layer; none without one.
    upper: Vec<f32>,
    /// The parts of the bound where they are told apart, in nats a picture: reconstruction, z1, z2.
    parts: Vec<f32>,
}

impl Latents {
    /// This bound, and the slopes of so many pictures to come.
    fn new(bound: f64, pictures: usize) -> Self {
        let encoder = Vec::with_capacity(pictures);
        Latents { bound, encoder, prior: [0.0; 2], upper: Vec::new(), parts: Vec::new() }
    }
}

/// The upper layer in a step.
pub(super) struct Above<'a> {
    pub(super) parts: &'a UpperParts,
    pub(super) weights: &'a [f32],
    /// Of z2, for each picture.
    pub(super) noise: &'a [Vec<f64>],
    /// What its divergence counts beside what both layers do.
    pub(super) weight: f64,
}

impl<'a> Pass<'a> {
    /// Through the encoder, at the weights that the engines were loaded with.
    pub(super) fn new(
        recipe: &'a AutoencoderRecipe,
        parts: &'a Parts,
        weights: &[f32],
        x: &'a [f32],
        noise: &'a [Vec<f64>],
    ) -> Self {
        let n = x.len() / parts.values();
        let [c, h, w] = parts.picture;
        let moments = parts.encoder.network.forward(x, [n, c, h, w], &[]);
        let (posteriors, limited) = limits(&moments, parts.numbers());
        let log_variances = parts.log_variances(weights);
        let learned = &weights[parts.variance.clone()];
        Pass {
            recipe,
            parts,
            x,
            noise,
            limited,
            posteriors,
            prior: parts.prior_of_picture(weights),
            least: learned.iter().map(|log| f64::from(*log) <= LEAST_VARIANCE.ln()).collect(),
            log_variances,
            count: weights.len(),
        }
    }

    /// The loss, the negative mean bound for each value of a picture, and its gradient by everything; `weight` is
    /// what the divergence from the prior counts.
    /// `above` is the upper layer, what its divergence counts beside that, and its noise. Behind the gradient come
    /// the parts of the bound where they are told apart.
    pub(super) fn gradient(&self, weight: f64, above: Option<Above>) -> (f64, Vec<f32>) {
        let z = self.draws();
        let exact = self.recipe.gradient == GradientChoice::Reparameterised && self.recipe.importance == 1;
        let (decoded, latents) = if let Some(above) = above {
            let decoded = self.decode(&z, &vec![1.0; self.noise.len()]);
            let latents = self.with_layers(&decoded, self.layered(above, weight));
            (decoded, latents)
        } else if exact {
            let decoded = self.decode(&z, &vec![1.0; self.noise.len()]);
            let latents = self.with_exact_divergence(&decoded, weight);
            (decoded, latents)
        } else {
            self.with_weights(&z, weight)
        };
        let encoder = self.encode_back(&latents.encoder);
        let by_variances = decoded.by_variances.iter().zip(&self.least);
        // What would make the smallest variance smaller is left out.
        let by_variances = by_variances.map(|(slope, least)| if *least { slope.max(0.0) } else { *slope } as f32);
        let prior = if self.parts.prior.is_empty() { &[][..] } else { &latents.prior[..] };
        let prior = prior.iter().map(|slope| (slope * self.share()) as f32);
        let ascent = encoder.into_iter().chain(decoded.weights).chain(by_variances).chain(prior);
        let descent = ascent.chain(latents.upper).map(|slope| -slope).chain(latents.parts);
        (-latents.bound / self.parts.values() as f64, descent.collect())
    }

    /// What the upper layer says of both parts.
    fn layered(&self, Above { parts, weights, noise, weight: of_upper }: Above, weight: f64) -> Layered {
        UpperPass::new(parts, weights, &self.posteriors, [self.noise, noise], ([weight, of_upper], self.share()))
            .layered()
    }

    /// The bound in three parts: one draw for log p(x | z1), and what the upper layer says.
    fn with_layers(&self, decoded: &Decoded, layered: Layered) -> Latents {
        let likelihood = decoded.likelihoods.iter().sum::<f64>() / self.posteriors.len() as f64;
        let Layered { lower, upper, cost, mut encoder, weights } = layered;
        for (picture, slope) in encoder.iter_mut().enumerate() {
            let q = &self.posteriors[picture];
            for (k, by_z) in self.by_latents(decoded, picture).enumerate() {
                slope.mean[k] += by_z;
                slope.log_variance[k] += by_z * self.noise[picture][k] * (q.log_variance()[k] / 2.0).exp() / 2.0;
            }
        }
        let parts = [likelihood, lower, upper].map(|nats| nats as f32).to_vec();
        Latents { bound: likelihood - cost, encoder, prior: [0.0; 2], upper: weights, parts }
    }

    /// The pictures, \[n, c, h, w\].
    pub(super) fn pictures(&self) -> &[f32] {
        self.x
    }

    /// What is decoded of the draw of each picture, \[n, c, h, w\].
    pub(super) fn decoded(&self) -> Vec<f32> {
        let [c, h, w] = self.parts.latent;
        self.parts.decoder.network.forward(&self.draws(), [self.noise.len(), c, h, w], &[])
    }

    /// The gradient by all that is trained of something whose slope by what is decoded is `slope`, \[n, c, h,
    /// w\]: through the decoder, the only draw of each picture and the encoder. 0 everywhere where there is no
    /// slope.
    pub(super) fn pulled_back(&self, slope: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; self.count];
        if slope.is_empty() {
            return all;
        }
        let ([c, h, w], values, half) = (self.parts.latent, self.parts.values(), &self.parts.decoder);
        let shape = [self.noise.len(), c, h, w];
        let slopes = |first: usize, out: &[f32], to: &mut [f32]| {
            to.copy_from_slice(&slope[first * values..first * values + out.len()]);
        };
        let gradients = half.network.gradients(&self.draws(), shape, &[], Wanted::All, slopes);
        let by_draws = gradients.input.iter().map(|slope| f64::from(*slope) / self.share()).collect::<Vec<_>>();
        let of_picture = |(k, by_draw): (usize, &[f64])| {
            let (q, noise) = (&self.posteriors[k], &self.noise[k]);
            let along = |(k, by): (usize, &f64)| by * noise[k] * (q.log_variance()[k] / 2.0).exp() / 2.0;
            EncoderSlope { mean: by_draw.to_vec(), log_variance: by_draw.iter().enumerate().map(along).collect() }
        };
        let encoder: Vec<_> = by_draws.chunks_exact(self.parts.numbers()).enumerate().map(of_picture).collect();
        all[self.parts.encoder.place.clone()].copy_from_slice(&self.encode_back(&encoder));
        all[half.place.clone()].copy_from_slice(&half.of_trained(gradients.parameters));
        all
    }

    /// What each picture counts: the mean is over pictures and their values.
    fn share(&self) -> f64 {
        1.0 / self.x.len() as f64
    }

    /// The latents of each draw, \[n k, numbers\].
    pub(super) fn draws(&self) -> Vec<f32> {
        let k = self.recipe.importance;
        let of = |(draw, noise): (usize, &Vec<f64>)| self.posteriors[draw / k].at(noise);
        self.noise.iter().enumerate().flat_map(of).map(|z| z as f32).collect()
    }

    /// log p(x | z) of a draw from what was decoded, and perhaps its slopes times a share: by what was decoded,
    /// and by the logarithms of the variances.
    fn likelihood(&self, draw: usize, out: &[f32], slopes: Option<(f64, &mut [f32], &mut [f64])>) -> f64 {
        let values = self.parts.values();
        let picture = draw / self.recipe.importance;
        let x = &self.x[picture * values..(picture + 1) * values];
        let one = self.log_variances.len() == 1;
        let place = |k: usize| if one { 0 } else { k };
        let term = |k: usize| {
            let (log, off) = (self.log_variances[place(k)], f64::from(x[k]) - f64::from(out[k]));
            (log, off, (-log).exp())
        };
        let sum: f64 =
            (0..values).map(term).map(|(log, off, precision)| TAU.ln() + log + off * off * precision).sum();
        if let Some((share, by_out, by_variances)) = slopes {
            for k in 0..values {
                let (_, off, precision) = term(k);
                by_out[k] = (share * off * precision) as f32;
                by_variances[place(k)] += share * (off * off * precision - 1.0) / 2.0;
            }
        }
        -sum / 2.0
    }

    fn decode(&self, z: &[f32], shares: &[f64]) -> Decoded {
        let ([c, h, w], values) = (self.parts.latent, self.parts.values());
        let mut likelihoods = vec![0.0; shares.len()];
        let mut by_variances = vec![0.0; self.log_variances.len()];
        let wanted = if self.recipe.gradient == GradientChoice::Score { Wanted::Weights } else { Wanted::All };
        let half = &self.parts.decoder;
        let shape = [shares.len(), c, h, w];
        let gradients = half.network.gradients(z, shape, &[], wanted, |first, out, slope| {
            let both = out.chunks_exact(values).zip(slope.chunks_exact_mut(values));
            for (draw, (out, slope)) in (first..).zip(both) {
                let share = shares[draw] * self.share();
                likelihoods[draw] = self.likelihood(draw, out, Some((share, slope, &mut by_variances)));
            }
        });
        if self.parts.variance.is_empty() {
            by_variances.clear();
        }
        let weights = half.of_trained(gradients.parameters);
        Decoded { likelihoods, weights, by_latents: gradients.input, by_variances }
    }

    /// One draw for log p(x | z), and KL(q, p) as it is: no channel's costs less than the free nats.
    fn with_exact_divergence(&self, decoded: &Decoded, weight: f64) -> Latents {
        let (n, [channels, h, w]) = (self.posteriors.len(), self.parts.latent);
        let mut groups = vec![0.0; channels];
        for q in &self.posteriors {
            let each = q.divergences(&self.prior);
            groups.iter_mut().zip(each.chunks(h * w)).for_each(|(sum, part)| *sum += part.iter().sum::<f64>());
        }
        groups.iter_mut().for_each(|sum| *sum /= n as f64);
        let (divergence, counts) = free_bits(&groups, self.recipe.free_bits);
        let likelihood = decoded.likelihoods.iter().sum::<f64>() / n as f64;
        let mut latents = Latents::new(likelihood - weight * divergence, n);
        for (picture, q) in self.posteriors.iter().enumerate() {
            let by_z = self.by_latents(decoded, picture);
            let mut slope = EncoderSlope { mean: Vec::new(), log_variance: Vec::new() };
            for (k, by_z) in by_z.enumerate() {
                let (mean, log) = (q.mean()[k], q.log_variance()[k]);
                let (mean_0, log_0) = (self.prior.mean()[k], self.prior.log_variance()[k]);
                let costs = if counts[k / (h * w)] { weight } else { 0.0 };
                let (off, ratio) = ((mean - mean_0) * (-log_0).exp(), (log - log_0).exp());
                slope.mean.push(by_z - costs * off);
                let along = by_z * self.noise[picture][k] * (log / 2.0).exp() / 2.0;
                slope.log_variance.push(along - costs * (ratio - 1.0) / 2.0);
                latents.prior[0] += costs * off;
                latents.prior[1] += costs * (ratio + off * (mean - mean_0) - 1.0) / 2.0;
            }
            latents.encoder.push(slope);
        }
        latents
    }

    /// The slope of log p(x | z) by the only draw of a picture.
    fn by_latents<'b>(&self, decoded: &'b Decoded, draw: usize) -> impl Iterator<Item = f64> + 'b {
        let (numbers, share) = (self.parts.numbers(), self.share());
        let by_z = &decoded.by_latents[draw * numbers..(draw + 1) * numbers];
        by_z.iter().map(move |slope| f64::from(*slope) / share)
    }

    /// All by draws and their weights, which the decoder has to say before its way back.
    fn with_weights(&self, z: &[f32], weight: f64) -> (Decoded, Latents) {
        let (k, numbers, n) = (self.recipe.importance, self.parts.numbers(), self.posteriors.len());
        let [c, h, w] = self.parts.latent;
        let out = self.parts.decoder.network.forward(z, [n * k, c, h, w], &[]);
        let wide: Vec<Vec<f64>> =
            z.chunks_exact(numbers).map(|z| z.iter().map(|z| f64::from(*z)).collect()).collect();
        let log_weights: Vec<f64> = (out.chunks_exact(self.parts.values()).zip(&wide).enumerate())
            .map(|(draw, (out, z))| {
                let ratio = self.prior.log_density(z) - self.posteriors[draw / k].log_density(z);
                self.likelihood(draw, out, None) + weight * ratio
            })
            .collect();
        let shares: Vec<f64> = log_weights.chunks_exact(k).flat_map(normalised).collect();
        let decoded = self.decode(z, &shares);
        let bounds: Vec<f64> = log_weights.chunks_exact(k).map(ddim_eval::log_mean_exp).collect();
        let total = bounds.iter().sum::<f64>();
        let mut latents = Latents::new(total / n as f64, n);
        for (picture, bound) in bounds.iter().enumerate() {
            // What the other pictures have: it does not depend on this one's draws.
            let baseline = if n > 1 { (total - bound) / (n - 1) as f64 } else { 0.0 };
            let slopes = (picture * k..(picture + 1) * k).map(|draw| {
                let by_prior = self.prior.slope(&wide[draw]);
                self.add_to_prior(&mut latents.prior, &wide[draw], &by_prior, weight * shares[draw]);
                self.of_draw(&decoded, (draw, shares[draw]), &by_prior, weight)
            });
            let slopes: Vec<Vec<f64>> = slopes.collect();
            let draws: Vec<Draw> = (picture * k..(picture + 1) * k)
                .zip(&slopes)
                .map(|(draw, slope)| Draw { noise: &self.noise[draw], log_weight: log_weights[draw], slope })
                .collect();
            let estimator = self.recipe.gradient.estimator();
            latents.encoder.push(estimator.encoder_slope(&self.posteriors[picture], &draws, weight, baseline));
        }
        (decoded, latents)
    }

    /// The slope of log p(x | z) + weight log p(z) at a draw.
    fn of_draw(&self, decoded: &Decoded, (draw, share): (usize, f64), by_prior: &[f64], weight: f64) -> Vec<f64> {
        // What has no share of the bound has none of its slope.
        if decoded.by_latents.is_empty() || share < f64::MIN_POSITIVE.sqrt() {
            return by_prior.iter().map(|slope| weight * slope).collect();
        }
        let by_z = self.by_latents(decoded, draw);
        by_z.zip(by_prior).map(|(by_z, by_prior)| by_z / share + weight * by_prior).collect()
    }

    /// Adds the slope of log p(z) by mean and logarithm of the variance, times a share.
    fn add_to_prior(&self, prior: &mut [f64; 2], z: &[f64], by_prior: &[f64], share: f64) {
        for ((z, slope), mean) in z.iter().zip(by_prior).zip(self.prior.mean()) {
            prior[0] -= share * slope;
            prior[1] += share * ((mean - z) * slope - 1.0) / 2.0;
        }
    }

    /// From the slopes by means and logarithms of variances to those by the encoder's weights.
    fn encode_back(&self, slopes: &[EncoderSlope]) -> Vec<f32> {
        let (numbers, share) = (self.parts.numbers(), self.share());
        let (half, [c, h, w]) = (&self.parts.encoder, self.parts.picture);
        let shape = [slopes.len(), c, h, w];
        let gradients = half.network.gradients(self.x, shape, &[], Wanted::Weights, |first, _, slope| {
            for (picture, slope) in (first..).zip(slope.chunks_exact_mut(2 * numbers)) {
                let (mean, log) = slope.split_at_mut(numbers);
                let EncoderSlope { mean: by_mean, log_variance } = &slopes[picture];
                mean.iter_mut().zip(by_mean).for_each(|(to, slope)| *to = (share * slope) as f32);
                let limited = &self.limited[picture * numbers..];
                for ((to, slope), limited) in log.iter_mut().zip(log_variance).zip(limited) {
                    *to = if *limited { 0.0 } else { (share * slope) as f32 };
                }
            }
        });
        half.of_trained(gradients.parameters)
    }
}
