//! The pictures that a model is measured with.

use std::path::{Path, PathBuf};

use anyhow::bail;
use ddim_data::{ImageSet, Size};

use crate::Ending;
use crate::model::Model;

/// Pictures of a set when nothing says otherwise.
pub(super) const PICTURES: usize = 64;

/// Sets of pictures that fit the model, and how many do not.
#[derive(Debug)]
pub(super) struct Sets {
    /// Where each comes from, and what it holds.
    pub(super) sets: Vec<(PathBuf, ImageSet)>,
    refused: usize,
}

impl Sets {
    /// Reads sets; one that is refused is named, and the others are kept.
    pub(super) fn open(paths: &[PathBuf], model: &Model) -> Self {
        let (mut refused, mut sets) = (0, Vec::new());
        for path in paths {
            match open(path, model) {
                Ok(set) => sets.push((path.clone(), set)),
                Err(error) => {
                    tracing::error!("{}", crate::chain(&error));
                    refused += 1;
                }
            }
        }
        Self { sets, refused }
    }

    /// How many pictures, if no more than `num` are taken of each set.
    pub(super) fn count(&self, num: usize) -> usize {
        self.sets.iter().map(|(_, set)| set.len().min(num)).sum()
    }

    /// Where the sets come from.
    pub(super) fn paths(&self) -> Vec<&Path> {
        self.sets.iter().map(|(path, _)| path.as_path()).collect()
    }

    /// How a measurement of them ended.
    ///
    /// # Errors
    /// When a set was refused.
    pub(super) fn ending(&self, ending: Ending) -> anyhow::Result<Ending> {
        match self.refused {
            0 => Ok(ending),
            1 => bail!("one set of pictures was left out, as said above"),
            count => bail!("{count} sets of pictures were left out, as said above"),
        }
    }
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

/// The classes of these pictures, as far as the model knows any and is to be told.
///
/// # Errors
/// When it has to be told, and the pictures have no labels.
pub(super) fn labels(
    model: &Model,
    set: &ImageSet,
    batch: &[usize],
    any_class: bool,
) -> anyhow::Result<Vec<usize>> {
    let model = &model.inner;
    match (model.label_count(), &set.labels, model.null_class()) {
        (0, ..) => Ok(Vec::new()),
        (_, Some(labels), _) if !any_class => Ok(batch.iter().map(|k| labels[*k]).collect()),
        (.., Some(null_class)) => Ok(vec![null_class; batch.len()]),
        (.., None) => bail!("the model must be told the class of a picture: give pictures with labels"),
    }
}

/// "1 picture", "64 pictures".
pub(super) fn counted(pictures: usize) -> String {
    match pictures {
        1 => "1 picture".to_owned(),
        count => format!("{count} pictures"),
    }
}
