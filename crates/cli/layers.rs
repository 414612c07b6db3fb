//! A first stage with two layers of latents, as what measures it wants it.

use anyhow::Context;
use ddim::FirstStage;
use ddim::autoencoder::Ladder;
use ddim_eval::{Gaussian, LayerNetworks, Told, UpperModel};
use ddim_tensor::Tensor;

/// Keys of a recipe that bring z2 to use.
pub(crate) const REMEDIES: &str =
    "set upper.free_bits, upper.kl_warmup_steps, upper.ladder skip, or an upper.variance_rate below 1";

/// Its networks.
pub(crate) struct StageNetworks<'a>(pub(crate) &'a FirstStage);

impl LayerNetworks for StageNetworks<'_> {
    type Error = ddim::Error;

    fn decode(&mut self, z1: Tensor) -> Result<Tensor, ddim::Error> {
        self.0.decode(z1.to(self.0.device()))
    }

    fn encode_upper(&mut self, told: Tensor) -> Result<Vec<Gaussian>, ddim::Error> {
        let q = self.0.encode_upper(told.to(self.0.device()))?;
        Ok(gaussians(&q.mean(), &q.log_variance()))
    }

    fn decode_upper(&mut self, z2: Tensor) -> Result<Tensor, ddim::Error> {
        self.0.decode_upper(z2.to(self.0.device()))
    }
}

/// The distribution of each picture, from means and logarithms of variances `[n, c, h, w]`.
pub(crate) fn gaussians(mean: &Tensor, log_variance: &Tensor) -> Vec<Gaussian> {
    let numbers = mean.dims()[1..].iter().product();
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
    let (mean, log) = (mean.values(), log_variance.values());
    let both = mean.chunks_exact(numbers).zip(log.chunks_exact(numbers));
    both.map(|(mean, log)| Gaussian::new(wide(mean), wide(log))).collect()
}

/// The layer above latents of this shape (channels, height, width), where there is one.
pub(crate) fn upper_model(stage: &FirstStage, below: [usize; 3]) -> anyhow::Result<Option<UpperModel>> {
    let Some(upper) = stage.upper() else { return Ok(None) };
    let latent = upper.latent_shape(below).with_context(|| {
        format!(
            "latents of {}x{} have no whole number of patches of {} (upper/config.json): take pictures of another size",
            below[1], below[2], upper.patch_size
        )
    })?;
    let prior = stage.prior().context("two layers of latents have a prior")?;
    let pixels = latent[1] * latent[2];
    let spread = |of_channels: &[f64], pixels: usize| -> Vec<f64> {
        of_channels.iter().flat_map(|number| vec![*number; pixels]).collect()
    };
    let prior = Gaussian::with_deviations(spread(&prior.mean, pixels), &spread(&prior.deviation, pixels));
    let told = match upper.ladder {
        Ladder::None => Told::Draw,
        Ladder::Skip => Told::Mean,
    };
    Ok(Some(UpperModel::new(prior, latent, (&upper.variance, below[1] * below[2]), told)))
}
