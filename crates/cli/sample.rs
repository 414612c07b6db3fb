//! `ddim sample`: pictures from a model.

mod sink;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::Tensor;
use ddim_sampler::{Observation, Outcome};
use ddim_schedule::Method;
use indicatif::ProgressBar;
use serde_json::json;

use self::sink::{Drawn, Sink, Written};
use crate::Ending;
use crate::args::{OutputArgs, SampleArgs};
use crate::job::Job;
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{device, progress};

/// Draws the pictures and says where they are.
///
/// # Errors
/// When an option, the model or a file is refused, or a picture cannot be drawn or written.
pub(crate) fn run(args: SampleArgs) -> anyhow::Result<Ending> {
    args.precision.check()?;
    let started = Instant::now();
    let interrupt = Interrupt::install()?;
    let device = device::choose(args.device.device)?;
    let model = Model::load(&args.model, &device.device)?;
    draw(&Job::new(&args, &model, &device)?, &args.output, &interrupt, started)
}

/// Runs a job of a command that has `started` then, and says where its pictures are.
///
/// # Errors
/// When the output is refused, or a picture cannot be drawn or written.
pub(crate) fn draw(
    job: &Job<'_>,
    output: &OutputArgs,
    interrupt: &Interrupt,
    started: Instant,
) -> anyhow::Result<Ending> {
    let (mut sink, missing) = Sink::open(output, job)?;
    tracing::info!("device: {}", job.device.description);
    tracing::info!("method: {}", method(job));
    let ending = draw_all(job, &job.drawable(&missing), &mut sink, interrupt)?;
    let written = sink.finish()?;
    report(output, job, &written, started)?;
    match ending {
        Ending::Interrupted => tracing::warn!("{}", written.how_to_go_on()),
        Ending::Done => job.complete()?,
    }
    Ok(ending)
}

/// Draws all pictures under a progress bar, which is gone afterwards, whatever happened.
fn draw_all(
    job: &Job<'_>,
    missing: &[usize],
    sink: &mut Sink<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<Ending> {
    let steps = missing.len() * job.plan.timesteps().len();
    let bar = progress::bar(steps as u64, "picture steps");
    let ending = draw_batches(job, missing, sink, interrupt, &bar);
    bar.finish_and_clear();
    ending
}

/// Draws batch after batch, and hands each over as soon as it is finished.
fn draw_batches(
    job: &Job<'_>,
    missing: &[usize],
    sink: &mut Sink<'_>,
    interrupt: &Interrupt,
    bar: &ProgressBar,
) -> anyhow::Result<Ending> {
    for pictures in missing.chunks(job.batch_size) {
        let mut drawn = Drawn::default();
        let x = job.start(pictures);
        if sink.keeps_states() {
            drawn.states.push(values(&x));
        }
        let outcome = job.draw(pictures, x, |seen| {
            look(seen, sink, &mut drawn);
            bar.inc(pictures.len() as u64);
            if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match outcome? {
            Outcome::Finished(x) => drawn.finals = values(&x),
            Outcome::Stopped { .. } => return Ok(Ending::Interrupted),
        }
        sink.add(pictures, &drawn)?;
        tracing::debug!("finished: {pictures:?}");
        if interrupt.requested() && pictures.last() != missing.last() {
            return Ok(Ending::Interrupted);
        }
    }
    Ok(Ending::Done)
}

/// Keeps of a step what the output asks for; reading numbers back makes a GPU wait, so nothing else is read.
fn look(seen: &Observation<'_>, sink: &Sink<'_>, drawn: &mut Drawn) {
    if sink.keeps_states() {
        drawn.states.push(values(seen.x));
    }
    if let Some(frame) = sink.frame_of(seen.index) {
        drawn.frames.push((frame, values(seen.x0)));
    }
}

/// The numbers of a tensor, on the host.
fn values(tensor: &Tensor<4>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// The method in one line, with the convention that decides everything around it.
fn method(job: &Job<'_>) -> String {
    let settings = job.plan.plan.settings();
    let name = settings.method.name();
    let eta = match &settings.method {
        Method::Ddim { eta } => format!(", eta {}", eta.value()),
        _ => String::new(),
    };
    let (steps, calls) = (settings.n_steps, job.calls());
    let calls = if calls == steps { String::new() } else { format!(" ({calls} network calls)") };
    format!("{name}{eta}, {steps} steps{calls}, spacing {}, convention {}", settings.spacing, settings.convention)
}

/// Prints what was written where.
fn report(output: &OutputArgs, job: &Job<'_>, written: &Written, started: Instant) -> anyhow::Result<()> {
    let mut text = String::new();
    if output.json {
        let json = json!({
            "out": written.out,
            "animation": written.animation,
            "pictures": job.pictures(),
            "finished": written.finished,
            "seconds": started.elapsed().as_secs_f64(),
            "run": job.run,
        });
        text.push_str(&format!("{json:#}\n"));
    } else {
        text.push_str(&written.preview);
        for path in written.out.iter().chain(&written.animation) {
            text.push_str(&format!("{}\n", path.display()));
        }
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
