//! `ddim autoencode --diagnose`: which latents are of use, in numbers and in words.

use anyhow::Context;
use ddim::FirstStage;
use ddim::Streams;
use ddim::first_stage::{Prior, Reconstruction};
use ddim::{ErrorSummary, squared_errors};
use ddim_bench::units;
use ddim_eval::{Diagnosis, Gaussian};
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use super::layers::{self, DiagnosedLayers};

/// Pictures that are compared with each other at most: as many as their square takes time.
const MOST: usize = 1000;

/// What was found, of some of the pictures.
pub(super) struct Diagnosed {
    found: Diagnosis,
    pictures: usize,
    /// The prior that pictures are drawn from.
    prior: Prior,
    /// The squared error of pictures decoded from the prior in place of their own latents.
    of_prior: ErrorSummary,
    /// What each of two layers says, where there are two.
    layers: Option<DiagnosedLayers>,
}

/// Nothing where latents are not distributions.
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
    let prior = stage.prior().context("latents that are distributions have a prior")?;
    let latents = [channels, height, width];
    let mut noise = Streams::Seed(0).of(&(0..n).collect::<Vec<_>>(), stage.device());
    let drawn = stage.decode(stage.latents_of_prior(noise.as_mut(), n, latents)?)?.clamp(-1.0, 1.0);
    let errors = squared_errors(&pictures.pictures(0..n), &drawn.to(&pictures.device()));
    let layers = layers::diagnose(stage, pictures, &q, latents)?;
    // Of two layers the prior is that of z2, and what z1 costs beside it is said by layer.
    let of_channel =
        |values: &[f64]| values.iter().flat_map(|value| vec![*value; height * width]).collect::<Vec<_>>();
    let beside = match layers {
        None => Gaussian::with_deviations(of_channel(&prior.mean), &of_channel(&prior.deviation)),
        Some(_) => Gaussian::alike(0.0, 1.0, numbers),
    };
    let found = Diagnosis::of(&q, &beside, channels, 0);
    let of_prior = ErrorSummary::new(&errors);
    Ok(found.map(|found| Diagnosed { found, pictures: n, prior, of_prior, layers }))
}

/// A number of the prior, or those of its channels.
fn in_words(values: &[f64]) -> String {
    match values {
        [first, others @ ..] if others.iter().all(|other| other == first) => units::digits(*first),
        _ => values.iter().map(|value| units::digits(*value)).collect::<Vec<_>>().join(", "),
    }
}

/// The same in JSON.
fn in_json(values: &[f64]) -> Value {
    match values {
        [first, others @ ..] if others.iter().all(|other| other == first) => json!(first),
        _ => json!(values),
    }
}

impl Diagnosed {
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let [mean, deviation] = [&self.prior.mean, &self.prior.deviation].map(|values| in_words(values));
        let row = |(k, channel): (usize, &ddim_eval::Channel)| {
            let (nats, of) = (units::fixed(channel.divergence, 2), channel.numbers);
            (format!("channel {k}"), format!("KL {nats} nats, {} of {of} numbers active", channel.active))
        };
        let information = &self.found.information;
        let [nats, ceiling] = [information.nats, information.ceiling].map(|nats| units::fixed(nats, 2));
        let mut lines = vec![("prior".to_owned(), format!("mean {mean}, deviation {deviation}"))];
        if self.layers.is_none() {
            lines.extend(self.found.channels.iter().enumerate().map(row));
        }
        let of = units::pictures(self.pictures);
        let information = format!("{nats} nats about which of {of}, at most {ceiling}");
        lines.extend(self.layers.is_none().then(|| ("information".to_owned(), information)));
        let error = units::fixed(self.of_prior.mean, 7);
        lines.push((
            "from the prior".to_owned(),
            format!("squared error {error}, where latents are not their own"),
        ));
        match &self.layers {
            None => lines.push(("verdict".to_owned(), self.verdict())),
            Some(layers) => lines.extend(layers.lines()),
        }
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
        let information = &self.found.information;
        let mut json = json!({
            "pictures": self.pictures,
            "prior": { "mean": in_json(&self.prior.mean), "deviation": in_json(&self.prior.deviation) },
            "channels": self.found.channels.iter().map(channel).collect::<Vec<_>>(),
            "mutual_information": { "nats": information.nats, "at_most": information.ceiling },
            "squared_error_from_prior": self.of_prior.mean,
            "unused_channels": self.found.unused(),
            "collapsed": self.found.is_collapsed(),
            "layers": null,
        });
        if let Some(layers) = &self.layers {
            // What they say is of one layer and its own prior.
            for name in ["channels", "unused_channels", "collapsed"] {
                json[name] = Value::Null;
            }
            json["layers"] = layers.to_json();
        }
        json
    }
}
