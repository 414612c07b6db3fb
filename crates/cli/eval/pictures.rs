//! The pictures that something is measured with.

use std::ops::Range;

use anyhow::{Context, anyhow, bail};
use ddim_data::{ImageSet, Size};
use ddim_sampler::PictureNoise;

use crate::args::{EvalArgs, OnCorrupt, SetHome, SetName};
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{Ending, progress};

/// Pictures that a model is measured with, where nothing says how many.
const PICTURES: usize = 64;

/// A set, in memory, and which of its pictures are meant.
#[derive(Debug)]
pub(super) struct Pictures {
    pub(super) name: SetName,
    pub(super) set: ImageSet,
    part: Range<usize>,
}

impl Pictures {
    /// Reads a set; `usual` pictures are meant where nothing says how many.
    ///
    /// # Errors
    /// When there are no pictures to read, or one of them is broken and not to be left out.
    pub(super) fn read(name: &SetName, args: &EvalArgs, usual: usize) -> anyhow::Result<Self> {
        let path = match &name.home {
            SetHome::Path(path) => path,
            SetHome::Model(_) => bail!(
                "there are no pictures of {name} to read; draw some with `ddim sample --out FOLDER`, or name a file"
            ),
            SetHome::Embedded(_) => {
                bail!(
                    "{name}: only statistics of these pictures are there; name the file or folder with the pictures"
                )
            }
        };
        let mut left_out = 0;
        let set = ddim_data::open_with(path, |error| {
            left_out += 1;
            match args.on_corrupt {
                OnCorrupt::Fail => return Err(error),
                OnCorrupt::Skip => tracing::warn!("left out: {}", crate::chain(&error.into())),
            }
            Ok(())
        });
        let set = match set {
            Err(error) if left_out > 0 && args.on_corrupt == OnCorrupt::Fail => {
                return Err(anyhow!(error).context(OnCorrupt::ADVICE));
            }
            set => set?,
        };
        if left_out > 0 {
            tracing::warn!("{name}: {left_out} left out, {} pictures are there", set.len());
        }
        let most = args.num.or((!name.part.has_end()).then_some(usual));
        let part = name.part.of(set.len(), most).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
        Ok(Self { name: name.clone(), set, part })
    }

    /// How many are meant.
    pub(super) fn len(&self) -> usize {
        self.part.len()
    }

    /// The pixels of some of them, counted from the first that is meant.
    pub(super) fn pixels(&self, indices: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
        indices.into_iter().map(|k| self.set.image(self.part.start + k)).collect()
    }
}

/// Sets of pictures that fit the model, and how many do not.
#[derive(Debug)]
pub(super) struct Sets {
    sets: Vec<Pictures>,
    refused: usize,
}

/// Some pictures of one set.
pub(super) struct Batch<'a> {
    pictures: &'a Pictures,
    /// Which of them.
    range: Range<usize>,
    /// The number of the first, over all sets.
    first: usize,
}

impl Sets {
    /// Reads sets; one that is refused is named, and the others are kept.
    pub(super) fn read(names: &[SetName], args: &EvalArgs, model: &Model) -> Self {
        let (mut refused, mut sets) = (0, Vec::new());
        for name in names {
            match fitting(name, args, model) {
                Ok(pictures) => sets.push(pictures),
                Err(error) => {
                    tracing::error!("{}", crate::chain(&error));
                    refused += 1;
                }
            }
        }
        Self { sets, refused }
    }

    /// Measures batch after batch of all sets, until the user stops it.
    ///
    /// # Errors
    /// When a batch cannot be measured; the error names its set.
    pub(super) fn in_batches(
        &self,
        args: &EvalArgs,
        interrupt: &Interrupt,
        mut measure: impl FnMut(&Batch<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ending> {
        let bar = progress::bar(self.sets.iter().map(Pictures::len).sum::<usize>() as u64, "pictures");
        let mut first = 0;
        for pictures in &self.sets {
            for start in (0..pictures.len()).step_by(args.computing.batch_size) {
                if interrupt.requested() {
                    bar.finish_and_clear();
                    return Ok(Ending::Interrupted);
                }
                let range = start..pictures.len().min(start + args.computing.batch_size);
                let batch = Batch { pictures, range, first };
                measure(&batch).with_context(|| pictures.name.to_string())?;
                first += batch.len();
                bar.inc(batch.len() as u64);
            }
        }
        bar.finish_and_clear();
        Ok(Ending::Done)
    }

    /// What was typed for those that were read.
    pub(super) fn names(&self) -> Vec<String> {
        self.sets.iter().map(|pictures| pictures.name.to_string()).collect()
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

impl Batch<'_> {
    /// How many pictures.
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// Their pixels.
    pub(super) fn pixels(&self) -> Vec<&[u8]> {
        self.pictures.pixels(self.range.clone())
    }

    /// Height, width and channels of each.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.pictures.set.shape
    }

    /// Random numbers of its own for each picture of all sets.
    pub(super) fn noise(&self, seed: u64) -> PictureNoise {
        PictureNoise::new(seed, (self.first..self.first + self.len()).map(|k| k as u64))
    }

    /// Their classes, as far as the model knows any and is to be told.
    ///
    /// # Errors
    /// When it has to be told, and the pictures have no labels.
    pub(super) fn labels(&self, model: &Model, any_class: bool) -> anyhow::Result<Vec<usize>> {
        let (model, Pictures { set, part, .. }) = (&model.inner, self.pictures);
        match (model.label_count(), &set.labels, model.null_class()) {
            (0, ..) => Ok(Vec::new()),
            (_, Some(labels), _) if !any_class => Ok(self.range.clone().map(|k| labels[part.start + k]).collect()),
            (.., Some(null_class)) => Ok(vec![null_class; self.len()]),
            (.., None) => bail!("the model must be told the class of a picture: give pictures with labels"),
        }
    }
}

/// A set of pictures of the size that the model draws.
fn fitting(name: &SetName, args: &EvalArgs, model: &Model) -> anyhow::Result<Pictures> {
    let pictures = Pictures::read(name, args, PICTURES)?;
    let config = model.inner.checkpoint().unet.config();
    let [height, width, channels] = pictures.set.shape;
    let wanted = model.inner.shape().map_or([height, width], |[_, height, width]| [height, width]);
    if channels != config.in_channels || [height, width] != wanted {
        bail!(
            "{name}: pictures of {}, but the model draws {} (height x width x channels)",
            Size(pictures.set.shape),
            Size([wanted[0], wanted[1], config.in_channels])
        );
    }
    Ok(pictures)
}
