//! Drawing the pictures of a cell and watching the clock.

use std::ops::{ControlFlow, Range};

use anyhow::{Context, bail};
use ddim::timing::Laps;
use ddim::{Batch, Labels};
use ddim_data::Picture;
use ddim_sampler::{Guidance, Noise, Observation, Outcome, PictureNoise};
use indicatif::ProgressBar;

use super::cells::{Cell, Role};
use super::clock::Instruments;
use super::folder::{Folder, NO_RUN, TARGETS};
use super::quality::{Quality, Verdict};
use super::row::{BatchTime, Row};
use super::unfinished::Unfinished;
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{files, units};

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
    /// Channels, height, width.
    shape: [usize; 3],
    /// Shows how far it is, in network calls of single pictures.
    pub(super) bar: ProgressBar,
}

impl<'a> Runner<'a> {
    /// For pictures of this seed, which are told these labels in turn.
    ///
    /// # Errors
    /// When the model draws what is no picture.
    pub(super) fn new(
        model: &'a Model,
        instruments: Instruments,
        interrupt: &'a Interrupt,
        quality: &'a dyn Quality,
        (seed, labels): (u64, Labels),
    ) -> anyhow::Result<Self> {
        let shape = model.inner.shape().with_context(|| model.name.clone())?;
        if !matches!(shape[0], 1 | 3 | 4) {
            bail!("the model draws {} channels, and the pictures compared here have 1 (grey), 3 or 4", shape[0]);
        }
        Ok(Self { model, instruments, interrupt, quality, seed, labels, shape, bar: ProgressBar::hidden() })
    }

    /// Measures a cell, from where an earlier run was stopped; none if the user stops this one.
    ///
    /// # Errors
    /// When a picture cannot be drawn, judged or kept.
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
            for first in (unfinished.pictures()..count).step_by(batch_size) {
                let batch = self.batch(cell, first..count.min(first + batch_size), batch_size)?;
                let Some((pictures, laps)) = batch else { return Ok(None) };
                let time = BatchTime {
                    pictures: pictures.len(),
                    calls: laps.calls,
                    seconds: laps.total.as_secs_f64(),
                    in_network: laps.network.as_secs_f64(),
                    warm_up_seconds: warm_up,
                    peak_memory_bytes: memory.bytes(),
                };
                unfinished.add(&pictures, time)?;
            }
        }
        if unfinished.pictures() < count {
            return Ok(None);
        }
        let Some(verdict) = self.verdict(folder, cell, &unfinished, batch_size)? else { return Ok(None) };
        let row = Row::new(cell, batch_size, &unfinished.batches, verdict)?;
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
    ///
    /// # Errors
    /// When nothing can be drawn.
    pub(super) fn seconds_of_call(&self, cell: &Cell, batch_size: usize) -> anyhow::Result<Option<f64>> {
        self.warm_up(cell, batch_size)?;
        let over = |steps: usize| -> anyhow::Result<f64> {
            let (_, laps) = self.draw(cell, 0..batch_size, batch_size, |seen| self.stop_after(steps, seen))?;
            Ok(laps.network.as_secs_f64() / laps.calls as f64)
        };
        let mut seconds = over(FIRST_STEPS)?;
        if seconds * (FIRST_STEPS as f64) < STEADY_SECONDS {
            seconds = over(((STEADY_SECONDS / seconds) as usize).clamp(FIRST_STEPS, MOST_FIRST_STEPS))?;
        }
        Ok((!self.interrupt.requested()).then_some(seconds))
    }

    /// A first measurement: seconds for a network call of one picture of a batch, loop included.
    ///
    /// # Errors
    /// When nothing can be drawn.
    pub(super) fn seconds_per_call(&self, cell: &Cell, batch_size: usize) -> anyhow::Result<f64> {
        self.warm_up(cell, batch_size)?;
        let (_, laps) = self.draw(cell, 0..batch_size, batch_size, |seen| self.stop_after(FIRST_STEPS, seen))?;
        Ok(laps.total.as_secs_f64() / (laps.calls * batch_size) as f64)
    }

    /// Seconds for a first step, which is not counted: kernels may be compiled and tuned in it.
    fn warm_up(&self, cell: &Cell, batch_size: usize) -> anyhow::Result<f64> {
        let (_, laps) = self.draw(cell, 0..batch_size, batch_size, |seen| self.stop_after(1, seen))?;
        Ok(laps.total.as_secs_f64())
    }

    /// Draws a batch; none if the user stops it.
    fn batch(
        &self,
        cell: &Cell,
        pictures: Range<usize>,
        batch_size: usize,
    ) -> anyhow::Result<Option<(Vec<Picture>, Laps)>> {
        let n = pictures.len() as u64;
        let (outcome, laps) = self.draw(cell, pictures, batch_size, |_| {
            self.bar.inc(n);
            self.interrupt.go_on()
        })?;
        let Outcome::Finished(x) = outcome else { return Ok(None) };
        let values: Vec<f32> = x.into_values();
        let rounding = cell.plan.convention().pixel_rounding();
        let picture = |values: &[f32]| Picture::from_values(values, self.shape, |value| rounding.to_u8(value));
        Ok(Some((values.chunks(self.shape.iter().product()).map(picture).collect(), laps)))
    }

    fn draw(
        &self,
        cell: &Cell,
        pictures: Range<usize>,
        batch_size: usize,
        observe: impl FnMut(&Observation<'_>) -> ControlFlow<()>,
    ) -> Result<(Outcome, Laps), ddim::Error> {
        let (model, first) = (&self.model.inner, pictures.start);
        let [channels, height, width] = self.shape;
        let mut noise = PictureNoise::new(self.seed, pictures.clone().map(|k| k as u64));
        let x = noise.initial([pictures.len(), channels, height, width], model.device());
        let batch = Batch {
            x: x * cell.plan.start_scale(),
            labels: self.labels.in_turn(pictures.clone()),
            guidance: Guidance::OFF,
            padded_to: model.padding(batch_size),
        };
        let drawn = model.draw_timed(&cell.plan, batch, &mut noise, self.instruments.clock.as_ref(), observe);
        drawn.map_err(|error| error.in_batch(|place| first + place))
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
        let mut judged = 0;
        let mut batches = unfinished.read(batch_size)?.take_while(|_| !self.interrupt.requested()).inspect(|_| {
            shown.set_message(format!(
                "judging {cell_name}, {judged} of {}",
                units::pictures(unfinished.pictures())
            ));
            judged += batch_size;
        });
        let verdict = self.quality.judge(cell, &mut batches, &folder.file(TARGETS));
        shown.set_message("");
        if self.interrupt.requested() { Ok(None) } else { verdict.map(Some) }
    }

    fn stop_after(&self, steps: usize, seen: &Observation<'_>) -> ControlFlow<()> {
        if seen.index + 1 >= steps { ControlFlow::Break(()) } else { self.interrupt.go_on() }
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
