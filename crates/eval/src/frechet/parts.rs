//! The positive parts of the matrices whose roots make a distance.

use std::sync::OnceLock;

use crate::eigen::{Eigen, Reduced, eigen};
use crate::matrix::Matrix;
use crate::{EvalError, Statistics};

/// The positive part of a decomposition.
#[derive(Clone, Debug)]
pub(super) struct Positive {
    pub(super) values: Vec<f64>,
    /// Row k is the eigenvector of value k.
    vectors: Matrix,
}

/// The product of two covariances between the roots of one, whose eigenvectors are found when they are asked for.
#[derive(Clone, Debug)]
pub(super) struct Product {
    reduced: Reduced,
    /// How many eigenvalues are 0 up to rounding.
    zeros: usize,
    positive: OnceLock<Positive>,
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
    /// Of the features' covariance; where there are no more pictures than features, from the products of the
    /// pictures with each other: with `X^T X` the covariance and `X X^T = P W P^T`, its eigenvectors are
    /// `X^T P W^(-1/2)`.
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
        let zeros = zeros(&whole.values, terms, statistics.roundoff)?;
        let mut positive = Positive::without(whole, zeros);
        if let Some(rows) = &statistics.rows {
            positive.vectors = positive.scaled(|value| value.sqrt().recip()).times(rows);
        }
        Ok(Self { positive, residual, left_out: zeros, terms })
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

/// How many of these eigenvalues, in ascending order, are 0 up to the rounding of sums of so many terms.
///
/// # Errors
/// [`EvalError::Negative`] for one below 0 by more.
fn zeros(values: &[f64], terms: usize, roundoff: f64) -> Result<usize, EvalError> {
    let (smallest, largest) = (values.first().copied(), values.last().copied().unwrap_or(0.0));
    let allowed = terms as f64 * roundoff * largest.abs();
    match smallest {
        Some(eigenvalue) if eigenvalue < -allowed => Err(EvalError::Negative { eigenvalue, largest, allowed }),
        _ => Ok(values.partition_point(|value| *value <= terms as f64 * f64::EPSILON * largest)),
    }
}

impl Product {
    /// Of this matrix, whose entries are sums of so many terms.
    ///
    /// # Errors
    /// [`EvalError::Negative`] and [`EvalError::NoEigenvalues`].
    pub(super) fn new(inner: Matrix, terms: usize, roundoff: f64) -> Result<Self, EvalError> {
        let reduced = Reduced::new(inner).ok_or(EvalError::NoEigenvalues)?;
        let zeros = zeros(&reduced.values, terms, roundoff)?;
        Ok(Self { reduced, zeros, positive: OnceLock::new() })
    }

    /// All eigenvalues, in ascending order.
    pub(super) fn values(&self) -> &[f64] {
        &self.reduced.values
    }

    /// Those that are not 0.
    pub(super) fn positive_values(&self) -> &[f64] {
        &self.reduced.values[self.zeros..]
    }

    /// The positive part.
    pub(super) fn positive(&self) -> &Positive {
        self.positive.get_or_init(|| Positive::without(self.reduced.eigen(), self.zeros))
    }
}

impl Positive {
    /// Without so many of the smallest eigenvalues.
    fn without(whole: Eigen, zeros: usize) -> Self {
        let Matrix { rows, columns, values } = whole.vectors;
        let vectors = Matrix { rows: rows - zeros, columns, values: values[zeros * columns..].to_vec() };
        Self { values: whole.values[zeros..].to_vec(), vectors }
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
