//! What each of two layers of latents tells, in numbers and in words.

use ddim::FirstStage;
use ddim::{ErrorSummary, squared_errors};
use ddim_bench::units;
use ddim_eval::{Evidence, Gaussian, LatentModel, LayerActivity};
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use crate::layers::{REMEDIES, StageNetworks, upper_model};

/// What was found.
pub(super) struct DiagnosedLayers {
    /// z1, then z2.
    layers: [LayerActivity; 2],
    /// The squared error of pictures decoded from what z2 alone says of z1: with the picture's own z2, and with one of
    /// the prior.
    from_upper: [f64; 2],
    pictures: usize,
}

/// Nothing without an upper layer; `latent` is the shape of z1 (channels, height, width).
pub(super) fn diagnose(
    stage: &FirstStage,
    pictures: &Tensor,
    posteriors: &[Gaussian],
    latent: [usize; 3],
) -> anyhow::Result<Option<DiagnosedLayers>> {
    let Some(upper) = upper_model(stage, latent)? else { return Ok(None) };
    let model = LatentModel::new([0.0, 1.0], latent, &[1.0]);
    let evidence = Evidence { model: &model, pictures: &[], seed: 0, first: 0, together: 64 };
    let mut networks = StageNetworks(stage);
    let Some(layers) = evidence.layer_activity(&upper, posteriors, &mut networks)? else { return Ok(None) };
    let n = posteriors.len();
    let means: Vec<f32> = posteriors.iter().flat_map(|q| q.mean().iter().map(|mean| *mean as f32)).collect();
    let [c, h, w] = latent;
    let own = stage.encode_upper(Tensor::new(means, [n, c, h, w]).to(stage.device()))?.mean();
    // Those of the next picture: draws of z2 that are as likely, and belong to another.
    let others: Vec<usize> = (0..n).map(|k| (k + 1) % n).collect();
    let error = |z2: Tensor| -> anyhow::Result<f64> {
        let drawn = stage.decode(stage.decode_upper(z2)?)?.clamp(-1.0, 1.0).to(&pictures.device());
        Ok(ErrorSummary::new(&squared_errors(&pictures.pictures(0..n), &drawn)).mean)
    };
    let from_upper = [error(own.clone())?, error(own.select(&others))?];
    Ok(Some(DiagnosedLayers { layers, from_upper, pictures: n }))
}

impl DiagnosedLayers {
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let line = |(name, layer): (&str, &LayerActivity)| {
            let [part, nats, ceiling] = [layer.divergence, layer.information.nats, layer.information.ceiling]
                .map(|nats| units::fixed(nats, 2));
            let (active, numbers) = (layer.active, layer.numbers);
            let told = format!(
                "{part} nats, {active} of {numbers} numbers active, tells {nats} nats of at most {ceiling}"
            );
            (name.to_owned(), told)
        };
        let [own, other] = self.from_upper.map(|error| units::fixed(error, 7));
        let mut lines: Vec<_> = ["layer z1", "layer z2"].into_iter().zip(&self.layers).map(line).collect();
        lines.push((
            "from z2 alone".to_owned(),
            format!("squared error {own}, {other} from that of another picture"),
        ));
        lines.push(("verdict".to_owned(), self.verdict()));
        lines
    }

    fn verdict(&self) -> String {
        if self.pictures < 2 {
            return "none: one picture does not tell what differs from picture to picture; give more".to_owned();
        }
        let nats = self.layers.map(|layer| units::fixed(layer.divergence, 2));
        match self.layers.map(|layer| layer.is_unused()) {
            [false, false] => "both layers are in use".to_owned(),
            [false, true] if self.layers[1].divergence >= 0.01 => format!(
                "z2 costs {} nats and tells nothing of pictures: none of its numbers moves from one to another; {REMEDIES}",
                nats[1]
            ),
            [false, true] => format!("z2 carries {} nats: p(z1 | z2) does without it; {REMEDIES}", nats[1]),
            [true, _] => format!(
                "z1 carries {} nats, and so says nothing of pictures, nor can z2; train with kl_warmup_steps",
                nats[0]
            ),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let layer = |layer: &LayerActivity| {
            json!({
                "part": layer.divergence, "active": layer.active, "numbers": layer.numbers,
                "mutual_information": { "nats": layer.information.nats, "at_most": layer.information.ceiling },
                "unused": layer.is_unused(),
            })
        };
        let [own, other] = self.from_upper;
        json!({
            "z1": layer(&self.layers[0]),
            "z2": layer(&self.layers[1]),
            "squared_error_from_z2": own,
            "squared_error_from_another_z2": other,
        })
    }
}
