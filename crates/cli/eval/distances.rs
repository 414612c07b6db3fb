//! Distances between two sets of pictures.

mod figures;
mod kept;
mod measuring;
mod source;

use anyhow::{Context, bail};
use ddim_bench::units;
use ddim_eval::Extractor;
use serde_json::{Value, json};

use self::figures::Figures;
use self::kept::Kept;
use self::measuring::Asked;
use self::source::Source;
use crate::args::{DistanceArgs, EvalArgs, FeatureChoice, Metric, SetName, misused, without_effect};
use crate::device::Chosen;
use crate::ending::Ending;
use crate::features::{Saved, extractor};
use crate::files::{Existing, Staged};
use crate::signals::Interrupt;

/// What came out.
#[derive(Debug)]
pub(super) struct Measured {
    features: String,
    sets: Vec<Value>,
    figures: Figures,
    lines: Vec<String>,
    ending: Ending,
}

/// A set as far as it matters: pictures looked at, or only what was kept of some.
#[derive(Debug)]
enum Side {
    Pictures(Box<Kept>),
    Saved(Box<Saved>),
}

/// Looks at every picture of the sets, and measures. Pictures are gone once they were looked at; what stays are their
/// features.
pub(super) fn measure(args: &EvalArgs, device: &Chosen, interrupt: &Interrupt) -> anyhow::Result<Measured> {
    let options = &args.distances;
    let existing = Existing::from_force(options.force);
    let save =
        options.save_stats.as_deref().map(|file| Staged::create("--save-stats", file, existing)).transpose()?;
    let extractor = extractor(&options.features(), options.resize, device)?;
    let names: Vec<&SetName> = options.set.iter().chain(&options.reference).collect();
    let sources = names.iter().enumerate().map(|(k, name)| Source::open(name, args, device, k as u64));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let metrics = metrics(args, &sources)?;
    args.check_with(&metrics).unwrap_or_else(|problem| without_effect(problem).exit());
    check_saved(&sources, extractor.as_ref())?;
    let size = source::size_to_fit(&sources, args)?;
    let mut measured = Measured::new(extractor.identity());
    let mut sides = Vec::new();
    for (name, source) in names.iter().zip(sources) {
        let side = match source {
            Source::Saved(saved) => Side::Saved(saved),
            source => {
                let mut kept = Kept::new(name, &metrics, args);
                if source.look_at_all(extractor.as_ref(), &mut kept, (args, size), interrupt)?
                    == Ending::Interrupted
                {
                    measured.ending = Ending::Interrupted;
                    return Ok(measured);
                }
                Side::Pictures(Box::new(kept))
            }
        };
        measured.describe(name, &side);
        sides.push(side);
    }
    if let (Some(save), Some(last)) = (save, sides.last()) {
        save.finish(&last.saved(&measured.features)?.to_bytes()?)?;
        measured.lines.extend(options.save_stats.iter().map(|file| file.display().to_string()));
    }
    let metrics = fitting(&sides, options, metrics)?;
    let (identity, options) = (measured.features.clone(), options.clone());
    let asked = Asked { sides, metrics, identity, options, seed: args.seed };
    (measured.figures, measured.ending) = Figures::of(asked, interrupt)?;
    Ok(measured)
}

/// What to measure: as asked, or all that the sets allow.
fn metrics(args: &EvalArgs, sources: &[Source]) -> anyhow::Result<Vec<Metric>> {
    let asked = &args.distances.metrics;
    let all_pictures = sources.iter().all(|source| !matches!(source, Source::Saved(_)));
    let needs_pictures =
        |metric: &Metric| matches!(metric, Metric::Kernel | Metric::Pr | Metric::Dc | Metric::Sliced);
    if let ([_], Some(metric)) = (sources, asked.iter().find(|metric| **metric != Metric::Is)) {
        misused!("--metrics {}: a distance needs a second set; name the reference", metric.name());
    }
    if let (false, Some(metric)) = (all_pictures, asked.iter().find(|metric| needs_pictures(metric))) {
        bail!(
            "--metrics {}: needs the pictures of both sets, and one is given by its statistics alone: name its pictures",
            metric.name()
        );
    }
    Ok(match (asked.is_empty(), sources.len(), all_pictures) {
        // Two names of one metric are one.
        (false, ..) => {
            let is_first = |(k, metric): &(usize, &Metric)| !asked[..*k].contains(*metric);
            asked.iter().enumerate().filter(is_first).map(|(_, metric)| *metric).collect()
        }
        (true, 1, _) => Vec::new(),
        (true, _, true) => vec![Metric::Frechet, Metric::Kernel, Metric::Pr, Metric::Dc, Metric::Sliced],
        (true, _, false) => vec![Metric::Frechet],
    })
}

/// Refuses statistics of other features before any picture is looked at.
fn check_saved(sources: &[Source], extractor: &dyn Extractor) -> anyhow::Result<()> {
    let identity = extractor.identity();
    for source in sources {
        if let Source::Saved(saved) = source {
            saved.check_identity(&identity)?;
        }
    }
    Ok(())
}

/// The metrics without those of pixels, if these cannot be compared and nobody asked for them.
fn fitting(sides: &[Side], options: &DistanceArgs, mut metrics: Vec<Metric>) -> anyhow::Result<Vec<Metric>> {
    if let [Side::Pictures(first), Side::Pictures(second)] = sides
        && let (Some(one), Some(other)) = (first.size, second.size)
        && one != other
    {
        let by_pixels = options.features() == FeatureChoice::Pixels;
        if options.metrics.is_empty() && !by_pixels {
            tracing::warn!("sliced is left out: {} has pictures of {one}, {} of {other}", first.name, second.name);
            metrics.retain(|metric| *metric != Metric::Sliced);
        }
        if !by_pixels && !metrics.contains(&Metric::Sliced) {
            return Ok(metrics);
        }
        bail!(
            "{} has pictures of {one}, {} of {other} (height x width x channels): pixels can be compared only between \
             pictures of one size; --fit crop (or pad, stretch) brings them to the size of the reference, or choose other \
             --features and --metrics",
            first.name,
            second.name
        );
    }
    Ok(metrics)
}

impl Side {
    /// What can be kept in a file.
    fn saved(&self, identity: &str) -> anyhow::Result<Saved> {
        match self {
            Self::Saved(saved) => Ok(saved.as_ref().clone()),
            Self::Pictures(kept) => kept.saved(identity).with_context(|| kept.name.clone()),
        }
    }
}

impl Measured {
    fn new(features: String) -> Self {
        let (sets, lines) = (Vec::new(), vec![format!("features  {features}")]);
        Self { features, sets, figures: Figures::default(), lines, ending: Ending::Done }
    }

    fn describe(&mut self, name: &SetName, side: &Side) {
        let role = if self.sets.is_empty() { "set" } else { "reference" };
        let (pictures, skipped) = match side {
            Side::Pictures(kept) => (Some(kept.pictures()), kept.skipped),
            Side::Saved(saved) => (saved.pooled.count(), 0),
        };
        let counted = match pictures {
            None => "statistics".to_owned(),
            Some(pictures) => units::pictures(pictures),
        };
        let left_out = if skipped == 0 { String::new() } else { format!(", {skipped} left out") };
        self.lines.push(format!("{role:<9} {name}  ({counted}{left_out})"));
        self.sets.push(json!({ "name": name.to_string(), "pictures": pictures, "left_out": skipped }));
    }

    /// A line for each set and for each figure.
    pub(super) fn to_text(&self) -> String {
        let lines = self.lines.iter().cloned().chain(self.figures.lines());
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Everything.
    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({ "features": self.features, "set": self.sets.first() });
        if let Some(reference) = self.sets.get(1) {
            json["reference"] = reference.clone();
        }
        self.figures.add_to(&mut json);
        json
    }

    /// How it ended.
    pub(super) fn ending(&self) -> anyhow::Result<Ending> {
        match self.figures.missed() {
            0 => Ok(self.ending),
            1 => bail!("one figure could not be had, as said above"),
            count => bail!("{count} figures could not be had, as said above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ddim_eval::{Features, Pixels, Statistics};

    use super::*;

    #[test]
    fn statistics_of_other_features_are_refused_before_anything_is_looked_at() {
        let of = |identity: &str| {
            let features = Features { width: 1, values: vec![0.0, 1.0] };
            let pooled = Statistics::of(&features, identity).expect("two");
            [Source::Saved(Box::new(Saved { name: "train.npz".to_owned(), pooled, spatial: None }))]
        };
        assert!(check_saved(&of(&Pixels.identity()), &Pixels).is_ok());
        let error = check_saved(&of("Inception-v3"), &Pixels).expect_err("of a network").to_string();
        assert!(error.starts_with("train.npz: statistics of the features \"Inception-v3\""), "{error}");
    }
}
