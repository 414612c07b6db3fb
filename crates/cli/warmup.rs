//! `ddim warmup`: a model's kernels, compiled and tuned beforehand.

use std::time::Instant;

use ddim::Options;
use ddim::sampler::Guidance;
use ddim::schedule::Eta;
use ddim::schedule::solvers::Ddim;
use serde_json::{Value, json};

use crate::args::WarmupArgs;
use crate::device::{self as devices, CPU, Chosen};
use crate::ending::Ending;
use crate::model::Model;
use crate::signals::{Interrupt, Parting};
use crate::{kernels, plan, printing, progress};
use ddim_bench::units::{self, time};

/// Steps of the run that is timed, with noise in all but the last.
const STEPS: usize = 2;

/// Later runs, the fastest of which is shown.
const REPEATS: usize = 3;

/// What is said at Ctrl-C.
const INTERRUPTED: &str =
    "interrupted; what was found until then is kept, and the same command goes on from there";

/// One batch size.
struct Warmed {
    pictures: usize,
    steps: usize,
    /// Seconds of the first run, in which kernels are made.
    first: f64,
    /// Of the fastest of the later ones.
    later: f64,
}

/// Draws a short run several times at each batch size: the first makes the kernels.
pub(crate) fn run(args: &WarmupArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    interrupt.leave(Parting::free(INTERRUPTED));
    let device = devices::choose(args.device.device)?;
    tracing::info!("device: {}", device.description);
    let model = Model::load(&args.model.request(), &device.device)?.in_precision(args.precision)?;
    args.batch_size.iter().try_for_each(|pictures| model.check_memory(*pictures, &Guidance::OFF))?;
    let bar = progress::bar(args.batch_size.len() as u64, "batch sizes");
    let steps = plan::usual_steps(STEPS, &model.training);
    let mut warmed = Vec::new();
    for &pictures in &args.batch_size {
        let first = seconds(&model, steps, pictures)?;
        let mut later = f64::INFINITY;
        for _ in 0..REPEATS {
            if interrupt.requested() {
                bar.finish_and_clear();
                tracing::warn!("{INTERRUPTED}");
                return Ok(Ending::Interrupted);
            }
            later = later.min(seconds(&model, steps, pictures)?);
        }
        warmed.push(Warmed { pictures, steps, first, later });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let text = if args.json {
        format!("{:#}\n", to_json(args, &device, &model, &warmed))
    } else {
        to_text(args, &device, &model, &warmed)
    };
    printing::results(&text)?;
    Ok(Ending::Done)
}

/// What a short run takes until its pictures are here.
fn seconds(model: &Model, steps: usize, pictures: usize) -> anyhow::Result<f64> {
    let options = Options {
        steps,
        solver: Ddim { eta: Eta::DDPM }.into(),
        count: pictures,
        labels: model.inner.some_labels(pictures),
        batch_size: pictures,
        ..Options::default()
    };
    let start = Instant::now();
    model.inner.sample(&options)?.to_u8();
    Ok(start.elapsed().as_secs_f64())
}

fn to_text(args: &WarmupArgs, device: &Chosen, model: &Model, warmed: &[Warmed]) -> String {
    let mut lines = vec![
        format!("device   {}", device.description),
        format!("model    {} in {}", model.name, args.precision.name()),
    ];
    lines.extend(warmed.iter().map(|Warmed { pictures, steps, first, later }| {
        let (at_once, first, later) = (units::pictures(*pictures), time(*first), time(*later));
        format!("{at_once}, {}: the first time {first}, then {later}", units::steps(*steps))
    }));
    lines.push(match (device.name == CPU, kernels::folder()) {
        (true, _) => "the CPU has no kernels to warm".to_owned(),
        (false, Some(folder)) if folder.is_dir() => format!("kept in {}", folder.display()),
        (false, Some(folder)) => format!("not kept: {} cannot be written", folder.display()),
        (false, None) => {
            "not kept: this build lacks the feature persistence, or there is no home folder".to_owned()
        }
    });
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn to_json(args: &WarmupArgs, device: &Chosen, model: &Model, warmed: &[Warmed]) -> Value {
    let sizes = warmed.iter().map(|Warmed { pictures, steps, first, later }| {
        json!({ "pictures": pictures, "steps": steps, "first_seconds": first, "seconds": later })
    });
    let kept = if device.name == CPU { None } else { kernels::folder() };
    json!({
        "device": device.name,
        "model": model.name,
        "precision": args.precision.name(),
        "batch_sizes": sizes.collect::<Vec<_>>(),
        "kept_in": kept.as_deref().map(std::path::Path::to_string_lossy),
    })
}
