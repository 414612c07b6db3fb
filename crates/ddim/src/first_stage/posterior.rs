//! What the encoder of a variational autoencoder says: a normal distribution of each latent number.

use std::f64::consts::TAU;

use ddim_tensor::Tensor;

/// Between these lie the logarithms of variances, as in latent diffusion's code: deviations from 3.06e-7 to 22026.
const LOG_VARIANCES: [f64; 2] = [-30.0, 20.0];

/// Independent normal distributions, one a latent number: `q(z | x)` of Kingma and Welling 2014, arXiv:1312.6114.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Means, then logarithms of variances, `[n, 2 channels, h, w]`, not limited.
    moments: Tensor,
}

impl Posterior {
    /// Of means and, behind them, logarithms of variances, `[n, 2 channels, h, w]`.
    ///
    /// # Panics
    ///
    /// An odd number of channels.
    pub fn new(moments: Tensor) -> Self {
        assert!(moments.dims()[1].is_multiple_of(2), "means and as many logarithms of variances");
        Self { moments }
    }

    /// Means, then logarithms of variances as the encoder gave them, `[n, 2 channels, h, w]`.
    pub fn moments(&self) -> &Tensor {
        &self.moments
    }

    /// Means, `[n, channels, h, w]`, which are also the likeliest latents.
    pub fn mean(&self) -> Tensor {
        self.moments.channels(0..self.channels())
    }

    /// Logarithms of variances, from -30 to 20.
    pub fn log_variance(&self) -> Tensor {
        let [least, largest] = LOG_VARIANCES;
        self.moments.channels(self.channels()..2 * self.channels()).clamp(least, largest)
    }

    /// Standard deviations.
    pub fn deviation(&self) -> Tensor {
        (self.log_variance() * 0.5).exp()
    }

    /// mean + deviation noise, for standard normal noise of the shape of the mean.
    pub fn sample(&self, noise: Tensor) -> Tensor {
        self.mean() + self.deviation() * noise
    }

    /// The divergence KL(q || N(0, I)) of each picture, in nats: half the sum of
    /// `mean^2 + variance - 1 - log variance`.
    pub fn divergence(&self) -> Vec<f64> {
        let log_variance = self.log_variance();
        let terms = self.mean().square() + log_variance.clone().exp() - log_variance - 1.0;
        terms.sums().into_iter().map(|sum| sum / 2.0).collect()
    }

    /// -log q of these latents, a number a picture, in nats.
    pub fn negative_log_density(&self, latents: Tensor) -> Vec<f64> {
        let log_variance = self.log_variance();
        let scaled = (latents - self.mean()).square() * (log_variance.clone() * -1.0).exp();
        let numbers = self.channels() as f64 * self.moments.dims()[2..].iter().product::<usize>() as f64;
        let sums = (log_variance + scaled).sums().into_iter();
        sums.map(|sum| (sum + numbers * TAU.ln()) / 2.0).collect()
    }

    fn channels(&self) -> usize {
        self.moments.dims()[1] / 2
    }
}
