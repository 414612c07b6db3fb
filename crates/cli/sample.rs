//! `ddim sample`: pictures from a model.

mod place;
mod scales;
mod sink;

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ddim::{Drawn, Observer, Route, Run, Seen};
use ddim_bench::units;
use ddim_sampler::Effort;
use ddim_schedule::solvers::Ddim;
use ddim_schedule::{Lineage, Plan, Settings};
use ddim_tensor::Tensor;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use self::sink::{Sink, Written};
use crate::args::{SampleArgs, misused};
use crate::device::Precision;
use crate::ending::Ending;
use crate::job::Job;
use crate::model::Model;
use crate::output::AnimateWhat;
use crate::request::{OutputRequest, Past, Request};
use crate::seeds::{self, Seed};
use crate::signals::Interrupt;
use crate::{device, output, printing, prior, progress, run_record, shard, student};

/// A larger noise level to start from than most schedules have: the linear one ends at 157.
const LARGEST_USUAL_START: f64 = 1000.0;

/// Draws the pictures and says where they are.
pub(crate) fn run(args: SampleArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let past = args.like.as_deref().map(past).transpose()?;
    let asked = match &past {
        Some((past, name)) => args.request().over(past.request().with_context(|| name.clone())?),
        None => args.request(),
    };
    let found = args.shard.map(shard::find).transpose()?;
    if let (Some(shard), Seed::Drawn(_)) = (&found, args.seed) {
        misused!(
            "--seed random: shard {} would have a seed of its own: type one number for all shards",
            shard.shard
        );
    }
    let asked = student::in_place(continued(asked, &args));
    let request = Request { shard: found.as_ref().map(|found| found.shard), ..asked };
    if request.shard.is_some() && (request.picture.is_some() || request.pictures.is_some()) {
        misused!(
            "--shard: --like names some pictures of a run, and a shard is one of a whole run; give its run.json"
        );
    }
    if let (Seed::Drawn(_), Some(seed)) = (args.seed, request.seed) {
        seeds::say(seed);
    }
    let device = device::choose(args.device.device)?;
    if prior::is_meant(&request) {
        let past = past.as_ref().map(|(past, _)| past);
        return prior::draw(&request, &args.output.request(), (past, &device), interrupt, started);
    }
    let model = Model::load(&request.model, &device.device)?;
    let model = model.in_precision(request.precision.unwrap_or(Precision::F32))?;
    let request = match &past {
        Some((past, _)) => past.with_classes(request, &model.inner),
        None => request,
    };
    let job = Job::new(&request, &model, &device)?;
    if let Some(found) = &found {
        tell(found, &job);
    }
    if let Some((past, _)) = &past {
        past.warn_of_another(&job);
    }
    draw(&job, &args.output.request(), interrupt, started)
}

/// Says which share of the run is drawn here, and who said so.
fn tell(found: &shard::Found, job: &Job<'_>) {
    let because = match found.variables.as_str() {
        "" => String::new(),
        variables => format!(" ({variables})"),
    };
    let (Range { start, end }, of) = (&job.asked, job.drawing.pictures);
    tracing::info!("shard {}{because}: pictures {start}..{end} of {of}", found.shard);
}

/// The earlier run that is drawn once more, and how it is called in messages.
fn past(path: &Path) -> anyhow::Result<(Past, String)> {
    let name = format!("--like {}", path.display());
    Ok((Past::read(path).with_context(|| name.clone())?, name))
}

/// The request of a run that is to be completed, with what it decided itself when it began and nobody has typed now: how
/// many pictures, and a seed that was drawn.
fn continued(request: Request, args: &SampleArgs) -> Request {
    let before = match &args.output.out {
        Some(out) if args.output.resume => run_record::read(&out.join(output::RUN)),
        _ => None,
    };
    let Some(before) = before else { return request };
    let num = before["num"].as_u64().map(|num| num as usize).filter(|_| request.seeds.is_none());
    let seed = match (args.seed, before["seed"].as_u64()) {
        (Seed::Drawn(_), Some(seed)) => Some(seed),
        _ => request.seed,
    };
    Request { num: request.num.or(num), seed, ..request }
}

/// Runs a job of a command that has `started` then, and says where its pictures are.
pub(crate) fn draw(
    job: &Job<'_>,
    output: &OutputRequest,
    interrupt: &Interrupt,
    started: Instant,
) -> anyhow::Result<Ending> {
    let (mut sink, missing) = Sink::open(output, job)?;
    tracing::info!("device: {}", job.device.description);
    tracing::info!("method: {}", method(job));
    warn_of_noise(job);
    interrupt.leave(sink.parting());
    let mut effort = sink.effort_before();
    let ending = draw_all(job, &job.drawable(&missing), &mut sink, interrupt, &mut effort)?;
    let calls = calls(job, &effort);
    let written = sink.finish(calls.as_ref())?;
    report(output, job, &written, calls, started)?;
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
    effort: &mut Vec<Effort>,
) -> anyhow::Result<Ending> {
    let steps = job.drawing.route.plan().map_or(PERCENT, |plan| plan.steps().len());
    let bar = progress::bar((missing.len() * steps) as u64, "steps");
    let mut writing =
        Writing { job, sink, interrupt, bar: &bar, batch: sink::Batch::default(), effort, finished: 0 };
    let ended = job.drawing.walk(missing, &mut writing);
    bar.finish_and_clear();
    Ok(ended.map_err(|error| job.explained(error))?.into())
}

/// What the bar of a run to a tolerance counts for a picture.
const PERCENT: usize = 100;

/// Shows how far a run is, and hands over each batch as soon as it is finished.
struct Writing<'a, 's> {
    job: &'a Job<'a>,
    sink: &'a mut Sink<'s>,
    interrupt: &'a Interrupt,
    bar: &'a ProgressBar,
    /// What is kept of the batch under way.
    batch: sink::Batch,
    /// What each picture has cost.
    effort: &'a mut Vec<Effort>,
    /// Pictures of this run.
    finished: usize,
}

impl Observer for Writing<'_, '_> {
    type Error = anyhow::Error;

    fn see(&mut self, pictures: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        match seen {
            Seen::Start(x) => {
                self.batch = sink::Batch::default();
                self.look_at(x, 0);
                return ControlFlow::Continue(());
            }
            Seen::Step(step) => {
                self.look_at(step.x, step.index + 1);
                if let Some((frame, AnimateWhat::X0)) = self.sink.frame_after(step.index + 1) {
                    self.show(frame, step.x0.clone());
                }
                self.bar.inc(pictures.len() as u64);
            }
            Seen::Attempt(attempt) => {
                let of_batch = (attempt.progress * (pictures.len() * PERCENT) as f64) as u64;
                self.bar.set_position((self.finished * PERCENT) as u64 + of_batch);
            }
        }
        self.interrupt.go_on()
    }

    fn take(&mut self, Drawn { indices, x, latents, effort, .. }: Drawn) -> anyhow::Result<ControlFlow<()>> {
        self.finished += indices.len();
        self.effort.extend(&effort);
        (self.batch.finals, self.batch.effort) = (x.into_values(), effort);
        self.batch.latents = latents.map(Tensor::into_values).unwrap_or_default();
        self.sink.add(&indices, &self.batch)?;
        self.interrupt.leave(self.sink.parting());
        tracing::debug!("finished: {indices:?}");
        Ok(self.interrupt.go_on())
    }
}

impl Writing<'_, '_> {
    /// Keeps of the state after so many steps what the output asks for; reading numbers back makes a GPU wait, so
    /// nothing else is read.
    fn look_at(&mut self, x: &Tensor, steps: usize) {
        if self.sink.keeps_states() {
            self.batch.states.push(x.values());
        }
        let (frame, plan) = (self.sink.frame_after(steps), self.job.drawing.route.plan());
        if let (Some((frame, AnimateWhat::X)), Some(plan)) = (frame, plan) {
            self.show(frame, x.clone() * plan.view_scale(steps));
        }
    }

    /// Keeps a frame of the animation: what it shows, as pictures, and grey where the noise cannot be decoded yet.
    fn show(&mut self, frame: usize, seen: Tensor) {
        let grey = seen.dims()[0] * self.job.shape.iter().product::<usize>();
        let pictures = self.job.model.inner.decoded(seen);
        self.batch.frames.push((frame, pictures.map_or_else(|_| vec![0.0; grey], Tensor::into_values)));
    }
}

/// What the pictures of a run to a tolerance have cost, those of earlier runs into the same folder included; a plan says it
/// beforehand.
fn calls(job: &Job<'_>, effort: &[Effort]) -> Option<Value> {
    if job.drawing.route.plan().is_some() {
        return None;
    }
    let calls = run_record::calls(effort);
    tracing::info!(
        "network calls a picture: {:.1} (from {} to {}), {} refused",
        calls["mean"].as_f64().unwrap_or_default(),
        calls["least"],
        calls["most"],
        units::steps(effort.iter().map(|effort| effort.refused).sum())
    );
    Some(calls)
}

/// The method in one line, with the convention that decides everything around it.
fn method(job: &Job<'_>) -> String {
    let settings = job.drawing.route.settings();
    if let Route::Flow { tolerance, .. } = &job.drawing.route {
        let (relative, absolute) = (tolerance.relative(), tolerance.absolute());
        let pair = ddim::ADAPTIVE_PAIR.name;
        return format!("adaptive ({pair}), rtol {relative}, atol {absolute}, convention {}", settings.convention);
    }
    let solver = &settings.solver;
    let name = match (solver.as_a(), solver.lineage()) {
        (Some(Ddim { eta }), _) => format!("ddim, eta {}", eta.value()),
        (None, Lineage::Equations) => solver.to_string(),
        (None, _) => solver.name().to_owned(),
    };
    let steps = settings.n_steps;
    let calls = match job.drawing.calls().unwrap_or(steps) {
        calls if calls == steps => String::new(),
        calls => format!(" ({})", units::counted(calls, "network call")),
    };
    let steps = units::steps(steps);
    let Settings { spacing, convention, .. } = settings;
    format!("{name}, {steps}{calls}{}, spacing {spacing}, convention {convention}", kept(&job.drawing))
}

/// What calls keep for later ones, if anything.
fn kept(drawing: &Run<'_>) -> String {
    let (Some(reuse), Some(full)) = (&drawing.reuse, drawing.full_calls()) else { return String::new() };
    let in_full = full.iter().filter(|full| **full).count();
    let what = if drawing.corrector.is_some() { "steps" } else { "calls" };
    format!(", all layers in {in_full} of {} {what} and what lies behind {} in the others", full.len(), reuse.cut)
}

/// Says so where the start is so noisy that the network's errors become the picture.
fn warn_of_noise(job: &Job<'_>) {
    let start = job.drawing.route.plan().map_or(1.0, Plan::start_scale);
    if start > LARGEST_USUAL_START {
        tracing::warn!(
            "the run starts at a noise level of {start:.0}, by which this solver multiplies the network's errors: \
             --convention exact starts no higher than 164"
        );
    }
}

/// Prints what was written where.
fn report(
    output: &OutputRequest,
    job: &Job<'_>,
    written: &Written,
    calls: Option<Value>,
    started: Instant,
) -> anyhow::Result<()> {
    let mut text = String::new();
    if output.json {
        let mut json = json!({
            "out": written.out.as_deref().map(Path::to_string_lossy),
            "animation": written.animation.as_deref().map(Path::to_string_lossy),
            "pictures": job.pictures(),
            "finished": written.finished,
            "seconds": started.elapsed().as_secs_f64(),
            "run": written.run,
        });
        if let Some(calls) = calls {
            json["calls"] = calls;
        }
        text.push_str(&format!("{json:#}\n"));
    } else {
        printing::styled(&written.preview)?;
        // An interrupted run has a folder before it has a picture; a shard may have none.
        for path in
            written.out.iter().chain(&written.animation).filter(|_| written.finished > 0 || job.asked.is_empty())
        {
            text.push_str(&format!("{}\n", path.display()));
        }
    }
    printing::results(&text)?;
    Ok(())
}
