//! What becomes of times and labels.

use std::ops::Range;

use crate::{Activation, Parameter};

/// A row of numbers for each time and label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row(pub(crate) usize);

impl Row {
    /// Its number: rows are numbered in the order in which they are computed, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A row that layers take: its place in [`Graph::modulations`](crate::Graph::modulations).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Modulation(pub(crate) usize);

impl Modulation {
    /// Its place among those of the graph.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a network is asked with, beside a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The times.
    Time,
    /// A number for each time, as a label.
    Number,
    /// A row of a table for each time, as a label.
    Class,
    /// Numbers for each time, as a label.
    Vector,
}

/// How a row of numbers comes about.
#[derive(Clone, Debug, PartialEq)]
pub enum RowOperation {
    /// sin(t f_i) and cos(t f_i) for each frequency, and zeros behind them up to the width. Angles are f64: near
    /// t = 1000 an f32 angle is good to 3e-5 only.
    Waves {
        /// t.
        of: Asked,
        /// The f_i.
        frequencies: Vec<f64>,
        /// Numbers in a row.
        width: usize,
        /// All cosines stand before all sines.
        cosines_first: bool,
    },
    /// sin(2 pi w_i ln t), then cos(2 pi w_i ln t), for each w_i of a parameter; t above 0. Angles are f64.
    LogarithmicWaves {
        /// t.
        of: Asked,
        /// The w_i.
        weights: Parameter,
    },
    /// A row of a table, counted from 0.
    Lookup {
        /// Which.
        of: Asked,
        /// `[rows, width]`.
        table: Parameter,
    },
    /// The numbers that the caller gives.
    Given {
        /// How many.
        width: usize,
    },
    /// 1 / time.
    InverseTime,
    /// weight x + bias.
    Linear {
        /// x.
        x: Row,
        /// `[out, in]`.
        weight: Parameter,
        /// `[out]`.
        bias: Parameter,
    },
    /// A function of each number.
    Activate {
        /// x.
        x: Row,
        /// The function.
        activation: Activation,
    },
    /// a + b.
    Add {
        /// a.
        a: Row,
        /// b, of the same width.
        b: Row,
    },
    /// Some of the numbers of a row.
    Take {
        /// The row.
        x: Row,
        /// Which, one range after the other.
        parts: Vec<Range<usize>>,
    },
    /// 1 + x for so many numbers in front, x for the others.
    OnePlus {
        /// x.
        x: Row,
        /// How many.
        first: usize,
    },
}
