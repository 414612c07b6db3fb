//! From times and labels to the rows that layers take.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn::tensor::{Device, Tensor, activation, module::linear};
use ddim_graph::{Activation, Asked, Graph, Labels, Operation, RowOperation, Watched};
use ddim_graph::{check_rows, logarithmic_waves, waves, whole_times};

use crate::conditioning::{Conditioning, Modulation, indices};
use crate::weights::{Weights, numbers, tensor};

/// One evaluation of the rows of a graph.
pub(crate) struct Rows<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) weights: &'a Weights,
    pub(crate) device: &'a Device,
    pub(crate) times: &'a [f64],
    pub(crate) labels: &'a Labels<'a>,
}

impl Rows<'_> {
    /// All rows, and those that can be observed.
    pub(crate) fn condition(&self) -> Conditioning {
        let len = self.graph.rows_asked(self.times, self.labels);
        let mut rows: Vec<Tensor<2>> = Vec::with_capacity(self.graph.rows().len());
        for row in self.graph.rows() {
            rows.push(self.row(row, &rows));
        }
        let spread = |row: ddim_graph::Row| spread(rows[row.index()].clone(), len);
        let observed = self.graph.points().iter().filter_map(|point| match point.watched {
            Watched::Row(row) => Some((point.name.clone(), spread(row))),
            Watched::Value(_) | Watched::BeforeActivation(_) => None,
        });
        let normalized = normalized(self.graph);
        let modulation = |(row, is_normalized): (&ddim_graph::Row, &bool)| {
            let row = spread(*row);
            let half = row.dims()[1] / 2;
            match is_normalized {
                false => Modulation::Row(row),
                true => Modulation::ScaleShift {
                    scale: row.clone().slice_dim(1, 0..half),
                    shift: row.slice_dim(1, half..2 * half),
                },
            }
        };
        let modulations = self.graph.modulations().iter().zip(&normalized).map(modulation).collect();
        Conditioning { len, device: self.device.clone(), modulations, observed: observed.collect() }
    }

    fn row(&self, row: &RowOperation, rows: &[Tensor<2>]) -> Tensor<2> {
        let of = |row: &ddim_graph::Row| rows[row.index()].clone();
        match row {
            RowOperation::Waves { of, frequencies, width, cosines_first } => {
                let asked = self.numbers(*of);
                let values = waves(asked, frequencies, *width, *cosines_first);
                tensor(values, [asked.len(), *width], self.device)
            }
            RowOperation::LogarithmicWaves { of, weights } => {
                let (asked, weights) = (self.numbers(*of), numbers(self.weights.line(*weights)));
                tensor(logarithmic_waves(asked, &weights), [asked.len(), 2 * weights.len()], self.device)
            }
            RowOperation::Lookup { of, table } => self.lookup(*of, self.weights.matrix(*table)),
            RowOperation::Given { width } => self.given(*width),
            RowOperation::InverseTime => {
                let inverse: Vec<f32> = self.times.iter().map(|time| time.recip() as f32).collect();
                tensor(inverse, [self.times.len(), 1], self.device)
            }
            RowOperation::Linear { x, weight, bias } => {
                linear(of(x), self.weights.matrix(*weight), Some(self.weights.line(*bias)))
            }
            RowOperation::Activate { x, activation } => activate(*activation, of(x)),
            RowOperation::Add { a, b } => of(a) + of(b),
            RowOperation::Take { x, parts } => {
                let part = |part: &std::ops::Range<usize>| of(x).slice_dim(1, part.clone());
                Tensor::cat(parts.iter().map(part).collect(), 1)
            }
            RowOperation::OnePlus { x, first } => {
                let (x, width) = (of(x), self.graph.row_width(*x));
                let raised = x.clone().slice_dim(1, 0..*first) + 1.0;
                Tensor::cat(vec![raised, x.slice_dim(1, *first..width)], 1)
            }
        }
    }

    /// The times, or the numbers that are labels.
    fn numbers(&self, of: Asked) -> &[f64] {
        match (of, self.labels) {
            (Asked::Number, Labels::Value(values)) => values,
            _ => self.times,
        }
    }

    fn lookup(&self, of: Asked, table: Tensor<2>) -> Tensor<2> {
        let rows = match (of, self.labels) {
            (Asked::Class, Labels::Index(labels)) => labels.to_vec(),
            _ => whole_times(self.numbers(of)),
        };
        check_rows(of, &rows, table.dims()[0]);
        table.select(0, indices(&rows, self.device))
    }

    fn given(&self, width: usize) -> Tensor<2> {
        let Labels::Embedding { values, width: found } = self.labels else {
            unreachable!("the labels were looked at before")
        };
        assert_eq!(*found, width, "width of the label vectors");
        tensor(values.to_vec(), [values.len() / width, width], self.device)
    }
}

/// Which modulations normalisations take.
fn normalized(graph: &Graph) -> Vec<bool> {
    let mut normalized = vec![false; graph.modulations().len()];
    for layer in graph.layers() {
        if let Operation::Normalize(ddim_graph::Norm { modulation: Some(modulation), .. })
        | Operation::NormalizePixels(ddim_graph::PixelNorm { modulation: Some(modulation), .. }) =
            &layer.operation
        {
            normalized[modulation.index()] = true;
        }
    }
    normalized
}

/// \[rows or 1, width\] to \[rows, width, 1, 1\].
fn spread(x: Tensor<2>, rows: usize) -> Tensor<4> {
    let [given, width] = x.dims();
    x.reshape([given, width, 1, 1]).expand([rows, width, 1, 1])
}

/// The function of each number.
pub(crate) fn activate<const D: usize>(function: Activation, x: Tensor<D>) -> Tensor<D> {
    match function {
        Activation::Identity => x,
        Activation::Silu => activation::silu(x),
        Activation::Mish => activation::mish(x),
        Activation::Gelu => activation::gelu(x),
        // burn's takes a power of x, which is not a number on some devices where x is below 0.
        Activation::GeluTanh => {
            let twice =
                (x.clone() * x.clone() * 0.044_715 + 1.0) * x.clone() * (2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
            x * activation::sigmoid(twice)
        }
        Activation::Relu => activation::relu(x),
        Activation::LeakyRelu { slope } => activation::leaky_relu(x, slope.into()),
        Activation::Tanh => x.tanh(),
    }
}
