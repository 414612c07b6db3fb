//! The figures of two sets, and of one.

use std::cell::OnceCell;
use std::fmt::Display;

use anyhow::Context;
use clap::ValueEnum;
use ddim_eval::{
    Against, EvalError, Features, Frechet, KernelOptions, Mean, Neighbourhoods, SlicedWasserstein, Statistics,
    extrapolated, inception_score, kernel_distance,
};
use serde_json::{Value, json};

use super::Side;
use super::kept::Kept;
use crate::args::{EvalArgs, Metric};

/// Pictures in a subset of the kernel distance, as torch-fidelity has it.
const SUBSET: usize = 1000;

/// Everything that was asked for.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    refused: usize,
}

/// A figure.
#[derive(Debug)]
struct Row {
    /// Its name for people.
    name: String,
    /// Its name in JSON.
    key: &'static str,
    value: f64,
    error: Option<f64>,
    note: String,
    /// What else JSON says.
    details: Value,
}

/// What `pr` and `dc` are both read from, once it was computed.
type Neighbours = OnceCell<Result<Neighbourhoods, EvalError>>;

/// The name by which a metric is asked for.
pub(super) fn name(metric: Metric) -> String {
    metric.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Figures {
    /// Measures; what cannot be had is named on stderr, and the others go on.
    pub(super) fn of(sides: &[Side], metrics: &[Metric], identity: &str, args: &EvalArgs) -> Self {
        let (mut figures, neighbours) = (Self::default(), OnceCell::new());
        for metric in metrics {
            match measured(*metric, &neighbours, sides, identity, args) {
                Ok(rows) => figures.rows.extend(rows),
                Err(error) => {
                    tracing::error!("{}: {}", name(*metric), crate::chain(&error));
                    figures.refused += 1;
                }
            }
        }
        figures
    }

    /// How many could not be had.
    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    /// A line for each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let name = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let value = self.rows.iter().map(|row| shown(row.value).len()).max().unwrap_or(0);
        self.rows.iter().map(move |row| {
            let error = row.error.map_or(String::new(), |error| format!(" +- {}", shown(error)));
            let note = if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) };
            format!("{:<name$}  {:>value$}{error}{note}", row.name, shown(row.value))
        })
    }

    /// Puts each under its name.
    pub(super) fn add_to(&self, json: &mut Value) {
        for row in &self.rows {
            let mut entry = json!({ "value": row.value, "standard_error": row.error });
            if let (Value::Object(entry), Value::Object(details)) = (&mut entry, &row.details) {
                entry.extend(details.clone());
            }
            json[row.key] = entry;
        }
    }
}

fn measured(
    metric: Metric,
    found: &Neighbours,
    sides: &[Side],
    identity: &str,
    args: &EvalArgs,
) -> anyhow::Result<Vec<Row>> {
    Ok(match (metric, sides) {
        (Metric::Is, [Side::Pictures(set), ..]) => vec![score(set, args)?],
        (Metric::Frechet, [first, second]) => frechet(first, second, identity, args)?,
        (Metric::Sfid, [first, second]) => vec![spatial(first, second, identity)?],
        (_, [Side::Pictures(set), Side::Pictures(reference)]) => match metric {
            Metric::Kernel => vec![kernel(set, reference, args)?],
            Metric::Pr | Metric::Dc => neighbours(metric, found, set, reference)?,
            _ => sliced(set, reference)?,
        },
        _ => anyhow::bail!("needs pictures, and there are only statistics"),
    })
}

/// Six digits behind the point: distances between pixels in [0, 1] are small.
fn shown(value: f64) -> String {
    format!("{value:.6}")
}

fn row(name: &str, key: &'static str, mean: Mean, note: impl Display) -> Row {
    let (name, note, details) = (name.to_owned(), note.to_string(), json!({}));
    Row { name, key, value: mean.mean, error: mean.standard_error, note, details }
}

fn frechet(first: &Side, second: &Side, identity: &str, args: &EvalArgs) -> anyhow::Result<Vec<Row>> {
    let statistics = |side: &Side| -> Result<Statistics, EvalError> {
        match side {
            Side::Pictures(kept) => kept.statistics(identity),
            Side::Saved(saved) => Ok(saved.pooled.clone()),
        }
    };
    let (one, other) = (statistics(first)?, statistics(second)?);
    [&one, &other].into_iter().for_each(warn_of_rank);
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
    if args.distances.extrapolate {
        let set = features(first).context("--extrapolate needs the pictures of the first set")?;
        let against = features(second).map_or(Against::Statistics(&other), Against::Features);
        let found = extrapolated(set, against, args.seed)?;
        let note = format!("of endless sets; {} bias, scatter {}", shown(found.bias), shown(found.scatter));
        rows.push(Row {
            details: json!({ "bias": found.bias, "scatter": found.scatter }),
            ..row("frechet, endless", "frechet_endless", Mean { mean: found.distance, standard_error: None }, note)
        });
    }
    Ok(rows)
}

fn features(side: &Side) -> Option<&Features> {
    match side {
        Side::Pictures(kept) => Some(&kept.pooled),
        Side::Saved(_) => None,
    }
}

fn warn_of_rank(statistics: &Statistics) {
    if let (true, Some(count)) = (statistics.is_rank_deficient(), statistics.count()) {
        tracing::warn!(
            "{count} pictures have a singular covariance of {} features, and a Frechet distance that is far too large: \
             take more pictures than features",
            statistics.width()
        );
    }
}

fn spatial(first: &Side, second: &Side, identity: &str) -> anyhow::Result<Row> {
    let statistics = |side: &Side| -> anyhow::Result<Statistics> {
        let found = match side {
            Side::Pictures(kept) => kept.spatial(identity)?,
            Side::Saved(saved) => saved.spatial.clone(),
        };
        found.context(
            "a set has no features that know where things are: use --features classifier or inception:FILE, \
             and a statistics file with mu_s and sigma_s",
        )
    };
    let (one, other) = (statistics(first)?, statistics(second)?);
    [&one, &other].into_iter().for_each(warn_of_rank);
    let found = Frechet::between(&one, &other)?;
    let note = format!("rounding at most {:.0e}", found.numerical_error);
    Ok(row("sfid", "sfid", Mean { mean: found.distance, standard_error: None }, note))
}

fn kernel(set: &Kept, reference: &Kept, args: &EvalArgs) -> anyhow::Result<Row> {
    let smaller = set.pictures().min(reference.pictures());
    let subset_size = args.distances.subset_size.unwrap_or(SUBSET.min(smaller));
    let subsets = args.distances.subsets;
    let found =
        kernel_distance(&set.pooled, &reference.pooled, KernelOptions { subset_size, subsets, seed: args.seed });
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

fn neighbours(metric: Metric, found: &Neighbours, set: &Kept, reference: &Kept) -> anyhow::Result<Vec<Row>> {
    let found = found.get_or_init(|| Neighbourhoods::between(&set.pooled, &reference.pooled)).clone()?;
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

fn sliced(set: &Kept, reference: &Kept) -> anyhow::Result<Vec<Row>> {
    let found = SlicedWasserstein::between(&set.projected, &reference.projected)?;
    let note = format!("{} directions, pixels in [0, 1]", set.projected.width);
    Ok(vec![
        row("sliced, order 1", "sliced_1", found.order_1, &note),
        row("sliced, order 2", "sliced_2", found.order_2, &note),
    ])
}

fn score(set: &Kept, args: &EvalArgs) -> anyhow::Result<Row> {
    if set.probabilities.is_empty() {
        anyhow::bail!("needs a classifier's probabilities, and these --features have none");
    }
    let splits = args.distances.splits;
    let found = inception_score(&set.probabilities, splits).context("--splits")?;
    let note = format!("spread over {splits} splits {}", shown(found.split_spread));
    Ok(Row {
        details: json!({ "splits": splits, "split_spread": found.split_spread }),
        ..row("inception score", "inception_score", Mean { mean: found.score, standard_error: None }, note)
    })
}
