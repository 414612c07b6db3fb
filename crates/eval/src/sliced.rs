//! The sliced Wasserstein distance.

use ddim_sampler::fill_normals;

use crate::matrix::Matrix;
use crate::{EvalError, Features, Mean};

/// Random directions, uniform on the sphere: the columns of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Directions {
    dims: usize,
    columns: Matrix,
}

/// Pictures projected at once.
const BLOCK: usize = 256;

impl Directions {
    /// So many directions in a space of so many dimensions, those of this seed; more begin with fewer.
    pub fn new(dims: usize, count: usize, seed: u64) -> Self {
        let direction = |k: usize| {
            let mut values = vec![0.0; dims];
            fill_normals(seed, k as u64, 0, &mut values);
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
            values.into_iter().map(move |value| value / length)
        };
        let rows = Matrix::of_rows(dims, (0..count).flat_map(direction).collect());
        Self { dims, columns: rows.transposed() }
    }

    /// How far each vector goes along each direction; so much of it must be kept, and not the vectors themselves.
    ///
    /// # Errors
    /// [`EvalError::Widths`] for vectors of other dimensions.
    pub fn project(&self, features: &Features) -> Result<Features, EvalError> {
        let (first, second) = (self.dims, features.width);
        if first != second && !features.is_empty() {
            return Err(EvalError::Widths { first, second });
        }
        let mut values = Vec::with_capacity(features.len() * self.columns.columns);
        for rows in features.values.chunks((BLOCK * first).max(1)) {
            let rows = Features { width: first, values: rows.to_vec() }.to_matrix();
            values.extend(rows.times(&self.columns).values.into_iter().map(|value| value as f32));
        }
        Ok(Features { width: self.columns.columns, values })
    }
}

/// Wasserstein distances of one-dimensional projections, on average over directions (Bonneel et al. 2015, Eq. 10).
///
/// The standard errors are those of the choice of the directions: more directions make them smaller, more pictures do
/// not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlicedWasserstein {
    /// The mean of the distances of order 1.
    pub order_1: Mean,
    /// The root of the mean of the squared distances of order 2.
    pub order_2: Mean,
}

impl SlicedWasserstein {
    /// Between two sets that the same [`Directions`] have projected.
    ///
    /// # Errors
    /// [`EvalError::TooFew`], [`EvalError::Widths`] and [`EvalError::FeatureNotFinite`], and [`EvalError::Count`]
    /// without directions.
    pub fn between(first: &Features, second: &Features) -> Result<Self, EvalError> {
        if first.width == 0 {
            return Err(EvalError::Count { what: "directions", found: 0, needed: 1 });
        }
        first.check_pair(second, "the sliced Wasserstein distance", 1)?;
        [first, second].into_iter().try_for_each(Features::check_finite)?;
        let along = |k: usize| powers(&sorted(first, k), &sorted(second, k));
        let (ones, squares): (Vec<f64>, Vec<f64>) = (0..first.width).map(along).unzip();
        let mean = |values: &[f64]| Mean::of(values).expect("at least one direction");
        let square = mean(&squares);
        let root = square.mean.sqrt();
        // The root of a mean is off by the error of the mean over twice the root.
        let error = square.standard_error.map(|error| if root == 0.0 { 0.0 } else { error / (2.0 * root) });
        Ok(Self { order_1: mean(&ones), order_2: Mean { mean: root, standard_error: error } })
    }
}

/// One direction's projections in ascending order.
fn sorted(set: &Features, direction: usize) -> Vec<f32> {
    let mut values: Vec<f32> = set.rows().map(|row| row[direction]).collect();
    values.sort_unstable_by(f32::total_cmp);
    values
}

/// The distance of order 1, and the square of that of order 2: integrals over the difference of the quantile functions,
/// which are constant between multiples of 1/n and of 1/m.
fn powers(first: &[f32], second: &[f32]) -> (f64, f64) {
    let (n, m) = (first.len(), second.len());
    // Positions in units of 1/(n m), so that they are whole numbers.
    let (mut i, mut j, mut from) = (0, 0, 0);
    let (mut one, mut two) = (0.0, 0.0);
    while i < n && j < m {
        let to = ((i + 1) * m).min((j + 1) * n);
        let (apart, share) = (f64::from(first[i]) - f64::from(second[j]), (to - from) as f64);
        one += share * apart.abs();
        two += share * apart * apart;
        from = to;
        i += usize::from(to == (i + 1) * m);
        j += usize::from(to == (j + 1) * n);
    }
    let all = n as f64 * m as f64;
    (one / all, two / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal_features;

    #[test]
    fn sets_of_different_sizes_share_their_mass() {
        // 0 and 1 against 0, 0, 3: sixths 0 0 0 1 1 1 against 0 0 0 0 3 3.
        let (one, two) = powers(&[0.0, 1.0], &[0.0, 0.0, 3.0]);
        assert!((one - 5.0 / 6.0).abs() < 1e-15 && (two - 9.0 / 6.0).abs() < 1e-15, "{one} {two}");
    }

    /// A shift by v moves every projection by `theta^T v`: in d dimensions `E (theta^T v)^2 = |v|^2 / d`.
    #[test]
    fn a_shift_is_known_and_a_copy_is_at_zero() {
        let set = normal_features(50, 12, 1);
        let mut shifted = set.clone();
        shifted.values.iter_mut().for_each(|value| *value += 2.0);
        let directions = Directions::new(12, 2000, 3);
        let [a, b] = [&set, &shifted].map(|set| directions.project(set).expect("of 12 dimensions"));
        let found = SlicedWasserstein::between(&a, &b).expect("fits").order_2;
        let off = (found.mean - 2.0).abs();
        assert!(off < 5.0 * found.standard_error.expect("many"), "{found:?}");
        let same = SlicedWasserstein::between(&a, &a).expect("fits");
        assert_eq!([same.order_1, same.order_2].map(|found| found.mean), [0.0; 2]);
    }

    #[test]
    fn directions_have_length_one_and_more_begin_with_fewer() {
        let (three, two) =
            (Directions::new(5, 3, 9).columns.transposed(), Directions::new(5, 2, 9).columns.transposed());
        assert_eq!(three.values[..10], two.values);
        for k in 0..3 {
            let square: f64 = three.row(k).iter().map(|value| value * value).sum();
            assert!((square - 1.0).abs() < 1e-14, "{square}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let directions = Directions::new(3, 4, 0);
        let error = directions.project(&normal_features(2, 5, 1)).expect_err("too wide");
        assert_eq!(error, EvalError::Widths { first: 3, second: 5 });
        let none = Features::default();
        assert!(matches!(SlicedWasserstein::between(&none, &none), Err(EvalError::Count { .. })));
        let some = directions.project(&normal_features(2, 3, 1)).expect("fits");
        let empty = Features { width: 4, values: Vec::new() };
        assert!(matches!(SlicedWasserstein::between(&some, &empty), Err(EvalError::TooFew { .. })));
    }
}
