//! `ddim autoencode --diagnose`: which latents are of use, in numbers and in words.

use ddim::FirstStage;
use ddim::first_stage::Reconstruction;
use ddim::{ErrorSummary, squared_errors};
use ddim_eval::{Diagnosis, Gaussian};
use ddim_sampler::{Noise, PictureNoise};
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use crate::units;

/// Pictures that are compared with each other at most: as many as their square takes time.
const MOST: usize = 1000;

/// What was found, of some of the pictures.
pub(super) struct Diagnosed {
    found: Diagnosis,
    pictures: usize,
    /// Mean and deviation of the prior.
    prior: [f64; 2],
    /// The squared error of pictures decoded from the prior in place of their own latents.
    of_prior: ErrorSummary,
}

/// Nothing where latents are no distributions.
pub(super) fn diagnose(
    stage: &FirstStage,
    pictures: &Tensor,
    back: &Reconstruction,
) -> anyhow::Result<Option<Diagnosed>> {
    let Some([mean, deviation]) = &back.distribution else { return Ok(None) };
    let n = mean.dims()[0].min(MOST);
    let [_, channels, height, width] = mean.dims();
    let numbers = channels * height * width;
    let [mean, deviation] = [mean, deviation].map(|tensor| tensor.pictures(0..n).into_values());
    let each = mean.chunks_exact(numbers).zip(deviation.chunks_exact(numbers));
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|value| f64::from(*value)).collect() };
    let q: Vec<Gaussian> = each.map(|(mean, s)| Gaussian::with_deviations(wide(mean), &wide(s))).collect();
    let likelihood = stage.likelihood();
    let [at, variance] = likelihood.map_or([0.0, 1.0], |known| [known.prior_mean, known.prior_variance]);
    let prior = Gaussian::alike(at, variance, numbers);
    let deviation = prior.deviations()[0];
    let noise =
        PictureNoise::new(0, (0..n).map(|k| k as u64)).initial([n, channels, height, width], stage.device());
    let drawn = stage.decode(noise * deviation + at)?.clamp(-1.0, 1.0);
    let errors = squared_errors(&pictures.pictures(0..n), &drawn.to(&pictures.device()));
    let found = Diagnosis::of(&q, &prior, channels, 0);
    let of_prior = ErrorSummary::new(&errors);
    Ok(found.map(|found| Diagnosed { found, pictures: n, prior: [at, deviation], of_prior }))
}

impl Diagnosed {
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let [mean, deviation] = self.prior.map(units::digits);
        let row = |(k, channel): (usize, &ddim_eval::Channel)| {
            let (nats, of) = (units::fixed(channel.divergence, 2), channel.numbers);
            (format!("channel {k}"), format!("KL {nats} nats, {} of {of} numbers active", channel.active))
        };
        let information = &self.found.information;
        let [nats, ceiling] = [information.nats, information.ceiling].map(|nats| units::fixed(nats, 2));
        let mut lines = vec![("prior".to_owned(), format!("mean {mean}, deviation {deviation}"))];
        lines.extend(self.found.channels.iter().enumerate().map(row));
        lines.push((
            "information".to_owned(),
            format!("{nats} nats about which of {}, at most {ceiling}", units::pictures(self.pictures)),
        ));
        let error = units::fixed(self.of_prior.mean, 7);
        lines.push((
            "from the prior".to_owned(),
            format!("squared error {error}, where latents are not their own"),
        ));
        lines.push(("verdict".to_owned(), self.verdict()));
        lines
    }

    fn verdict(&self) -> String {
        let unused = self.found.unused();
        if self.pictures < 2 {
            return "none: one picture does not tell what differs from picture to picture; give more".to_owned();
        }
        let named = unused.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        if self.found.is_collapsed() {
            return "collapsed: latents are the prior's whatever the picture is; train with kl_warmup_steps or free_bits"
                .to_owned();
        }
        match unused.len() {
            0 => "every channel tells something about pictures".to_owned(),
            1 => format!("channel {named} says nothing; kl_warmup_steps or free_bits may bring it to use"),
            _ => format!("channels {named} say nothing; kl_warmup_steps or free_bits may bring them to use"),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let channel = |channel: &ddim_eval::Channel| json!({ "kl": channel.divergence, "active": channel.active, "numbers": channel.numbers });
        json!({
            "pictures": self.pictures,
            "prior": { "mean": self.prior[0], "deviation": self.prior[1] },
            "channels": self.found.channels.iter().map(channel).collect::<Vec<_>>(),
            "mutual_information": { "nats": self.found.information.nats, "at_most": self.found.information.ceiling },
            "squared_error_from_prior": self.of_prior.mean,
            "unused_channels": self.found.unused(),
            "collapsed": self.found.is_collapsed(),
        })
    }
}
