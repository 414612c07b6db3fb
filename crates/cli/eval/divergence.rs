//! Divergences of two sets of pictures.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use ddim::FirstStage;
use ddim::first_stage::LatentChoice;
use ddim_bench::units;
use ddim_checkpoint::AutoencoderFiles;
use ddim_data::{Picture, Size};
use ddim_eval::{Discriminator, Divergence, DivergenceEstimate, Samples, Training, divergence};
use ddim_schedule::PixelRounding;
use ddim_tensor::{Device, Tensor};
use serde_json::{Value, json};

use super::pictures::Pictures;
use crate::args::EvalArgs;
use crate::ending::Ending;
use crate::progress;
use crate::signals::Interrupt;

/// Pictures of a set when nothing says otherwise.
const PICTURES: usize = 2000;

/// What came out.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    args: &'a EvalArgs,
    /// Pictures of each set.
    pictures: [usize; 2],
    estimates: Vec<DivergenceEstimate>,
    /// How the run ended.
    pub(super) ending: Ending,
}

/// Trains and judges, one divergence after the other; Ctrl-C leaves those that are finished.
pub(super) fn measure<'a>(args: &'a EvalArgs, interrupt: &Interrupt) -> anyhow::Result<Measured<'a>> {
    let Some(sets) = read(args, interrupt)? else {
        return Ok(Measured { args, pictures: [0; 2], estimates: Vec::new(), ending: Ending::Interrupted });
    };
    let pictures = sets.each_ref().map(Pictures::len);
    let batches = sets.each_ref().map(|pictures| move |indices: &[usize]| values(pictures, indices));
    let samples = [0, 1].map(|k| Samples { len: pictures[k], batch: &batches[k] });
    let [height, width, channels] = sets[0].set.shape;
    let network = Discriminator::convolutional([channels, height, width], Discriminator::WIDTH);
    let options = &args.divergence;
    let training = Training { epochs: options.epochs, seed: args.seed, ..Training::default() };
    // A network may need fewer: it stops where it has learned all it can.
    let of_each = (options.folds * options.epochs) as f64;
    let bar = progress::bar(Divergence::ALL.len() as u64 * of_each as u64, "epochs");
    let mut found = Measured { args, pictures, estimates: Vec::new(), ending: Ending::Done };
    for (k, which) in Divergence::ALL.into_iter().enumerate() {
        let observe = |share: f64| {
            bar.set_position(((k as f64 + share) * of_each) as u64);
            interrupt.go_on()
        };
        match divergence(which, &network, samples, options.folds, &training, observe)? {
            Some(estimate) => found.estimates.push(estimate),
            None => {
                found.ending = Ending::Interrupted;
                break;
            }
        }
    }
    bar.finish_and_clear();
    Ok(found)
}

/// Some pictures, `[n, channels, height, width]`, from -1 to 1.
fn values(pictures: &Pictures, indices: &[usize]) -> Vec<f32> {
    let [height, width, channels] = pictures.set.shape;
    let values = |pixels: &[u8]| {
        let picture = Picture { width, height, channels, pixels: pixels.to_vec() };
        picture.to_values(|level| f32::from(level) / 127.5 - 1.0)
    };
    pictures.pixels(indices.iter().copied()).into_iter().flat_map(values).collect()
}

/// Both sets, of pictures of one size, the first perhaps as it comes back from an autoencoder; none after Ctrl-C.
fn read(args: &EvalArgs, interrupt: &Interrupt) -> anyhow::Result<Option<[Pictures; 2]>> {
    let [a, b] = &args.divergence.divergence[..] else { bail!("--divergence takes two sets of pictures") };
    let stage = args.divergence.through.as_deref().map(stage).transpose()?;
    let size = stage.as_ref().and_then(|stage| stage.config().sample_size());
    let channels = stage.as_ref().map(|stage| stage.config().in_channels());
    let [first, second] = [a, b].map(|set| Pictures::read(set, args, PICTURES, size, channels));
    let mut sets = [first?, second?];
    let [first, second] = sets.each_ref().map(|pictures| Size(pictures.set.shape));
    if first != second {
        bail!(
            "{a} has pictures of {first}, and {b} of {second} (height x width x channels): only pictures of one size can \
             be compared"
        );
    }
    match stage {
        Some(stage) if !through(&stage, &mut sets[0], args.computing.batch_size, interrupt)? => Ok(None),
        _ => Ok(Some(sets)),
    }
}

/// The autoencoder that `--through` names.
fn stage(path: &Path) -> anyhow::Result<FirstStage> {
    let files = AutoencoderFiles::open(path).context("--through")?;
    for warning in files.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(FirstStage::new(files.load()?, &Device::Cpu)?)
}

/// Puts what comes back in the place of the pictures, rounded to 8 bits as they are; false after Ctrl-C.
fn through(
    stage: &FirstStage,
    pictures: &mut Pictures,
    batch_size: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<bool> {
    let ([height, width, channels], count, factor) = (pictures.set.shape, pictures.len(), stage.config().factor());
    if let Some(side) = [height, width].into_iter().find(|side| !side.is_multiple_of(factor)) {
        bail!(
            "--through: the pictures are {height}x{width}, and {side} is not a multiple of {factor}, by which this autoencoder \
             makes sides smaller; name pictures of another size"
        );
    }
    let x = Tensor::new(values(pictures, &(0..count).collect::<Vec<_>>()), [count, channels, height, width]);
    let bar = progress::bar(count as u64, "pictures");
    let back = stage.reconstruct(&x, LatentChoice::Mode, batch_size, |done| {
        bar.set_position(done as u64);
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    let Some(back) = back else { return Ok(false) };
    let (shape, each) = ([channels, height, width], channels * height * width);
    let pixels = |values| Picture::from_values(values, shape, |value| PixelRounding::HalfEven.to_u8(value)).pixels;
    pictures.set.pixels = back.pictures.values().chunks_exact(each).flat_map(pixels).collect();
    Ok(true)
}

impl Measured<'_> {
    /// A line for each divergence, and one that says how they are meant.
    pub(super) fn to_text(&self) -> String {
        let (mut text, shown) = (String::new(), |number| units::fixed(number, 4));
        for DivergenceEstimate { divergence, value, interval: [low, high] } in &self.estimates {
            let error = value.standard_error.map_or(String::new(), |error| format!(" +- {}", shown(error)));
            let [mean, low, high, largest] = [value.mean, *low, *high, divergence.largest()].map(shown);
            let name = divergence.name();
            writeln!(text, "{name:<15} {mean}{error}  95 %: {low} to {high}  (largest {largest})")
                .expect("a String takes all");
        }
        let [a, b] = self.pictures;
        let folds = self.args.divergence.folds;
        let through = self.args.divergence.through.as_ref();
        let through = through.map_or_else(String::new, |path| format!(", the first through {}", path.display()));
        text + &format!(
            "lower bounds on average: {a} and {b} pictures{through}, each judged by a network that has not seen it \
             ({folds} folds)\n"
        )
    }

    /// Everything.
    pub(super) fn to_json(&self) -> Value {
        let mut report = json!({});
        for DivergenceEstimate { divergence, value, interval } in &self.estimates {
            report[divergence.name()] = json!({
                "value": value.mean,
                "standard_error": value.standard_error,
                "interval_95": interval,
                "largest": divergence.largest(),
            });
        }
        report["pictures"] = json!(self.pictures);
        report["images"] =
            json!(self.args.divergence.divergence.iter().map(ToString::to_string).collect::<Vec<_>>());
        if let Some(through) = &self.args.divergence.through {
            report["through"] = through.to_string_lossy().into();
        }
        report["folds"] = json!(self.args.divergence.folds);
        report["epochs"] = json!(self.args.divergence.epochs);
        report["seed"] = json!(self.args.seed);
        report
    }
}
