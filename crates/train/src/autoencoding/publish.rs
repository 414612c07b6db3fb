//! What a first stage in training leaves at a checkpoint.

use super::Autoencoding;
use crate::batch::clean;
use crate::run;
use crate::{Flip, Shown, TrainError};
use ddim::first_stage::{LatentChoice, Reconstruction};
use ddim::{FirstStage, Streams};
use ddim_checkpoint::{Autoencoder, Likelihood, Network, Upper, save_autoencoder};
use ddim_data::{Layout, Picture, Scale, encode_png, grid, write_whole};
use ddim_schedule::PixelRounding;
use ddim_tensor::{Device, Tensor};
use std::ops::ControlFlow;
use std::path::Path;

/// Pictures that the scale is measured over, from the first on.
const MEASURED: usize = 1024;
/// Pictures of the grid that are shown beside what came back, and such that are drawn.
const SHOWN: usize = 32;
/// Pictures in a row.
const COLUMNS: usize = 8;

/// Writes the model with these weights, its scale measured, and pictures of what it does.
pub(super) fn publish(task: &Autoencoding, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError> {
    let stage = stage(task, step, weights)?;
    let count = task.images.len().min(MEASURED);
    let [c, h, w] = task.parts.picture;
    let pictures = (0..count).flat_map(|k| clean(task.set, Flip::None, task.draws, task.images.start + k, 0));
    let pictures = Tensor::new(pictures.collect(), [count, c, h, w]);
    let shown = pictures.pictures(0..count.min(SHOWN));
    let whole = |pictures: &Tensor| -> Result<Reconstruction, TrainError> {
        let found = stage.reconstruct(pictures, LatentChoice::Mode, count, |_| ControlFlow::Continue(()))?;
        Ok(found.expect("nobody stops it"))
    };
    let [mean, deviation] = moments(&stage, &pictures)?;
    let back = whole(&shown)?;
    // From noise that is the same every time.
    let mut noise = Streams::Seed(0).of(&(0..SHOWN).collect::<Vec<_>>(), &Device::Cpu);
    let drawn = stage.sample(noise.as_mut(), SHOWN)?.pictures;
    let sheet = sheet(task.parts.picture, &shown, &back.pictures, &drawn);
    let samples = out.join("samples.png");
    write_whole(&samples, &encode_png(&sheet, &task.recipe.to_json())?)?;
    save_autoencoder(&scaled(task, stage.autoencoder(), mean, deviation), &run::model(out))?;
    Ok(Shown::Samples(samples))
}

/// The model at these weights, its latents not scaled.
fn stage(task: &Autoencoding, step: u64, weights: &[f32]) -> Result<FirstStage, TrainError> {
    let network =
        |half: &super::parts::Half| Network { graph: half.graph().clone(), weights: half.weights(weights).into() };
    let [prior_mean, log_variance] = task.parts.prior(weights);
    let mut extra = task.recipe.card.clone();
    extra.insert("name".to_owned(), task.recipe.name.clone().into());
    extra.insert("trained_steps".to_owned(), step.into());
    extra.insert("images".to_owned(), [task.images.start, task.images.end].to_vec().into());
    let decoder_variance = task.parts.log_variances(weights).into_iter().map(f64::exp).collect();
    let autoencoder = Autoencoder {
        config: ddim::autoencoder::AutoencoderKLConfig {
            scaling_factor: 1.0,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            sample_size: Some(ddim_unet::SampleSize::of([task.parts.picture[1], task.parts.picture[2]])),
            ..task.recipe.autoencoder.clone()
        }
        .into(),
        encoder: network(&task.parts.encoder),
        decoder: network(&task.parts.decoder),
        codebook: None,
        upper: task.parts.upper.as_ref().map(|upper| Upper {
            config: upper.config(weights),
            encoder: network(&upper.encoder),
            decoder: network(&upper.decoder),
        }),
        likelihood: Some(Likelihood {
            prior_mean,
            prior_variance: log_variance.exp(),
            decoder_variance,
            layers: if task.parts.upper.is_some() { 2 } else { 1 },
            extra,
        }),
        warnings: Vec::new(),
    };
    Ok(FirstStage::new(autoencoder, &Device::Cpu)?)
}

/// Mean and deviation of all latents that are drawn for these pictures: MATH.md section 35 shows that they are the
/// best prior N(mean, deviation^2 I).
fn moments(stage: &FirstStage, pictures: &Tensor) -> Result<[f64; 2], TrainError> {
    let ddim::first_stage::Encoded::Distribution(q) = stage.encode(pictures.clone())? else {
        unreachable!("an AutoencoderKL has distributions")
    };
    let (mean, deviation) = (q.mean(), q.deviation());
    let count = mean.dims().iter().product::<usize>() as f64;
    let sum = |tensor: Tensor| tensor.sums().into_iter().sum::<f64>() / count;
    let (first, second) = (sum(mean.clone()), sum(mean.square()) + sum(deviation.square()));
    Ok([first, (second - first * first).max(f64::MIN_POSITIVE).sqrt()])
}

/// The model with the scale that its latents have.
fn scaled(task: &Autoencoding, unscaled: &Autoencoder, mean: f64, deviation: f64) -> Autoencoder {
    let ddim::autoencoder::AutoencoderConfig::Kl(config) = unscaled.config.clone() else {
        unreachable!("{} is what recipes train", task.recipe.name)
    };
    let config = ddim::autoencoder::AutoencoderKLConfig {
        scaling_factor: deviation.recip(),
        shift_factor: Some(mean),
        ..config
    };
    Autoencoder { config: config.into(), ..unscaled.clone() }
}

/// Rows of pictures, each above what came back, and rows of drawn ones.
fn sheet(shape: [usize; 3], pictures: &Tensor, back: &Tensor, drawn: &Tensor) -> Picture {
    let size = shape.iter().product();
    let of = |tensor: &Tensor| -> Vec<Picture> {
        let picture = |values| Picture::from_values(values, shape, |value| PixelRounding::HalfEven.to_u8(value));
        tensor.values().chunks_exact(size).map(picture).collect()
    };
    let (pictures, back) = (of(pictures), of(back));
    let rows = pictures.chunks(COLUMNS).zip(back.chunks(COLUMNS));
    let pairs = rows.filter(|(row, _)| row.len() == COLUMNS).flat_map(|(row, back)| [row, back].concat());
    grid(&pairs.chain(of(drawn)).collect::<Vec<_>>(), Layout::Columns(COLUMNS), Scale::Viewed)
}
