//! Drawing the pictures of a cell and watching the clock.

use std::ops::ControlFlow;

use anyhow::{Context, bail};
use ddim::timing::Laps;
use ddim::{Labels, Observer, Route, Run, Seen, Streams};
use ddim_bench::{BatchTime, Cell, Role, Row, Verdict, units};
use ddim_data::Picture;
use ddim_schedule::PixelRounding;
use indicatif::ProgressBar;

use super::clock::Instruments;
use super::drawn::Drawn;
use super::folder::{Folder, NO_RUN, TARGETS};
use super::memory::HighWater;
use super::quality::Quality;
use super::unfinished::Unfinished;
use crate::files;
use crate::model::Model;
use crate::signals::Interrupt;

/// Steps that the first measurement for a budget takes.
const FIRST_STEPS: usize = 4;

/// Shorter measurements of a call say little: the first ones of a process are slow.
const STEADY_SECONDS: f64 = 0.5;

/// Steps that such a measurement takes at most.
const MOST_FIRST_STEPS: usize = 200;

/// Draws and measures.
pub(super) struct Runner<'a> {
    model: &'a Model,
    instruments: Instruments,
    interrupt: &'a Interrupt,
    quality: &'a dyn Quality,
    seed: u64,
    /// What the pictures are told, in turn.
    labels: Labels,
    /// The pictures of the reference, where they were drawn before, and how many are judged.
    pub(super) drawn: Option<(Drawn, usize)>,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Shows how far it is, in network calls of single pictures.
    pub(super) bar: ProgressBar,
}

impl<'a> Runner<'a> {
    /// For pictures of this seed, which are told these labels in turn.
    pub(super) fn new(
        model: &'a Model,
        instruments: Instruments,
        interrupt: &'a Interrupt,
        quality: &'a dyn Quality,
        (seed, labels): (u64, Labels),
    ) -> anyhow::Result<Self> {
        let shape = model.inner.picture_shape().with_context(|| model.name.clone())?;
        if !matches!(shape[0], 1 | 3 | 4) {
            bail!("the model draws {} channels, and the pictures compared here have 1 (grey), 3 or 4", shape[0]);
        }
        let (drawn, bar) = (None, ProgressBar::hidden());
        Ok(Self { model, instruments, interrupt, quality, seed, labels, drawn, shape, bar })
    }

    /// Measures a cell, from where an earlier run was stopped; none if the user stops this one.
    pub(super) fn cell(
        &self,
        folder: &Folder,
        cell: &Cell,
        count: usize,
        batch_size: usize,
    ) -> anyhow::Result<Option<Row>> {
        let [channels, height, width] = self.shape;
        let mut unfinished = Unfinished::open(folder, &cell.file_name(), [height, width, channels])?;
        self.bar.inc((unfinished.pictures() * cell.calls()) as u64);
        if unfinished.pictures() < count && !self.interrupt.requested() {
            let warm_up = self.warm_up(cell, batch_size.min(count))?;
            let memory = self.instruments.memory.watch();
            let missing: Vec<usize> = (unfinished.pictures()..count).collect();
            let rounding = cell.plan.convention().pixel_rounding();
            let mut timing = Timing { runner: self, unfinished: &mut unfinished, rounding, warm_up, memory };
            let run = self.run(cell, batch_size);
            if run.walk_timed(&missing, self.instruments.clock.as_ref(), &mut timing)?.is_break() {
                return Ok(None);
            }
        }
        if unfinished.pictures() < count {
            return Ok(None);
        }
        let Some(verdict) = self.verdict(folder, cell, &unfinished, batch_size)? else { return Ok(None) };
        let row =
            Row::new(cell, batch_size, &unfinished.batches, verdict).context("a cell has at least one batch")?;
        let row = Row { judged: self.drawn_of(cell).map(|(_, count)| *count), ..row };
        keep_picture(folder, cell, &unfinished)?;
        // Before its row: whoever finds the row finds these.
        if cell.is_target() {
            unfinished.keep(&folder.file(TARGETS))?;
            folder.add_row(&row)?;
        } else {
            folder.add_row(&row)?;
            unfinished.remove();
        }
        Ok(Some(row))
    }

    /// Seconds that a network call takes with a whole batch; none if the user stops it.
    pub(super) fn seconds_of_call(&self, cell: &Cell, batch_size: usize) -> anyhow::Result<Option<f64>> {
        self.warm_up(cell, batch_size)?;
        let over = |steps: usize| -> anyhow::Result<f64> {
            let laps = self.laps(cell, batch_size, |seen| self.stop_after(steps, seen))?;
            Ok(laps.network.as_secs_f64() / laps.calls as f64)
        };
        let mut seconds = over(FIRST_STEPS)?;
        if seconds * (FIRST_STEPS as f64) < STEADY_SECONDS {
            seconds = over(((STEADY_SECONDS / seconds) as usize).clamp(FIRST_STEPS, MOST_FIRST_STEPS))?;
        }
        Ok((!self.interrupt.requested()).then_some(seconds))
    }

    /// A first measurement: seconds for a network call of one picture of a batch, loop included.
    pub(super) fn seconds_per_call(&self, cell: &Cell, batch_size: usize) -> anyhow::Result<f64> {
        self.warm_up(cell, batch_size)?;
        let laps = self.laps(cell, batch_size, |seen| self.stop_after(FIRST_STEPS, seen))?;
        Ok(laps.total.as_secs_f64() / (laps.calls * batch_size) as f64)
    }

    /// Seconds for a first step, which is not counted: kernels may be compiled and tuned in it.
    fn warm_up(&self, cell: &Cell, batch_size: usize) -> anyhow::Result<f64> {
        let laps = self.laps(cell, batch_size, |seen| self.stop_after(1, seen))?;
        Ok(laps.total.as_secs_f64())
    }

    /// Where the time goes that the first batch of a cell takes, as far as `observe` lets it.
    fn laps(
        &self,
        cell: &Cell,
        batch_size: usize,
        observe: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Result<Laps, ddim::Error> {
        let first: Vec<usize> = (0..batch_size).collect();
        let (_, laps) = self.run(cell, batch_size).timed(&first, self.instruments.clock.as_ref(), observe)?;
        Ok(laps)
    }

    /// The run of a cell, with as many pictures as there are numbers.
    fn run(&self, cell: &Cell, batch_size: usize) -> Run<'_> {
        let (route, noise) = (Route::Plan(cell.plan.clone()), Streams::Seed(self.seed));
        let run = Run::new(&self.model.inner, route, noise, usize::MAX, batch_size);
        Run { labels: self.labels.clone(), reuse: cell.reuse.clone(), ..run }
    }

    /// The pictures of a cell that were drawn before.
    fn drawn_of(&self, cell: &Cell) -> Option<&(Drawn, usize)> {
        self.drawn.as_ref().filter(|_| cell.is_reference())
    }

    /// How good the pictures are; none if the user stops it.
    fn verdict(
        &self,
        folder: &Folder,
        cell: &Cell,
        unfinished: &Unfinished,
        batch_size: usize,
    ) -> anyhow::Result<Option<Verdict>> {
        if cell.role == Role::Reference {
            return Ok(Some(Verdict::not_measured("only its time was needed")));
        }
        let (shown, cell_name) = (&self.bar, cell.to_string());
        let (batches, count): (AllBatches<'_>, usize) = match self.drawn_of(cell) {
            Some((drawn, count)) => (Box::new(drawn.read(*count, batch_size)), *count),
            None => (Box::new(unfinished.read(batch_size)?), unfinished.pictures()),
        };
        let mut judged = 0;
        let mut batches = batches.take_while(|_| !self.interrupt.requested()).inspect(|_| {
            shown.set_message(format!("judging {cell_name}, {judged} of {}", units::pictures(count)));
            judged += batch_size;
        });
        let verdict = self.quality.judge(cell, &mut batches, &folder.file(TARGETS));
        shown.set_message("");
        if self.interrupt.requested() { Ok(None) } else { verdict.map(Some) }
    }

    fn stop_after(&self, steps: usize, seen: Seen<'_>) -> ControlFlow<()> {
        match seen {
            Seen::Step(step) if step.index + 1 >= steps => ControlFlow::Break(()),
            Seen::Step(_) => self.interrupt.go_on(),
            Seen::Start(_) | Seen::Attempt(_) => ControlFlow::Continue(()),
        }
    }
}

/// The pictures of a cell, batch after batch.
type AllBatches<'a> = Box<dyn Iterator<Item = anyhow::Result<Vec<Picture>>> + 'a>;

/// Keeps the pictures of a cell, and what each batch has taken.
struct Timing<'a> {
    runner: &'a Runner<'a>,
    unfinished: &'a mut Unfinished,
    rounding: PixelRounding,
    warm_up: f64,
    memory: HighWater,
}

impl Observer for Timing<'_> {
    type Error = anyhow::Error;

    fn see(&mut self, pictures: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        let Seen::Step(_) = seen else { return ControlFlow::Continue(()) };
        self.runner.bar.inc(pictures.len() as u64);
        self.runner.interrupt.go_on()
    }

    fn take(&mut self, ddim::Drawn { x, laps, .. }: ddim::Drawn) -> anyhow::Result<ControlFlow<()>> {
        let (shape, rounding) = (self.runner.shape, self.rounding);
        let values: Vec<f32> = x.into_values();
        let picture = |values: &[f32]| Picture::from_values(values, shape, |value| rounding.to_u8(value));
        let pictures: Vec<Picture> = values.chunks(shape.iter().product()).map(picture).collect();
        let time = BatchTime {
            pictures: pictures.len(),
            calls: laps.calls,
            seconds: laps.total.as_secs_f64(),
            in_network: laps.network.as_secs_f64(),
            warm_up_seconds: self.warm_up,
            peak_memory_bytes: self.memory.bytes(),
        };
        self.unfinished.add(&pictures, time)?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Keeps the first picture, the same noise in every cell, for the strip.
fn keep_picture(folder: &Folder, cell: &Cell, unfinished: &Unfinished) -> anyhow::Result<()> {
    let target = folder.picture(&cell.file_name());
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
    }
    match unfinished.read(1)?.next() {
        Some(picture) => files::write_unsynced(&target, &ddim_data::encode_png(&picture?[0], NO_RUN)?),
        None => Ok(()),
    }
}
