//! What a run draws: every option of `ddim sample` made definite, before anything is drawn or written.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, bail};
use ddim::{Labels, Reuse, Route, Run, Streams};
use ddim_bench::units;
use ddim_data::{Layout, Picture};
use ddim_sampler::{Guidance, GuidedChannels, Langevin};
use ddim_schedule::Direction;
use serde_json::Value;

use crate::args::{MOST, ReuseChoice, Shard, WrongUsage, misused};
use crate::classes::Classes;
use crate::device::{Chosen, Precision};
use crate::editing::{self, Beginning};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::noise::Given;
use crate::plan;
use crate::request::{BATCH_SIZE, Request};
use crate::run_record::RunRecord;
use crate::seeds::Draws;

/// How many pictures are drawn when nothing says otherwise: at least so many, each class equally often.
const DEFAULT_NUM: usize = 16;

/// Guidance above which errors of the network become the picture.
const LARGEST_USUAL_GUIDANCE: f64 = 50.0;

/// The most classes of which one picture each is drawn unasked.
const MOST_UNASKED: usize = 20;
/// How the pictures of a run hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// Each has noise of its own.
    Apart,
    /// Each lies between its neighbours, in rows of so many.
    Walk {
        /// Pictures in a row.
        side: usize,
    },
}

/// What a command decides in a way of its own before a job is made of it.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The method.
    pub(crate) route: Route,
    /// What the pictures start from, where that is given.
    pub(crate) given: Option<Given>,
    /// What they are told, in turn.
    pub(crate) labels: Labels,
}

/// A run, ready to start, and what the command line knows of it besides.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The run.
    pub(crate) drawing: Run<'a>,
    /// The model, as it was named.
    pub(crate) model: &'a Model,
    /// Where it computes.
    pub(crate) device: &'a Chosen,
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    /// How pictures stand side by side in a grid.
    pub(crate) layout: Layout,
    /// Those of its pictures that are asked for.
    pub(crate) asked: Range<usize>,
    /// The share that these are, where they are one.
    pub(crate) shard: Option<Shard>,
    /// How they hang together.
    pub(crate) series: Series,
    /// What is written beside or into the pictures.
    pub(crate) run: Value,
    beginning: Beginning,
}

impl<'a> Job<'a> {
    /// Makes every option definite.
    pub(crate) fn new(request: &Request, model: &'a Model, device: &'a Chosen) -> anyhow::Result<Self> {
        let shape = model.inner.shape().with_context(|| model.name.clone())?;
        let route = plan::route(&editing::plan(request)?, &model.training)?;
        let read = |file: &PathBuf| Given::read("--noise ", file, route.plan(), shape);
        let given = request.noise.as_ref().map(read).transpose()?;
        let unsaid = if request.init.is_empty() { Unsaid::All } else { Unsaid::AnyOrAll };
        let labels = labels::in_turn(&model.inner, &request.class, &request.label, unsaid)?;
        Self::decided(request, model, device, Decided { route, given, labels })
    }

    /// The same with a route of the caller's own, from what is given instead of `--noise`, `--class` and `--label`.
    pub(crate) fn decided(
        request: &Request,
        model: &'a Model,
        device: &'a Chosen,
        Decided { route, given, labels }: Decided,
    ) -> anyhow::Result<Self> {
        let shape = model.inner.picture_shape().with_context(|| model.name.clone())?;
        check_method(request, model, &route)?;
        let corrector = langevin(request, &route)?;
        let reuse = reuse(request, model, &route)?;
        let beginning = Beginning::read(request, shape, route.rounding(), &device.device)?;
        let draws = draws(request, given.as_ref(), beginning.several(), labels.len().max(1))?;
        let guidance = guidance(request);
        model.inner.check_guidance(&guidance).with_context(|| format!("--guidance {}", guidance.scale))?;
        check_guided(&guidance, labels.classes(), model)?;
        let batch_size = request.batch_size.unwrap_or(BATCH_SIZE);
        model.check_memory(draws.len().min(batch_size), &guidance)?;
        if given.is_some() && (beginning.mask.is_some() || corrector.is_some()) {
            let option = if beginning.mask.is_some() { "--mask" } else { "--corrector-steps" };
            misused!("{option} cannot be used with --noise, which has none for it; use --seed");
        }
        let (named, noise) = match given {
            Some(Given { record, noise }) => (Some(record), Streams::Given(noise)),
            None => (None, draws.streams()),
        };
        let start = beginning.start.clone().encoded(&model.inner).with_context(|| model.name.clone())?;
        let of_noise = Run::new(&model.inner, route, noise, draws.len(), batch_size);
        let drawing = Run { start, labels, guidance, corrector, reuse, ..of_noise };
        let drawing = match request.picture {
            None => drawing,
            Some(picture) if picture < drawing.pictures => drawing.only(&[picture]),
            Some(picture) => bail!("picture {picture} is none of {}", units::pictures(drawing.pictures)),
        };
        let asked = asked(request, drawing.pictures)?;
        let layout = layout(asked.len(), drawing.labels.len());
        let (series, run, shard) = (Series::Apart, Value::Null, request.shard);
        let mut job = Self { drawing, model, device, shape, layout, asked, shard, series, run, beginning };
        job.run = job.record(request, &draws, named.as_ref())?;
        Ok(job)
    }

    /// What decides the pictures.
    fn record(
        &self,
        request: &Request,
        draws: &Draws,
        given: Option<&(&'static str, Value)>,
    ) -> anyhow::Result<Value> {
        let classes = Classes::of(&self.model.inner);
        let names: Vec<String> = self.drawing.labels.classes().iter().map(|class| classes.name(*class)).collect();
        let record = RunRecord {
            model: &self.model.name,
            weights: &self.model.weights,
            first_stage: self.model.first_stage.as_deref(),
            scheduler: &serde_json::from_str(&self.model.training.scheduler.to_json())?,
            drawing: &self.drawing,
            draws,
            given,
            request,
            classes: &names,
            beginning: &self.beginning,
            shape: self.shape,
            device: &self.device.name,
            precision: request.precision.unwrap_or(Precision::F32).name(),
        };
        Ok(record.to_json())
    }

    /// How many pictures are asked for.
    pub(crate) fn pictures(&self) -> usize {
        self.asked.len()
    }

    /// Which way it goes.
    pub(crate) fn direction(&self) -> Direction {
        self.drawing.route.settings().direction
    }

    /// A picture in 8 bits.
    pub(crate) fn picture(&self, values: &[f32]) -> Picture {
        let rounding = self.drawing.route.rounding();
        Picture::from_values(values, self.shape, |value| rounding.to_u8(value))
    }

    /// Whether some of the run's pictures are not asked for.
    pub(crate) fn is_part(&self) -> bool {
        self.shard.is_some() || self.asked != (0..self.drawing.pictures)
    }

    /// Those of the pictures that can be drawn: all whose `--init` picture could be read.
    pub(crate) fn drawable(&self, pictures: &[usize]) -> Vec<usize> {
        pictures.iter().copied().filter(|picture| self.beginning.can_begin(*picture)).collect()
    }

    /// An error if some could not.
    pub(crate) fn complete(&self) -> anyhow::Result<()> {
        self.beginning.complete()
    }

    /// An error of drawing, with what was asked for that may have led to it.
    pub(crate) fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let scale = self.drawing.guidance.scale;
        match scale.abs() > LARGEST_USUAL_GUIDANCE && error.is::<ddim::Error>() {
            true => error.context(format!("--guidance {scale:?} is far more than usual, which is 1 to 10")),
            false => error,
        }
    }
}

/// Which of so many pictures are asked for.
fn asked(request: &Request, pictures: usize) -> anyhow::Result<Range<usize>> {
    let part = match (request.shard, request.pictures) {
        (Some(shard), _) => return Ok(shard.of(pictures)),
        (None, None) => return Ok(0..pictures),
        (None, Some(part)) => part,
    };
    match part.of(pictures, None) {
        Ok(range) => Ok(range),
        Err(_) => misused!("--pictures {part}: the run has pictures 0..{pictures}; --num says how many"),
    }
}

/// Refuses guidance towards no class.
fn check_guided(guidance: &Guidance, classes: &[usize], model: &Model) -> Result<(), WrongUsage> {
    let none = |class: &usize| Some(*class) == model.inner.null_class();
    if guidance.is_off() || classes.is_empty() || !classes.iter().all(none) {
        return Ok(());
    }
    Err(WrongUsage::no_effect(
        "guidance",
        "follows a class, and these pictures are told none: name one with --class",
    ))
}

/// Refuses times that the network has no embedding for, and what the method has no steps for.
fn check_method(request: &Request, model: &Model, route: &Route) -> anyhow::Result<()> {
    plan::check_effect(&request.plan, route.settings())?;
    match route {
        Route::Plan(plan) => model.inner.check_plan(plan)?,
        Route::Flow { .. } if !request.init.is_empty() => {
            misused!("--init needs the steps of a plan, which --solver adaptive has not: leave one of them out")
        }
        Route::Flow { flow, .. } => model.inner.check_flow(flow)?,
    }
    Ok(())
}

/// The corrections asked for, if the plan can be corrected.
fn langevin(request: &Request, route: &Route) -> anyhow::Result<Option<Langevin>> {
    let langevin = request.langevin()?;
    match (langevin, route) {
        (Some(langevin), Route::Plan(plan)) => langevin.check(plan).context("--corrector-steps")?,
        (Some(_), Route::Flow { .. }) => misused!(
            "--corrector-steps needs the levels of a plan, which --solver adaptive has not: leave one of them out"
        ),
        (None, _) => {}
    }
    Ok(langevin)
}

/// The features to keep, if the network and the plan have them.
fn reuse(request: &Request, model: &Model, route: &Route) -> anyhow::Result<Option<Reuse>> {
    match (&request.reuse, route) {
        (None | Some(ReuseChoice::Nothing), _) => Ok(None),
        (Some(ReuseChoice::Of(reuse)), Route::Plan(plan)) => {
            model.inner.check_reuse(reuse, plan).context("--reuse")?;
            Ok(Some(reuse.clone()))
        }
        (Some(_), Route::Flow { .. }) => {
            misused!(
                "--reuse needs the calls of a plan, which --solver adaptive has not: leave it out, or say --reuse none"
            )
        }
    }
}

/// How the run is guided.
fn guidance(request: &Request) -> Guidance {
    Guidance {
        scale: request.guidance.unwrap_or(1.0),
        interval: request.guidance_interval.unwrap_or_default(),
        rescale: request.guidance_rescale.unwrap_or(0.0),
        channels: request.guided_channels.map_or(GuidedChannels::All, GuidedChannels::First),
    }
}

/// Which pictures are drawn; a noise file and several pictures to begin with say how many themselves.
pub(crate) fn draws(
    request: &Request,
    given: Option<&Given>,
    beginnings: Option<usize>,
    classes: usize,
) -> anyhow::Result<Draws> {
    let in_file = given.map(Given::pictures);
    if let (Some(num), Some(in_file)) = (request.num, in_file)
        && num > in_file
    {
        bail!(
            "--num {num}: the file given with --noise holds the noise of {}; ask for at most so many",
            units::pictures(in_file)
        );
    }
    Ok(match &request.seeds {
        Some(list) => Draws::Seeds(list.clone()),
        None => {
            let num = request.num.or(in_file).or(beginnings);
            let are_typed = !(request.class.is_empty() && request.label.is_empty());
            let num = num.unwrap_or_else(|| usual_num(classes, are_typed));
            if num > MOST {
                bail!("{num} pictures are more than one run draws ({MOST}): ask for fewer at a time");
            }
            Draws::OneSeed { seed: request.seed.unwrap_or(0), num }
        }
    })
}

/// As many pictures as are drawn when nothing says otherwise: each class equally often, unless nobody has named
/// them and they are many.
fn usual_num(classes: usize, are_typed: bool) -> usize {
    if are_typed || classes <= MOST_UNASKED {
        return DEFAULT_NUM.next_multiple_of(classes);
    }
    tracing::info!(
        "{DEFAULT_NUM} pictures, of the first {DEFAULT_NUM} of {classes} classes: --num {classes} draws one of each, \
         --class names some"
    );
    DEFAULT_NUM
}

/// One of each class in a row where all rows are full, else what fills the sheet.
pub(crate) fn layout(pictures: usize, classes_in_turn: usize) -> Layout {
    let widest = 20;
    match classes_in_turn {
        classes @ 2.. if classes <= widest && pictures.is_multiple_of(classes) => Layout::Columns(classes),
        _ => Layout::Filled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_comes_equally_often_unless_they_are_many() {
        assert_eq!([1, 3, 10, 16, 20].map(|classes| usual_num(classes, false)), [16, 18, 20, 16, 20]);
        assert_eq!((usual_num(21, false), usual_num(1000, false), usual_num(30, true)), (16, 16, 30));
    }

    #[test]
    fn columns_follow_the_classes_else_the_sheet_is_filled() {
        let columns = |pictures, classes| layout(pictures, classes).columns(pictures, [28, 28]);
        assert_eq!((columns(20, 10), columns(10, 10), columns(9, 10)), (10, 10, 3));
        assert_eq!((columns(8, 2), columns(16, 1), columns(16, 10)), (2, 4, 4));
        assert_eq!((columns(17, 0), columns(8, 1), columns(21, 10)), (6, 4, 7));
        assert_eq!(columns(1, 10), 1);
    }
}
