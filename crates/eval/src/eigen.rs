//! Eigenvalues and eigenvectors of symmetric matrices.

use macerator::AutoArch;
use rayon::prelude::*;

use crate::matrix::Matrix;

/// `A = sum_k values[k] v_k v_k^T`.
#[derive(Clone, Debug)]
pub(crate) struct Eigen {
    /// In ascending order.
    pub(crate) values: Vec<f64>,
    /// Row k is the eigenvector of value k, of length 1.
    pub(crate) vectors: Matrix,
}

/// A rotation of rows `at` and `at + 1`.
#[derive(Clone, Copy)]
struct Rotation {
    at: u32,
    cos: f64,
    sin: f64,
}

/// What is left of a symmetric matrix after reflections `1 - v v^T` from both sides.
#[derive(Clone, Debug)]
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Entry k stands beside diagonal entries k and k + 1.
    beside: Vec<f64>,
    /// Row k is the v of reflection k, of which the first k + 1 entries are 0; scaled so that v^T v = 2.
    reflections: Matrix,
}

/// A symmetric matrix whose eigenvalues are known, and whose eigenvectors, which take most of the time, can still
/// be had.
#[derive(Clone, Debug)]
pub(crate) struct Reduced {
    /// In ascending order.
    pub(crate) values: Vec<f64>,
    tridiagonal: Tridiagonal,
}

/// Eigenvalues and eigenvectors of a symmetric matrix; none where [`Reduced::new`] gives none.
pub(crate) fn eigen(matrix: Matrix) -> Option<Eigen> {
    Some(Reduced::new(matrix)?.eigen())
}

impl Reduced {
    /// Householder's reflections make the matrix tridiagonal, QL steps with Wilkinson's shift make that diagonal
    /// (Golub and Van Loan 2013, algorithms 8.3.1 and 8.3.3). None if the QL steps do not end, which takes entries
    /// that are not finite.
    pub(crate) fn new(matrix: Matrix) -> Option<Self> {
        let tridiagonal = tridiagonal(matrix);
        let (mut values, mut beside) = (tridiagonal.diagonal.clone(), tridiagonal.beside.clone());
        diagonalise(&mut values, &mut beside, |_| {})?;
        values.sort_by(f64::total_cmp);
        Some(Self { values, tridiagonal })
    }

    /// With the eigenvectors.
    pub(crate) fn eigen(&self) -> Eigen {
        let Tridiagonal { diagonal, beside, reflections } = &self.tridiagonal;
        let (mut values, mut beside, mut rotations) = (diagonal.clone(), beside.clone(), Vec::new());
        diagonalise(&mut values, &mut beside, |rotation| rotations.push(rotation))
            .expect("the same steps as before");
        let mut vectors = rotated_unit(values.len(), &rotations);
        reflect_back(&mut vectors, reflections);
        sorted(values, &vectors)
    }
}

/// Reduces column after column. The pass over the matrix that applies reflection k also multiplies what comes out
/// with the vector of reflection k + 1, so that memory is walked through once a column.
fn tridiagonal(mut a: Matrix) -> Tridiagonal {
    let n = a.columns;
    let mut reflections = Matrix::zeros(n.saturating_sub(2), n);
    let mut beside = vec![0.0; n.saturating_sub(1)];
    // v w^T + w v^T is what the last reflection takes from the matrix.
    let (mut v, mut w) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n.saturating_sub(2) {
        let mut next: Vec<f64> = (0..n).map(|i| if i > k { updated(&a, &v, &w, i, k) } else { 0.0 }).collect();
        a.values[k * n + k] = updated(&a, &v, &w, k, k);
        beside[k] = make_reflection(&mut next[k + 1..]);
        let product = update_and_multiply(&mut a, &v, &w, &next, k + 1);
        let share: f64 = next.iter().zip(&product).map(|(v, p)| v * p).sum::<f64>() / 2.0;
        w = product.iter().zip(&next).map(|(p, v)| p - share * v).collect();
        reflections.values[k * n..(k + 1) * n].copy_from_slice(&next);
        v = next;
    }
    let rest = n.saturating_sub(2);
    (rest..n).for_each(|i| a.values[i * n + i] = updated(&a, &v, &w, i, i));
    if n >= 2 {
        beside[n - 2] = updated(&a, &v, &w, n - 1, n - 2);
    }
    let diagonal = (0..n).map(|i| a.values[i * n + i]).collect();
    Tridiagonal { diagonal, beside, reflections }
}

/// An entry after the last reflection.
fn updated(a: &Matrix, v: &[f64], w: &[f64], i: usize, j: usize) -> f64 {
    a.values[i * a.columns + j] - v[i] * w[j] - w[i] * v[j]
}

/// Turns x into the v, of squared length 2, of the reflection `1 - v v^T` that makes a multiple of the first unit
/// vector of x; returns that multiple. Nothing is left to do where x is 0.
fn make_reflection(x: &mut [f64]) -> f64 {
    let largest = x.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let norm = largest * x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt();
    let target = if x[0] > 0.0 { -norm } else { norm };
    // |x - target e_1|^2 / 2 = norm (norm + |x_0|)
    let scale = (norm * (norm + x[0].abs())).sqrt();
    x[0] -= target;
    x.iter_mut().for_each(|x| *x /= scale);
    target
}

/// Takes `v w^T + w v^T` from the rows and columns from `start` on, and returns their product with `next`.
fn update_and_multiply(a: &mut Matrix, v: &[f64], w: &[f64], next: &[f64], start: usize) -> Vec<f64> {
    let n = a.columns;
    let mut product = vec![0.0; n];
    let rows = a.values[start * n..].par_chunks_mut(n).zip(&mut product[start..]).enumerate();
    rows.with_min_len(16).for_each(|(i, (row, product))| {
        let (row, i) = (&mut row[start..], i + start);
        *product = AutoArch::new().dispatch(
            #[inline(always)]
            || update_row(row, [v[i], w[i]], [&v[start..], &w[start..], &next[start..]]),
        );
    });
    product
}

/// Numbers summed side by side.
const LANES: usize = 8;

#[inline(always)]
fn update_row(row: &mut [f64], [v_i, w_i]: [f64; 2], [v, w, next]: [&[f64]; 3]) -> f64 {
    let mut sums = [0.0; LANES];
    let (v, w, next) = (&v[..row.len()], &w[..row.len()], &next[..row.len()]);
    let whole = row.len() / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let j = start + lane;
            row[j] = row[j] - v_i * w[j] - w_i * v[j];
            *sum += row[j] * next[j];
        }
    }
    for j in whole..row.len() {
        row[j] = row[j] - v_i * w[j] - w_i * v[j];
        sums[0] += row[j] * next[j];
    }
    sums.iter().sum()
}

/// Implicit QL steps on a tridiagonal matrix; each rotation is shown in the order in which it is applied.
fn diagonalise(d: &mut [f64], e: &mut [f64], mut rotated: impl FnMut(Rotation)) -> Option<()> {
    let n = d.len();
    // Two steps an eigenvalue are usual.
    let mut left = 30 * n;
    for first in 0..n {
        loop {
            let small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
            let last = (first..n - 1).find(|m| small(*m)).unwrap_or(n - 1);
            if last == first {
                break;
            }
            left = left.checked_sub(1)?;
            ql_step(&mut d[first..=last], &mut e[first..last], |mut rotation| {
                rotation.at += first as u32;
                rotated(rotation);
            });
            if last < n - 1 {
                e[last] = 0.0;
            }
        }
    }
    d.iter().all(|value| value.is_finite()).then_some(())
}

/// One step on a block that does not fall apart: a bulge is made at its end and chased to its beginning.
fn ql_step(d: &mut [f64], e: &mut [f64], mut rotated: impl FnMut(Rotation)) {
    let last = d.len() - 1;
    let half = (d[1] - d[0]) / (2.0 * e[0]);
    let root = half.hypot(1.0);
    let shift = d[0] - e[0] / (half + root.copysign(half));
    let (mut sin, mut cos, mut taken) = (1.0, 1.0, 0.0);
    let mut bulge = d[last] - shift;
    for at in (0..last).rev() {
        let (f, b) = (sin * e[at], cos * e[at]);
        let length = f.hypot(bulge);
        if at + 1 < last {
            e[at + 1] = length;
        }
        if length == 0.0 {
            // The block has fallen apart after all.
            d[at + 1] -= taken;
            return;
        }
        (sin, cos) = (f / length, bulge / length);
        let upper = d[at + 1] - taken;
        let turned = (d[at] - upper) * sin + 2.0 * cos * b;
        taken = sin * turned;
        d[at + 1] = upper + taken;
        bulge = cos * turned - b;
        rotated(Rotation { at: at as u32, cos, sin });
    }
    d[0] -= taken;
    e[0] = bulge;
}

/// Columns of a panel: with a few thousand rows it still fits into a core's own cache.
const PANEL: usize = 32;

/// The unit matrix with its rows rotated, panel by panel of its columns, each of which is one thread's.
fn rotated_unit(n: usize, rotations: &[Rotation]) -> Matrix {
    let panels: Vec<Vec<[f64; PANEL]>> = (0..n.div_ceil(PANEL))
        .into_par_iter()
        .map(|panel| {
            let mut rows = vec![[0.0; PANEL]; n];
            (0..PANEL.min(n - panel * PANEL)).for_each(|j| rows[panel * PANEL + j][j] = 1.0);
            AutoArch::new().dispatch(
                #[inline(always)]
                || {
                    rotations.iter().for_each(
                        #[inline(always)]
                        |rotation| rotate(&mut rows, *rotation),
                    )
                },
            );
            rows
        })
        .collect();
    let mut vectors = Matrix::zeros(n, n);
    vectors.values.par_chunks_mut(n.max(1)).enumerate().for_each(|(i, row)| {
        row.chunks_mut(PANEL).zip(&panels).for_each(|(out, panel)| out.copy_from_slice(&panel[i][..out.len()]));
    });
    vectors
}

#[inline(always)]
fn rotate(rows: &mut [[f64; PANEL]], Rotation { at, cos, sin }: Rotation) {
    let (above, below) = rows.split_at_mut(at as usize + 1);
    let (upper, lower) = (&mut above[at as usize], &mut below[0]);
    for j in 0..PANEL {
        let (x, y) = (upper[j], lower[j]);
        lower[j] = sin * x + cos * y;
        upper[j] = cos * x - sin * y;
    }
}

/// Eigenvectors of the tridiagonal matrix become those of the matrix it was made from.
fn reflect_back(vectors: &mut Matrix, reflections: &Matrix) {
    let n = vectors.columns;
    vectors.values.par_chunks_mut(8 * n.max(1)).for_each(|some| {
        for k in (0..reflections.len()).rev() {
            let v = &reflections.row(k)[k + 1..];
            for vector in some.chunks_exact_mut(n) {
                AutoArch::new().dispatch(
                    #[inline(always)]
                    || reflect(&mut vector[k + 1..], v),
                );
            }
        }
    });
}

/// `x - v (v^T x)`
#[inline(always)]
fn reflect(x: &mut [f64], v: &[f64]) {
    let mut sums = [0.0; LANES];
    let v = &v[..x.len()];
    let (whole, end) = (x.chunks_exact(LANES), x.len() / LANES * LANES);
    for (x, v) in whole.zip(v.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * v[lane];
        }
    }
    let rest: f64 = x[end..].iter().zip(&v[end..]).map(|(x, v)| x * v).sum();
    let along = sums.iter().sum::<f64>() + rest;
    x.iter_mut().zip(v).for_each(|(x, v)| *x -= along * v);
}

fn sorted(values: Vec<f64>, vectors: &Matrix) -> Eigen {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let rows = order.iter().flat_map(|k| vectors.row(*k)).copied().collect();
    let values = order.iter().map(|k| values[*k]).collect();
    Eigen { values, vectors: Matrix { rows: vectors.rows, columns: vectors.columns, values: rows } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normals;

    /// `sqrt(sum (a - b)^2 / sum b^2)`
    fn difference(a: &Matrix, b: &Matrix) -> f64 {
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let off = square(&mut a.values.iter().zip(&b.values).map(|(a, b)| a - b));
        (off / square(&mut b.values.iter().copied())).sqrt()
    }

    /// Backward stable: errors grow with the size at most (Golub and Van Loan 2013, section 8.3.5), and eight
    /// times the unit roundoff for each row is more than any of these sizes needs.
    fn allowed(n: usize) -> f64 {
        8.0 * n as f64 * f64::EPSILON
    }

    #[test]
    fn the_parts_put_the_matrix_together_again() {
        // Full rank and a tenth of it; sizes around those of panels, tiles and lanes.
        for (n, rows) in [(1, 1), (2, 4), (3, 3), (5, 1), (8, 16), (33, 66), (100, 10), (129, 258)] {
            let matrix = normals(rows, n, 7).gram();
            let Eigen { values, vectors } = eigen(matrix.clone()).expect("ends");
            let scaled = Matrix::from_fn(n, n, |k, j| values[k] * vectors.row(k)[j]);
            let off = difference(&vectors.transposed().times(&scaled), &matrix);
            assert!(off < allowed(n), "{n}: {off}");
            let unit = Matrix::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.0 });
            let off = difference(&vectors.times(&vectors.transposed()), &unit);
            assert!(off < allowed(n), "{n}: vectors {off}");
            assert!(values.is_sorted(), "{values:?}");
            assert_eq!(Reduced::new(matrix).expect("ends").values, values);
        }
    }

    /// The second difference of n points has eigenvalues `2 - 2 cos(k pi / (n + 1))`.
    #[test]
    fn known_eigenvalues_are_found() {
        let n = 50;
        let matrix = Matrix::from_fn(n, n, |i, j| [2.0, -1.0, 0.0][i.abs_diff(j).min(2)]);
        let found = eigen(matrix).expect("ends").values;
        for (k, value) in found.iter().enumerate() {
            let expected = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - expected).abs() < 4.0 * allowed(n), "{k}: {value} {expected}");
        }
    }

    #[test]
    fn zero_is_diagonal_and_what_is_not_finite_is_refused() {
        assert_eq!(eigen(Matrix::zeros(4, 4)).expect("ends").values, [0.0; 4]);
        assert!(eigen(Matrix::zeros(0, 0)).is_some());
        assert!(eigen(Matrix::from_fn(3, 3, |_, _| f64::NAN)).is_none());
    }
}
