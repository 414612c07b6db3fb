//! What each picture is told: a class, or numbers where the model takes those.

use anyhow::{Context, bail};
use ddim::{LabelKind, LabelRows, Labels, Model};
use ddim_checkpoint::fingerprint;
use ddim_data::{Array, Values, read_rows};
use serde_json::{Value, json};

use crate::args::LabelWord;
use crate::classes::Classes;

/// How to give labels to a model that takes numbers.
const HOW: &str = "with --label NUMBER,.. or --label FILE";

/// Where no class can be named.
pub(crate) const ALL_IN_TURN: &str = "all of them are used in turn; leave the option out";

/// Numbers that a record holds itself; it is in each PNG of a run.
const MOST_RECORDED: usize = 256;

/// What is meant where nobody names a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// All classes in turn.
    All,
    /// The label that means any class, and all in turn where there is none.
    AnyOrAll,
    /// The label that means any class.
    Any,
}

/// The labels to use in turn, from what was typed after `--class` and `--label`.
pub(crate) fn in_turn(
    model: &Model,
    class: &[String],
    label: &[LabelWord],
    unsaid: Unsaid,
) -> anyhow::Result<Labels> {
    let kind = model.label_kind();
    if takes_numbers(kind) && !class.is_empty() {
        bail!("--class {}: this model takes {kind}, and no classes: give labels {HOW}", class.join(","));
    }
    let labels = of_numbers(model, label, "name its classes with --class")?;
    if takes_numbers(kind) {
        return Ok(labels);
    }
    let classes = Classes::of(model);
    let found = match unsaid {
        Unsaid::All => classes.in_turn(class),
        Unsaid::AnyOrAll => classes.in_turn_or_any(class),
        Unsaid::Any => classes.in_turn(&classes.typed_or_any(class)?),
    };
    Ok(found?.into())
}

/// The labels typed for a model that takes numbers; none for others, whose classes are named as `instead` says.
pub(crate) fn of_numbers(model: &Model, label: &[LabelWord], instead: &str) -> anyhow::Result<Labels> {
    let kind = model.label_kind();
    match (kind, label) {
        (LabelKind::None | LabelKind::Classes, []) => Ok(Labels::NONE),
        (LabelKind::None, [word, ..]) => bail!("--label {word}: this model takes no labels; leave the option out"),
        (LabelKind::Classes, [word, ..]) => bail!("--label {word}: this model takes {kind}: {instead}"),
        (_, []) => bail!("this model takes {kind}: give labels {HOW}"),
        (LabelKind::Numbers | LabelKind::Rows { .. }, words) => read(model, words),
    }
}

/// Whether labels are not classes.
pub(crate) fn takes_numbers(kind: LabelKind) -> bool {
    matches!(kind, LabelKind::Numbers | LabelKind::Rows { .. })
}

fn read(model: &Model, words: &[LabelWord]) -> anyhow::Result<Labels> {
    let mut labels: Vec<Vec<f64>> = Vec::new();
    let mut add = |place: &str, values: &[f64]| match model.label_problem(values) {
        Some(problem) => bail!("--label {place} {problem}"),
        None => {
            labels.push(values.to_vec());
            Ok(())
        }
    };
    for word in words {
        match word {
            LabelWord::Numbers(typed, values) if model.label_kind() == LabelKind::Numbers => {
                values.iter().try_for_each(|value| add(typed, &[*value]))?;
            }
            LabelWord::Numbers(typed, values) => add(&shortened(typed), values)?,
            LabelWord::File(path) => {
                if !path.exists() {
                    bail!("--label {word}: neither numbers, as in 1,2.5, nor a file that is there");
                }
                let rows = read_rows(path).context("--label")?;
                let add = |row: &ddim_data::Row| add(&format!("{}, {},", path.display(), row.place), &row.values);
                rows.iter().try_for_each(add)?;
            }
        }
    }
    let as_f32 = |row: &Vec<f64>| row.iter().map(|value| *value as f32).collect();
    Ok(match model.label_kind() {
        LabelKind::Rows { .. } => LabelRows::new(&labels.iter().map(as_f32).collect::<Vec<_>>())?.into(),
        _ => labels.concat().into(),
    })
}

/// A row of many numbers is known by its beginning.
fn shortened(typed: &str) -> String {
    match typed.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &typed[..end]),
        None => typed.to_owned(),
    }
}

/// What a record says of labels that are not classes: all numbers, or how many they are and what changes with them.
pub(crate) fn record(labels: &Labels) -> Option<Value> {
    let values = |label: usize| labels.values(label).into_iter();
    let count: usize = match labels {
        Labels::Classes(_) => return None,
        Labels::Numbers(numbers) => numbers.len(),
        Labels::Rows(rows) => rows.values().len(),
    };
    if count > MOST_RECORDED {
        let bytes: Vec<u8> = (0..labels.len()).flat_map(values).flat_map(f64::to_le_bytes).collect();
        let width = count / labels.len();
        return Some(json!({ "count": labels.len(), "width": width, "fingerprint": fingerprint(&bytes) }));
    }
    Some(match labels {
        Labels::Rows(rows) => rows.values().chunks(rows.width()).map(|row| json!(decimals(row))).collect(),
        _ => (0..labels.len()).flat_map(values).collect(),
    })
}

/// In the fewest decimals that mean the same f32.
fn decimals(row: &[f32]) -> Vec<f64> {
    row.iter().map(|value| value.to_string().parse().expect("a number as it is written")).collect()
}

/// The labels of a record, as `--label` would have them; nothing where it has none, or not themselves.
pub(crate) fn recorded(record: &Value) -> Vec<LabelWord> {
    let numbers = |row: &Value| row.as_array().map(|row| row.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
    let word = |values: Vec<f64>| {
        let typed: Vec<String> = values.iter().map(ToString::to_string).collect();
        LabelWord::Numbers(typed.join(","), values)
    };
    match record.as_array().map(Vec::as_slice) {
        Some([first, ..]) if first.is_number() => numbers(record).map(word).into_iter().collect(),
        Some(rows) => rows.iter().filter_map(numbers).map(word).collect(),
        None => Vec::new(),
    }
}

/// Labels that are not classes as an array: float64 \[n\], or float32 \[n, width\].
pub(crate) fn array(labels: &Labels) -> Option<Array> {
    match labels {
        Labels::Classes(_) => None,
        Labels::Numbers(numbers) => {
            Some(Array { shape: vec![numbers.len()], values: Values::F64(numbers.clone()) })
        }
        Labels::Rows(rows) => {
            Some(Array { shape: vec![rows.len(), rows.width()], values: Values::F32(rows.values().to_vec()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_few_numbers_and_counts_many() {
        let rows: Labels = LabelRows::new(&[vec![0.1, 2.0], vec![3.0, -4.5]]).expect("two rows").into();
        let told = record(&rows).expect("no classes");
        assert_eq!(told, json!([[0.1, 2.0], [3.0, -4.5]]));
        let again = recorded(&told);
        assert_eq!(again[1], LabelWord::Numbers("3,-4.5".to_owned(), vec![3.0, -4.5]));
        let numbers: Labels = vec![0.5, 20.0].into();
        assert_eq!(record(&numbers), Some(json!([0.5, 20.0])));
        assert_eq!(recorded(&json!([0.5, 20.0])), [LabelWord::Numbers("0.5,20".to_owned(), vec![0.5, 20.0])]);
        let many = |last: f64| (0..300).map(f64::from).chain([last]).collect::<Vec<f64>>();
        let [a, b] = [1.0, 2.0].map(|last| record(&many(last).into()).expect("no classes"));
        assert_eq!((&a["count"], &a["width"]), (&json!(301), &json!(1)));
        assert_ne!(a["fingerprint"], b["fingerprint"]);
        assert!(recorded(&a).is_empty() && recorded(&Value::Null).is_empty());
        assert_eq!(record(&vec![1, 2].into()), None);
    }
}
