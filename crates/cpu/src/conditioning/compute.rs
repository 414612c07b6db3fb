//! The rows of a graph, one operation after the other.

use std::borrow::Cow;

use ddim_graph::{
    Activation, Asked, Graph, Labels, Parameter, Row, RowOperation, check_rows, logarithmic_waves, waves,
    whole_times,
};

use crate::activation::activate;
use crate::block::{Finish, Left, Rows, Runs, Start};
use crate::isa::Isa;
use crate::network::Network;
use crate::product::{Packed, Product, Split, product};

/// The weights of one operation on rows.
pub(crate) enum RowWeights {
    None,
    /// As they lie in the parameter.
    Table(Vec<f32>),
    /// \[in, out\], and the bias, padded for whole vectors.
    Linear {
        weights: Packed,
        bias: Vec<f32>,
    },
}

impl RowWeights {
    pub(crate) fn new<'a>(
        isa: Isa,
        operation: &RowOperation,
        parameter: &impl Fn(Parameter) -> Cow<'a, [f32]>,
    ) -> Self {
        match operation {
            RowOperation::LogarithmicWaves { weights, .. } => RowWeights::Table(parameter(*weights).into_owned()),
            RowOperation::Lookup { table, .. } => RowWeights::Table(parameter(*table).into_owned()),
            RowOperation::Linear { weight, bias, .. } => {
                let (weight, mut bias) = (parameter(*weight), parameter(*bias).into_owned());
                let to = bias.len();
                let from = weight.len() / to;
                bias.resize(to.next_multiple_of(16), 0.0);
                let weights = Packed::new(isa, [from, to], |input, out| weight[out * from + input]);
                RowWeights::Linear { weights, bias }
            }
            _ => RowWeights::None,
        }
    }

    fn table(&self) -> &[f32] {
        match self {
            RowWeights::Table(values) => values,
            _ => unreachable!("an operation with a table"),
        }
    }
}

/// Times and labels, equally many of each.
pub(super) struct Given<'a> {
    times: Vec<f64>,
    labels: &'a Labels<'a>,
    /// How many labels there are, one for all or one for each.
    labelled: usize,
}

impl<'a> Given<'a> {
    pub(super) fn new(graph: &Graph, times: &[f64], labels: &'a Labels) -> Self {
        let len = graph.rows_asked(times, labels);
        let times = if times.len() == len { times.to_vec() } else { vec![times[0]; len] };
        Given { times, labels, labelled: labels.count().unwrap_or(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// The numbers of each row.
    fn numbers(&self, of: Asked) -> Vec<f64> {
        match (of, self.labels) {
            (Asked::Time, _) => self.times.clone(),
            (Asked::Number, Labels::Value(values)) => self.for_each(values),
            _ => unreachable!("numbers of {of:?}, given {:?}", self.labels),
        }
    }

    /// The place of each row in a table of so many rows.
    pub(super) fn indices(&self, of: Asked, rows: usize) -> Vec<usize> {
        let indices = match (of, self.labels) {
            (Asked::Time, _) => whole_times(&self.times),
            (Asked::Class, Labels::Index(labels)) => self.for_each(labels),
            _ => unreachable!("rows of a table by {of:?}, given {:?}", self.labels),
        };
        check_rows(of, &indices, rows);
        indices
    }

    fn vectors(&self, wide: usize) -> Vec<f32> {
        let Labels::Embedding { values, width } = self.labels else {
            unreachable!("vectors, given {:?}", self.labels)
        };
        assert_eq!(*width, wide, "numbers of a label");
        if self.labelled == 1 { values.repeat(self.len()) } else { values.to_vec() }
    }

    /// One of `some` for each row.
    fn for_each<T: Copy>(&self, some: &[T]) -> Vec<T> {
        if self.labelled == 1 { vec![some[0]; self.len()] } else { some.to_vec() }
    }
}

impl Network {
    /// All rows of the graph, each with the numbers of all that is given.
    pub(super) fn compute_rows(&self, given: &Given) -> Vec<Vec<f32>> {
        let mut rows: Vec<Vec<f32>> = Vec::with_capacity(self.rows.len());
        for (operation, weights) in self.graph.rows().iter().zip(&self.rows) {
            let values = self.compute(operation, weights, given, &rows);
            rows.push(values);
        }
        rows
    }

    fn compute(
        &self,
        operation: &RowOperation,
        weights: &RowWeights,
        given: &Given,
        rows: &[Vec<f32>],
    ) -> Vec<f32> {
        let of = |row: &Row| &rows[row.index()];
        match operation {
            RowOperation::Waves { of, frequencies, width, cosines_first } => {
                waves(&given.numbers(*of), frequencies, *width, *cosines_first)
            }
            RowOperation::LogarithmicWaves { of, .. } => logarithmic_waves(&given.numbers(*of), weights.table()),
            RowOperation::Lookup { of, table } => {
                let [rows, width] = self.table_shape(*table);
                let indices = given.indices(*of, rows);
                indices.iter().flat_map(|index| &weights.table()[index * width..][..width]).copied().collect()
            }
            RowOperation::Given { width } => given.vectors(*width),
            RowOperation::InverseTime => given.times.iter().map(|time| time.recip() as f32).collect(),
            RowOperation::Linear { x, .. } => linear(self.isa, of(x), weights, given.len()),
            RowOperation::Activate { x, activation } => {
                activated(self.isa, of(x), self.graph.row_width(*x), *activation)
            }
            RowOperation::Add { a, b } => of(a).iter().zip(of(b)).map(|(a, b)| a + b).collect(),
            RowOperation::Take { x, parts } => {
                let rows = of(x).chunks_exact(self.graph.row_width(*x));
                rows.flat_map(|row| parts.iter().flat_map(|part| &row[part.clone()])).copied().collect()
            }
            RowOperation::OnePlus { x, first } => {
                let width = self.graph.row_width(*x);
                let plus = |(k, x): (usize, &f32)| if k % width < *first { 1.0 + x } else { *x };
                of(x).iter().enumerate().map(plus).collect()
            }
        }
    }

    /// Rows and width of a table.
    pub(super) fn table_shape(&self, table: Parameter) -> [usize; 2] {
        let shape = &self.graph.parameter(table).shape;
        [shape[0], shape[1]]
    }
}

/// weight x + bias of each of `count` rows.
fn linear(isa: Isa, x: &[f32], weights: &RowWeights, count: usize) -> Vec<f32> {
    let RowWeights::Linear { weights, bias } = weights else { unreachable!("a linear layer has weights") };
    let mut out = vec![0.0; count * weights.columns];
    let work = Product {
        left: matrix(x, weights.places),
        right: weights,
        finish: Finish { start: Start::Rows { values: bias, pitch: 0 }, ..Finish::plain() },
        rows: count,
    };
    product(isa, Split::Threads, &work, &mut out, weights.columns);
    out
}

/// Rows of a matrix, one behind the other.
pub(super) fn matrix(values: &[f32], width: usize) -> Left<'_> {
    Left { values, rows: Rows::matrix(width), runs: Runs::one(width), step: 1 }
}

fn activated(isa: Isa, x: &[f32], width: usize, activation: Activation) -> Vec<f32> {
    let [ones, zeros] = as_it_is(width);
    let mut out = vec![0.0; x.len()];
    activate(isa, x, width, &ones, &zeros, activation, &mut out);
    out
}

/// What rows are multiplied by and what they are added so that they stay as they are, padded for whole vectors.
pub(super) fn as_it_is(width: usize) -> [Vec<f32>; 2] {
    [1.0, 0.0].map(|value| vec![value; width.next_multiple_of(16)])
}
