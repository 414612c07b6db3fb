//! Where the pictures of a set come from.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use ddim_data::{Changes, Picture, Size};
use ddim_eval::Extractor;
use indicatif::ProgressBar;

use super::kept::{Kept, advised};
use crate::args::{EvalArgs, ModelArgs, SampleArgs, SetHome, SetName};
use crate::device::Chosen;
use crate::features::Saved;
use crate::job::Job;
use crate::model::Model;
use crate::reading::{self, Broken};
use crate::seeds::Seed;
use crate::signals::Interrupt;
use crate::{Ending, drawing, progress};

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
    args: SampleArgs,
    pictures: Range<usize>,
}

impl<'a> Source<'a> {
    /// Finds the set; the `k`-th of a command, if it is a model, draws with the seed plus k, so that two models
    /// have noise of their own.
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
        let model =
            ModelArgs { model: model.map(Path::to_owned).or(args.model.model.clone()), ..args.model.clone() };
        let pictures = name.part.drawn(args.num.unwrap_or(DRAWN));
        let loaded = Model::load(&model, &device.device)?;
        let args = SampleArgs {
            model,
            plan: args.plan.clone(),
            num: Some(pictures.end),
            seed: Seed::Typed(args.seed.wrapping_add(k)),
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
        let mut look = Look { kept, extractor, bar: &bar };
        let ending = match self {
            Self::Pictures(source, part) => look.at_pictures(source, part.clone(), args, interrupt),
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

/// A set under way.
struct Look<'a> {
    kept: &'a mut Kept,
    extractor: &'a dyn Extractor,
    bar: &'a ProgressBar,
}

impl Look<'_> {
    /// Pictures of the size and the channels that most of the set have.
    fn at_pictures(
        &mut self,
        source: &ddim_data::Source,
        part: Range<usize>,
        args: &EvalArgs,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Ending> {
        let fit = args.rules.fit(reading::common_size(source, &args.rules)?, None);
        let (mut broken, mut changes) = (Broken::new(&args.rules), Changes::default());
        let shape = source.shape()?;
        self.kept.size = Some(Size(shape));
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
            reading::say_changes(&changes, &args.rules, [shape[0], shape[1]]);
        });
        if self.kept.pictures() == 0 {
            bail!("no picture is left");
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
        self.kept.add(pictures, self.extractor).map_err(advised)
    }
}
