//! How far the features of pictures are from those of a reference.

use std::path::Path;

use anyhow::Context;
use ddim_bench::{Cell, Verdict, units};
use ddim_data::{Changes, Picture, Source};
use ddim_eval::{Directions, Extractor, Features, Frechet, Moments, Pixels, SlicedWasserstein, Statistics};
use ddim_features::EmbeddedSet;

use super::{Batches, Needs, Quality};
use crate::args::{BenchArgs, FeatureChoice, SetHome, SetName, WrongUsage, embedded_sets, misused};
use crate::device::Chosen as Device;
use crate::features::{Saved, extractor};
use crate::model::Model;
use crate::progress;
use crate::reading::{self, Broken};
use crate::signals::Interrupt;

/// Random directions of a sliced distance.
const DIRECTIONS: usize = 256;

/// What `--reference` names.
enum Reference<'a> {
    Saved(Box<Saved>),
    Pictures(&'a SetName, Source),
}

/// What compares the features that `--features` names with those of `--reference`.
pub(super) fn of(
    args: &BenchArgs,
    model: &Model,
    device: &Device,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Box<dyn Quality>>> {
    let judging = &args.judging;
    let reference = reference(judging.reference.as_ref())?;
    let features = match (&judging.features, &reference) {
        (Some(features), _) => features.clone(),
        (None, Reference::Saved(_)) => FeatureChoice::Classifier(None),
        (None, Reference::Pictures(..)) if super::is_embedded(model) => FeatureChoice::Classifier(None),
        (None, Reference::Pictures(..)) => FeatureChoice::Pixels,
    };
    let extractor = extractor(&features, judging.resize, device)?;
    let width = width(extractor.as_ref(), model)?;
    Ok(match reference {
        Reference::Saved(saved) => {
            if let Some(option) = judging.rules.typed() {
                let beside = "is for pictures, and --reference is their statistics";
                return Err(WrongUsage::no_effect(option, beside).into());
            }
            saved.check_identity(&extractor.identity())?;
            let (name, count) = (saved.name.clone(), saved.pooled.count());
            Some(Box::new(FrechetDistance { extractor, reference: saved.pooled, name, count }))
        }
        Reference::Pictures(name, source) if features == FeatureChoice::Pixels => {
            let directions = Directions::new(width, DIRECTIONS, args.seed);
            let mut reference = Features::default();
            let look = |pictures: &[Picture]| {
                Ok(reference.append(&directions.project(&Pixels.extract(pictures)?.pooled)?)?)
            };
            let whole = look_at_all(args, (name, &source), model, interrupt, look)?;
            whole.then(|| {
                Box::new(Sliced { directions, reference, name: described(name, args) }) as Box<dyn Quality>
            })
        }
        Reference::Pictures(name, source) => {
            let mut moments = Moments::new(width).with_context(|| format!("--reference {name}"))?;
            let look = |pictures: &[Picture]| Ok(moments.add(&extractor.extract(pictures)?.pooled)?);
            if !look_at_all(args, (name, &source), model, interrupt, look)? {
                return Ok(None);
            }
            Some(Box::new(FrechetDistance::from_moments(extractor, &moments, described(name, args))?))
        }
    })
}

fn reference(name: Option<&SetName>) -> anyhow::Result<Reference<'_>> {
    let saved = |saved| Ok(Reference::Saved(Box::new(saved)));
    let Some(name) = name else { return saved(Saved::embedded(EmbeddedSet::Train)?) };
    match &name.home {
        SetHome::Embedded(set) => saved(Saved::embedded(*set)?),
        SetHome::Path(path) => match Saved::read(path).context("--reference")? {
            Some(found) => saved(found),
            None => Ok(Reference::Pictures(name, reading::open(path).context("--reference")?)),
        },
        SetHome::Model(_) => misused!(
            "--reference {name}: has to be pictures, {} or an .npz with mu and sigma; `ddim sample --model ... --out \
             FOLDER` draws pictures",
            embedded_sets().join(", ")
        ),
    }
}

/// How many features there are, from a grey picture of the model's size.
fn width(extractor: &dyn Extractor, model: &Model) -> anyhow::Result<usize> {
    let [channels, height, width] = model.inner.picture_shape().with_context(|| model.name.clone())?;
    let grey = Picture { width, height, channels, pixels: vec![128; width * height * channels] };
    let found = extractor.extract(&[grey]).map_err(|error| {
        anyhow::Error::new(error).context(format!(
            "--features: these are not for the pictures of {}; use pixels with a --reference of pictures, \
             classifier:FOLDER with one that was trained on such pictures, or inception:FILE",
            model.name
        ))
    });
    Ok(found?.pooled.width)
}

/// Shows the pictures to `look`, batch by batch, in the size and colours that the model draws; whether they were all seen
/// before Ctrl-C.
fn look_at_all(
    args: &BenchArgs,
    (name, source): (&SetName, &Source),
    model: &Model,
    interrupt: &Interrupt,
    mut look: impl FnMut(&[Picture]) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let part =
        name.part.of(source.len(), None).map_err(|problem| anyhow::anyhow!("--reference {name}: {problem}"))?;
    let [channels, height, width] = model.inner.picture_shape().with_context(|| model.name.clone())?;
    let rules = &args.judging.rules;
    let fit = rules.fit(Some([height, width]), Some(channels));
    let (mut broken, mut changes) = (Broken::new(rules), Changes::default());
    let bar = progress::bar(part.len() as u64, "reference pictures");
    for first in part.clone().step_by(args.computing.batch_size) {
        if interrupt.requested() {
            bar.finish_and_clear();
            return Ok(false);
        }
        let batch = first..part.end.min(first + args.computing.batch_size);
        bar.inc(batch.len() as u64);
        let pictures = batch.filter_map(|k| match source.read_fitted(k, &fit, &mut changes) {
            Ok(picture) => Some(Ok(picture)),
            Err(error) => broken.take(error).err().map(Err),
        });
        let pictures = pictures.collect::<Result<Vec<Picture>, _>>().map_err(|error| broken.advised(error));
        let pictures = pictures.with_context(|| format!("--reference {name}"))?;
        if !pictures.is_empty() {
            look(&pictures).with_context(|| format!("--reference {name}"))?;
        }
    }
    bar.finish_and_clear();
    broken.say(&format!("--reference {name}"), part.len());
    reading::say_changes(&changes, rules, [height, width]);
    Ok(true)
}

/// The name of a set in a run's record: with other rules its pictures are others.
fn described(name: &SetName, args: &BenchArgs) -> String {
    format!("{name}{}", args.judging.rules.words())
}

/// The Frechet distance of features from those of a reference.
struct FrechetDistance {
    extractor: Box<dyn Extractor>,
    reference: Statistics,
    name: String,
    count: Option<usize>,
}

impl FrechetDistance {
    fn from_moments(extractor: Box<dyn Extractor>, moments: &Moments, name: String) -> anyhow::Result<Self> {
        let reference =
            moments.statistics(&extractor.identity()).with_context(|| format!("--reference {name}"))?;
        Ok(Self { extractor, reference, name, count: Some(moments.count()) })
    }
}

impl Quality for FrechetDistance {
    fn identity(&self) -> String {
        let count = self.count.map_or(String::new(), |count| format!(", {}", units::pictures(count)));
        format!("Frechet distance in {} to {}{count}", self.extractor.identity(), self.name)
    }

    fn needs(&self) -> Needs {
        Needs::Pictures(self.reference.width() + 1)
    }

    fn judge(&self, _: &Cell, pictures: Batches<'_>, _: &Path) -> anyhow::Result<Verdict> {
        let mut features = Features::default();
        for batch in pictures {
            features.append(&self.extractor.extract(&batch?)?.pooled)?;
        }
        let (found, needed) = (features.len(), features.width + 1);
        if found < needed {
            return Ok(Verdict::not_measured(format!(
                "a covariance of {} features needs {needed} pictures or more, and a cell has {found}",
                features.width
            )));
        }
        let statistics = Statistics::of(&features, &self.extractor.identity())?;
        let distance = Frechet::between(&statistics, &self.reference)?;
        let standard_error = distance.standard_error(Some(&features), None)?;
        Ok(Verdict::Measured { value: distance.distance + 0.0, standard_error })
    }
}

/// The sliced Wasserstein distance of pixels from those of a reference.
struct Sliced {
    directions: Directions,
    /// Along those.
    reference: Features,
    name: String,
}

impl Quality for Sliced {
    fn identity(&self) -> String {
        format!(
            "sliced Wasserstein distance (order 2, {DIRECTIONS} directions, pixels in [0, 1]) to {}, {}; its \
             error is that of the directions",
            self.name,
            units::pictures(self.reference.len())
        )
    }

    fn needs(&self) -> Needs {
        Needs::Pictures(2)
    }

    fn judge(&self, _: &Cell, pictures: Batches<'_>, _: &Path) -> anyhow::Result<Verdict> {
        let mut projected = Features::default();
        for batch in pictures {
            projected.append(&self.directions.project(&Pixels.extract(&batch?)?.pooled)?)?;
        }
        let found = SlicedWasserstein::between(&projected, &self.reference)?.order_2;
        Ok(Verdict::Measured { value: found.mean, standard_error: found.standard_error })
    }
}
