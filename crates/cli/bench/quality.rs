//! How good pictures are: the one place where the benchmark meets a measure of that.

mod all_steps;
mod features;

use std::path::Path;

use ddim_bench::{Cell, Verdict, units};
use ddim_data::Picture;

use self::all_steps::AllSteps;
use crate::args::{BenchArgs, misused};
use crate::device::Chosen as Device;
use crate::model::Model;
use crate::signals::Interrupt;

/// Pictures, batch after batch.
pub(super) type Batches<'a> = &'a mut dyn Iterator<Item = anyhow::Result<Vec<Picture>>>;

/// Judges the pictures of a cell.
pub(super) trait Quality {
    /// What it measures, and against what, in words that do not change while the numbers do not.
    fn identity(&self) -> String;

    /// What it needs.
    fn needs(&self) -> Needs;

    /// The number for these pictures; smaller is better. `targets` is the file of those that others are compared with,
    /// where the measure needs them.
    fn judge(&self, cell: &Cell, pictures: Batches<'_>, targets: &Path) -> anyhow::Result<Verdict>;
}

/// What a measure needs besides the cells that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// So many pictures of each cell.
    Pictures(usize),
    /// The pictures of all steps, from the same noise.
    Target,
}

impl Needs {
    /// Pictures of each cell.
    pub(super) fn pictures(self) -> usize {
        match self {
            Self::Pictures(count) => count,
            Self::Target => 1,
        }
    }
}

/// What judges the pictures of this model: what `--features` and `--reference` name; for an embedded model the embedded
/// classifier beside the pictures that it was trained on, unless they name others; for other models the pictures that
/// all steps make of the same noise.
pub(super) fn of(
    args: &BenchArgs,
    model: &Model,
    device: &Device,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Box<dyn Quality>>> {
    let judging = &args.judging;
    if judging.features.is_none() && judging.reference.is_none() && !is_embedded(model) {
        if let Some(made_for) = &model.training.made_for {
            misused!(
                "{} was made for {}, and what it draws in all steps is no measure of them: name pictures with --reference, or \
                 statistics of the embedded classifier as in --reference embedded:held-out",
                model.name,
                units::steps(made_for.timesteps.len())
            );
        }
        return Ok(Some(Box::new(AllSteps::new(model)?)));
    }
    features::of(args, model, device, interrupt)
}

/// Whether there is a classifier that knows what this model draws.
fn is_embedded(model: &Model) -> bool {
    ddim_checkpoint::embedded_names().contains(&model.name.as_str())
}
