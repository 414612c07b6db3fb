//! Parameters as tensors, and back.

use std::borrow::Cow;
use std::collections::BTreeSet;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use ddim_graph::{Graph, Parameter, RowOperation};

/// A parameter as a tensor.
#[derive(Clone, Debug)]
pub(crate) enum Weight {
    Line(Tensor<1>),
    /// `[in, out]` for a linear layer, the transpose of what files hold; `[rows, width]` for a table.
    Matrix(Tensor<2>),
    /// `[out, in, height, width]`.
    Kernel(Tensor<4>),
}

/// The parameters of a graph on a device, in its order; none for what is no longer needed in this form.
#[derive(Clone, Debug)]
pub(crate) struct Weights(Vec<Option<Weight>>);

impl Weights {
    pub(crate) fn new<'a>(graph: &Graph, values: impl Fn(Parameter) -> Cow<'a, [f32]>, device: &Device) -> Self {
        let tables = tables(graph);
        let weight = |(k, info): (usize, &ddim_graph::ParameterInfo)| {
            let values = values(Parameter(k));
            assert_eq!(values.len(), info.len(), "numbers of {}", info.name);
            match *info.shape.as_slice() {
                [length] => Weight::Line(tensor(values.into_owned(), [length], device)),
                [rows, columns] if tables.contains(&k) => {
                    Weight::Matrix(tensor(values.into_owned(), [rows, columns], device))
                }
                [out, inputs] => Weight::Matrix(tensor(transposed(&values, inputs), [inputs, out], device)),
                [out, inputs, height, width] => {
                    Weight::Kernel(tensor(values.into_owned(), [out, inputs, height, width], device))
                }
                _ => panic!("{}: parameters of {:?} have no meaning here", info.name, info.shape),
            }
        };
        Weights(graph.parameters().iter().enumerate().map(weight).map(Some).collect())
    }

    /// Those alone that rows of times and labels are made of: layers have theirs as they take them.
    pub(crate) fn of_rows(self, graph: &Graph) -> Self {
        let mut kept = BTreeSet::new();
        for row in graph.rows() {
            match row {
                RowOperation::LogarithmicWaves { weights, .. } => kept.extend([*weights]),
                RowOperation::Lookup { table, .. } => kept.extend([*table]),
                RowOperation::Linear { weight, bias, .. } => kept.extend([*weight, *bias]),
                _ => {}
            }
        }
        let is_kept = |(k, weight): (usize, Option<Weight>)| weight.filter(|_| kept.contains(&Parameter(k)));
        Weights(self.0.into_iter().enumerate().map(is_kept).collect())
    }

    /// The same as leaves of automatic differentiation, where training changes them.
    pub(crate) fn leaves(self, graph: &Graph) -> Self {
        let leaf = |(weight, info): (Option<Weight>, &ddim_graph::ParameterInfo)| match weight {
            weight if !info.trained => weight,
            Some(Weight::Line(line)) => Some(Weight::Line(line.require_grad())),
            Some(Weight::Matrix(matrix)) => Some(Weight::Matrix(matrix.require_grad())),
            Some(Weight::Kernel(kernel)) => Some(Weight::Kernel(kernel.require_grad())),
            None => None,
        };
        Weights(self.0.into_iter().zip(graph.parameters()).map(leaf).collect())
    }

    pub(crate) fn line(&self, parameter: Parameter) -> Tensor<1> {
        match self.any(parameter) {
            Weight::Line(line) => line,
            other => panic!("parameter {} is not a line: {other:?}", parameter.0),
        }
    }

    pub(crate) fn matrix(&self, parameter: Parameter) -> Tensor<2> {
        match self.any(parameter) {
            Weight::Matrix(matrix) => matrix,
            other => panic!("parameter {} is not a matrix: {other:?}", parameter.0),
        }
    }

    pub(crate) fn any(&self, parameter: Parameter) -> Weight {
        self.0[parameter.0].clone().expect("a parameter is asked for in the form that was kept")
    }

    /// The gradient of each trained parameter, one after the other as files hold them; 0 where the loss does not
    /// depend on it. One transfer from the device.
    pub(crate) fn gradient(&self, graph: &Graph, mut gradients: Gradients) -> Vec<f32> {
        let tables = tables(graph);
        let mut parts = Vec::with_capacity(self.0.len());
        for (k, (weight, info)) in self.0.iter().zip(graph.parameters()).enumerate() {
            if !info.trained {
                continue;
            }
            parts.push(match weight {
                None => panic!("the gradient of a network that is not trained"),
                Some(Weight::Line(line)) => slope(line, &mut gradients),
                Some(Weight::Matrix(matrix)) if tables.contains(&k) => slope(matrix, &mut gradients).reshape([-1]),
                Some(Weight::Matrix(matrix)) => slope(matrix, &mut gradients).transpose().reshape([-1]),
                Some(Weight::Kernel(kernel)) => slope(kernel, &mut gradients).reshape([-1]),
            });
        }
        numbers(Tensor::cat(parts, 0))
    }
}

fn slope<const D: usize>(weight: &Tensor<D>, gradients: &mut Gradients) -> Tensor<D> {
    weight.grad_remove(gradients).unwrap_or_else(|| weight.clone().inner().zeros_like())
}

/// The parameters that are looked up, row by row.
fn tables(graph: &Graph) -> BTreeSet<usize> {
    let table = |row: &RowOperation| match row {
        RowOperation::Lookup { table, .. } => Some(table.0),
        _ => None,
    };
    graph.rows().iter().filter_map(table).collect()
}

/// Row-major values as a tensor.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The values of a tensor, row-major.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("converted to f32")
}

/// The transpose of a row-major matrix of `columns` columns.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_is_nothing() {
        let matrix = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(transposed(&matrix, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(transposed(&transposed(&matrix, 3), 2), matrix);
    }
}
