//! Bits per dimension of sets of pictures.

use ddim_eval::{BitsPerDim, Grid, LogDensity, Trace, dequantised, log_density, velocity_of};
use serde_json::{Value, json};

use super::pictures::{Batch, Observer, Sets, ended};
use crate::args::{EvalArgs, FlowArgs};
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{Ending, units};

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
    let sets = Sets::read(&args.likelihood, args, model);
    let mut densities = Vec::new();
    let calls = grid.calls(trace(&args.flow), sets.dims());
    let ending = sets.in_batches(args, interrupt, calls, |batch, observe| {
        let found = density(args, model, &grid, batch, observe)?;
        let ended = ended(&found);
        densities.extend(found);
        Ok(ended)
    })?;
    let steps = args.plan.steps.unwrap_or(STEPS);
    Ok(Measured { densities, flow: args.flow.clone(), steps, seed: args.seed, sets, ending })
}

/// Of a batch; none if the user stops it.
fn density(
    args: &EvalArgs,
    model: &Model,
    grid: &Grid,
    batch: &Batch<'_>,
    observe: Observer<'_>,
) -> anyhow::Result<Option<LogDensity>> {
    let noise = batch.noise(args.seed);
    let x0 = dequantised(&batch.pixels(), batch.shape(), &noise, model.inner.device());
    let labels = batch.labels(model, args.flow.any_class)?;
    let network = model.inner.network(x0.dims(), &labels)?;
    let velocity = velocity_of(model.inner.checkpoint().scheduler.prediction(), network);
    Ok(log_density(velocity, grid, x0, trace(&args.flow), &noise, observe)?)
}

fn trace(flow: &FlowArgs) -> Trace {
    if flow.exact { Trace::Exact } else { Trace::Hutchinson { probes: flow.probes } }
}

impl Measured {
    /// One line for people, and one for what it cost.
    pub(super) fn to_text(&self) -> String {
        let Some(bits) = BitsPerDim::of(&self.densities) else { return String::new() };
        let shown = |number| units::fixed(number, 4);
        let error = bits.standard_error.map_or(String::new(), |error| format!(" +- {}", shown(error)));
        let probes =
            bits.probe_error.map_or(String::new(), |error| format!(", {} of the error from probes", shown(error)));
        let pictures = units::pictures(self.pictures());
        format!(
            "{}{error} bits/dim  ({pictures}{probes})\n{} a picture, each with its gradient\n",
            shown(bits.mean),
            units::counted(self.calls(), "network call")
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
            "images": self.sets.names(),
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
