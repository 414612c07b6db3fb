//! The figures of two sets, and of one, metric by metric.

use std::fmt::Display;
use std::sync::OnceLock;

use anyhow::Context;
use ddim_eval::{
    Against, EvalError, Features, Frechet, KernelOptions, Mean, Neighbourhoods, SlicedWasserstein, Statistics,
    extrapolated, inception_score, kernel_distance,
};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::Side;
use super::figures::shown;
use super::kept::{Kept, advised};
use crate::args::{DistanceArgs, Metric};

/// Pictures in a subset of the kernel distance, as torch-fidelity has it.
const SUBSET: usize = 1000;

/// What is to be measured, and of what.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) sides: Vec<Side>,
    pub(super) metrics: Vec<Metric>,
    /// What the features are.
    pub(super) identity: String,
    pub(super) options: DistanceArgs,
    pub(super) seed: u64,
}

/// Figures under way.
pub(super) struct Work {
    asked: Asked,
    /// What `pr` and `dc` are both read from, once it was computed.
    neighbours: OnceLock<Result<Neighbourhoods, EvalError>>,
    bar: ProgressBar,
}

/// A figure.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name for people.
    pub(super) name: String,
    /// Its name in JSON.
    pub(super) key: &'static str,
    pub(super) value: f64,
    pub(super) error: Option<f64>,
    pub(super) note: String,
    /// What else JSON says.
    pub(super) details: Value,
}

impl Work {
    /// What was asked for; `bar` shows what is under way.
    pub(super) fn new(asked: Asked, bar: ProgressBar) -> Self {
        Self { asked, neighbours: OnceLock::new(), bar }
    }

    /// The figures of one metric after the other.
    pub(super) fn measured(&self) -> impl Iterator<Item = (Metric, anyhow::Result<Vec<Row>>)> {
        self.asked.metrics.iter().map(|metric| (*metric, self.of(*metric)))
    }

    fn of(&self, metric: Metric) -> anyhow::Result<Vec<Row>> {
        self.bar.set_message(metric.name());
        Ok(match (metric, &self.asked.sides[..]) {
            (Metric::Is, [Side::Pictures(set), ..]) => vec![self.score(set)?],
            (Metric::Frechet, [first, second]) => self.frechet(first, second)?,
            (Metric::Sfid, [first, second]) => vec![self.spatial(first, second)?],
            (_, [Side::Pictures(set), Side::Pictures(reference)]) => match metric {
                Metric::Kernel => vec![self.kernel(set, reference)?],
                Metric::Pr | Metric::Dc => self.neighbours(metric, set, reference)?,
                _ => sliced(set, reference)?,
            },
            _ => anyhow::bail!("needs pictures, and there are only statistics"),
        })
    }

    fn frechet(&self, first: &Side, second: &Side) -> anyhow::Result<Vec<Row>> {
        let statistics = |side: &Side| -> Result<Statistics, EvalError> {
            match side {
                Side::Pictures(kept) => kept.statistics(&self.asked.identity),
                Side::Saved(saved) => Ok(saved.pooled.clone()),
            }
        };
        let (one, other) = (statistics(first).map_err(advised)?, statistics(second).map_err(advised)?);
        [&one, &other].into_iter().for_each(|statistics| self.warn_of_rank(statistics));
        let found = Frechet::between(&one, &other)?;
        let standard_error = found.standard_error(features(first), features(second))?;
        let note = format!("of these sets; rounding at most {:.0e}", found.numerical_error);
        let mut rows = vec![Row {
            details: json!({
                "between_means": found.between_means,
                "numerical_error": found.numerical_error,
                "residual": found.residual,
            }),
            ..row("frechet", "frechet", Mean { mean: found.distance, standard_error }, note)
        }];
        if self.asked.options.extrapolate {
            let set = features(first).context("--extrapolate needs the pictures of the first set")?;
            let against = features(second).map_or(Against::Statistics(&other), Against::Features);
            let found = extrapolated(set, against, self.asked.seed)?;
            let note = format!("of endless sets; {} bias, scatter {}", shown(found.bias), shown(found.scatter));
            rows.push(Row {
                details: json!({ "bias": found.bias, "scatter": found.scatter }),
                ..row(
                    "frechet, endless",
                    "frechet_endless",
                    Mean { mean: found.distance, standard_error: None },
                    note,
                )
            });
        }
        Ok(rows)
    }

    fn warn_of_rank(&self, statistics: &Statistics) {
        if let (true, Some(count)) = (statistics.is_rank_deficient(), statistics.count()) {
            self.bar.suspend(|| {
                tracing::warn!(
                    "{count} pictures have a singular covariance of {} features, and a Frechet distance that is far too \
                     large: take more pictures than features",
                    statistics.width()
                );
            });
        }
    }

    fn spatial(&self, first: &Side, second: &Side) -> anyhow::Result<Row> {
        let statistics = |side: &Side| -> anyhow::Result<Statistics> {
            let found = match side {
                Side::Pictures(kept) => kept.spatial(&self.asked.identity).map_err(advised)?,
                Side::Saved(saved) => saved.spatial.clone(),
            };
            found.context(
                "a set has no features that know where things are: use --features classifier or inception:FILE, \
                 and a statistics file with mu_s and sigma_s",
            )
        };
        let (one, other) = (statistics(first)?, statistics(second)?);
        [&one, &other].into_iter().for_each(|statistics| self.warn_of_rank(statistics));
        let found = Frechet::between(&one, &other)?;
        let note = format!("rounding at most {:.0e}", found.numerical_error);
        Ok(row("sfid", "sfid", Mean { mean: found.distance, standard_error: None }, note))
    }

    fn kernel(&self, set: &Kept, reference: &Kept) -> anyhow::Result<Row> {
        let smaller = set.pictures().min(reference.pictures());
        let subset_size = self.asked.options.subset_size.unwrap_or(SUBSET.min(smaller));
        let subsets = self.asked.options.subsets;
        let found = kernel_distance(
            &set.pooled,
            &reference.pooled,
            KernelOptions { subset_size, subsets, seed: self.asked.seed },
        );
        let found = found.map_err(|error| match error {
            EvalError::SubsetSize { .. } => anyhow::Error::new(error).context("--subset-size"),
            other => other.into(),
        })?;
        let mean = Mean { mean: found.distance, standard_error: Some(found.standard_error) };
        Ok(Row {
            details: json!({ "subset_size": subset_size, "subsets": subsets, "subset_spread": found.subset_spread }),
            ..row("kernel", "kernel", mean, format!("{subsets} subsets of {subset_size}"))
        })
    }

    fn neighbours(&self, metric: Metric, set: &Kept, reference: &Kept) -> anyhow::Result<Vec<Row>> {
        let found =
            self.neighbours.get_or_init(|| Neighbourhoods::between(&set.pooled, &reference.pooled)).clone()?;
        let k = |k: usize| format!("{k} neighbours");
        Ok(match metric {
            Metric::Pr => vec![
                row("precision", "precision", found.precision, k(ddim_eval::PRECISION_NEIGHBOURS)),
                row("recall", "recall", found.recall, k(ddim_eval::PRECISION_NEIGHBOURS)),
            ],
            _ => vec![
                row("density", "density", found.density, k(ddim_eval::DENSITY_NEIGHBOURS)),
                row("coverage", "coverage", found.coverage, k(ddim_eval::DENSITY_NEIGHBOURS)),
            ],
        })
    }

    fn score(&self, set: &Kept) -> anyhow::Result<Row> {
        if set.probabilities.is_empty() {
            anyhow::bail!("needs a classifier's probabilities, and these --features have none");
        }
        let splits = self.asked.options.splits;
        let found = inception_score(&set.probabilities, splits).context("--splits")?;
        let note = format!("spread over {splits} splits {}", shown(found.split_spread));
        Ok(Row {
            details: json!({ "splits": splits, "split_spread": found.split_spread }),
            ..row("inception score", "inception_score", Mean { mean: found.score, standard_error: None }, note)
        })
    }
}

fn row(name: &str, key: &'static str, mean: Mean, note: impl Display) -> Row {
    let (name, note, details) = (name.to_owned(), note.to_string(), json!({}));
    Row { name, key, value: mean.mean, error: mean.standard_error, note, details }
}

fn features(side: &Side) -> Option<&Features> {
    match side {
        Side::Pictures(kept) => Some(&kept.pooled),
        Side::Saved(_) => None,
    }
}

fn sliced(set: &Kept, reference: &Kept) -> anyhow::Result<Vec<Row>> {
    let found = SlicedWasserstein::between(&set.projected, &reference.projected)?;
    let note = format!("{} directions, pixels in [0, 1]", set.projected.width);
    Ok(vec![
        row("sliced, order 1", "sliced_1", found.order_1, &note),
        row("sliced, order 2", "sliced_2", found.order_2, &note),
    ])
}
