//! Pictures of the reference that `ddim sample` drew before.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim_bench::{Cell, units};
use ddim_data::{Picture, Source};
use serde_json::{Value, json};

use super::cells;
use crate::args::BenchArgs;
use crate::device::Chosen as Device;
use crate::job::Job;
use crate::model::Model;
use crate::output::RUN;
use crate::request::{Past, Request};
use crate::{reading, run_record};

/// A folder of them.
#[derive(Debug)]
pub(super) struct Drawn {
    folder: PathBuf,
    source: Source,
    /// Where their noise comes from.
    seed: Value,
}

impl Drawn {
    /// Opens the folder, whose record has to be that of the reference, whatever the seed.
    pub(super) fn open(
        folder: &Path,
        (args, cell): (&BenchArgs, &Cell),
        model: &Model,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let place = || format!("--drawn {}", folder.display());
        if folder.is_dir() && !folder.join(RUN).is_file() {
            bail!("{}: has no {RUN}, which `ddim sample --out FOLDER` writes beside its pictures", place());
        }
        let run = Past::read(folder).with_context(place)?.run;
        let of_cell = Job::new(&request(args, cell), model, device)?.run;
        let is_same = run_record::check_same(&as_this_one(&run, &of_cell), &of_cell);
        is_same
            .with_context(|| format!("{} holds no pictures of {cell}: what was drawn there differs", place()))?;
        let source = reading::open(folder).with_context(place)?;
        let expected = run_record::pictures(&run);
        if source.len() != expected {
            bail!("{}: holds {}, and its {RUN} says {expected}", place(), units::pictures(source.len()));
        }
        Ok(Self { folder: folder.to_owned(), source, seed: run["seed"].clone() })
    }

    /// What they are, for the record of the benchmark.
    pub(super) fn record(&self) -> Value {
        json!({ "folder": self.folder, "pictures": self.source.len(), "seed": self.seed })
    }

    /// How many are judged beside cells of so many pictures: for a frontier exactly as many.
    pub(super) fn judged(&self, most: usize, args: &BenchArgs) -> anyhow::Result<usize> {
        let there = self.source.len();
        if args.frontier && there < most {
            let place = self.folder.display();
            bail!("--drawn {place}: holds {}, and each cell has {most}: --num {there}", units::pictures(there));
        }
        Ok(there.min(most))
    }

    /// So many of them, a batch at once.
    pub(super) fn read(&self, count: usize, at_once: usize) -> impl Iterator<Item = anyhow::Result<Vec<Picture>>> {
        (0..count).step_by(at_once).map(move |first| {
            let pictures = (first..count.min(first + at_once)).map(|k| self.source.read(k));
            pictures.collect::<Result<_, _>>().with_context(|| format!("--drawn {}", self.folder.display()))
        })
    }
}

/// The reference as `ddim sample` is asked for it.
fn request(args: &BenchArgs, cell: &Cell) -> Request {
    let (plan, label) = (cells::ddpm(args, cell.steps), args.labels.label.clone());
    Request { plan, num: Some(1), label, precision: Some(args.precision), ..Request::default() }
}

/// The record of a run with what may differ taken from that of the reference: how many pictures, from which noise, and
/// where they were computed.
fn as_this_one(run: &Value, reference: &Value) -> Value {
    let mut run = run.clone();
    for name in ["program", "num", "seed", "batch_size", "device"] {
        run[name] = reference[name].clone();
    }
    run
}
