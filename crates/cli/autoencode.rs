//! `ddim autoencode`: pictures to latents and back, and how close they come.

mod diagnosis;
mod layers;
mod numbers;
mod report;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use ddim::FirstStage;
use ddim::autoencoder::AutoencoderConfig;
use ddim::first_stage::{LatentChoice, Reconstruction};
use ddim_checkpoint::AutoencoderFiles;
use ddim_data::{Layout, Picture, Scale, encode_png, grid};
use ddim_schedule::PixelRounding;
use ddim_tensor::{Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use self::report::Report;
use crate::args::{AutoencodeArgs, Latents, misused};
use crate::ending::Ending;
use crate::files::{Existing, Staged};
use crate::images::{Images, Needed};
use crate::output::{self, RUN_KEY, Sheet};
use crate::signals::{Interrupt, Parting};
use crate::{device, memory, printing, progress};

/// What is said at Ctrl-C.
const INTERRUPTED: &str = "interrupted; nothing is written";

/// How levels of 8 bits become numbers and come from them.
const ROUNDING: PixelRounding = PixelRounding::HalfEven;

/// Takes pictures, or the numbers of a file, through an autoencoder.
pub(crate) fn run(args: &AutoencodeArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let choice = choice(args)?;
    let out = args.out.as_deref().map(|out| Out::new(out, args)).transpose()?;
    let device = device::choose(args.computing.device.device)?;
    let stage = load(&args.model, &device.device)?;
    tracing::info!("device: {}", device.description);
    if let Some(file) = numbers::file(&args.pictures.pictures) {
        return numbers::run(&stage, file, args, out).map(|()| Ending::Done);
    }
    check_choice(choice, &stage)?;
    if args.diagnose && !matches!(stage.config(), AutoencoderConfig::Kl(_)) {
        misused!(
            "--diagnose: latents of {} are {}, and have no divergence from a prior; leave it out",
            stage.config().class(),
            kind(stage.config())
        );
    }
    let images = Images::read(&args.pictures, needed(args, &stage)?)?;
    let pictures = images.tensor(0..images.len(), &Device::Cpu);
    check_memory(&stage, &pictures)?;

    interrupt.leave(Parting::free(INTERRUPTED));
    let Some(back) = there_and_back(&stage, &pictures, choice, args.computing.batch_size, interrupt)? else {
        tracing::warn!("{INTERRUPTED}");
        return Ok(Ending::Interrupted);
    };
    let diagnosis = if args.diagnose { diagnosis::diagnose(&stage, &pictures, &back)? } else { None };
    let report = Report::new(&stage, &pictures, &back, diagnosis);
    let written = out.map(|out| out.write(&images, &back, &report)).transpose()?;
    let text = match args.json {
        true => format!("{:#}\n", report.to_json(written.as_deref())),
        false => {
            let written = written.map_or_else(String::new, |path| format!("{}\n", path.display()));
            report.to_text() + &written
        }
    };
    printing::results(&text)?;
    images.check_complete()?;
    Ok(Ending::Done)
}

/// Which latents are decoded; a seed without effect is refused.
fn choice(args: &AutoencodeArgs) -> anyhow::Result<LatentChoice> {
    match (args.latents.unwrap_or(Latents::Mode), args.seed) {
        (Latents::Sample, seed) => Ok(LatentChoice::Sample { seed: seed.unwrap_or(0) }),
        (Latents::Mode, None) => Ok(LatentChoice::Mode),
        (Latents::Mode, Some(seed)) => {
            misused!("--seed {seed}: the likeliest latents need no noise; draw some with --latents sample")
        }
    }
}

/// Refuses to draw latents where they are not distributions.
fn check_choice(choice: LatentChoice, stage: &FirstStage) -> anyhow::Result<()> {
    match (choice, stage.config()) {
        (LatentChoice::Mode, _) | (LatentChoice::Sample { .. }, AutoencoderConfig::Kl(_)) => Ok(()),
        (LatentChoice::Sample { .. }, config) => misused!(
            "--latents sample: latents of {} are {}, and nothing is drawn from them; leave it out",
            config.class(),
            kind(config)
        ),
    }
}

fn load(path: &Path, device: &Device) -> anyhow::Result<FirstStage> {
    let files = AutoencoderFiles::open(path)?;
    for warning in files.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(FirstStage::new(files.load()?, device)?)
}

/// What pictures must be: of the size asked for, which the autoencoder takes.
fn needed(args: &AutoencodeArgs, stage: &FirstStage) -> anyhow::Result<Needed> {
    let config = stage.config();
    let [height, width] = match args.size {
        Some(size) => size.0,
        None => config.sample_size().with_context(|| {
            format!(
                "{}: config.json has no sample_size; say the pictures' with --size N or HxW",
                args.model.display()
            )
        })?,
    };
    let factor = config.factor();
    if let Some(side) = [height, width].into_iter().find(|side| !side.is_multiple_of(factor)) {
        let below = side / factor * factor;
        let nearest = [below, below + factor].into_iter().filter(|side| *side > 0).map(|side| side.to_string());
        let nearest = nearest.collect::<Vec<_>>().join(" or ");
        misused!(
            "--size {height}x{width}: {side} is not a multiple of {factor}, by which this autoencoder makes sides \
             smaller; the nearest are {nearest}"
        );
    }
    Ok(Needed {
        shape: [config.in_channels(), height, width],
        rules: args.pictures.rules.clone(),
        rounding: ROUNDING,
    })
}

/// Whether there is memory for what comes of all pictures: themselves once more, and latents with their deviations.
fn check_memory(stage: &FirstStage, pictures: &Tensor) -> anyhow::Result<()> {
    let Some(available) = memory::available() else { return Ok(()) };
    let [n, channels, height, width] = pictures.dims();
    let factor = stage.config().factor();
    let latents = 3 * stage.config().latent_channels() * (height / factor) * (width / factor);
    let each = size_of::<f32>() as u64 * (channels * height * width + latents) as u64;
    let fit = available / each.max(1);
    if n as u64 > fit {
        bail!(
            "{n} pictures of {height}x{width} and what becomes of them need {} MiB of memory, and {} MiB are free: take \
             --num {fit} at most, or a smaller --size",
            (n as u64 * each) >> 20,
            available >> 20
        );
    }
    Ok(())
}

/// None after Ctrl-C.
fn there_and_back(
    stage: &FirstStage,
    pictures: &Tensor,
    choice: LatentChoice,
    batch_size: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Reconstruction>> {
    let bar = progress::bar(pictures.dims()[0] as u64, "pictures");
    let back = stage.reconstruct(pictures, choice, batch_size, |done| {
        bar.set_position(done as u64);
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    Ok(back)
}

/// Where the result goes, claimed before anything is computed.
pub(crate) struct Out {
    file: Staged,
    kind: OutKind,
    scale: Scale,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OutKind {
    /// Each picture beside what came back.
    Pairs,
    /// Numbers.
    Tensors,
}

impl Out {
    fn new(out: &Path, args: &AutoencodeArgs) -> anyhow::Result<Self> {
        let ending = out.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let kind = match ending.as_str() {
            "png" => OutKind::Pairs,
            "safetensors" => OutKind::Tensors,
            _ => misused!(
                "--out {}: end it in .png for pictures, each beside what came back, or in .safetensors for latents",
                out.display()
            ),
        };
        if let (OutKind::Tensors, Some(times)) = (kind, args.scale) {
            misused!("--scale {times}: numbers are not enlarged; end --out in .png for pictures");
        }
        let file = Staged::create("--out", out, Existing::from_force(args.force))?;
        Ok(Self { file, kind, scale: args.scale.map_or(Scale::Viewed, Scale::Times) })
    }

    fn write(self, images: &Images, back: &Reconstruction, report: &Report) -> anyhow::Result<std::path::PathBuf> {
        let run = report.to_json(None).to_string();
        let bytes = match self.kind {
            OutKind::Pairs => pairs(images, back, self.scale, &run)?,
            OutKind::Tensors => latents(back, run)?,
        };
        self.file.finish(&bytes)
    }
}

/// A row for each picture: itself, and what came back.
fn pairs(images: &Images, back: &Reconstruction, scale: Scale, run: &str) -> anyhow::Result<Vec<u8>> {
    let [n, _, height, width] = images.shape();
    let channels = back.pictures.dims()[1];
    output::check_channels(channels)?;
    let layout = Layout::Columns(2);
    if let Scale::Times(times) = scale {
        output::check_scale(times, [channels, height, width], &[Sheet { pictures: 2 * n, layout, frames: 1 }])?;
    }
    let shape = [channels, height, width];
    let picture = |values: &[f32]| Picture::from_values(values, shape, |value| ROUNDING.to_u8(value));
    let size = shape.iter().product();
    let came_back = back.pictures.values();
    let both = images.values().chunks(size).zip(came_back.chunks(size));
    let pictures: Vec<Picture> =
        both.flat_map(|(picture_in, back)| [picture(picture_in), picture(back)]).collect();
    encode_png(&grid(&pictures, layout, scale), run).map_err(Into::into)
}

/// Means and deviations of the latents, or the latents where they are not distributions.
fn latents(back: &Reconstruction, run: String) -> anyhow::Result<Vec<u8>> {
    match &back.distribution {
        Some([mean, deviation]) => encode(&[("mean", mean), ("std", deviation)], &[], Some(run)),
        None => {
            let codes = back.codes.as_ref().map(|codes| ("indices", codes));
            encode(&[("latents", &back.latents)], codes.as_slice(), Some(run))
        }
    }
}

/// A safetensors file of these numbers.
fn encode(
    tensors: &[(&str, &Tensor)],
    codes: &[(&str, &ddim::first_stage::Codes)],
    run: Option<String>,
) -> anyhow::Result<Vec<u8>> {
    let floats = tensors.iter().map(|(name, tensor)| {
        let bytes: Vec<u8> = tensor.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        (*name, Dtype::F32, tensor.dims().to_vec(), bytes)
    });
    let whole = codes.iter().map(|(name, codes)| {
        let bytes: Vec<u8> = codes.indices.iter().flat_map(|row| (*row as i64).to_le_bytes()).collect();
        (*name, Dtype::I64, codes.dims.to_vec(), bytes)
    });
    let all: Vec<_> = floats.chain(whole).collect();
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        Ok((*name, TensorView::new(*dtype, shape.clone(), bytes).context("cannot encode the tensors")?))
    });
    let views = views.collect::<anyhow::Result<Vec<_>>>()?;
    let metadata = run.map(|run| HashMap::from([(RUN_KEY.to_owned(), run)]));
    safetensors::serialize(views, metadata).context("cannot encode the tensors")
}

/// What latents are, for the report.
fn kind(config: &AutoencoderConfig) -> &'static str {
    match config {
        AutoencoderConfig::Kl(_) => "distributions",
        AutoencoderConfig::Vq(_) => "rows of a table",
        AutoencoderConfig::Tiny(_) => "numbers",
    }
}
