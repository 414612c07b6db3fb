//! The gradient of a bound by the encoder, from draws of its latents.

use super::gaussian::Gaussian;
use super::importance::{log_mean_exp, normalised};

/// How the gradient of a bound by the encoder's mean and variance is estimated. That by decoder and prior is the
/// same for all: `sum w grad log p(x, z)` with normalised weights w.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// Noise is drawn first, and latents are a function of it and of the encoder: `z = mean + deviation noise`
    /// (Kingma and Welling 2014, arXiv:1312.6114).
    #[default]
    Reparameterised,
    /// The bound of a draw times the slope of its log density, less a baseline: no slope of the decoder is needed,
    /// and the spread grows with the number of latents (Williams 1992; with k draws those of Mnih and Rezende
    /// 2016, arXiv:1602.06725).
    Score,
    /// Reparameterised, without the slope of log q at a fixed draw, which is 0 on average: no spread where q is
    /// right. Biased for more than one draw (Roeder et al. 2017, arXiv:1703.09194).
    StickTheLanding,
    /// That slope reparameterised once more: squared weights, whose spread does not grow with the draws
    /// (Tucker et al. 2019, arXiv:1810.04152).
    DoublyReparameterised,
}

/// One draw of the latents of a picture.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// The standard normal noise that it was made of.
    pub noise: &'a [f64],
    /// `log p(x | z) + weight (log p(z) - log q(z | x))`.
    pub log_weight: f64,
    /// The slope of `log p(x | z) + weight log p(z)` by z; not looked at by [`Estimator::Score`].
    pub slope: &'a [f64],
}

/// The gradient of a bound by the encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderSlope {
    /// By each mean.
    pub mean: Vec<f64>,
    /// By each logarithm of a variance.
    pub log_variance: Vec<f64>,
}

impl Estimator {
    /// Of `log (1/k) sum w`, from its k draws; `weight` is that of `log p(z) - log q(z | x)`, 1 for the bound
    /// itself, and `baseline` what is taken off the bound of a single draw by [`Score`](Self::Score): anything
    /// that does not depend on the draw.
    pub fn encoder_slope(self, q: &Gaussian, draws: &[Draw], weight: f64, baseline: f64) -> EncoderSlope {
        let log_weights: Vec<f64> = draws.iter().map(|draw| draw.log_weight).collect();
        let shares = normalised(&log_weights);
        let score = signals(&log_weights, baseline);
        let zeros = vec![0.0; q.mean().len()];
        let mut total = EncoderSlope { mean: zeros.clone(), log_variance: zeros };
        for ((draw, share), signal) in draws.iter().zip(shares).zip(score) {
            // How much the path through the draw counts, and the slope of log q where the draw stays.
            let (path, direct) = match self {
                Estimator::Reparameterised => (share, -weight * share),
                Estimator::Score => (0.0, signal - weight * share),
                Estimator::StickTheLanding => (share, 0.0),
                Estimator::DoublyReparameterised => ((1.0 - weight) * share + weight * share * share, 0.0),
            };
            total.add(q, draw, weight, (path, direct));
        }
        total
    }
}

impl EncoderSlope {
    fn add(&mut self, q: &Gaussian, draw: &Draw, weight: f64, (path, direct): (f64, f64)) {
        for (k, noise) in draw.noise.iter().enumerate() {
            let deviation = (q.log_variance()[k] / 2.0).exp();
            let by_z = if path == 0.0 { 0.0 } else { path * (draw.slope[k] + weight * noise / deviation) };
            self.mean[k] += by_z + direct * noise / deviation;
            self.log_variance[k] += by_z * deviation * noise / 2.0 + direct * (noise * noise - 1.0) / 2.0;
        }
    }
}

/// What each draw's log density is pushed by: the bound, less what the other draws say of it: their bound with
/// this draw's weight replaced by the geometric mean of theirs.
fn signals(log_weights: &[f64], baseline: f64) -> Vec<f64> {
    let bound = log_mean_exp(log_weights);
    if log_weights.len() == 1 {
        return vec![bound - baseline];
    }
    let (total, others) = (log_weights.iter().sum::<f64>(), (log_weights.len() - 1) as f64);
    let without = |(k, own): (usize, &f64)| {
        let mut replaced = log_weights.to_vec();
        replaced[k] = (total - own) / others;
        bound - log_mean_exp(&replaced)
    };
    log_weights.iter().enumerate().map(without).collect()
}
