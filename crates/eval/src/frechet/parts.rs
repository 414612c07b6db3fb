//! The positive parts of the matrices whose roots make a distance.

use crate::eigen::{Eigen, eigen};
use crate::matrix::Matrix;
use crate::{EvalError, Statistics};

/// The positive part of a decomposition.
#[derive(Clone, Debug)]
pub(super) struct Positive {
    pub(super) values: Vec<f64>,
    /// Row k is the eigenvector of value k.
    vectors: Matrix,
}

/// A covariance, taken apart.
pub(super) struct Decomposed {
    pub(super) positive: Positive,
    /// What the eigen-decomposition got wrong, as a share of the matrix.
    pub(super) residual: f64,
    /// Eigenvalues that are 0 up to rounding, or may be.
    pub(super) left_out: usize,
    /// Terms of the sums that the matrix was made of: so many roundings an eigenvalue may be off by.
    pub(super) terms: usize,
}

impl Decomposed {
    /// Of the features' covariance; where there are no more pictures than features, from the products of the pictures with
    /// each other: with `X^T X` the covariance and `X X^T = P W P^T`, its eigenvectors are `X^T P W^(-1/2)`.
    ///
    /// # Errors
    /// [`EvalError::Negative`] and [`EvalError::NoEigenvalues`].
    pub(super) fn new(statistics: &Statistics) -> Result<Self, EvalError> {
        let terms = statistics.width();
        let matrix = match &statistics.rows {
            None => statistics.covariance.clone(),
            Some(rows) => rows.transposed().gram(),
        };
        let whole = eigen(matrix.clone()).ok_or(EvalError::NoEigenvalues)?;
        let residual = residual(&whole, &matrix);
        let all = whole.values.len();
        let mut positive = Positive::of(whole, terms, statistics.roundoff)?;
        if let Some(rows) = &statistics.rows {
            positive.vectors = positive.scaled(|value| value.sqrt().recip()).times(rows);
        }
        let left_out = all - positive.values.len();
        Ok(Self { positive, residual, left_out, terms })
    }
}

/// `H S H^T` for these rows H and the covariance S of a set.
pub(super) fn inner(half: &Matrix, other: &Statistics) -> Matrix {
    match &other.rows {
        Some(rows) => rows.times(&half.transposed()).gram(),
        None => {
            let mut inner = half.times(&other.covariance).times(&half.transposed());
            inner.mirror();
            inner
        }
    }
}

impl Positive {
    /// Leaves out what is 0 up to the rounding of sums of so many terms.
    ///
    /// # Errors
    /// [`EvalError::Negative`] for an eigenvalue below 0 by more.
    pub(super) fn of(whole: Eigen, terms: usize, roundoff: f64) -> Result<Self, EvalError> {
        let (smallest, largest) = (whole.values.first().copied(), whole.values.last().copied().unwrap_or(0.0));
        let allowed = terms as f64 * roundoff * largest.abs();
        match smallest {
            Some(eigenvalue) if eigenvalue < -allowed => {
                return Err(EvalError::Negative { eigenvalue, largest, allowed });
            }
            _ => {}
        }
        let zeros = whole.values.partition_point(|value| *value <= terms as f64 * f64::EPSILON * largest);
        let Matrix { rows, columns, values } = whole.vectors;
        let vectors = Matrix { rows: rows - zeros, columns, values: values[zeros * columns..].to_vec() };
        Ok(Self { values: whole.values[zeros..].to_vec(), vectors })
    }

    /// The eigenvectors as rows, each times a function of its eigenvalue.
    pub(super) fn scaled(&self, factor: impl Fn(f64) -> f64) -> Matrix {
        let mut scaled = self.vectors.clone();
        let rows = scaled.values.chunks_exact_mut(scaled.columns.max(1)).zip(&self.values);
        for (row, value) in rows {
            let factor = factor(*value);
            row.iter_mut().for_each(|entry| *entry *= factor);
        }
        scaled
    }
}

/// `|V W V^T - S| / |S|`, 0 for the zero matrix; `V W V^T` is the square of the root with negative values left in.
fn residual(whole: &Eigen, matrix: &Matrix) -> f64 {
    let n = matrix.columns;
    let scaled = Matrix::from_fn(n, n, |k, j| whole.values[k] * whole.vectors.row(k)[j]);
    let mut again = whole.vectors.transposed().times(&scaled);
    again.values.iter_mut().zip(&matrix.values).for_each(|(again, value)| *again -= value);
    let norm = matrix.norm();
    if norm == 0.0 { 0.0 } else { again.norm() / norm }
}
