//! The way back through the rows.

use ddim_graph::{Labels, Parameter, Row, RowOperation};

use super::compute::{Given, RowWeights, as_it_is, matrix};
use crate::activation::activation_slope;
use crate::block::{Finish, Left, Rows, Runs, Start};
use crate::gradient::{Gradients, add};
use crate::network::Network;
use crate::product::{Packed, Product, Split, product, product_of_rows};

impl Network {
    /// Adds what the gradients of the modulations say about the parameters that times and labels go through:
    /// `times` and `labels` are those of the conditioning that [`gradients`](Self::gradients) was given, a row for
    /// each picture. Parameters that training leaves as they are keep a gradient of 0.
    ///
    /// # Panics
    /// As [`condition`](Self::condition); gradients of other modulations than those.
    pub fn condition_gradients(&self, times: &[f64], labels: &Labels, gradients: &mut Gradients) {
        let given = Given::new(&self.graph, times, labels);
        let rows = self.compute_rows(&given);
        let Gradients { parameters, modulations, .. } = gradients;
        assert_eq!(modulations.len(), self.graph.modulations().len(), "gradients of modulations");
        let mut slopes: Vec<Vec<f32>> = vec![Vec::new(); rows.len()];
        for (row, modulation) in self.graph.modulations().iter().zip(modulations) {
            assert_eq!(modulation.len(), rows[row.index()].len(), "numbers of a gradient of {} rows", given.len());
            add(&mut slopes[row.index()], modulation);
        }
        let way = RowsBack { network: self, given, rows };
        for k in (0..slopes.len()).rev() {
            let (before, behind) = slopes.split_at_mut(k);
            if !behind[0].is_empty() {
                way.operation(k, &mut behind[0], before, parameters);
            }
        }
    }
}

struct RowsBack<'a> {
    network: &'a Network,
    given: Given<'a>,
    rows: Vec<Vec<f32>>,
}

impl RowsBack<'_> {
    /// From the slope of row `k` to those of the rows before it and of its parameters.
    fn operation(&self, k: usize, slope: &mut [f32], before: &mut [Vec<f32>], parameters: &mut [Vec<f32>]) {
        match &self.network.graph.rows()[k] {
            RowOperation::Linear { x, weight, bias } => {
                let slopes = (&mut before[x.index()], &*slope);
                self.linear(k, *x, slopes, [*weight, *bias], parameters);
            }
            RowOperation::Activate { x, activation } => {
                let width = self.network.graph.row_width(*x);
                let to_y = as_it_is(width);
                let to_z = [&to_y[0][..], &to_y[1][..]];
                let (isa, values, mut totals) = (self.network.isa, &self.rows[x.index()], to_y.clone());
                activation_slope(isa, values, slope, width, *activation, to_z, &to_y, &mut totals);
                add(&mut before[x.index()], slope);
            }
            RowOperation::Add { a, b } => [a, b].into_iter().for_each(|x| add(&mut before[x.index()], slope)),
            RowOperation::OnePlus { x, .. } => add(&mut before[x.index()], slope),
            RowOperation::Take { x, parts } => {
                let width = self.network.graph.row_width(*x);
                let d_x = &mut before[x.index()];
                d_x.resize(self.given.len() * width, 0.0);
                let taken = parts.iter().map(std::ops::Range::len).sum();
                for (d_x, slope) in d_x.chunks_exact_mut(width).zip(slope.chunks_exact(taken)) {
                    let mut slope = slope.iter();
                    for part in parts {
                        d_x[part.clone()].iter_mut().zip(&mut slope).for_each(|(sum, slope)| *sum += slope);
                    }
                }
            }
            RowOperation::Lookup { of, table } => {
                let [rows, width] = self.network.table_shape(*table);
                let indices = self.given.indices(*of, rows);
                for (index, slope) in indices.iter().zip(slope.chunks_exact(width)) {
                    let row = &mut parameters[table.0][index * width..][..width];
                    row.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += slope);
                }
            }
            RowOperation::Waves { .. }
            | RowOperation::LogarithmicWaves { .. }
            | RowOperation::Given { .. }
            | RowOperation::InverseTime => {}
        }
    }

    /// With y = W x + b for each row: db = sum dy, dW = sum dy x^T, dx = W^T dy.
    fn linear(
        &self,
        k: usize,
        x: Row,
        (d_x, d_y): (&mut Vec<f32>, &[f32]),
        [weight, bias]: [Parameter; 2],
        parameters: &mut [Vec<f32>],
    ) {
        let RowWeights::Linear { weights, .. } = &self.network.rows[k] else {
            unreachable!("a linear layer has weights")
        };
        let (isa, count, from, to) = (self.network.isa, self.given.len(), weights.places, weights.columns);
        d_y.chunks_exact(to).for_each(|row| add(&mut parameters[bias.0], row));

        // A vector is read beyond the last row.
        let mut x = self.rows[x.index()].clone();
        x.resize(x.len() + 64, 0.0);
        let turned = Left { values: d_y, rows: Rows::matrix(1), runs: Runs::one(count), step: to };
        let added = Finish { start: Start::Result, ..Finish::plain() };
        product_of_rows(isa, turned, (&x, from, from), added, to, &mut parameters[weight.0]);

        let plain = weights.plain();
        let back = Packed::new(isa, [to, from], |out, input| plain[input * to + out]);
        d_x.resize(count * from, 0.0);
        let work = Product { left: matrix(d_y, to), right: &back, finish: added, rows: count };
        product(isa, Split::Threads, &work, d_x, from);
    }
}
