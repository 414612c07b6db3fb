//! Independent normal distributions: what encoders, priors and decoders are made of.

use std::f64::consts::{E, TAU};

/// A normal distribution of each of some numbers, independent of each other: an encoder's `q(z | x)`, a prior
/// `p(z)`, a decoder's `p(x | z)`.
///
/// ```
/// use ddim_eval::Gaussian;
///
/// let prior = Gaussian::alike(0.0, 1.0, 2);
/// let q = Gaussian::new(vec![3.0, 0.0], vec![0.0, 0.0]);
/// assert_eq!(q.divergence(&prior), 4.5); // half the square of the distance
/// assert_eq!(q.at(&[-1.0, 2.0]), [2.0, 2.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: Vec<f64>,
    log_variance: Vec<f64>,
}

impl Gaussian {
    /// Of means and logarithms of variances.
    ///
    /// # Panics
    /// Lists of two lengths.
    pub fn new(mean: Vec<f64>, log_variance: Vec<f64>) -> Self {
        assert_eq!(mean.len(), log_variance.len(), "a variance for each mean");
        Gaussian { mean, log_variance }
    }

    /// N(mean, variance I) of so many numbers.
    pub fn alike(mean: f64, variance: f64, numbers: usize) -> Self {
        Gaussian { mean: vec![mean; numbers], log_variance: vec![variance.ln(); numbers] }
    }

    /// Of means and standard deviations.
    ///
    /// # Panics
    /// Lists of two lengths.
    pub fn with_deviations(mean: Vec<f64>, deviations: &[f64]) -> Self {
        Self::new(mean, deviations.iter().map(|deviation| 2.0 * deviation.ln()).collect())
    }

    /// The standard deviations.
    pub fn deviations(&self) -> Vec<f64> {
        self.log_variance.iter().map(|log_variance| (log_variance / 2.0).exp()).collect()
    }

    /// The means.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The logarithms of the variances.
    pub fn log_variance(&self) -> &[f64] {
        &self.log_variance
    }

    /// What standard normal noise becomes: `mean + deviation noise`.
    pub fn at(&self, noise: &[f64]) -> Vec<f64> {
        assert_eq!(noise.len(), self.mean.len(), "noise for each number");
        let both = self.mean.iter().zip(&self.log_variance).zip(noise);
        both.map(|((mean, log_variance), noise)| mean + (log_variance / 2.0).exp() * noise).collect()
    }

    /// The logarithm of the density, in nats: `-1/2 sum(log 2 pi + log variance + (x - mean)^2 / variance)`.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        assert_eq!(x.len(), self.mean.len(), "a number for each mean");
        let both = self.mean.iter().zip(&self.log_variance).zip(x);
        let sum: f64 = both.map(|((m, v), x)| TAU.ln() + v + (x - m).powi(2) * (-v).exp()).sum();
        -sum / 2.0
    }

    /// The slope of [`log_density`](Self::log_density) by each number: `(mean - x) / variance`.
    pub fn slope(&self, x: &[f64]) -> Vec<f64> {
        let both = self.mean.iter().zip(&self.log_variance).zip(x);
        both.map(|((m, v), x)| (m - x) * (-v).exp()).collect()
    }

    /// The mean of -log density, in nats: `1/2 sum(log 2 pi e + log variance)`.
    pub fn entropy(&self) -> f64 {
        self.log_variance.iter().map(|v| (TAU * E).ln() + v).sum::<f64>() / 2.0
    }

    /// KL(self || from) of each number, in nats: `1/2 (v/v' + (m - m')^2/v' - 1 - log v/v')`.
    ///
    /// # Panics
    /// Other numbers of numbers.
    pub fn divergences(&self, from: &Self) -> Vec<f64> {
        assert_eq!(self.mean.len(), from.mean.len(), "both are of the same numbers");
        let here = self.mean.iter().zip(&self.log_variance);
        let there = from.mean.iter().zip(&from.log_variance);
        here.zip(there)
            .map(|((m, v), (m0, v0))| {
                let log_ratio = v - v0;
                // exp(r) - 1 - r without cancellation where both are nearly alike.
                (log_ratio.exp_m1() - log_ratio + (m - m0).powi(2) * (-v0).exp()) / 2.0
            })
            .collect()
    }

    /// KL(self || from), in nats.
    ///
    /// # Panics
    /// Other numbers of numbers.
    pub fn divergence(&self, from: &Self) -> f64 {
        self.divergences(from).iter().sum()
    }
}
