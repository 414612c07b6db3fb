//! Where the pictures of a set come from.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use ddim_data::{Changes, Picture, Size};
use ddim_eval::Extractor;
use indicatif::ProgressBar;

use super::kept::{Kept, advised};
use crate::args::{EvalArgs, SetHome, SetName};
use crate::device::Chosen;
use crate::ending::Ending;
use crate::features::Saved;
use crate::job::Job;
use crate::model::Model;
use crate::reading::{self, Broken};
use crate::request::{ModelRequest, Request};
use crate::signals::Interrupt;
use crate::{drawing, progress, student};

/// Pictures that a model draws when nothing says otherwise.
const DRAWN: usize = 2048;

/// A set, found but not looked at.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// Pictures, read one after the other, and which of the set.
    Pictures(Box<ddim_data::Source>, Range<usize>),
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
    request: Request,
    pictures: Range<usize>,
}

impl<'a> Source<'a> {
    /// Finds the set; the `k`-th of a command, if it is a model, draws with the seed plus k, so that two models
    /// have noise of their own.
    pub(super) fn open(name: &SetName, args: &EvalArgs, device: &'a Chosen, k: u64) -> anyhow::Result<Self> {
        let path = match &name.home {
            SetHome::Model(model) => return Self::of_model(name, model.as_deref(), args, device, k),
            SetHome::Embedded(set) => return Ok(Self::Saved(Box::new(Saved::embedded(*set)?))),
            SetHome::Path(path) => path,
        };
        if let Some(saved) = Saved::read(path)? {
            return Ok(Self::Saved(Box::new(saved)));
        }
        let source = reading::open(path)?;
        let part = name.part.of(source.len(), args.num);
        let part = part.map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
        Ok(Self::Pictures(Box::new(source), part))
    }

    fn of_model(
        name: &SetName,
        model: Option<&Path>,
        args: &EvalArgs,
        device: &'a Chosen,
        k: u64,
    ) -> anyhow::Result<Self> {
        let asked = args.model.request();
        let model = ModelRequest { model: model.map(Path::to_owned).or(asked.model), ..asked };
        let pictures = name.part.drawn(args.num.unwrap_or(DRAWN));
        let request = student::in_place(Request {
            model,
            plan: args.plan.request(),
            num: Some(pictures.end),
            seed: Some(args.seed.wrapping_add(k)),
            label: args.labels.label.clone(),
            batch_size: Some(args.computing.batch_size),
            ..Request::default()
        });
        let loaded = Model::load(&request.model, &device.device)?;
        // What cannot be drawn is refused before anything else is looked at.
        Job::new(&request, &loaded, device).with_context(|| name.to_string())?;
        Ok(Self::Model(Box::new(Drawn { model: loaded, device, request, pictures })))
    }

    /// Height and width of its pictures: of most of them, where they lie in files.
    fn size(&self) -> anyhow::Result<Option<[usize; 2]>> {
        Ok(match self {
            Self::Pictures(source, _) => Some(source.shape()?).map(|[height, width, _]| [height, width]),
            Self::Model(drawn) => drawn.model.inner.picture_shape().ok().map(|[_, height, width]| [height, width]),
            Self::Saved(_) => None,
        })
    }

    /// Looks at every picture, batch by batch; those in files come to `size`, where one is asked for.
    pub(super) fn look_at_all(
        &self,
        extractor: &dyn Extractor,
        kept: &mut Kept,
        (args, size): (&EvalArgs, Option<[usize; 2]>),
        interrupt: &Interrupt,
    ) -> anyhow::Result<Ending> {
        let bar = progress::bar(self.pictures() as u64, "pictures");
        let name = kept.name.clone();
        let mut look = Look { kept, extractor, bar: &bar };
        let ending = match self {
            Self::Pictures(source, part) => look.at_pictures((source, part.clone()), args, size, interrupt),
            Self::Model(drawn) => look.at_drawn(drawn, interrupt),
            Self::Saved(_) => Ok(Ending::Done),
        };
        bar.finish_and_clear();
        let ending = ending.with_context(|| name.clone())?;
        kept.finish().map_err(advised).context(name)?;
        Ok(ending)
    }

    fn pictures(&self) -> usize {
        match self {
            Self::Pictures(_, part) => part.len(),
            Self::Model(drawn) => drawn.pictures.len(),
            Self::Saved(_) => 0,
        }
    }
}

/// The size to which `--fit` brings the pictures in files: that of a set that a model draws, which cannot be another, else
/// that of the reference. A figure about a set changes when its pictures are resized, so none is where nobody typed it.
pub(super) fn size_to_fit(sources: &[Source<'_>], args: &EvalArgs) -> anyhow::Result<Option<[usize; 2]>> {
    if args.rules.fit.is_none() {
        return Ok(None);
    }
    let is_drawn = |source: &&Source<'_>| matches!(source, Source::Model(_));
    let (drawn, read): (Vec<&Source<'_>>, Vec<_>) = sources.iter().partition(is_drawn);
    let sizes = drawn.into_iter().chain(read.into_iter().rev()).map(Source::size);
    Ok(sizes.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().next())
}

/// A set under way.
struct Look<'a> {
    kept: &'a mut Kept,
    extractor: &'a dyn Extractor,
    bar: &'a ProgressBar,
}

impl Look<'_> {
    /// Pictures of the channels that most of the set have, and of their size where no other is asked for.
    fn at_pictures(
        &mut self,
        (source, part): (&ddim_data::Source, Range<usize>),
        args: &EvalArgs,
        size: Option<[usize; 2]>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Ending> {
        let fit = args.rules.fit(size, None);
        let (mut broken, mut changes) = (Broken::new(&args.rules), Changes::default());
        let [own_height, own_width, channels] = source.shape()?;
        let [height, width] = size.unwrap_or([own_height, own_width]);
        self.kept.size = Some(Size([height, width, channels]));
        // A header can announce any count: nothing is kept for each before it is read.
        let (count, batch_size) = (part.len(), args.computing.batch_size);
        let mut next = part.start;
        while next < part.end {
            if interrupt.requested() {
                return Ok(Ending::Interrupted);
            }
            let end = next.saturating_add(batch_size).min(part.end);
            let mut pictures = Vec::new();
            while next < end {
                match source.read_fitted(next, &fit, &mut changes) {
                    Ok(picture) => {
                        pictures.push(picture);
                        next += 1;
                    }
                    Err(error) => {
                        let error = error.about_at_most(part.end - next);
                        next += error.pictures();
                        broken.take(error).map_err(|error| broken.advised(error))?;
                    }
                }
            }
            if !pictures.is_empty() {
                self.add(&pictures)?;
            }
        }
        self.kept.skipped = broken.len();
        self.bar.suspend(|| {
            broken.say(&source.path().display().to_string(), count);
            reading::say_changes(&changes, &args.rules, [height, width]);
        });
        if self.kept.pictures() == 0 {
            bail!("no picture is left");
        }
        Ok(Ending::Done)
    }

    fn at_drawn(&mut self, drawn: &Drawn<'_>, interrupt: &Interrupt) -> anyhow::Result<Ending> {
        let job = Job::new(&drawn.request, &drawn.model, drawn.device)?;
        let [channels, height, width] = job.shape;
        self.kept.size = Some(Size([height, width, channels]));
        let numbers: Vec<usize> = drawn.pictures.clone().collect();
        drawing::draw(&job, &numbers, interrupt, |_, pictures| self.add(&pictures))
    }

    fn add(&mut self, pictures: &[Picture]) -> anyhow::Result<()> {
        self.bar.inc(pictures.len() as u64);
        self.kept.add(pictures, self.extractor).map_err(advised)
    }
}
