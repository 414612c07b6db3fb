//! What each picture is told besides its time.

use ddim_graph::{self as graph, Labels as Asked};

use crate::{Error, Model};

/// The labels of pictures, in the form that the model takes: see [`Model::label_kind`].
///
/// ```
/// use ddim::{LabelKind, LabelRows, Labels};
/// let classes: Labels = vec![3, 1].into();
/// let numbers: Labels = vec![0.5, 20.0].into();
/// let rows: Labels = LabelRows::new(&[vec![0.0, 1.0, 0.5], vec![1.0, 0.0, 0.5]])?.into();
/// assert_eq!((classes.len(), numbers.len(), rows.kind()), (2, 2, LabelKind::Rows { width: 3 }));
/// # Ok::<(), ddim::LabelError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Classes by number, as [`Model::class`] finds them. None at all: see [`Labels::NONE`].
    Classes(Vec<usize>),
    /// Numbers, for a network that embeds them as it does times.
    Numbers(Vec<f64>),
    /// A row of numbers for each, which is added to the embedding of the time.
    Rows(LabelRows),
}

/// Rows of equally many numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRows {
    values: Vec<f32>,
    width: usize,
}

/// What kind of labels a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// None.
    None,
    /// Classes: rows of a table (`num_class_embeds`).
    Classes,
    /// Numbers (`class_embed_type` timestep): sines and cosines of each, then two linear layers, as for a time.
    Numbers,
    /// Rows of numbers (`class_embed_type` identity), each added to the embedding of the time as it is.
    Rows {
        /// How many numbers a row has.
        width: usize,
    },
}

/// Why a label is none that the network takes; begins with a verb, to be put behind the name of the label.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// Too many numbers or too few.
    #[error("has {found} {}, and {width} {} needed", numbers(*found), if *width == 1 { "is" } else { "are" })]
    Width {
        /// How many it has.
        found: usize,
        /// How many it must have.
        width: usize,
    },
    /// A number for which there is no embedding.
    #[error("has the number {value}, and the network takes only {allowed}")]
    Number {
        /// The number.
        value: f64,
        /// Those that it takes, in words.
        allowed: String,
    },
}

impl Labels {
    /// No labels: for a model without, and in [`Options`](crate::Options) all classes of a model in turn.
    pub const NONE: Self = Self::Classes(Vec::new());

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Rows(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What kind of model they are for.
    pub fn kind(&self) -> LabelKind {
        match self {
            Self::Classes(classes) if classes.is_empty() => LabelKind::None,
            Self::Classes(_) => LabelKind::Classes,
            Self::Numbers(_) => LabelKind::Numbers,
            Self::Rows(rows) => LabelKind::Rows { width: rows.width },
        }
    }

    /// The classes; none where labels are something else.
    pub fn classes(&self) -> &[usize] {
        match self {
            Self::Classes(classes) => classes,
            Self::Numbers(_) | Self::Rows(_) => &[],
        }
    }

    /// The labels of these pictures, to each its own where they are used in turn: number `k` for picture `k`, and
    /// from the first again behind the last.
    pub fn in_turn(&self, pictures: impl IntoIterator<Item = usize>) -> Self {
        if self.is_empty() {
            return self.clone();
        }
        let places = pictures.into_iter().map(|picture| picture % self.len());
        match self {
            Self::Classes(classes) => Self::Classes(places.map(|k| classes[k]).collect()),
            Self::Numbers(numbers) => Self::Numbers(places.map(|k| numbers[k]).collect()),
            Self::Rows(rows) => {
                let values = places.flat_map(|k| rows.row(k).iter().copied()).collect();
                Self::Rows(LabelRows { values, width: rows.width })
            }
        }
    }

    /// The number or the numbers of one label.
    pub fn values(&self, label: usize) -> Vec<f64> {
        match self {
            Self::Classes(classes) => vec![classes[label] as f64],
            Self::Numbers(numbers) => vec![numbers[label]],
            Self::Rows(rows) => rows.row(label).iter().copied().map(f64::from).collect(),
        }
    }

    /// All, as the network is asked with them.
    pub(crate) fn asked(&self) -> Asked<'_> {
        match self {
            Self::Classes(classes) if classes.is_empty() => Asked::None,
            Self::Classes(classes) => Asked::Index(classes),
            Self::Numbers(numbers) => Asked::Value(numbers),
            Self::Rows(rows) => Asked::Embedding { values: &rows.values, width: rows.width },
        }
    }

    /// One of them; none where there are none.
    pub(crate) fn one(&self, label: usize) -> Asked<'_> {
        match self {
            Self::Classes(classes) if classes.is_empty() => Asked::None,
            Self::Classes(classes) => Asked::Index(&classes[label..=label]),
            Self::Numbers(numbers) => Asked::Value(&numbers[label..=label]),
            Self::Rows(rows) => Asked::Embedding { values: rows.row(label), width: rows.width },
        }
    }

    /// As many as there are `rows`, the last one again and again; none stay none.
    pub(crate) fn filled_up(&self, rows: usize) -> Self {
        let last = self.len().saturating_sub(1);
        self.in_turn((0..rows).map(|k| k.min(last)))
    }
}

impl LabelRows {
    /// These rows.
    ///
    /// # Errors
    /// [`LabelError::Width`] for the first row that is not as long as the one before it, or is empty.
    pub fn new(rows: &[Vec<f32>]) -> Result<Self, LabelError> {
        let width = rows.first().map_or(1, Vec::len).max(1);
        match rows.iter().find(|row| row.len() != width) {
            Some(row) => Err(LabelError::Width { found: row.len(), width }),
            None => Ok(Self { values: rows.concat(), width }),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many numbers each has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All rows, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    fn row(&self, k: usize) -> &[f32] {
        &self.values[k * self.width..(k + 1) * self.width]
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Vec<usize>> for Labels {
    fn from(classes: Vec<usize>) -> Self {
        Self::Classes(classes)
    }
}

impl From<Vec<f64>> for Labels {
    fn from(numbers: Vec<f64>) -> Self {
        Self::Numbers(numbers)
    }
}

impl From<LabelRows> for Labels {
    fn from(rows: LabelRows) -> Self {
        Self::Rows(rows)
    }
}

impl std::fmt::Display for LabelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("no labels"),
            Self::Classes => f.write_str("classes"),
            Self::Numbers => f.write_str("a number for each picture (class_embed_type timestep)"),
            Self::Rows { width } => {
                write!(f, "a row of {width} {} for each picture (class_embed_type identity)", numbers(*width))
            }
        }
    }
}

fn numbers(count: usize) -> &'static str {
    if count == 1 { "number" } else { "numbers" }
}

impl Model {
    /// What kind of labels the network takes.
    pub fn label_kind(&self) -> LabelKind {
        let network = self.checkpoint().denoiser.graph();
        match network.label() {
            Some(graph::Asked::Number) => LabelKind::Numbers,
            Some(graph::Asked::Vector) => LabelKind::Rows { width: network.label_width().unwrap_or(0) },
            Some(graph::Asked::Class) => LabelKind::Classes,
            Some(graph::Asked::Time) | None => LabelKind::None,
        }
    }

    /// Whether the network takes each of these labels; how many pictures they are for does not count.
    ///
    /// # Errors
    ///
    /// [`Error::LabelKind`] or [`Error::NoClasses`] for labels of another kind, [`Error::NoLabels`] where there
    /// are none and no classes to take in their place, [`Error::Class`] for a class that is not there,
    /// [`Error::Label`] for a number that the network has no embedding for.
    pub fn check_labels(&self, labels: &Labels) -> Result<(), Error> {
        let (wanted, found) = (self.label_kind(), labels.kind());
        match (wanted, labels) {
            (LabelKind::None, Labels::Classes(classes)) if !classes.is_empty() => Err(Error::NoClasses),
            (LabelKind::None | LabelKind::Classes, Labels::Classes(classes)) => {
                match classes.iter().find(|class| **class >= self.label_count()) {
                    Some(_) if self.class_count() == 0 => Err(Error::NoClasses),
                    Some(&class) => Err(Error::Class { class, classes: self.class_count() }),
                    None => Ok(()),
                }
            }
            (LabelKind::Numbers | LabelKind::Rows { .. }, labels) if labels.is_empty() => {
                Err(Error::NoLabels(wanted))
            }
            (LabelKind::Numbers, Labels::Numbers(_)) | (LabelKind::Rows { .. }, Labels::Rows(_)) => {
                (0..labels.len()).try_for_each(|label| {
                    let problem = self.label_problem(&labels.values(label));
                    problem.map_or(Ok(()), |problem| Err(Error::Label { label, problem }))
                })
            }
            _ => Err(Error::LabelKind { wanted, found }),
        }
    }

    /// What is wrong with a label of these numbers, for a network that takes numbers or rows of them.
    pub fn label_problem(&self, values: &[f64]) -> Option<LabelError> {
        let (width, embeds, allowed): (_, &dyn Fn(f64) -> bool, _) = match self.label_kind() {
            LabelKind::Rows { width } => {
                (width, &|value| (value as f32).is_finite(), "finite ones that f32 holds".to_owned())
            }
            _ => (1, &|value| self.check_time(value).is_ok(), self.embedded_times()),
        };
        if values.len() != width {
            return Some(LabelError::Width { found: values.len(), width });
        }
        let value = *values.iter().find(|value| !embeds(**value))?;
        Some(LabelError::Number { value, allowed })
    }

    /// So many labels that the network takes: all its classes in turn, or numbers that mean nothing in particular.
    /// For whoever has to ask the network and does not care for the pictures, as timing does.
    pub fn some_labels(&self, count: usize) -> Labels {
        match self.label_kind() {
            LabelKind::None => Labels::NONE,
            LabelKind::Classes => Labels::Classes(self.class_labels()).in_turn(0..count),
            LabelKind::Numbers => {
                // From 1, since the logarithm of 0 is none, and within the smallest table.
                let usual = (0..count).map(|k| (1 + k % 9) as f64);
                Labels::Numbers(
                    usual.map(|number| if self.check_time(number).is_ok() { number } else { 0.0 }).collect(),
                )
            }
            LabelKind::Rows { width } => {
                let values = (0..count * width).map(|i| (i as f32 * 12.9898).sin()).collect();
                Labels::Rows(LabelRows { values, width })
            }
        }
    }

    /// The labels to be used in turn: those asked for, or all classes.
    pub(crate) fn labels_or_all(&self, asked_for: &Labels) -> Labels {
        match asked_for.is_empty() {
            true => Labels::Classes(self.class_labels()),
            false => asked_for.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_used_in_turn_and_filled_up_with_the_last() {
        let numbers = Labels::from(vec![0.5, 2.0]);
        assert_eq!(numbers.in_turn(3..6), vec![2.0, 0.5, 2.0].into());
        assert_eq!(numbers.filled_up(4), vec![0.5, 2.0, 2.0, 2.0].into());
        assert_eq!((Labels::NONE.in_turn(0..3), Labels::NONE.filled_up(3)), (Labels::NONE, Labels::NONE));
        let rows = LabelRows::new(&[vec![1.0, 2.0], vec![3.0, 4.0]]).expect("two rows");
        let turned = Labels::from(rows).in_turn([1, 2]);
        assert_eq!((turned.values(0), turned.values(1), turned.len()), (vec![3.0, 4.0], vec![1.0, 2.0], 2));
    }

    #[test]
    fn rows_are_equally_long() {
        let error = LabelRows::new(&[vec![1.0, 2.0], vec![3.0]]).expect_err("one is short");
        assert_eq!(error.to_string(), "has 1 number, and 2 are needed");
        assert!(LabelRows::new(&[vec![]]).is_err() && LabelRows::new(&[]).is_ok_and(|rows| rows.is_empty()));
    }
}
