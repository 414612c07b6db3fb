//! What tests compute with.

use ddim_sampler::fill_normals;

use crate::Features;
use crate::matrix::Matrix;

/// Independent standard normal numbers.
pub(crate) fn normals(rows: usize, columns: usize, seed: u64) -> Matrix {
    let values = normal_features(rows, columns, seed).values;
    Matrix::of_rows(columns, values.into_iter().map(f64::from).collect())
}

/// The same as features.
pub(crate) fn normal_features(n: usize, width: usize, seed: u64) -> Features {
    let mut values = vec![0.0; n * width];
    fill_normals(seed, 0, 0, &mut values);
    Features { width, values }
}
