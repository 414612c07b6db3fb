//! Bits per dimension of sets of pictures.

use ddim_bench::units;
use ddim_eval::{BitsPerDim, Grid, LogDensity, Trace, dequantised, log_density, velocity_of};
use serde_json::{Value, json};

use super::pictures::{Batch, Observer, Sets, ended};
use crate::args::{EvalArgs, FlowArgs};
use crate::ending::Ending;
use crate::model::Model;
use crate::signals::Interrupt;

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
pub(super) fn measure(args: &EvalArgs, model: &Model, interrupt: &Interrupt) -> anyhow::Result<Measured> {
    let grid = Grid::new(model.inner.schedule(), args.plan.steps.unwrap_or(STEPS))?;
    grid.levels().iter().try_for_each(|level| model.inner.check_time(level.time))?;
    let sets = Sets::read(&args.likelihood, args, model)?;
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
    let network = model.inner.network_both_ways(x0.dims(), &labels)?;
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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use ddim::{Model, Tensor, device};
    use ddim_sampler::PictureNoise;

    use super::*;

    /// Per picture, in nats a value. A probe meets the Jacobian on both sides, so that its column, the difference of
    /// two calls, gives the same as its row: up to the square of the step, and rounding over twice the step.
    #[test]
    fn a_likelihood_is_that_of_differences() {
        let model = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
        let prediction = model.checkpoint().scheduler.prediction();
        let grid = Grid::new(model.schedule(), 2).expect("a grid");
        let pixels: Vec<Vec<u8>> =
            (0..2).map(|k| (0..28 * 28).map(|i| (i * (k + 3) % 256) as u8).collect()).collect();
        let pixels: Vec<&[u8]> = pixels.iter().map(Vec::as_slice).collect();
        let noise = PictureNoise::new(3, 0..2);
        let x0 = dequantised(&pixels, [28, 28, 1], &noise, model.device());
        let (shape, labels) = (x0.dims(), vec![1, 4].into());
        let probes = Trace::Hutchinson { probes: 2 };
        let go_on = || ControlFlow::Continue(());
        let network = model.network(shape, &labels).expect("two pictures");
        let step = 0.002;
        let differences = |x: Tensor, time: f64, z: Tensor| {
            let at = |side: f64| network(x.clone() + z.clone() * (side * step), time);
            (network(x.clone(), time), (at(1.0) - at(-1.0)) / (2.0 * step))
        };
        let followed = log_density(velocity_of(prediction, differences), &grid, x0.clone(), probes, &noise, go_on)
            .expect("finite");
        let both_ways = model.network_both_ways(shape, &labels).expect("two pictures");
        let ours =
            log_density(velocity_of(prediction, both_ways), &grid, x0, probes, &noise, go_on).expect("finite");
        let (followed, ours) = (followed.expect("not stopped"), ours.expect("not stopped"));
        assert_eq!((ours.calls, ours.dims), (followed.calls, followed.dims));
        for (ours, followed) in ours.estimates.iter().flatten().zip(followed.estimates.iter().flatten()) {
            let off = (ours - followed).abs() / 784.0;
            assert!(off < 1e-3, "{ours} and {followed} nats");
        }
    }
}
