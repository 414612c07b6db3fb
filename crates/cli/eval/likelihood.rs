//! Bits per dimension of sets of pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim_data::{ImageSet, Size};
use ddim_eval::{BitsPerDim, Grid, LogDensity, Trace, dequantised, log_density, velocity_of};
use ddim_sampler::PictureNoise;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::args::{EvalArgs, FlowArgs};
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{Ending, progress};

/// What came out.
#[derive(Debug)]
pub(super) struct Measured {
    densities: Vec<LogDensity>,
    flow: FlowArgs,
    seed: u64,
    sets: Vec<PathBuf>,
    /// Sets that could not be used.
    refused: usize,
    ending: Ending,
}

/// Measures set after set; one that is refused is named, and the others go on.
///
/// # Errors
/// When the model cannot be evaluated at real-valued times.
pub(super) fn measure(args: &EvalArgs, model: &Model, interrupt: &Interrupt) -> anyhow::Result<Measured> {
    let grid = Grid::new(model.inner.schedule(), args.flow.steps)?;
    grid.levels().iter().try_for_each(|level| model.inner.check_time(level.time))?;
    let (mut refused, mut sets) = (0, Vec::new());
    for path in &args.likelihood {
        match open(path, model) {
            Ok(set) => sets.push((path.clone(), set)),
            Err(error) => {
                tracing::error!("{}", crate::chain(&error));
                refused += 1;
            }
        }
    }
    let total: usize = sets.iter().map(|(_, set)| set.len().min(args.num)).sum();
    let bar = progress::bar(total as u64, "pictures");
    let mut flow = Flow { args, model, grid, bar, interrupt, densities: Vec::new() };
    let ending = sets.iter().try_fold(Ending::Done, |ending, (path, set)| match ending {
        Ending::Done => flow.add(set).with_context(|| path.display().to_string()),
        Ending::Interrupted => Ok(ending),
    });
    flow.bar.finish_and_clear();
    let sets = sets.into_iter().map(|(path, _)| path).collect();
    let (densities, flow) = (flow.densities, args.flow.clone());
    Ok(Measured { densities, flow, seed: args.seed, sets, refused, ending: ending? })
}

/// A set of pictures, or a single one, that fits the model.
fn open(path: &Path, model: &Model) -> anyhow::Result<ImageSet> {
    let set = ddim_data::open(path)?;
    let config = model.inner.checkpoint().unet.config();
    let [height, width, channels] = set.shape;
    let wanted = model.inner.shape().map_or([height, width], |[_, height, width]| [height, width]);
    if channels != config.in_channels || [height, width] != wanted {
        bail!(
            "{}: pictures of {}, but the model draws {} (height x width x channels)",
            path.display(),
            Size(set.shape),
            Size([wanted[0], wanted[1], config.in_channels])
        );
    }
    Ok(set)
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
        let pictures: Vec<usize> = (0..set.len().min(self.args.num)).collect();
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
        let labels = self.labels(set, batch)?;
        let network = model.network(x0.dims(), &labels)?;
        let velocity = velocity_of(model.checkpoint().scheduler.prediction(), network);
        Ok(log_density(velocity, &self.grid, x0, self.trace(), &streams)?)
    }

    /// The classes of these pictures, as far as the model knows any.
    fn labels(&self, set: &ImageSet, batch: &[usize]) -> anyhow::Result<Vec<usize>> {
        let model = &self.model.inner;
        match (model.label_count(), &set.labels, model.null_class()) {
            (0, ..) => Ok(Vec::new()),
            (_, Some(labels), _) if !self.args.flow.any_class => Ok(batch.iter().map(|k| labels[*k]).collect()),
            (.., Some(null_class)) => Ok(vec![null_class; batch.len()]),
            (.., None) => bail!("the model must be told the class of a picture: give pictures with labels"),
        }
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
        let pictures = match self.pictures() {
            1 => "1 picture".to_owned(),
            count => format!("{count} pictures"),
        };
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
            "images": self.sets,
            "network_calls": self.calls(),
            "steps": self.flow.steps,
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
        match self.refused {
            0 => Ok(self.ending),
            1 => bail!("one set of pictures was left out, as said above"),
            count => bail!("{count} sets of pictures were left out, as said above"),
        }
    }

    fn pictures(&self) -> usize {
        self.densities.iter().map(|density| density.estimates.len()).sum()
    }

    /// For a picture: all batches take the same.
    fn calls(&self) -> usize {
        self.densities.first().map_or(0, |density| density.calls)
    }
}
