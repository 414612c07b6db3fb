//! Matrices of f64: a product and little else.

use macerator::AutoArch;
use rayon::prelude::*;

/// A matrix, row after row. Either side may be 0: a set without variance has no direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    /// How many rows.
    pub(crate) rows: usize,
    /// The length of a row.
    pub(crate) columns: usize,
    /// The rows, one after the other.
    pub(crate) values: Vec<f64>,
}

/// Columns computed together: two vectors of four, or one of eight.
const PANEL: usize = 8;
/// Rows computed together: with [`PANEL`], as many sums as fit into registers.
const TILE: usize = 4;
/// Rows that a thread takes at once: a panel is copied once for as many.
const CHUNK: usize = 64;

impl Matrix {
    /// Of whole rows.
    ///
    /// # Panics
    /// Without columns, and where the last row is not whole.
    pub(crate) fn of_rows(columns: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len() % columns, 0, "rows of {columns}");
        Self { rows: values.len() / columns, columns, values }
    }

    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// The matrix with these entries.
    pub(crate) fn from_fn(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let entry = &entry;
        let values = (0..rows).flat_map(|i| (0..columns).map(move |j| entry(i, j))).collect();
        Self { rows, columns, values }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    pub(crate) fn transposed(&self) -> Self {
        let mut values = vec![0.0; self.values.len()];
        values.par_chunks_mut(self.rows.max(1)).enumerate().for_each(|(j, out)| {
            out.iter_mut().enumerate().for_each(|(i, out)| *out = self.values[i * self.columns + j]);
        });
        Self { rows: self.columns, columns: self.rows, values }
    }

    /// `self other`. Each entry is a sum in the order of the columns, without fused operations: the same bits on
    /// every machine and on any number of threads.
    pub(crate) fn times(&self, other: &Self) -> Self {
        self.times_from(other, |_| 0)
    }

    /// `self^T self`, of which only one half is computed.
    pub(crate) fn gram(&self) -> Self {
        let mut product = self.transposed().times_from(self, |first_row| first_row);
        product.mirror();
        product
    }

    /// The entry of a square matrix that is furthest from its mirror image, and how far.
    pub(crate) fn asymmetry(&self) -> (usize, usize, f64) {
        let n = self.columns;
        let pairs = (0..n).flat_map(|j| (0..j).map(move |i| (i, j)));
        let off = pairs.map(|(i, j)| (i, j, (self.row(i)[j] - self.row(j)[i]).abs()));
        off.max_by(|a, b| a.2.total_cmp(&b.2)).unwrap_or((0, 0, 0.0))
    }

    /// The largest absolute value.
    pub(crate) fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |largest, value| value.abs().max(largest))
    }

    /// The square root of the sum of squares.
    pub(crate) fn norm(&self) -> f64 {
        self.values.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    /// The sum of the diagonal of a square matrix.
    pub(crate) fn trace(&self) -> f64 {
        self.values.iter().step_by(self.columns + 1).sum()
    }

    /// Copies what is above the diagonal of a square matrix below it.
    pub(crate) fn mirror(&mut self) {
        let n = self.columns;
        for i in 0..n {
            for j in 0..i {
                self.values[i * n + j] = self.values[j * n + i];
            }
        }
    }

    /// The product, of which rows from `i` on may leave out the columns before `first_column(i)`.
    fn times_from(&self, other: &Self, first_column: impl Fn(usize) -> usize + Sync) -> Self {
        assert_eq!(self.columns, other.len(), "a product needs as many columns as rows");
        let mut product = Self::zeros(self.len(), other.columns);
        if other.columns == 0 || self.columns == 0 {
            return product;
        }
        product.values.par_chunks_mut(CHUNK * other.columns).enumerate().for_each(|(chunk, out)| {
            let first_row = chunk * CHUNK;
            let rows = &self.values[first_row * self.columns..][..out.len() / other.columns * self.columns];
            let first_panel = first_column(first_row) / PANEL;
            AutoArch::new().dispatch(
                #[inline(always)]
                || multiply(rows, self.columns, other, first_panel, out),
            );
        });
        product
    }
}

/// Some rows of a product, panel by panel.
#[inline(always)]
fn multiply(rows: &[f64], depth: usize, other: &Matrix, first_panel: usize, out: &mut [f64]) {
    let columns = other.columns;
    let mut panel = vec![[0.0; PANEL]; depth];
    for start in (first_panel * PANEL..columns).step_by(PANEL) {
        let width = PANEL.min(columns - start);
        for (packed, row) in panel.iter_mut().zip(other.values.chunks_exact(columns)) {
            packed[..width].copy_from_slice(&row[start..start + width]);
        }
        for (tile, out) in rows.chunks(TILE * depth).zip(out.chunks_mut(TILE * columns)) {
            let sums = tile_times(tile, depth, &panel);
            for (sums, out) in sums.iter().zip(out.chunks_exact_mut(columns)) {
                out[start..start + width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// Up to [`TILE`] rows times a panel.
#[inline(always)]
fn tile_times(tile: &[f64], depth: usize, panel: &[[f64; PANEL]]) -> [[f64; PANEL]; TILE] {
    let last = tile.len() / depth - 1;
    // A short tile computes its last row again.
    let row = |index: usize| &tile[index.min(last) * depth..][..depth];
    let rows: [&[f64]; TILE] = [row(0), row(1), row(2), row(3)];
    let mut sums = [[0.0; PANEL]; TILE];
    for (k, panel) in panel.iter().enumerate() {
        for i in 0..TILE {
            let a = rows[i][k];
            for j in 0..PANEL {
                sums[i][j] += a * panel[j];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normals;

    #[test]
    fn products_are_sums_of_products() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (4, 8, 8), (70, 3, 9), (130, 17, 33)] {
            let (a, b) = (normals(m, k, 1), normals(k, n, 2));
            let entry = |i: usize, j: usize| (0..k).fold(0.0, |sum, l| sum + a.row(i)[l] * b.row(l)[j]);
            // In the same order, so bit for bit.
            assert_eq!(a.times(&b), Matrix::from_fn(m, n, entry), "{m}x{k}x{n}");
            assert_eq!(a.gram(), a.transposed().times(&a), "{m}x{k}");
        }
    }

    #[test]
    fn a_side_may_be_empty() {
        let (wide, tall) = (Matrix::zeros(0, 3), Matrix::zeros(3, 0));
        assert_eq!((wide.transposed(), wide.times(&normals(3, 5, 1))), (tall.clone(), Matrix::zeros(0, 5)));
        assert_eq!((wide.times(&tall), tall.times(&wide)), (Matrix::zeros(0, 0), Matrix::zeros(3, 3)));
        assert_eq!((wide.gram(), tall.gram()), (Matrix::zeros(3, 3), Matrix::zeros(0, 0)));
        assert_eq!((tall.row(2), Matrix::zeros(0, 0).trace()), (&[][..], 0.0));
    }
}
