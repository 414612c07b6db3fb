//! `ddim reconstruct`: how close pictures come to themselves on the way to noise and back.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use anyhow::{Context, bail};
use ddim::{Batch, ErrorSummary, Labels, squared_errors};
use ddim_data::{Layout, Picture, Scale, grid};
use ddim_sampler::{Guidance, Outcome, PictureNoise};
use ddim_schedule::{PixelRounding, Plan};
use ddim_tensor::Tensor;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::Ending;
use crate::args::{ReconstructArgs, misused};
use crate::images::{Images, Needed};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::output::{self, Folder, MOST_IN_GRID, OpenMode, Sheet};
use crate::plan::BothWays;
use crate::signals::{Interrupt, Parting};
use crate::{device, plan, printing, progress};

/// What is said at Ctrl-C.
const INTERRUPTED: &str = "interrupted; a number of steps that was begun is not counted";

/// Steps each way when nothing says otherwise.
const STEPS: [usize; 4] = [10, 20, 50, 100];

/// Goes there and back with each number of steps, and prints each row of the table as it is known.
///
/// # Errors
/// When an option, the model or a file is refused, or, at the end, a picture was left out.
pub(crate) fn run(args: &ReconstructArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model, &device.device)?;
    let trips = trips(args, &model)?;
    let told = labels::in_turn(&model.inner, &args.class, &args.labels.label, Unsaid::Any)?;
    let needed = Needed {
        shape: model.inner.shape().with_context(|| model.name.clone())?,
        rules: args.pictures.rules.clone(),
        rounding: rounding(&trips[0]),
    };
    let images = Images::read(&args.pictures, needed)?;
    let labels = images.labels(told).in_turn(0..images.len());
    let run = record(args, &model, &images, &labels, &trips);
    let mut pairs = args.out.as_deref().map(|out| Pairs::open(out, args, &run, &images, &trips)).transpose()?;
    tracing::info!("device: {}", device.description);
    tracing::info!("method: {}", method(&trips));

    interrupt.leave(Parting::free(INTERRUPTED));
    let runner = Runner { model: &model, images: &images, labels: &labels, batch_size: args.computing.batch_size };
    let Some(rows) = measured(args, &trips, &runner, pairs.as_mut(), interrupt)? else {
        tracing::warn!("{INTERRUPTED}");
        return Ok(Ending::Interrupted);
    };
    if args.json {
        let json = json!({ "pictures": images.len(), "rows": rows, "out": args.out.as_deref().map(Path::to_string_lossy), "run": run });
        printing::results(&format!("{json:#}\n"))?;
    }
    if let Some(pairs) = pairs {
        pairs.finish()?;
    }
    images.check_complete()?;
    Ok(Ending::Done)
}

/// A row for each number of steps, none after Ctrl-C; what came back goes to `pairs`.
fn measured(
    args: &ReconstructArgs,
    trips: &[BothWays],
    runner: &Runner<'_>,
    mut pairs: Option<&mut Pairs>,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Vec<Value>>> {
    let calls: usize = trips.iter().map(|both| both.trip.calls()).sum();
    let bar = progress::bar((calls * runner.images.len()) as u64, "network calls");
    let mut rows = Vec::new();
    for both in trips {
        let Some((errors, pictures)) = runner.there_and_back(both, interrupt, &bar)? else {
            bar.finish_and_clear();
            return Ok(None);
        };
        let row = Row { both, errors: ErrorSummary::new(&errors) };
        if !args.json {
            bar.suspend(|| row.print(rows.is_empty()))?;
        }
        rows.push(row.to_json());
        if let Some(pairs) = pairs.as_deref_mut() {
            pairs.add(&pictures, both);
        }
    }
    bar.finish_and_clear();
    Ok(Some(rows))
}

/// The plans for each number of steps: what is refused is refused before anything is computed.
fn trips(args: &ReconstructArgs, model: &Model) -> anyhow::Result<Vec<BothWays>> {
    let trip = |n_steps: &usize| {
        let both = plan::both_ways(&args.habits.plan(Some(*n_steps)), &model.training)?;
        model.inner.check_plan(both.trip.encode())?;
        model.inner.check_plan(both.trip.decode())?;
        Ok(both)
    };
    match args.steps.as_slice() {
        [] => plan::usual_counts(&STEPS, &model.training).iter().map(trip).collect(),
        typed => {
            let is_first = |(k, steps): &(usize, &usize)| !typed[..*k].contains(steps);
            typed.iter().enumerate().filter(is_first).map(|(_, steps)| trip(steps)).collect()
        }
    }
}

/// The method in one line; there is at least one number of steps.
fn method(trips: &[BothWays]) -> String {
    let settings = trips[0].trip.decode().settings();
    format!("ddim both ways, eta 0, spacing {}, convention {}", settings.spacing, settings.convention)
}

/// From numbers to 8 bits, and back; the same for all trips.
fn rounding(both: &BothWays) -> PixelRounding {
    both.trip.decode().convention().pixel_rounding()
}

/// What decides the numbers.
fn record(args: &ReconstructArgs, model: &Model, images: &Images, told: &Labels, trips: &[BothWays]) -> Value {
    let mut run = json!({
        "program": format!("ddim {}", env!("CARGO_PKG_VERSION")),
        "model": model.name,
        "weights": model.weights,
        "pictures": images.records(),
        "labels": labels::record(told).unwrap_or_else(|| json!(told.classes())),
        "steps": trips.iter().map(BothWays::steps).collect::<Vec<_>>(),
        "method": method(trips),
    });
    if let Some(times) = args.scale {
        run["scale"] = json!(times);
    }
    run
}

/// All pictures, and how they are taken along.
struct Runner<'a> {
    model: &'a Model,
    images: &'a Images,
    labels: &'a Labels,
    batch_size: usize,
}

impl Runner<'_> {
    /// The error of every picture, and the pictures that came back; `None` when the user stopped it.
    fn there_and_back(
        &self,
        both: &BothWays,
        interrupt: &Interrupt,
        bar: &ProgressBar,
    ) -> anyhow::Result<Option<(Vec<f64>, Vec<f32>)>> {
        let (mut errors, mut pictures) = (Vec::new(), Vec::new());
        for first in (0..self.images.len()).step_by(self.batch_size) {
            let batch = first..self.images.len().min(first + self.batch_size);
            let x = self.images.tensor(batch.clone(), self.model.inner.device());
            let follow = |plan, x| self.follow(plan, batch.clone(), x, interrupt, bar);
            let Some(noise) = follow(both.trip.encode(), x.clone())? else { return Ok(None) };
            let Some(again) = follow(both.trip.decode(), noise)? else { return Ok(None) };
            errors.extend(squared_errors(&x, &again));
            pictures.extend(again.values());
        }
        Ok(Some((errors, pictures)))
    }

    /// Where a plan leads a batch.
    fn follow(
        &self,
        plan: &Plan,
        batch: Range<usize>,
        x: Tensor,
        interrupt: &Interrupt,
        bar: &ProgressBar,
    ) -> anyhow::Result<Option<Tensor>> {
        let (first, n) = (batch.start, batch.len() as u64);
        let labels = self.labels.in_turn(batch);
        let padded_to = self.model.inner.padding(self.batch_size);
        let batch = Batch { x, labels, guidance: Guidance::OFF, padded_to };
        let mut no_noise = PictureNoise::new(0, []);
        let outcome = self.model.inner.draw(plan, batch, &mut no_noise, |_| {
            bar.inc(n);
            if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match outcome.map_err(|error| error.in_batch(|place| first + place))? {
            Outcome::Finished(x) => Ok(Some(x)),
            Outcome::Stopped { .. } => Ok(None),
        }
    }
}

/// A line of the table.
struct Row<'a> {
    both: &'a BothWays,
    errors: ErrorSummary,
}

impl Row<'_> {
    /// Prints it, the first below a header.
    fn print(&self, is_first: bool) -> io::Result<()> {
        let ErrorSummary { mean, standard_error, max } = self.errors;
        let spread = standard_error.map_or_else(|| "-".to_owned(), |spread| format!("{spread:.7}"));
        let header = format!("{:>6} {:>6} {:>10} {:>10} {:>10}\n", "steps", "calls", "error", "+-", "max");
        let (steps, calls) = (self.both.steps(), self.both.trip.calls());
        let line = format!("{steps:>6} {calls:>6} {mean:>10.7} {spread:>10} {max:>10.7}\n");
        let text = if is_first { header + &line } else { line };
        printing::results(&text)
    }

    fn to_json(&self) -> Value {
        let ErrorSummary { mean, standard_error, max } = self.errors;
        json!({
            "steps": self.both.steps(),
            "calls": self.both.trip.calls(),
            "error": mean,
            "standard_error": standard_error,
            "max": max,
        })
    }
}

/// The folder of pictures beside their reconstructions.
struct Pairs {
    folder: Folder,
    shape: [usize; 3],
    scale: Scale,
    /// For each picture itself and then what came back.
    strips: Vec<Vec<Picture>>,
}

impl Pairs {
    fn open(
        out: &Path,
        args: &ReconstructArgs,
        run: &Value,
        images: &Images,
        trips: &[BothWays],
    ) -> anyhow::Result<Self> {
        if out.extension().is_some_and(|ending| ending == "png") && !out.is_dir() {
            misused!("--out {}: name a folder, one PNG a picture is written", out.display());
        }
        if !args.force && out.join("run.json").exists() {
            bail!("{} already holds pictures; choose another --out, or replace them with --force", out.display());
        }
        let [_, shape @ ..] = images.shape();
        output::check_channels(shape[0])?;
        let strip = Layout::Columns(1 + trips.len());
        let shown = (1 + trips.len()) * Layout::Columns(1).shown(images.len(), MOST_IN_GRID);
        if let Some(times) = args.scale {
            output::check_scale(times, shape, &[Sheet { pictures: shown, layout: strip, frames: 1 }])?;
        }
        let scale = args.scale.map_or(Scale::Viewed, Scale::Times);
        let mode = if args.force { OpenMode::Replace } else { OpenMode::New };
        let (folder, _) = Folder::open(out, &format!("{run:#}\n"), images.len(), mode)?;
        let mut pairs = Self { folder, shape, scale, strips: vec![Vec::new(); images.len()] };
        pairs.add(images.values(), &trips[0]);
        Ok(pairs)
    }

    /// Adds a picture to every strip.
    fn add(&mut self, values: &[f32], both: &BothWays) {
        let rounding = rounding(both);
        for (strip, values) in self.strips.iter_mut().zip(values.chunks(self.shape.iter().product())) {
            strip.push(Picture::from_values(values, self.shape, |value| rounding.to_u8(value)));
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        for (index, strip) in self.strips.iter().enumerate() {
            self.folder.write(index, &grid(strip, Layout::Columns(strip.len()), self.scale), None)?;
        }
        let all: Vec<usize> = (0..self.strips.len()).collect();
        self.folder.write_grid(&all, Layout::Columns(1), Scale::Times(1))
    }
}
