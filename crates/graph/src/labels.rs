//! What a network is asked with, and what every engine makes of times before a weight is met.

use std::f64::consts::TAU;

use crate::{Asked, Graph};

/// The class of each picture, in the form that the network takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels<'a> {
    /// For a network without classes.
    None,
    /// Rows of a table.
    Index(&'a [usize]),
    /// Numbers.
    Value(&'a [f64]),
    /// Vectors, one after the other.
    Embedding {
        /// All numbers.
        values: &'a [f32],
        /// How many a vector has.
        width: usize,
    },
}

impl Labels<'_> {
    /// How many labels there are; `None` for a network without classes.
    pub fn count(&self) -> Option<usize> {
        match self {
            Labels::None => None,
            Labels::Index(labels) => Some(labels.len()),
            Labels::Value(labels) => Some(labels.len()),
            Labels::Embedding { values, width } => Some(values.len() / (*width).max(1)),
        }
    }
}

impl Graph {
    /// How many rows these times and labels make: they are equally many, or one of them is a single one that holds
    /// for all.
    ///
    /// # Panics
    /// No times; labels of another kind or number than the network takes.
    pub fn rows_asked(&self, times: &[f64], labels: &Labels) -> usize {
        assert!(!times.is_empty(), "a conditioning needs at least one time");
        match (self.label(), labels) {
            (None, Labels::None)
            | (Some(Asked::Class), Labels::Index(_))
            | (Some(Asked::Number), Labels::Value(_))
            | (Some(Asked::Vector), Labels::Embedding { .. }) => {}
            (None, _) => panic!("this network has no classes: pass Labels::None, not {labels:?}"),
            (Some(asked), _) => panic!("this network takes {}; got {labels:?}", asked.as_labels()),
        }
        if let Labels::Embedding { values, width } = labels {
            assert!(
                *width > 0 && values.len().is_multiple_of(*width),
                "{} numbers in rows of {width}",
                values.len()
            );
        }
        let count = labels.count().unwrap_or(times.len());
        let agree = count == times.len() || count == 1 || (times.len() == 1 && count > 0);
        assert!(agree, "{} times and {count} labels: give equally many, or one of either", times.len());
        count.max(times.len())
    }
}

impl Asked {
    fn as_labels(self) -> &'static str {
        match self {
            Asked::Time => "times",
            Asked::Class => "Labels::Index, one for each time",
            Asked::Number => "Labels::Value, one for each time",
            Asked::Vector => "Labels::Embedding, a row for each time",
        }
    }
}

/// sin(t f) and cos(t f) for each time and frequency, with zeros behind them up to the width: row after row.
/// Angles are f64: near t = 1000 an f32 angle is good to 3e-5 only.
pub fn waves(times: &[f64], frequencies: &[f64], width: usize, cosines_first: bool) -> Vec<f32> {
    let mut values = Vec::with_capacity(times.len() * width);
    for time in times {
        let angles = frequencies.iter().map(|frequency| time * frequency);
        let sines = angles.clone().map(f64::sin);
        let cosines = angles.map(f64::cos);
        if cosines_first {
            values.extend(cosines.chain(sines).map(|value| value as f32));
        } else {
            values.extend(sines.chain(cosines).map(|value| value as f32));
        }
        values.extend(std::iter::repeat_n(0.0, width - 2 * frequencies.len()));
    }
    values
}

/// sin(2 pi w ln t), then cos(2 pi w ln t), for each time and weight: row after row.
///
/// # Panics
/// A time that is not above 0.
pub fn logarithmic_waves(times: &[f64], weights: &[f32]) -> Vec<f32> {
    let mut values = Vec::with_capacity(2 * times.len() * weights.len());
    for time in times {
        assert!(*time > 0.0, "a Fourier time embedding takes ln(time): the time must be above 0, got {time}");
        let angles = weights.iter().map(|weight| TAU * f64::from(*weight) * time.ln());
        values.extend(angles.clone().map(|angle| angle.sin() as f32));
        values.extend(angles.map(|angle| angle.cos() as f32));
    }
    values
}

/// The rows of a table that is looked up by times.
///
/// # Panics
/// A time that is not a whole number from 0.
pub fn whole_times(times: &[f64]) -> Vec<usize> {
    let whole = |time: &f64| {
        let is_whole = *time >= 0.0 && time.fract() == 0.0;
        assert!(is_whole, "a learned time embedding takes whole timesteps from 0, got {time}");
        *time as usize
    };
    times.iter().map(whole).collect()
}

/// Checks that all rows are in a table.
///
/// # Panics
/// One that is not.
pub fn check_rows(of: Asked, indices: &[usize], rows: usize) {
    let what = if of == Asked::Time { "timestep" } else { "class label" };
    if let Some(index) = indices.iter().find(|index| **index >= rows) {
        panic!("{what} {index} is outside the table of this network, which has {rows} rows: 0 to {}", rows - 1);
    }
}
