//! The evidence lower bound of a first stage, and what lies between it and the likelihood.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, bail};
use ddim::FirstStage;
use ddim::first_stage::Encoded;
use ddim_bench::units;
use ddim_checkpoint::{AutoencoderFiles, embedded_names};
use ddim_data::Size;
use ddim_eval::{
    Evidence, Gaussian, ImportanceBound, LatentModel, Mean, PictureEvidence, UpperModel, importance_bounds, scaled,
};
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use super::pictures::{PICTURES, Pictures};
use crate::args::{EvalArgs, misused};
use crate::device::Chosen;
use crate::ending::Ending;
use crate::layers::{StageNetworks, gaussians, upper_model};
use crate::progress;
use crate::signals::Interrupt;

/// Draws of a picture where no bound needs more.
const DRAWS: usize = 10;
/// Latents that are decoded at once.
const TOGETHER: usize = 64;

/// What came out, of pictures from 0 to 1.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    args: &'a EvalArgs,
    shape: [usize; 3],
    /// Whether there are two layers, whose parts of the bound are told apart.
    layers: Layers,
    /// Of each picture.
    found: Vec<PictureEvidence>,
    /// The same with what was fitted to each.
    fitted: Vec<PictureEvidence>,
    ending: Ending,
}

/// How many layers of latents there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layers {
    One,
    Two,
}

/// Measures set after set, until the user stops it.
pub(super) fn measure<'a>(
    args: &'a EvalArgs,
    device: &Chosen,
    interrupt: &Interrupt,
) -> anyhow::Result<Measured<'a>> {
    let path = args.model.model.as_deref().context("--model: name the folder of an autoencoder")?;
    let stage = load(path, device)?;
    let size = stage.config().sample_size();
    let read = |name| Pictures::read(name, args, PICTURES, size, Some(stage.config().in_channels()));
    let sets = args.elbo.elbo.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let shape = sets.first().map_or([0; 3], |set| set.set.shape);
    if let Some(other) = sets.iter().find(|set| set.set.shape != shape) {
        bail!(
            "--elbo: one set has pictures of {}, another of {}: measure them one by one",
            Size(shape),
            Size(other.set.shape)
        );
    }
    let model = latent_model(&stage, path, shape)?;
    let upper = upper_model(&stage, model.latent).with_context(|| format!("--model {}", path.display()))?;
    if let (Some(steps), Some(_)) = (args.elbo.refine, &upper) {
        misused!(
            "--refine {steps}: it is one layer that is fitted to each picture, and {} has two; leave it out",
            path.display()
        );
    }
    let of_each = draws(args).div_ceil(TOGETHER) + args.elbo.refine.map_or(0, |steps| steps + draws(args));
    let bar = progress::bar((sets.iter().map(Pictures::len).sum::<usize>() * of_each) as u64, "calls");
    let layers = if upper.is_some() { Layers::Two } else { Layers::One };
    let (found, fitted) = (Vec::new(), Vec::new());
    let mut measured = Measured { args, shape, layers, found, fitted, ending: Ending::Done };
    'sets: for set in &sets {
        for first in (0..set.len()).step_by(args.computing.batch_size) {
            let batch = first..set.len().min(first + args.computing.batch_size);
            let observe = || {
                bar.inc(1);
                interrupt.go_on()
            };
            let x = scaled(&set.pixels(batch), set.set.shape, stage.device());
            let number = measured.found.len();
            let Some((found, fitted)) = of_batch(args, (&stage, &model, upper.as_ref()), x, number, &observe)?
            else {
                measured.ending = Ending::Interrupted;
                break 'sets;
            };
            measured.found.extend(found);
            measured.fitted.extend(fitted);
        }
    }
    bar.finish_and_clear();
    Ok(measured)
}

fn load(path: &Path, device: &Chosen) -> anyhow::Result<FirstStage> {
    if path.to_str().is_some_and(|name| embedded_names().contains(&name)) {
        misused!(
            "--elbo: {} draws by diffusion, whose bound --bound measures; --elbo is for a first stage (--model FOLDER)",
            path.display()
        );
    }
    let files = AutoencoderFiles::open(path).context("--model")?;
    for warning in files.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(FirstStage::new(files.load()?, &device.device)?)
}

/// The prior and the variance that the folder says, for pictures of this shape.
fn latent_model(
    stage: &FirstStage,
    path: &Path,
    [height, width, channels]: [usize; 3],
) -> anyhow::Result<LatentModel> {
    let Some(likelihood) = stage.likelihood() else {
        bail!(
            "--model {}: its ddim.json says nothing of a prior (prior_mean, prior_variance) and of how far pictures lie \
             from what is decoded (decoder_variance), so it gives pictures no density; `ddim train --autoencoder` trains \
             one that does",
            path.display()
        );
    };
    let (values, variances) = (height * width * channels, likelihood.decoder_variance.len());
    if variances != 1 && variances != values {
        bail!(
            "--model {}: decoder_variance has {variances} numbers, and pictures of {} have {values} values",
            path.display(),
            Size([height, width, channels])
        );
    }
    let (factor, latents) = (stage.config().factor(), stage.config().latent_channels());
    if height % factor != 0 || width % factor != 0 {
        bail!(
            "--model {}: pictures of {} do not come back in their size, since {factor} does not divide their sides: \
             take pictures of another size",
            path.display(),
            Size([height, width, channels])
        );
    }
    let latent = [latents, height / factor, width / factor];
    let prior = [likelihood.prior_mean, likelihood.prior_variance];
    Ok(LatentModel::new(prior, latent, &likelihood.decoder_variance))
}

/// How often latents of each picture are drawn.
fn draws(args: &EvalArgs) -> usize {
    args.elbo.importance.iter().map(|draws| draws.0).fold(DRAWS, usize::max)
}

type Found = Option<(Vec<PictureEvidence>, Vec<PictureEvidence>)>;

/// Of some pictures, and of them with what was fitted to each; none if the user stops it.
fn of_batch(
    args: &EvalArgs,
    (stage, model, upper): (&FirstStage, &LatentModel, Option<&UpperModel>),
    x: Tensor,
    first: usize,
    observe: &dyn Fn() -> std::ops::ControlFlow<()>,
) -> anyhow::Result<Found> {
    let q = posteriors(stage, x.clone())?;
    let values = x.dims()[1..].iter().product();
    let pictures: Vec<Vec<f32>> = x.values().chunks_exact(values).map(<[f32]>::to_vec).collect();
    let evidence = Evidence { model, pictures: &pictures, seed: args.seed, first, together: TOGETHER };
    if let Some(upper) = upper {
        let found = evidence.weigh_layers(upper, &q, draws(args), &mut StageNetworks(stage), observe)?;
        return Ok(found.map(|found| (found, Vec::new())));
    }
    let decode = |z: Tensor| stage.decode(z.to(stage.device()));
    let Some(found) = evidence.weigh(&q, draws(args), decode, observe)? else { return Ok(None) };
    let Some(steps) = args.elbo.refine else { return Ok(Some((found, Vec::new()))) };
    let back = |z: Tensor, slope: &dyn Fn(&Tensor) -> Tensor| stage.pull_back(z.to(stage.device()), slope);
    let Some(q) = evidence.fitted(&q, steps, back, observe)? else { return Ok(None) };
    let fitted = evidence.weigh(&q, draws(args), decode, observe)?;
    Ok(fitted.map(|fitted| (found, fitted)))
}

/// What the encoder says of each picture.
fn posteriors(stage: &FirstStage, x: Tensor) -> anyhow::Result<Vec<Gaussian>> {
    let Encoded::Distribution(q) = stage.encode(x)? else {
        bail!("latents of {} are not distributions, and have no bound", stage.config().class())
    };
    Ok(gaussians(&q.mean(), &q.log_variance()))
}

impl Measured<'_> {
    /// What is added to the logarithm of a density of pictures in \[-1, 1\] for those from 0 to 1.
    fn of_unit(&self) -> f64 {
        LatentModel::nats_of_range(self.shape.iter().product())
    }

    /// The mean of something of each picture.
    fn mean(found: &[PictureEvidence], of: impl Fn(&PictureEvidence) -> f64) -> Option<Mean> {
        Mean::of(&found.iter().map(of).collect::<Vec<_>>())
    }

    /// The bound and its terms, in this order; the last is that of an upper layer.
    fn terms(found: &[PictureEvidence], unit: f64) -> Option<[Mean; 4]> {
        let bound = Self::mean(found, |one| one.bound() + unit)?;
        let reconstruction = Self::mean(found, |one| one.reconstruction + unit)?;
        let [lower, upper] = [Self::mean(found, |one| one.divergence)?, Self::mean(found, |one| one.upper)?];
        Some([bound, reconstruction, lower, upper])
    }

    /// What the terms of the bound are called.
    fn names(&self) -> &'static [&'static str] {
        match self.layers {
            Layers::One => &["ELBO", "E log p(x | z)", "KL(q, prior)"],
            Layers::Two => &["ELBO", "E log p(x | z1)", "part of z1", "KL of z2"],
        }
    }

    /// What fitting adds to the bound of each picture.
    fn gap(&self) -> Option<Mean> {
        let gains = self.fitted.iter().zip(&self.found).map(|(fitted, found)| fitted.bound() - found.bound());
        Mean::of(&gains.collect::<Vec<_>>())
    }

    fn importance(&self, found: &[PictureEvidence]) -> Vec<ImportanceBound> {
        let weights: Vec<Vec<f64>> = found.iter().map(|one| one.log_weights.clone()).collect();
        let ks: Vec<usize> = self.args.elbo.importance.iter().map(|draws| draws.0).collect();
        let unit = self.of_unit();
        let raised = |bound: ImportanceBound| ImportanceBound { mean: bound.mean + unit, ..bound };
        importance_bounds(&weights, &ks).into_iter().map(raised).collect()
    }

    pub(super) fn to_text(&self) -> String {
        let Some(terms) = Self::terms(&self.found, self.of_unit()) else { return String::new() };
        let of = format!("{} of {}, values from 0 to 1", units::pictures(self.found.len()), Size(self.shape));
        let mut text = String::new();
        for (name, term) in self.names().iter().zip(terms) {
            let unit = if text.is_empty() { format!(" nats a picture  ({of})") } else { String::new() };
            writeln!(text, "{name:<15} {}{unit}", shown(term)).expect("a String takes all");
        }
        self.write_importance(&mut text, &self.found);
        if let (Some([bound, ..]), Some(gap), Some(steps)) =
            (Self::terms(&self.fitted, self.of_unit()), self.gap(), self.args.elbo.refine)
        {
            writeln!(
                text,
                "fitted          {}: {} more than the encoder for all has, the amortisation gap ({} for each picture)",
                shown(bound),
                shown(gap),
                units::steps(steps)
            )
            .expect("a String takes all");
            self.write_importance(&mut text, &self.fitted);
        }
        text
    }

    fn write_importance(&self, text: &mut String, found: &[PictureEvidence]) {
        for ImportanceBound { k, mean, standard_error, draw_error, effective } in self.importance(found) {
            let draws =
                draw_error.map_or(String::new(), |error| format!(", {} of it by draws", units::digits(error)));
            writeln!(
                text,
                "{:<15} {}{draws}; {} of them count",
                units::counted(k, "weight"),
                shown(Mean { mean, standard_error }),
                units::digits(effective)
            )
            .expect("a String takes all");
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let numbers = |mean: Mean| json!({ "nats": mean.mean, "standard_error": mean.standard_error });
        let report = |found: &[PictureEvidence]| {
            let [bound, reconstruction, divergence, upper] = Self::terms(found, self.of_unit())?;
            let upper = (self.layers == Layers::Two).then(|| numbers(upper));
            let importance = self.importance(found).into_iter().map(|bound| {
                json!({
                    "weights": bound.k, "nats": bound.mean, "standard_error": bound.standard_error,
                    "draw_error": bound.draw_error, "effective": bound.effective,
                })
            });
            Some(json!({
                "elbo": numbers(bound), "reconstruction": numbers(reconstruction), "kl": numbers(divergence), "kl_upper": upper,
                "importance": importance.collect::<Vec<_>>(),
            }))
        };
        let mut all = report(&self.found).unwrap_or_else(|| json!({}));
        all["fitted"] = report(&self.fitted).into();
        all["amortisation_gap"] = self.gap().map(numbers).into();
        all["refine"] = self.args.elbo.refine.into();
        all["draws"] = draws(self.args).into();
        all["pictures"] = self.found.len().into();
        all["shape"] = json!(self.shape);
        all["images"] = json!(self.args.elbo.elbo.iter().map(ToString::to_string).collect::<Vec<_>>());
        all["seed"] = self.args.seed.into();
        all
    }

    pub(super) fn ending(&self) -> anyhow::Result<Ending> {
        Ok(self.ending)
    }
}

fn shown(Mean { mean, standard_error }: Mean) -> String {
    let error = standard_error.map(|error| format!(" +- {}", units::fixed(error, 2)));
    units::fixed(mean, 2) + &error.unwrap_or_default()
}
