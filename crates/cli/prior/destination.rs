//! Where the pictures of a prior go.

use std::path::PathBuf;

use ddim::Labels;
use ddim_bench::units;
use ddim_data::{Layout, Picture, Scale};
use ddim_schedule::Direction;
use serde_json::json;

use super::{Drawing, ROUNDING};
use crate::args::misused;
use crate::files::Existing;
use crate::output::{
    self, Captions, Collected, Destination, FileKind, Folder, MOST_IN_GRID, MOST_SHOWN, OpenMode, Sheet,
    half_blocks, terminal_width,
};
use crate::request::OutputRequest;
use crate::signals::Parting;

/// A finished batch.
pub(super) struct Batch {
    /// Pictures, around \[-1, 1\].
    pub(super) finals: Vec<f32>,
    /// What they were decoded from.
    pub(super) latents: Vec<f32>,
}

/// Where they go, claimed before anything is drawn.
pub(super) struct Target<'a> {
    drawing: &'a Drawing,
    output: OutputRequest,
    place: Place,
    preview: Option<Vec<Picture>>,
    /// The record, with how far pictures are enlarged.
    run: String,
    finished: usize,
    /// Pictures that an earlier run has left in the folder.
    found: usize,
}

enum Place {
    Folder(Folder, PathBuf),
    File(Collected),
    Nowhere,
}

impl<'a> Target<'a> {
    /// Claims every place that will be written, and says which pictures are still to be drawn.
    pub(super) fn open(output: &OutputRequest, drawing: &'a Drawing) -> anyhow::Result<(Self, Vec<usize>)> {
        let destination = Destination::new(output.out.as_deref(), output.show)?;
        check(output, &destination, drawing)?;
        let mut run = drawing.run.clone();
        if let Some(times) = output.scale.filter(|times| *times > 1) {
            run["scale"] = json!(times);
        }
        let run = format!("{run:#}\n");
        let existing = Existing::from_force(output.force);
        let all = (0..drawing.pictures).collect();
        let (place, missing) = match destination {
            Destination::Folder(path) => {
                let (folder, missing) = Folder::open(&path, &run, 0..drawing.pictures, OpenMode::of(output))?;
                (Place::Folder(folder, path), missing)
            }
            Destination::File(path, kind) => {
                let existing = if output.out.is_none() && !output.force { Existing::Number } else { existing };
                (Place::File(Collected::create(&path, kind, existing)?), all)
            }
            Destination::Nowhere => (Place::Nowhere, all),
        };
        let found = drawing.pictures - missing.len();
        let preview = output.show.then(Vec::new);
        Ok((Self { drawing, output: output.clone(), place, preview, run, finished: found, found }, missing))
    }

    /// Takes a finished batch.
    pub(super) fn add(&mut self, pictures: &[usize], batch: &Batch) -> anyhow::Result<()> {
        let shape = self.drawing.shape;
        let each = || batch.finals.chunks(shape.iter().product());
        let picture = |values: &[f32]| Picture::from_values(values, shape, |value| ROUNDING.to_u8(value));
        match &mut self.place {
            Place::File(file) => file.add(&batch.finals, &batch.latents, &[]),
            Place::Folder(folder, _) => {
                for (index, values) in pictures.iter().zip(each()) {
                    folder.write(*index, &picture(values).enlarged(self.output.scale.unwrap_or(1)), None)?;
                }
            }
            Place::Nowhere => {}
        }
        if let Some(shown) = &mut self.preview {
            shown.extend(each().take(MOST_SHOWN.saturating_sub(shown.len())).map(picture));
        }
        self.finished += pictures.len();
        Ok(())
    }

    /// Pictures finished, earlier runs into the same folder included.
    pub(super) fn finished(&self) -> usize {
        self.finished
    }

    /// What an end between two batches would mean: a folder has every finished picture already.
    pub(super) fn parting(&self) -> Parting {
        let in_memory = !matches!(self.place, Place::Folder(..)) || self.preview.is_some();
        match in_memory && self.finished > self.found {
            true => Parting::saves(format!("what there is so far is kept, {}", units::pictures(self.finished))),
            false => Parting::free(self.how_to_go_on()),
        }
    }

    /// What to do after an interruption.
    pub(super) fn how_to_go_on(&self) -> String {
        let state =
            format!("interrupted with {} of {} finished", self.finished, units::pictures(self.drawing.pictures));
        match (&self.place, self.output.force) {
            (Place::Folder(_, path), force) => {
                let instead = if force { " in place of --force" } else { "" };
                let others = if self.finished == 0 { "them" } else { "the others" };
                format!("{state}, in {}; the same command with --resume{instead} draws {others}", path.display())
            }
            (Place::File(_), false) if self.output.out.is_some() => {
                format!("{state}; the same command with --force draws all again (--out FOLDER can be resumed)")
            }
            _ => format!("{state}; the same command draws all again (--out FOLDER can be resumed)"),
        }
    }

    /// Writes what can be written only at the end: gives where the pictures are, and those for the terminal.
    pub(super) fn finish(self) -> anyhow::Result<(Option<PathBuf>, String)> {
        let Self { drawing, output, place, preview, run, finished, .. } = self;
        let layout = Layout::Filled;
        let captions = Captions {
            run: &run,
            shape: drawing.shape,
            state: drawing.latents,
            rounding: ROUNDING,
            timesteps: &[],
            labels: &Labels::NONE,
            layout,
            scale: match (output.scale, drawing.pictures, &output.out) {
                (Some(times), ..) => Scale::Times(times),
                (None, 1, Some(_)) => Scale::Times(1),
                (None, ..) => Scale::Viewed,
            },
            direction: Direction::Decode,
        };
        let out = match place {
            Place::Folder(folder, path) => {
                let all: Vec<usize> = (0..drawing.pictures).collect();
                if !output.no_grid && finished >= all.len() && !folder.holds_more() {
                    // Pictures of a folder are enlarged already.
                    let scale = output.scale.map_or(Scale::Viewed, |_| Scale::Times(1));
                    folder.write_grid(&all, layout, scale)?;
                }
                Some(path)
            }
            Place::File(file) => file.finish(&captions)?,
            Place::Nowhere => None,
        };
        let shown = preview.map(|shown| half_blocks(&shown, terminal_width())).unwrap_or_default();
        Ok((out, shown))
    }
}

/// Refuses options that do not fit the destination.
fn check(output: &OutputRequest, destination: &Destination, drawing: &Drawing) -> anyhow::Result<()> {
    if output.resume && !matches!(destination, Destination::Folder(_)) {
        misused!("--resume needs --out FOLDER; a single file is written at the end and cannot be resumed");
    }
    if destination.needs_picture_channels() || output.show {
        output::check_channels(drawing.shape[0])?;
    }
    let Some(times) = output.scale else { return Ok(()) };
    let sheet = |pictures| Sheet { pictures, layout: Layout::Filled, frames: 1 };
    let sheet = match destination {
        Destination::File(_, FileKind::Grid) => sheet(drawing.pictures),
        Destination::Folder(_) if output.no_grid => sheet(1),
        Destination::Folder(_) => sheet(Layout::Filled.shown(drawing.pictures, MOST_IN_GRID)),
        Destination::File(path, _) => misused!(
            "--scale {times}: {} holds the model's own pixels as numbers; leave --scale out, or end --out in .png",
            path.display()
        ),
        Destination::Nowhere => {
            misused!("--scale {times} enlarges pictures in files, and none is written: add --out FILE.png")
        }
    };
    output::check_scale(times, drawing.shape, &[sheet])
}
