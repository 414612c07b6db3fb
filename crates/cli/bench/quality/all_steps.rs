//! How far pictures are from those of all steps, from the same noise.

use std::fs;
use std::path::Path;

use anyhow::Context;
use ddim_bench::{Cell, Verdict, units};
use ddim_data::Picture;
use ddim_eval::{Extractor, Features, Pixels, mean_distance};

use super::{Batches, Needs, Quality};
use crate::bench::cells::DDIM;
use crate::model::Model;

/// The mean distance from the pictures that DDIM makes of the same noise in all steps.
pub(super) struct AllSteps {
    steps: usize,
    /// Channels, height, width.
    shape: [usize; 3],
}

impl AllSteps {
    /// For the pictures of a model.
    pub(super) fn new(model: &Model) -> anyhow::Result<Self> {
        let shape = model.inner.picture_shape().with_context(|| model.name.clone())?;
        Ok(Self { steps: model.inner.schedule().train_steps(), shape })
    }

    fn targets(&self, file: &Path) -> anyhow::Result<Features> {
        let cannot_read = || format!("cannot read {}; replace the run with --force", file.display());
        let pixels = fs::read(file).with_context(cannot_read)?;
        let [channels, height, width] = self.shape;
        let picture = |pixels: &[u8]| Picture { width, height, channels, pixels: pixels.to_vec() };
        let pictures: Vec<Picture> = pixels.chunks_exact(channels * height * width).map(picture).collect();
        Ok(Pixels.extract(&pictures)?.pooled)
    }
}

impl Quality for AllSteps {
    fn identity(&self) -> String {
        format!(
            "root mean square difference to the picture of {DDIM} in {} from the same noise, of values in [0, 1]; \
             the mean of as many pictures as there are of both",
            units::steps(self.steps)
        )
    }

    fn needs(&self) -> Needs {
        Needs::Target
    }

    fn judge(&self, cell: &Cell, pictures: Batches<'_>, targets: &Path) -> anyhow::Result<Verdict> {
        if cell.is_target() {
            return Ok(Verdict::not_measured("the pictures that the others are compared with"));
        }
        if cell.plan.is_stochastic() {
            return Ok(Verdict::not_measured(
                "a method that draws noise of its own makes another picture of the same start; give --reference, a set of \
                 pictures to compare all with",
            ));
        }
        let targets = self.targets(targets)?;
        let mut found = Features::default();
        for batch in pictures {
            found.append(&Pixels.extract(&batch?)?.pooled)?;
            if found.len() >= targets.len() {
                break;
            }
        }
        let mean = mean_distance(&found, &targets)?;
        Ok(Verdict::Measured { value: mean.mean, standard_error: mean.standard_error })
    }
}
