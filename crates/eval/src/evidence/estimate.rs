//! What a decoder and an encoder say of pictures, by draws.

use std::f64::consts::{LN_2, TAU};
use std::ops::ControlFlow;

use ddim_sampler::fill_normals;
use ddim_tensor::Tensor;

use super::gaussian::Gaussian;

/// A prior over latents and the variance of pixels around what is decoded: with a decoder, a model of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentModel {
    /// Of the latents of a picture, `[c, h, w]`.
    pub prior: Gaussian,
    /// Channels, height and width of latents.
    pub latent: [usize; 3],
    /// The logarithm of the variance of each value of a picture: one for all, or one for each.
    pub log_variance: Vec<f64>,
}

/// What was found about one picture, in nats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PictureEvidence {
    /// The mean of log p(x | z) over the draws.
    pub reconstruction: f64,
    /// KL(q(z | x) || p(z)); with an upper layer the part of z1, which may be negative.
    pub divergence: f64,
    /// KL(q(z2 | z1) || p(z2)); 0 without an upper layer.
    pub upper: f64,
    /// log p(x, z) / q(z | x) of each draw.
    pub log_weights: Vec<f64>,
}

impl PictureEvidence {
    /// The evidence lower bound.
    pub fn bound(&self) -> f64 {
        self.reconstruction - self.divergence - self.upper
    }
}

impl LatentModel {
    /// With N(mean, variance I) over latents of this many channels, height and width.
    pub fn new([mean, variance]: [f64; 2], latent: [usize; 3], variances: &[f64]) -> Self {
        let prior = Gaussian::alike(mean, variance, latent.iter().product());
        LatentModel { prior, latent, log_variance: variances.iter().map(|variance| variance.ln()).collect() }
    }

    /// What a density of pictures of so many values from 0 to 1 has more than that of the same from -1 to 1, where
    /// it is half as dense along each axis: nats to be added.
    pub fn nats_of_range(values: usize) -> f64 {
        values as f64 * LN_2
    }

    /// log p(x | z) of a picture and of what z is decoded to.
    pub fn log_likelihood(&self, x: &[f32], decoded: &[f32]) -> f64 {
        let sum: f64 = self.terms(x, decoded).map(|(off, log)| TAU.ln() + log + off * off * (-log).exp()).sum();
        -sum / 2.0
    }

    /// Its slope by what z is decoded to.
    pub fn likelihood_slope(&self, x: &[f32], decoded: &[f32]) -> Vec<f32> {
        self.terms(x, decoded).map(|(off, log)| (off * (-log).exp()) as f32).collect()
    }

    /// How far each value is off, and the logarithm of its variance.
    fn terms<'a>(&'a self, x: &'a [f32], decoded: &'a [f32]) -> impl Iterator<Item = (f64, f64)> + 'a {
        assert_eq!(x.len(), decoded.len(), "what comes back has the size of the picture");
        assert!([1, x.len()].contains(&self.log_variance.len()), "a variance for all values, or for each");
        let log = self.log_variance.iter().cycle();
        x.iter().zip(decoded).zip(log).map(|((x, decoded), log)| (f64::from(*x) - f64::from(*decoded), *log))
    }
}

/// Pictures whose evidence is estimated.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Prior and variance.
    pub model: &'a LatentModel,
    /// The values of each picture, `[c, h, w]`.
    pub pictures: &'a [Vec<f32>],
    /// What decides the noise; that of a picture is the same in any batch.
    pub seed: u64,
    /// The number of the first picture.
    pub first: usize,
    /// Latents that are decoded at once.
    pub together: usize,
}

impl Evidence<'_> {
    /// The weights of so many draws of each picture. `decode` takes latents `[k, c, h, w]` to pictures; `observe`
    /// is told after every call, and nothing comes back if it breaks.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn weigh<E>(
        &self,
        posteriors: &[Gaussian],
        draws: usize,
        mut decode: impl FnMut(Tensor) -> Result<Tensor, E>,
        observe: impl Fn() -> ControlFlow<()>,
    ) -> Result<Option<Vec<PictureEvidence>>, E> {
        let found = posteriors.iter().map(|q| PictureEvidence {
            reconstruction: 0.0,
            divergence: q.divergence(&self.model.prior),
            upper: 0.0,
            log_weights: Vec::with_capacity(draws),
        });
        let mut found: Vec<PictureEvidence> = found.collect();
        let all = posteriors.len() * draws;
        for begin in (0..all).step_by(self.together.max(1)) {
            let places: Vec<usize> = (begin..all.min(begin + self.together.max(1))).collect();
            let noise = |place: usize| self.noise(place / draws, (place % draws) as u32);
            let z: Vec<Vec<f64>> =
                places.iter().map(|place| posteriors[place / draws].at(&noise(*place))).collect();
            let decoded = decode(self.latents(&z))?.into_values();
            let values = decoded.len() / places.len();
            for ((place, z), decoded) in places.iter().zip(&z).zip(decoded.chunks_exact(values)) {
                let (picture, q) = (place / draws, &posteriors[place / draws]);
                let likelihood = self.model.log_likelihood(self.picture(picture), decoded);
                let weight = likelihood + self.model.prior.log_density(z) - q.log_density(z);
                found[picture].reconstruction += likelihood / draws as f64;
                found[picture].log_weights.push(weight);
            }
            if observe().is_break() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// Means and variances fitted to each picture, from those of the encoder on: so many steps of Adam (Kingma and
    /// Ba 2015, algorithm 1) up the bound, a draw each, whose rate falls to 0 in a straight line. `back` gives
    /// what is decoded from latents, and the transpose of its Jacobian times the slope that it makes of that.
    ///
    /// # Errors
    /// Those of `back`.
    pub fn fitted<E>(
        &self,
        posteriors: &[Gaussian],
        steps: usize,
        mut back: impl FnMut(Tensor, &dyn Fn(&Tensor) -> Tensor) -> Result<Tensor, E>,
        observe: impl Fn() -> ControlFlow<()>,
    ) -> Result<Option<Vec<Gaussian>>, E> {
        let mut ascents: Vec<Ascent> = posteriors.iter().map(Ascent::new).collect();
        for step in 0..steps {
            let noise: Vec<Vec<f64>> =
                (0..ascents.len()).map(|picture| self.noise(picture, FITTING + step as u32)).collect();
            let z: Vec<Vec<f64>> =
                ascents.iter().zip(&noise).map(|(ascent, noise)| ascent.q().at(noise)).collect();
            let slope = |decoded: &Tensor| {
                let (all, dims) = (decoded.values(), decoded.dims());
                let values = all.len() / dims[0];
                let each = all.chunks_exact(values).enumerate();
                let slopes = each.flat_map(|(k, decoded)| self.model.likelihood_slope(self.picture(k), decoded));
                Tensor::new(slopes.collect(), dims).to(&decoded.device())
            };
            let by_z = back(self.latents(&z), &slope)?.into_values();
            let rate = RATE * (1.0 - step as f64 / steps as f64);
            let numbers = self.model.latent.iter().product();
            for ((ascent, noise), by_z) in ascents.iter_mut().zip(&noise).zip(by_z.chunks_exact(numbers)) {
                ascent.step(&self.model.prior, noise, by_z, (step + 1, rate));
            }
            if observe().is_break() {
                return Ok(None);
            }
        }
        Ok(Some(ascents.iter().map(Ascent::q).collect()))
    }

    pub(super) fn picture(&self, k: usize) -> &[f32] {
        &self.pictures[k]
    }

    pub(super) fn noise(&self, picture: usize, stream: u32) -> Vec<f64> {
        let mut noise = vec![0.0; self.model.latent.iter().product()];
        fill_normals(self.seed, (self.first + picture) as u64, stream, &mut noise);
        noise.into_iter().map(f64::from).collect()
    }

    pub(super) fn latents(&self, z: &[Vec<f64>]) -> Tensor {
        let [c, h, w] = self.model.latent;
        Tensor::new(z.iter().flatten().map(|z| *z as f32).collect(), [z.len(), c, h, w])
    }
}

/// Streams of noise from here on are for fitting, those before for weighing.
const FITTING: u32 = 1 << 24;
/// The first rate of fitting, of means in deviations of q and of logarithms of deviations.
const RATE: f64 = 0.05;
/// Adam's decays of the means of slopes and of their squares.
const DECAYS: [f64; 2] = [0.9, 0.999];

/// One picture's distribution on its way up. Means move in units of the deviation that they began with.
struct Ascent {
    mean: Vec<f64>,
    log_deviation: Vec<f64>,
    unit: Vec<f64>,
    /// Adam's means of slopes and of their squares, of means and then of logarithms.
    memory: Vec<[f64; 2]>,
}

impl Ascent {
    fn new(q: &Gaussian) -> Self {
        let log_deviation: Vec<f64> = q.log_variance().iter().map(|log| log / 2.0).collect();
        let unit = log_deviation.iter().map(|log| log.exp()).collect();
        let memory = vec![[0.0; 2]; 2 * log_deviation.len()];
        Ascent { mean: q.mean().to_vec(), log_deviation, unit, memory }
    }

    fn q(&self) -> Gaussian {
        Gaussian::new(self.mean.clone(), self.log_deviation.iter().map(|log| 2.0 * log).collect())
    }

    /// Up the bound; `by_z` is the slope of log p(x | z).
    fn step(&mut self, prior: &Gaussian, noise: &[f64], by_z: &[f32], (step, rate): (usize, f64)) {
        let n = self.mean.len();
        for (k, (noise, by_z)) in noise.iter().zip(by_z).enumerate() {
            let (deviation, by_z) = (self.log_deviation[k].exp(), f64::from(*by_z));
            let precision = (-prior.log_variance()[k]).exp();
            let by_mean = by_z - (self.mean[k] - prior.mean()[k]) * precision;
            let by_log = by_z * noise * deviation - deviation * deviation * precision + 1.0;
            self.mean[k] += rate * self.unit[k] * adam(&mut self.memory[k], by_mean * self.unit[k], step);
            self.log_deviation[k] += rate * adam(&mut self.memory[n + k], by_log, step);
        }
    }
}

/// The direction of a step, the first of which is 1.
fn adam(memory: &mut [f64; 2], slope: f64, step: usize) -> f64 {
    let of = [slope, slope * slope];
    let [mean, square] = [0, 1].map(|k| {
        memory[k] += (1.0 - DECAYS[k]) * (of[k] - memory[k]);
        memory[k] / (1.0 - DECAYS[k].powi(step as i32))
    });
    mean / (square.sqrt() + 1e-8)
}
