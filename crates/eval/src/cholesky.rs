//! A covariance of low rank as a product.

use crate::matrix::Matrix;

/// X with `X^T X = A` up to rounding and as few rows as A has rank: Cholesky's decomposition of a symmetric matrix
/// without negative eigenvalues, the largest of what is left of the diagonal first (Higham 2002, *Accuracy and
/// Stability of Numerical Algorithms*, section 10.3). None for a matrix that is not one of those, or as good as
/// one of full rank.
pub(crate) fn factor(matrix: &Matrix) -> Option<Matrix> {
    let n = matrix.columns;
    let mut left: Vec<f64> = (0..n).map(|i| matrix.row(i)[i]).collect();
    let nothing = n as f64 * f64::EPSILON * left.iter().copied().fold(0.0, f64::max);
    let mut rows = Matrix::zeros(0, n);
    loop {
        let (pivot, largest) = left.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if largest <= nothing {
            break;
        }
        if rows.rows == n {
            return None;
        }
        let row = next_row(matrix, &rows, pivot, largest.sqrt());
        left.iter_mut().zip(&row).for_each(|(left, value)| *left -= value * value);
        // Nothing is left there, whatever rounding says.
        left[pivot] = 0.0;
        rows.values.extend(row);
        rows.rows += 1;
    }
    is_factor(&rows, matrix).then_some(rows)
}

/// The row of the matrix at the pivot, less what the rows so far explain of it, over the root of what was left
/// there.
fn next_row(matrix: &Matrix, rows: &Matrix, pivot: usize, root: f64) -> Vec<f64> {
    let mut row = matrix.row(pivot).to_vec();
    for known in (0..rows.rows).map(|k| rows.row(k)) {
        let share = known[pivot];
        row.iter_mut().zip(known).for_each(|(value, known)| *value -= share * known);
    }
    row.iter_mut().for_each(|value| *value /= root);
    row
}

/// Whether the product is the matrix, to what a sum of n rounded numbers may be off.
fn is_factor(rows: &Matrix, matrix: &Matrix) -> bool {
    let mut off = rows.gram();
    off.values.iter_mut().zip(&matrix.values).for_each(|(off, value)| *off -= value);
    off.norm() <= (matrix.columns as f64).sqrt() * f64::EPSILON * matrix.norm()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normals;

    #[test]
    fn the_rank_is_found_and_the_product_is_the_matrix() {
        for (rows, n) in [(1, 1), (1, 40), (7, 40), (39, 40)] {
            let found = factor(&normals(rows, n, 3).gram()).expect("no negative eigenvalue");
            assert_eq!((found.rows, found.columns), (rows, n));
        }
        assert_eq!(factor(&Matrix::zeros(5, 5)).expect("nothing"), Matrix::zeros(0, 5));
    }

    #[test]
    fn other_matrices_have_none() {
        let of = |values: [f64; 4]| factor(&Matrix::of_rows(2, values.to_vec()));
        assert_eq!(of([1.0, 2.0, 2.0, 1.0]), None);
        assert_eq!(of([-1.0, 0.0, 0.0, -1.0]), None);
    }
}
