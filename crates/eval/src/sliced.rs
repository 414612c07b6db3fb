//! The sliced Wasserstein distance.

use std::borrow::Cow;

use ddim_sampler::fill_normals;
use rayon::prelude::*;

use crate::matrix::Matrix;
use crate::{EvalError, Features, Mean};

/// Random directions, uniform on the sphere: the columns of matrices.
///
/// However many numbers a picture has, the directions take no more memory than is stated here: those that do not
/// fit are drawn again for each batch, the same to the last bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Directions {
    dims: usize,
    count: usize,
    seed: u64,
    /// Directions in a block.
    together: usize,
    /// The first blocks of directions, as columns.
    kept: Vec<Matrix>,
}

/// Pictures projected at once, if their numbers are no more than [`BLOCK_NUMBERS`].
const BLOCK: usize = 256;

/// Numbers of a block of directions or pictures: 64 MiB.
const BLOCK_NUMBERS: usize = 1 << 23;

/// Numbers of the directions that are kept: 256 MiB.
const KEPT_NUMBERS: usize = 1 << 25;

impl Directions {
    /// So many directions in a space of so many dimensions, those of this seed; more begin with fewer.
    pub fn new(dims: usize, count: usize, seed: u64) -> Self {
        Self::within(dims, count, seed, [BLOCK_NUMBERS, KEPT_NUMBERS])
    }

    /// With blocks of so many numbers, and so many kept.
    fn within(dims: usize, count: usize, seed: u64, [block, kept]: [usize; 2]) -> Self {
        let together = (block / dims.max(1)).max(1);
        let mut directions = Self { dims, count, seed, together, kept: Vec::new() };
        let fitting = (kept / dims.max(1)).min(count);
        let starts = (0..count).step_by(together);
        let kept = starts.filter(|start| (start + together).min(count) <= fitting);
        directions.kept = kept.map(|start| directions.block(start)).collect();
        directions
    }

    /// The directions of the block that begins with this one, as columns.
    fn block(&self, start: usize) -> Matrix {
        let direction = |k: usize| {
            let mut values = vec![0.0; self.dims];
            fill_normals(self.seed, k as u64, 0, &mut values);
            let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            (values, length)
        };
        let drawn: Vec<_> =
            (start..self.count.min(start + self.together)).into_par_iter().map(direction).collect();
        Matrix::from_fn(self.dims, drawn.len(), |i, k| f64::from(drawn[k].0[i]) / drawn[k].1)
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
        let mut values = vec![0.0; features.len() * self.count];
        let rows_together = (BLOCK_NUMBERS / first.max(1)).clamp(1, BLOCK);
        for (number, start) in (0..self.count).step_by(self.together).enumerate() {
            let columns = self.kept.get(number).map_or_else(|| Cow::Owned(self.block(start)), Cow::Borrowed);
            let blocks = features.values.chunks((rows_together * first).max(1));
            for (rows, out) in blocks.zip(values.chunks_mut(rows_together * self.count)) {
                let rows = Features { width: first, values: rows.to_vec() }.to_matrix();
                let product = rows.times(&columns);
                for (own, out) in product.values.chunks(columns.columns).zip(out.chunks_mut(self.count)) {
                    out[start..][..own.len()].iter_mut().zip(own).for_each(|(out, own)| *out = *own as f32);
                }
            }
        }
        Ok(Features { width: self.count, values })
    }
}

/// Wasserstein distances of one-dimensional projections, on average over directions (Bonneel et al. 2015, Eq. 10).
///
/// The standard errors are those of the choice of the directions: more directions make them smaller, more pictures
/// do not.
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

/// The distance of order 1, and the square of that of order 2: integrals over the difference of the quantile
/// functions, which are constant between multiples of 1/n and of 1/m.
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
            (Directions::new(5, 3, 9).kept[0].transposed(), Directions::new(5, 2, 9).kept[0].transposed());
        assert_eq!(three.values[..10], two.values);
        for k in 0..3 {
            let square: f64 = three.row(k).iter().map(|value| value * value).sum();
            assert!((square - 1.0).abs() < 1e-14, "{square}");
        }
    }

    #[test]
    fn directions_that_are_drawn_again_are_the_same() {
        let set = normal_features(300, 6, 1);
        let all = Directions::new(6, 7, 2);
        let expected = all.project(&set).expect("of 6 dimensions");
        assert_eq!((all.kept.len(), expected.width), (1, 7));
        for (block, kept, blocks_kept) in [(1, 0, 0), (12, 24, 2), (12, 41, 3), (12, 42, 4), (30, 30, 1)] {
            let some = Directions::within(6, 7, 2, [block, kept]);
            assert_eq!(some.kept.len(), blocks_kept, "{block} {kept}");
            assert_eq!(some.project(&set).expect("of 6 dimensions"), expected, "{block} {kept}");
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
