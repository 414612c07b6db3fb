//! `ddim reconstruct`: how close pictures come to themselves on the way to noise and back.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use ddim::{Device, Drawn, ErrorSummary, Labels, Observer, RoundTrip, Route, Run, Seen, Streams, squared_errors};
use ddim_data::{Layout, Picture, Scale, grid};
use ddim_schedule::{PixelRounding, Plan};
use ddim_tensor::Tensor;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::args::{ReconstructArgs, misused};
use crate::ending::Ending;
use crate::images::{Images, Needed};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::output::{self, Folder, MOST_IN_GRID, OpenMode, Sheet};
use crate::signals::{Interrupt, Parting};
use crate::{device, plan, printing, progress};

/// What is said at Ctrl-C.
const INTERRUPTED: &str = "interrupted; a number of steps that was begun is not counted";

/// Steps each way when nothing says otherwise.
const STEPS: [usize; 4] = [10, 20, 50, 100];

/// Goes there and back with each number of steps, and prints each row of the table as it is known.
pub(crate) fn run(args: &ReconstructArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model.request(), &device.device)?;
    let trips = trips(args, &model)?;
    let told = labels::in_turn(&model.inner, &args.class, &args.labels.label, Unsaid::Any)?;
    let needed = Needed {
        shape: model.inner.picture_shape().with_context(|| model.name.clone())?,
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
    let batch_size = args.computing.batch_size;
    let runner = Runner { model: &model, images: &images, labels: &labels, batch_size, interrupt };
    let Some(rows) = measured(args, &trips, &runner, pairs.as_mut())? else {
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
    trips: &[RoundTrip],
    runner: &Runner<'_>,
    mut pairs: Option<&mut Pairs>,
) -> anyhow::Result<Option<Vec<Value>>> {
    let calls: usize = trips.iter().map(RoundTrip::calls).sum();
    let bar = progress::bar((calls * runner.images.len()) as u64, "network calls");
    let mut rows = Vec::new();
    for trip in trips {
        let Some((errors, pictures)) = runner.there_and_back(trip, &bar)? else {
            bar.finish_and_clear();
            return Ok(None);
        };
        let row = Row { trip, errors: ErrorSummary::new(&errors) };
        if !args.json {
            bar.suspend(|| row.print(rows.is_empty()))?;
        }
        rows.push(row.to_json());
        if let Some(pairs) = pairs.as_deref_mut() {
            pairs.add(&pictures, trip);
        }
    }
    bar.finish_and_clear();
    Ok(Some(rows))
}

/// The plans for each number of steps: what is refused is refused before anything is computed.
fn trips(args: &ReconstructArgs, model: &Model) -> anyhow::Result<Vec<RoundTrip>> {
    let trip = |n_steps: &usize| {
        let trip = plan::both_ways(&args.habits.request(Some(*n_steps)), &model.training)?;
        model.inner.check_plan(trip.encode())?;
        model.inner.check_plan(trip.decode())?;
        Ok(trip)
    };
    match args.steps.as_slice() {
        [] => plan::usual_counts(&STEPS, &model.training).iter().map(trip).collect(),
        typed => {
            let is_first = |(k, steps): &(usize, &usize)| !typed[..*k].contains(steps);
            typed.iter().enumerate().filter(is_first).map(|(_, steps)| trip(steps)).collect()
        }
    }
}

/// Steps each way.
fn steps(trip: &RoundTrip) -> usize {
    trip.decode().settings().n_steps
}

/// The method in one line; there is at least one number of steps.
fn method(trips: &[RoundTrip]) -> String {
    let settings = trips[0].decode().settings();
    format!("ddim both ways, eta 0, spacing {}, convention {}", settings.spacing, settings.convention)
}

/// From numbers to 8 bits, and back; the same for all trips.
fn rounding(trip: &RoundTrip) -> PixelRounding {
    trip.decode().convention().pixel_rounding()
}

/// What decides the numbers.
fn record(args: &ReconstructArgs, model: &Model, images: &Images, told: &Labels, trips: &[RoundTrip]) -> Value {
    let mut run = json!({
        "program": format!("ddim {}", env!("CARGO_PKG_VERSION")),
        "model": model.name,
        "weights": model.weights,
        "pictures": images.records(),
        "labels": labels::record(told).unwrap_or_else(|| json!(told.classes())),
        "steps": trips.iter().map(steps).collect::<Vec<_>>(),
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
    interrupt: &'a Interrupt,
}

impl Runner<'_> {
    /// The error of every picture, and the pictures that came back; `None` when the user stopped it.
    fn there_and_back(&self, trip: &RoundTrip, bar: &ProgressBar) -> anyhow::Result<Option<(Vec<f64>, Vec<f32>)>> {
        let pictures = self.images.tensor(0..self.images.len(), &Device::Cpu);
        let start = self.model.inner.encoded(pictures.clone())?;
        let Some(noise) = self.follow(trip.encode(), start, bar)? else { return Ok(None) };
        let Some(again) = self.follow(trip.decode(), noise, bar)? else { return Ok(None) };
        Ok(Some((squared_errors(&pictures, &again), again.into_values())))
    }

    /// Where a plan leads pictures; `None` when the user stopped it.
    fn follow(&self, plan: &Plan, start: Tensor, bar: &ProgressBar) -> anyhow::Result<Option<Tensor>> {
        let count = start.dims()[0];
        let (route, start) = (Route::Plan(plan.clone()), Streams::given(start));
        let run = Run::new(&self.model.inner, route, start, count, self.batch_size);
        let run = Run { labels: self.labels.clone(), ..run };
        let mut following = Following { interrupt: self.interrupt, bar, ends: Vec::new() };
        let ended = run.walk(&(0..count).collect::<Vec<_>>(), &mut following)?;
        Ok(ended.is_continue().then(|| Tensor::cat(&following.ends)))
    }
}

/// Keeps where pictures were led.
struct Following<'a> {
    interrupt: &'a Interrupt,
    bar: &'a ProgressBar,
    ends: Vec<Tensor>,
}

impl Observer for Following<'_> {
    type Error = anyhow::Error;

    fn see(&mut self, pictures: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        let Seen::Step(_) = seen else { return ControlFlow::Continue(()) };
        self.bar.inc(pictures.len() as u64);
        self.interrupt.go_on()
    }

    fn take(&mut self, batch: Drawn) -> anyhow::Result<ControlFlow<()>> {
        self.ends.push(batch.x.to(&Device::Cpu));
        Ok(ControlFlow::Continue(()))
    }
}

/// A line of the table.
struct Row<'a> {
    trip: &'a RoundTrip,
    errors: ErrorSummary,
}

impl Row<'_> {
    /// Prints it, the first below a header.
    fn print(&self, is_first: bool) -> io::Result<()> {
        let ErrorSummary { mean, standard_error, max } = self.errors;
        let spread = standard_error.map_or_else(|| "-".to_owned(), |spread| format!("{spread:.7}"));
        let header = format!("{:>6} {:>6} {:>10} {:>10} {:>10}\n", "steps", "calls", "error", "+-", "max");
        let (steps, calls) = (steps(self.trip), self.trip.calls());
        let line = format!("{steps:>6} {calls:>6} {mean:>10.7} {spread:>10} {max:>10.7}\n");
        let text = if is_first { header + &line } else { line };
        printing::results(&text)
    }

    fn to_json(&self) -> Value {
        let ErrorSummary { mean, standard_error, max } = self.errors;
        json!({
            "steps": steps(self.trip),
            "calls": self.trip.calls(),
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
        trips: &[RoundTrip],
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
        let (folder, _) = Folder::open(out, &format!("{run:#}\n"), 0..images.len(), mode)?;
        let mut pairs = Self { folder, shape, scale, strips: vec![Vec::new(); images.len()] };
        pairs.add(images.values(), &trips[0]);
        Ok(pairs)
    }

    /// Adds a picture to every strip.
    fn add(&mut self, values: &[f32], trip: &RoundTrip) {
        let rounding = rounding(trip);
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
