//! `ddim sample` with a first stage alone: pictures drawn from its prior, without any diffusion.

mod destination;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use ddim::{FirstStage, Streams};
use ddim_bench::units;
use ddim_checkpoint::AutoencoderFiles;
use ddim_schedule::PixelRounding;
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use self::destination::{Batch, Target};
use crate::args::misused;
use crate::device::{Chosen, Precision};
use crate::ending::Ending;
use crate::noise::Given;
use crate::request::{BATCH_SIZE, OutputRequest, Past, Request};
use crate::run_record::{self, COMMAND, REQUEST};
use crate::seeds::Draws;
use crate::signals::Interrupt;
use crate::{job, printing, progress};

/// From numbers to 8 bits, as `ddim autoencode` does it.
const ROUNDING: PixelRounding = PixelRounding::HalfEven;

/// What can be asked for.
const MEANT: [&str; 8] = ["model", "num", "seed", "seeds", "picture", "noise", "batch_size", "precision"];

/// Pictures of a prior, ready to be drawn.
#[derive(Debug)]
struct Drawing {
    stage: FirstStage,
    noise: Streams,
    /// How many there are.
    pictures: usize,
    batch_size: usize,
    /// Channels, height, width: of pictures, and of latents.
    shape: [usize; 3],
    latents: [usize; 3],
    /// What is written beside or into the pictures.
    run: Value,
}

/// Whether what was named is a first stage and nothing beside it.
pub(crate) fn is_meant(request: &Request) -> bool {
    request.model.model.as_deref().is_some_and(ddim_checkpoint::is_first_stage)
}

/// Draws the pictures and says where they are.
pub(crate) fn draw(
    request: &Request,
    output: &OutputRequest,
    (past, device): (Option<&Past>, &Chosen),
    interrupt: &Interrupt,
    started: Instant,
) -> anyhow::Result<Ending> {
    check(request, output)?;
    let path = request.model.model.as_deref().context("a first stage was named")?;
    let drawing = Drawing::new(request, path, device)?;
    if past.is_some_and(|past| !past.run["weights"].is_null() && past.run["weights"] != drawing.run["weights"]) {
        tracing::warn!("what is repeated was made with other weights; other pictures will come out");
    }
    let (mut target, missing) = Target::open(output, &drawing)?;
    tracing::info!("device: {}", device.description);
    tracing::info!("method: from the prior, without diffusion");
    interrupt.leave(target.parting());
    let ending = drawing.draw_all(&missing, &mut target, interrupt)?;
    let (finished, words) = (target.finished(), target.how_to_go_on());
    let (out, preview) = target.finish()?;
    let text = match output.json {
        true => {
            let out = out.as_deref().map(Path::to_string_lossy);
            let seconds = started.elapsed().as_secs_f64();
            let (pictures, run) = (drawing.pictures, &drawing.run);
            let report =
                json!({ "out": out, "pictures": pictures, "finished": finished, "seconds": seconds, "run": run });
            format!("{report:#}\n")
        }
        false => {
            printing::styled(&preview)?;
            out.iter().filter(|_| finished > 0).map(|path| format!("{}\n", path.display())).collect()
        }
    };
    printing::results(&text)?;
    if matches!(ending, Ending::Interrupted) {
        tracing::warn!("{words}");
    }
    Ok(ending)
}

/// Refuses what a prior knows nothing of.
fn check(request: &Request, output: &OutputRequest) -> anyhow::Result<()> {
    let parts = [("--shard", request.shard.is_some()), ("--pictures", request.pictures.is_some())];
    if let Some((option, _)) = parts.into_iter().find(|(_, is_typed)| *is_typed) {
        misused!(
            "{option}: pictures of a first stage alone are drawn all at once; leave it out, or ask for fewer by --num"
        );
    }
    let asked = request.to_json();
    let asked = asked.as_object().into_iter().flatten();
    let mut typed = asked.filter(|(name, _)| !MEANT.contains(&name.as_str())).map(|(name, value)| match value {
        Value::Bool(false) => "--no-clip".to_owned(),
        _ => format!("--{}", name.replace('_', "-")),
    });
    if let Some(option) = typed.next() {
        misused!(
            "{option}: pictures of a first stage alone come from its prior in one go, without steps, classes or \
             pictures to begin with; leave it out, or name a diffusion model with --model"
        );
    }
    let shown = [("--animate", output.animate.is_some()), ("--trajectory", output.trajectory)];
    if let Some((option, _)) = shown.into_iter().find(|(_, is_typed)| *is_typed) {
        misused!(
            "{option}: pictures of a first stage alone come from its prior in one go; there are no steps to keep"
        );
    }
    if let Some(precision) = request.precision.filter(|precision| *precision != Precision::F32) {
        misused!("--precision {}: a first stage computes in f32; leave it out", precision.name());
    }
    Ok(())
}

impl Drawing {
    /// Makes every option definite.
    fn new(request: &Request, path: &Path, device: &Chosen) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let files = AutoencoderFiles::open(path)?;
        for warning in files.warnings() {
            tracing::warn!("{warning}");
        }
        let weights = files.fingerprint()?;
        let stage = FirstStage::new(files.load()?, &device.device)?;
        let (latents, shape) = shapes(&stage).with_context(|| name.clone())?;
        if let (Some(file), Some(_)) = (&request.noise, stage.upper()) {
            misused!(
                "--noise {}: with two layers of latents pictures need noise for each; take a --seed",
                file.display()
            );
        }
        let read = |file: &std::path::PathBuf| Given::read("--noise ", file, None, latents);
        let given = request.noise.as_ref().map(read).transpose()?;
        let draws = job::draws(request, given.as_ref(), None, 1)?;
        let all = draws.len();
        let (named, noise) = match given {
            Some(Given { record, noise }) => (Some(record), Streams::Given(noise)),
            None => (None, draws.streams()),
        };
        let noise = match request.picture {
            None => noise,
            Some(picture) if picture < all => noise.only(&[picture]),
            Some(picture) => bail!("picture {picture} is none of {}", units::pictures(all)),
        };
        let pictures = request.picture.map_or(all, |_| 1);
        let batch_size = request.batch_size.unwrap_or(BATCH_SIZE);
        let mut drawing = Self { stage, noise, pictures, batch_size, shape, latents, run: Value::Null };
        drawing.run = drawing.record(request, (&name, &weights), (&draws, named), device);
        Ok(drawing)
    }

    /// What decides the pictures, as the record of any run has it, and the prior in place of a plan.
    fn record(
        &self,
        request: &Request,
        (model, weights): (&str, &str),
        (draws, given): (&Draws, Option<(&'static str, Value)>),
        device: &Chosen,
    ) -> Value {
        let decided = request.decided_draws(model, self.batch_size, draws);
        let mut run = json!({
            "program": format!("ddim {}", env!("CARGO_PKG_VERSION")),
            "model": model,
            "weights": weights,
        });
        for (name, value) in run_record::draws(given.as_ref(), draws, request.picture) {
            run[name] = value;
        }
        let prior = self.stage.prior().map(|prior| json!({ "mean": prior.mean, "deviation": prior.deviation }));
        run["shape"] = json!(self.shape);
        run["prior"] = prior.into();
        run["batch_size"] = json!(self.batch_size);
        run["device"] = json!(device.name);
        run["precision"] = json!(Precision::F32.name());
        run[COMMAND] = json!(decided.command());
        run[REQUEST] = decided.to_json();
        run
    }

    /// Draws these pictures under a progress bar.
    fn draw_all(&self, missing: &[usize], target: &mut Target, interrupt: &Interrupt) -> anyhow::Result<Ending> {
        let bar = progress::bar(missing.len() as u64, "pictures");
        let mut ending = Ending::Done;
        for batch in missing.chunks(self.batch_size) {
            if interrupt.requested() {
                ending = Ending::Interrupted;
                break;
            }
            let mut noise = self.noise.of(batch, self.stage.device());
            let drawn = self.stage.sample(noise.as_mut(), batch.len());
            let drawn = drawn.map_err(|error| error.in_batch(|place| batch[place]))?;
            let [finals, latents] = [drawn.pictures, drawn.latents].map(Tensor::into_values);
            target.add(batch, &Batch { finals, latents })?;
            interrupt.leave(target.parting());
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
        Ok(ending)
    }
}

/// Those of latents and of pictures; a first stage that nothing can be drawn of is refused.
fn shapes(stage: &FirstStage) -> Result<([usize; 3], [usize; 3]), ddim::Error> {
    if stage.prior().is_none() {
        return Err(ddim::Error::NoPrior { class: stage.config().class() });
    }
    Ok((stage.latent_shape()?, stage.picture_shape()?))
}
