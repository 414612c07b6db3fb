//! The pictures that something is measured with.

use std::ops::{ControlFlow, Range};

use anyhow::{Context, anyhow, bail};
use ddim::Labels;
use ddim_data::ImageSet;
use ddim_sampler::PictureNoise;

use crate::args::{EvalArgs, SetName};
use crate::ending::Ending;
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{labels, progress, reading};

/// Pictures that a model is measured with, where nothing says how many.
pub(super) const PICTURES: usize = 64;

/// Where the classes of pictures come from that are measured.
const CLASSES_OF_SETS: &str = "pictures bring their classes themselves; leave the option out";

/// Pictures of a set, in memory.
#[derive(Debug)]
pub(super) struct Pictures {
    pub(super) name: SetName,
    pub(super) set: ImageSet,
}

impl Pictures {
    /// Reads a set; `usual` pictures are meant where nothing says how many. They get the size (height, width) and the
    /// channels asked for, and those that most of the set have where none are.
    pub(super) fn read(
        name: &SetName,
        args: &EvalArgs,
        usual: usize,
        size: Option<[usize; 2]>,
        channels: Option<usize>,
    ) -> anyhow::Result<Self> {
        let path = name.path().map_err(anyhow::Error::msg)?;
        let source = reading::open(path)?;
        let most = args.num.or((!name.part.has_end()).then_some(usual));
        let part = name.part.of(source.len(), most).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
        let set = reading::collect(&source, part, size, channels, &args.rules, |_| {})?;
        Ok(Self { name: name.clone(), set })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// The pixels of some of them.
    pub(super) fn pixels(&self, indices: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
        indices.into_iter().map(|k| self.set.image(k)).collect()
    }
}

/// Sets of pictures that fit the model, and how many do not.
#[derive(Debug)]
pub(super) struct Sets {
    sets: Vec<Pictures>,
    /// Labels that are not classes, in turn for the pictures of each set.
    told: Labels,
    refused: usize,
}

/// Some pictures of one set.
pub(super) struct Batch<'a> {
    pictures: &'a Pictures,
    told: &'a Labels,
    /// Which of them.
    range: Range<usize>,
    /// The number of the first, over all sets.
    first: usize,
}

/// Is told of every network call, and breaks once the user wants to stop.
pub(super) type Observer<'a> = &'a dyn Fn() -> ControlFlow<()>;

/// Whether a measurement came to its end.
pub(super) fn ended<T>(found: &Option<T>) -> ControlFlow<()> {
    if found.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

impl Sets {
    /// Reads sets; one that is refused is named, and the others are kept.
    pub(super) fn read(names: &[SetName], args: &EvalArgs, model: &Model) -> anyhow::Result<Self> {
        let told = labels::of_numbers(&model.inner, &args.labels.label, CLASSES_OF_SETS)?;
        let (mut refused, mut sets) = (0, Vec::new());
        for name in names {
            match fitting(name, args, model) {
                Ok(pictures) => sets.push(pictures),
                Err(error) => {
                    tracing::error!("{}", crate::ending::chain(&error));
                    refused += 1;
                }
            }
        }
        Ok(Self { sets, told, refused })
    }

    /// Measures batch after batch of all sets, each with so many network calls, until the user stops it. `measure` tells
    /// the observer that it is given of every call, and breaks if that does.
    pub(super) fn in_batches(
        &self,
        args: &EvalArgs,
        interrupt: &Interrupt,
        calls: usize,
        mut measure: impl FnMut(&Batch<'_>, Observer<'_>) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<Ending> {
        let batches: usize = self.sets.iter().map(|set| set.len().div_ceil(args.computing.batch_size)).sum();
        let bar = progress::bar((batches * calls) as u64, "network calls");
        let observe = || {
            bar.inc(1);
            interrupt.go_on()
        };
        let mut first = 0;
        for pictures in &self.sets {
            for start in (0..pictures.len()).step_by(args.computing.batch_size) {
                let range = start..pictures.len().min(start + args.computing.batch_size);
                let batch = Batch { pictures, told: &self.told, range, first };
                let measured = measure(&batch, &observe).with_context(|| pictures.name.to_string());
                if measured?.is_break() || interrupt.requested() {
                    bar.finish_and_clear();
                    return Ok(Ending::Interrupted);
                }
                first += batch.len();
            }
        }
        bar.finish_and_clear();
        Ok(Ending::Done)
    }

    /// The values of a picture: all have as many.
    pub(super) fn dims(&self) -> usize {
        self.sets.first().map_or(0, |pictures| pictures.set.shape.iter().product())
    }

    /// What was typed for those that were read.
    pub(super) fn names(&self) -> Vec<String> {
        self.sets.iter().map(|pictures| pictures.name.to_string()).collect()
    }

    /// How a measurement of them ended.
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

    /// Their classes, as far as the model knows any and is to be told; the labels typed where it takes numbers.
    pub(super) fn labels(&self, model: &Model, any_class: bool) -> anyhow::Result<Labels> {
        let (model, set) = (&model.inner, &self.pictures.set);
        match (model.label_count(), &set.labels, model.null_class()) {
            (0, ..) => Ok(self.told.in_turn(self.range.clone())),
            (_, Some(labels), _) if !any_class => {
                Ok(self.range.clone().map(|k| labels[k]).collect::<Vec<_>>().into())
            }
            (.., Some(null_class)) => Ok(vec![null_class; self.len()].into()),
            (.., None) => bail!("the model must be told the class of a picture: give pictures with labels"),
        }
    }
}

/// A set of pictures, brought to the size that the model draws.
fn fitting(name: &SetName, args: &EvalArgs, model: &Model) -> anyhow::Result<Pictures> {
    let channels = model.inner.checkpoint().denoiser.config().in_channels();
    if !matches!(channels, 1 | 3 | 4) {
        bail!("{name}: the model draws {channels} channels, and pictures have 1, 3 or 4");
    }
    let size = model.inner.picture_shape().ok().map(|[_, height, width]| [height, width]);
    Pictures::read(name, args, PICTURES, size, Some(channels))
}
