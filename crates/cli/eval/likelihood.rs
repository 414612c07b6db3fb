//! Bits per dimension of sets of pictures.

use anyhow::Context;
use ddim_data::ImageSet;
use ddim_eval::{BitsPerDim, Grid, LogDensity, Trace, dequantised, log_density, velocity_of};
use ddim_sampler::PictureNoise;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::pictures::{self, PICTURES, Sets};
use crate::args::{EvalArgs, FlowArgs};
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{Ending, progress};

/// What came out.
#[derive(Debug)]
pub(super) struct Measured {
    densities: Vec<LogDensity>,
    flow: FlowArgs,
    steps: usize,
    seed: u64,
    sets: Sets,
    ending: Ending,
}

/// Steps when nothing says otherwise.
const STEPS: usize = 32;

/// Measures set after set; one that is refused is named, and the others go on.
///
/// # Errors
/// When the model cannot be evaluated at real-valued times.
pub(super) fn measure(args: &EvalArgs, model: &Model, interrupt: &Interrupt) -> anyhow::Result<Measured> {
    let grid = Grid::new(model.inner.schedule(), args.plan.steps.unwrap_or(STEPS))?;
    grid.levels().iter().try_for_each(|level| model.inner.check_time(level.time))?;
    let sets = Sets::open(&args.likelihood, model);
    let bar = progress::bar(sets.count(args.num.unwrap_or(PICTURES)) as u64, "pictures");
    let mut flow = Flow { args, model, grid, bar, interrupt, densities: Vec::new() };
    let ending = sets.sets.iter().try_fold(Ending::Done, |ending, (path, set)| match ending {
        Ending::Done => flow.add(set).with_context(|| path.display().to_string()),
        Ending::Interrupted => Ok(ending),
    });
    flow.bar.finish_and_clear();
    Ok(Measured {
        densities: flow.densities,
        flow: args.flow.clone(),
        steps: args.plan.steps.unwrap_or(STEPS),
        seed: args.seed,
        sets,
        ending: ending?,
    })
}

/// A measurement under way.
struct Flow<'a> {
    args: &'a EvalArgs,
    model: &'a Model,
    grid: Grid,
    bar: ProgressBar,
    interrupt: &'a Interrupt,
    densities: Vec<LogDensity>,
}

impl Flow<'_> {
    /// Measures the first pictures of a set, batch by batch.
    fn add(&mut self, set: &ImageSet) -> anyhow::Result<Ending> {
        let pictures: Vec<usize> = (0..set.len().min(self.args.num.unwrap_or(PICTURES))).collect();
        for batch in pictures.chunks(self.args.computing.batch_size) {
            if self.interrupt.requested() {
                return Ok(Ending::Interrupted);
            }
            let density = self.batch(set, batch)?;
            self.densities.push(density);
            self.bar.inc(batch.len() as u64);
        }
        Ok(Ending::Done)
    }

    fn batch(&self, set: &ImageSet, batch: &[usize]) -> anyhow::Result<LogDensity> {
        let model = &self.model.inner;
        // Numbered over all sets, so that each picture has random numbers of its own.
        let done: usize = self.densities.iter().map(|density| density.estimates.len()).sum();
        let streams = PictureNoise::new(self.args.seed, (done..done + batch.len()).map(|k| k as u64));
        let pixels: Vec<&[u8]> = batch.iter().map(|k| set.image(*k)).collect();
        let x0 = dequantised(&pixels, set.shape, &streams, model.device());
        let labels = pictures::labels(self.model, set, batch, self.args.flow.any_class)?;
        let network = model.network(x0.dims(), &labels)?;
        let velocity = velocity_of(model.checkpoint().scheduler.prediction(), network);
        Ok(log_density(velocity, &self.grid, x0, self.trace(), &streams)?)
    }

    fn trace(&self) -> Trace {
        trace(&self.args.flow)
    }
}

fn trace(flow: &FlowArgs) -> Trace {
    if flow.exact { Trace::Exact } else { Trace::Hutchinson { probes: flow.probes } }
}

impl Measured {
    /// One line for people, and one for what it cost.
    pub(super) fn to_text(&self) -> String {
        let Some(bits) = BitsPerDim::of(&self.densities) else { return String::new() };
        let error = bits.standard_error.map_or(String::new(), |error| format!(" +- {error:.4}"));
        let probes =
            bits.probe_error.map_or(String::new(), |error| format!(", {error:.4} of the error from probes"));
        let pictures = pictures::counted(self.pictures());
        format!(
            "{:.4}{error} bits/dim  ({pictures}{probes})\n{} network calls a picture, each with its gradient\n",
            bits.mean,
            self.calls()
        )
    }

    /// Everything.
    pub(super) fn to_json(&self) -> Value {
        let bits = BitsPerDim::of(&self.densities);
        let trace = match trace(&self.flow) {
            Trace::Exact => json!("exact"),
            Trace::Hutchinson { probes } => json!({ "probes": probes }),
        };
        json!({
            "bits_per_dim": bits.map(|bits| bits.mean),
            "standard_error": bits.and_then(|bits| bits.standard_error),
            "probe_error": bits.and_then(|bits| bits.probe_error),
            "pictures": self.pictures(),
            "images": self.sets.paths(),
            "network_calls": self.calls(),
            "steps": self.steps,
            "trace": trace,
            "any_class": self.flow.any_class,
            "seed": self.seed,
        })
    }

    /// How the run ended.
    ///
    /// # Errors
    /// When a set was refused.
    pub(super) fn ending(&self) -> anyhow::Result<Ending> {
        self.sets.ending(self.ending)
    }

    fn pictures(&self) -> usize {
        self.densities.iter().map(|density| density.estimates.len()).sum()
    }

    /// For a picture: all batches take the same.
    fn calls(&self) -> usize {
        self.densities.first().map_or(0, |density| density.calls)
    }
}
