//! How far the pictures of a run are enlarged, and in which of its files.

use std::path::Path;

use ddim_data::Scale;
use serde_json::{Value, json};

use super::sink::frames;
use crate::args::misused;
use crate::job::Job;
use crate::output::{self, Destination, FileKind, MOST_IN_GRID, Sheet};
use crate::request::OutputRequest;

/// The name of `--scale` in a run's record.
const SCALE: &str = "scale";

/// How far pictures are enlarged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    /// A picture in a file of its own, in a folder.
    pub(super) single: usize,
    /// All pictures in one file.
    pub(super) file: Scale,
    /// `grid.png`, made of the pictures of a folder.
    pub(super) folder_grid: Scale,
    /// Moving pictures.
    pub(super) animation: Scale,
    /// By how much pictures are larger than the model's where a reader would not expect it; 1 for not at all.
    told: usize,
}

impl Scales {
    /// What was typed; else a picture keeps its pixels in a file that the user has named, and what only shows
    /// pictures is enlarged as far as is good for that.
    pub(super) fn new(args: &OutputRequest, job: &Job<'_>) -> Self {
        if let Some(times) = args.scale {
            let scale = Scale::Times(times);
            return Self {
                single: times,
                file: scale,
                folder_grid: Scale::Times(1),
                animation: scale,
                told: times,
            };
        }
        let viewed = Scale::Viewed;
        let (file, told) = match (job.pictures(), &args.out) {
            (1, Some(_)) => (Scale::Times(1), 1),
            (1, None) => (viewed, viewed.times(1, job.shape[2])),
            _ => (viewed, 1),
        };
        Self { single: 1, file, folder_grid: viewed, animation: viewed, told }
    }

    /// The run's record, with how far its pictures are enlarged.
    pub(super) fn recorded(&self, run: &Value) -> Value {
        let mut run = run.clone();
        if self.told > 1 {
            run[SCALE] = json!(self.told);
        }
        run
    }

    /// Says so where a picture was enlarged unasked.
    pub(super) fn announce(&self, path: &Path, job: &Job<'_>) {
        if self.told > 1 && self.file == Scale::Viewed {
            tracing::info!(
                "{} is enlarged {} times to be looked at; --scale 1, or --out with a name of your own, keeps the model's \
                 {}x{} pixels",
                path.display(),
                self.told,
                job.shape[1],
                job.shape[2],
            );
        }
    }
}

/// Refuses a `--scale` that enlarges nothing, or too far.
pub(super) fn check(args: &OutputRequest, destination: &Destination, job: &Job<'_>) -> anyhow::Result<()> {
    let Some(times) = args.scale else { return Ok(()) };
    let (pictures, layout) = (job.pictures(), job.layout);
    let sheet = |pictures, frames| Sheet { pictures, layout, frames };
    let mut sheets = Vec::new();
    match destination {
        Destination::File(_, FileKind::Grid) => sheets.push(sheet(pictures, 1)),
        Destination::Folder(_) if args.no_grid => sheets.push(sheet(1, 1)),
        Destination::Folder(_) => sheets.push(sheet(layout.shown(pictures, MOST_IN_GRID), 1)),
        Destination::File(path, _) if args.animate.is_none() => misused!(
            "--scale {times}: {} holds the model's own pixels as numbers; leave --scale out, or end --out in .png",
            path.display()
        ),
        Destination::Nowhere if args.animate.is_none() => {
            misused!("--scale {times} enlarges pictures in files, and none is written: add --out FILE.png")
        }
        Destination::File(..) | Destination::Nowhere => {}
    }
    if args.animate.is_some() {
        let frames = frames(args, job);
        sheets.push(sheet(frames.shown(pictures, layout), frames.count()));
    }
    output::check_scale(times, job.shape, &sheets)
}
