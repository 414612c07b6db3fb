//! Where the pictures of a set come from.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ddim_data::{ImageSet, Picture, Size};
use ddim_eval::Extractor;
use indicatif::ProgressBar;

use super::kept::Kept;
use crate::args::{EvalArgs, ModelArgs, OnCorrupt, SampleArgs, SetHome, SetName};
use crate::device::Chosen;
use crate::features::Saved;
use crate::job::Job;
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{Ending, drawing, progress};

/// Pictures that a model draws when nothing says otherwise.
const DRAWN: usize = 2048;

/// A set, found but not looked at.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// Picture files, opened one after the other.
    Files(Vec<PathBuf>),
    /// A file of many pictures, in memory as 8-bit levels, and which of them.
    Set(Box<ImageSet>, Range<usize>),
    /// A model that draws them.
    Model(Box<Drawn<'a>>),
    /// No pictures: what was kept of some.
    Saved(Box<Saved>),
}

/// A model and what it is to draw.
#[derive(Debug)]
pub(super) struct Drawn<'a> {
    model: Model,
    device: &'a Chosen,
    args: SampleArgs,
    pictures: Range<usize>,
}

impl<'a> Source<'a> {
    /// Finds the set; the `k`-th of a command, if it is a model, draws with the seed plus k, so that two models have
    /// noise of their own.
    ///
    /// # Errors
    /// When there is no such set, or it has no such part.
    pub(super) fn open(name: &SetName, args: &EvalArgs, device: &'a Chosen, k: u64) -> anyhow::Result<Self> {
        let path = match &name.home {
            SetHome::Model(model) => return Self::of_model(name, model.as_deref(), args, device, k),
            SetHome::Embedded(split) => return Ok(Self::Saved(Box::new(Saved::embedded(*split)?))),
            SetHome::Path(path) => path,
        };
        if let Some(saved) = Saved::read(path)? {
            return Ok(Self::Saved(Box::new(saved)));
        }
        let part = |pictures| {
            name.part.of(pictures, args.num).map_err(|problem| anyhow!("{}: {problem}", path.display()))
        };
        if path.is_dir() {
            let files = ddim_data::picture_files(path)?;
            if !files.is_empty() {
                return Ok(Self::Files(files[part(files.len())?].to_vec()));
            }
        }
        let set = ddim_data::open(path)?;
        let part = part(set.len())?;
        Ok(Self::Set(Box::new(set), part))
    }

    fn of_model(
        name: &SetName,
        model: Option<&Path>,
        args: &EvalArgs,
        device: &'a Chosen,
        k: u64,
    ) -> anyhow::Result<Self> {
        let model = ModelArgs {
            model: model.map(Path::to_owned).or(args.model.model.clone()),
            scheduler_config: args.model.scheduler_config.clone(),
        };
        let pictures = name.part.drawn(args.num.unwrap_or(DRAWN));
        let loaded = Model::load(&model, &device.device)?;
        let args = SampleArgs {
            model,
            plan: args.plan.clone(),
            num: Some(pictures.end),
            seed: args.seed.wrapping_add(k),
            batch_size: args.computing.batch_size,
            ..SampleArgs::default()
        };
        // What cannot be drawn is refused before anything else is looked at.
        Job::new(&args, &loaded, device).with_context(|| name.to_string())?;
        Ok(Self::Model(Box::new(Drawn { model: loaded, device, args, pictures })))
    }

    /// Looks at every picture, batch by batch.
    ///
    /// # Errors
    /// When a picture cannot be read or drawn, or does not suit the features.
    pub(super) fn look_at_all(
        &self,
        extractor: &dyn Extractor,
        kept: &mut Kept,
        args: &EvalArgs,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Ending> {
        let bar = progress::bar(self.pictures() as u64, "pictures");
        let name = kept.name.clone();
        let mut look = Look { kept, extractor, on_corrupt: args.on_corrupt, bar: &bar };
        let ending = match self {
            Self::Files(files) => look.at_files(files, args.computing.batch_size, interrupt),
            Self::Set(set, part) => look.at_set(set, part.clone(), args.computing.batch_size, interrupt),
            Self::Model(drawn) => look.at_drawn(drawn, interrupt),
            Self::Saved(_) => Ok(Ending::Done),
        };
        bar.finish_and_clear();
        let ending = ending.with_context(|| name.clone())?;
        kept.finish().context(name)?;
        Ok(ending)
    }

    fn pictures(&self) -> usize {
        match self {
            Self::Files(files) => files.len(),
            Self::Set(_, part) => part.len(),
            Self::Model(drawn) => drawn.pictures.len(),
            Self::Saved(_) => 0,
        }
    }
}

/// A set under way.
struct Look<'a> {
    kept: &'a mut Kept,
    extractor: &'a dyn Extractor,
    on_corrupt: OnCorrupt,
    bar: &'a ProgressBar,
}

impl Look<'_> {
    fn at_files(&mut self, files: &[PathBuf], batch_size: usize, interrupt: &Interrupt) -> anyhow::Result<Ending> {
        for batch in files.chunks(batch_size) {
            if interrupt.requested() {
                return Ok(Ending::Interrupted);
            }
            let mut pictures = Vec::with_capacity(batch.len());
            for file in batch {
                match (self.read(file), self.on_corrupt) {
                    (Ok(picture), _) => pictures.push(picture),
                    (Err(error), OnCorrupt::Fail) => {
                        return Err(error.context(OnCorrupt::ADVICE));
                    }
                    (Err(error), OnCorrupt::Skip) => {
                        self.bar.suspend(|| tracing::warn!("left out: {}", crate::chain(&error)));
                        self.kept.skipped += 1;
                    }
                }
            }
            self.add(&pictures)?;
        }
        if self.kept.pictures() == 0 {
            bail!("no picture is left");
        }
        Ok(Ending::Done)
    }

    /// A picture of the size of those before it.
    fn read(&mut self, file: &Path) -> anyhow::Result<Picture> {
        let picture = Picture::read(file)?;
        let (found, expected) = (size(&picture), *self.kept.size.get_or_insert(size(&picture)));
        if found != expected {
            bail!("{} is {found} (height x width x channels), those before it are {expected}", file.display());
        }
        Ok(picture)
    }

    fn at_set(
        &mut self,
        set: &ImageSet,
        part: Range<usize>,
        batch_size: usize,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Ending> {
        let [height, width, channels] = set.shape;
        self.kept.size = Some(Size(set.shape));
        let numbers: Vec<usize> = part.collect();
        for batch in numbers.chunks(batch_size) {
            if interrupt.requested() {
                return Ok(Ending::Interrupted);
            }
            let picture = |k: &usize| Picture { height, width, channels, pixels: set.image(*k).to_vec() };
            self.add(&batch.iter().map(picture).collect::<Vec<_>>())?;
        }
        Ok(Ending::Done)
    }

    fn at_drawn(&mut self, drawn: &Drawn<'_>, interrupt: &Interrupt) -> anyhow::Result<Ending> {
        let job = Job::new(&drawn.args, &drawn.model, drawn.device)?;
        let [channels, height, width] = job.shape;
        self.kept.size = Some(Size([height, width, channels]));
        let numbers: Vec<usize> = drawn.pictures.clone().collect();
        drawing::draw(&job, &numbers, interrupt, |_, pictures| self.add(&pictures))
    }

    fn add(&mut self, pictures: &[Picture]) -> anyhow::Result<()> {
        self.bar.inc(pictures.len() as u64);
        Ok(self.kept.add(pictures, self.extractor)?)
    }
}

fn size(picture: &Picture) -> Size {
    Size([picture.height, picture.width, picture.channels])
}
