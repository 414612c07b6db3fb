//! Means and covariances of features, batch by batch.

use ddim_data::{Array, Values};

use crate::cholesky::factor;
use crate::matrix::Matrix;
use crate::{EvalError, Features};

/// Rows that are added at once: enough that the matrix of products is not walked through for each.
const BLOCK: usize = 512;

/// The most features whose covariance is computed: 2 GiB of f64, and a distance holds several such matrices at
/// once.
pub const MOST_FEATURES: usize = 1 << 14;

/// The moments of the features seen so far, in f64.
///
/// A batch is centred by its own mean before its products are taken, and two sets of moments are put together by
/// what Chan, Golub and LeVeque (1979, Eq. 2.1) found for it (MATH.md section 32): nothing is ever a small
/// difference of large sums, and the order and size of batches change rounding only.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    count: usize,
    mean: Vec<f64>,
    /// Sums of products of what is left without the mean.
    products: Matrix,
    /// The features themselves, as long as they are no more than their numbers: the sums then say the same in a
    /// larger matrix.
    few: Option<Features>,
}

impl Moments {
    /// Of no picture yet, with so many features each.
    ///
    /// # Errors
    /// [`EvalError::TooWide`] above [`MOST_FEATURES`].
    pub fn new(width: usize) -> Result<Self, EvalError> {
        Self::check_width(width)?;
        Ok(Self {
            count: 0,
            mean: vec![0.0; width],
            products: Matrix::zeros(width, width),
            few: Some(Features { width, values: Vec::new() }),
        })
    }

    /// Refuses more features than a covariance is computed of.
    ///
    /// # Errors
    /// [`EvalError::TooWide`] above [`MOST_FEATURES`].
    pub fn check_width(width: usize) -> Result<(), EvalError> {
        if width <= MOST_FEATURES {
            return Ok(());
        }
        let gibibytes = (width as f64).powi(2) * size_of::<f64>() as f64 / (1u64 << 30) as f64;
        Err(EvalError::TooWide { found: width, gibibytes, most: MOST_FEATURES })
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// [`EvalError::Widths`], and [`EvalError::FeatureNotFinite`]; nothing is added then.
    pub fn add(&mut self, features: &Features) -> Result<(), EvalError> {
        if features.is_empty() {
            return Ok(());
        }
        if features.width != self.mean.len() {
            return Err(EvalError::Widths { first: self.mean.len(), second: features.width });
        }
        features.check_finite()?;
        for rows in features.values.chunks(BLOCK * features.width) {
            let values = rows.iter().map(|value| f64::from(*value)).collect();
            self.add_sums(&Self::of_block(Matrix::of_rows(features.width, values)));
        }
        self.keep(Some(features));
        Ok(())
    }

    fn of_block(mut rows: Matrix) -> Self {
        let (count, width) = (rows.len(), rows.columns);
        let mut mean = vec![0.0; width];
        for row in rows.values.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / count as f64);
        }
        for row in rows.values.chunks_exact_mut(width) {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        }
        Self { count, mean, products: rows.gram(), few: None }
    }

    /// Adds what was seen elsewhere.
    ///
    /// # Panics
    /// When the others are of features of another width.
    pub fn merge(&mut self, others: &Self) {
        assert_eq!(self.mean.len(), others.mean.len(), "moments of features of one width");
        if others.count > 0 {
            self.add_sums(others);
            self.keep(others.few.as_ref());
        }
    }

    /// Keeps features that were added, unless there are too many by now.
    fn keep(&mut self, added: Option<&Features>) {
        self.few = match (self.few.take(), added) {
            (Some(mut few), Some(added)) if self.count <= self.mean.len() => {
                few.values.extend(&added.values);
                Some(few)
            }
            _ => None,
        };
    }

    fn add_sums(&mut self, others: &Self) {
        let width = self.mean.len();
        let (n, m) = (self.count as f64, others.count as f64);
        let apart: Vec<f64> = others.mean.iter().zip(&self.mean).map(|(other, own)| other - own).collect();
        let weight = n * m / (n + m);
        let rows = self.products.values.chunks_exact_mut(width).zip(others.products.values.chunks_exact(width));
        for ((own, other), apart_i) in rows.zip(&apart) {
            let entries = own.iter_mut().zip(other).zip(&apart);
            entries.for_each(|((own, other), apart_j)| *own += other + weight * apart_i * apart_j);
        }
        self.mean.iter_mut().zip(&apart).for_each(|(mean, apart)| *mean += apart * (m / (n + m)));
        self.count += others.count;
    }

    /// How many pictures were seen.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Mean and covariance, of features known by `identity` (see [`Extractor::identity`](crate::Extractor)).
    ///
    /// # Errors
    /// [`EvalError::TooFew`] of less than two.
    pub fn statistics(&self, identity: &str) -> Result<Statistics, EvalError> {
        let (found, needed) = (self.count, 2);
        if found < needed {
            return Err(EvalError::TooFew { statistic: "a covariance", found, needed });
        }
        let scale = (self.count - 1) as f64;
        let values = self.products.values.iter().map(|product| product / scale).collect();
        let rows = self.few.as_ref().map(|few| {
            let centred =
                few.values.iter().zip(self.mean.iter().cycle()).map(|(value, mean)| f64::from(*value) - mean);
            Matrix::of_rows(few.width, centred.map(|value| value / scale.sqrt()).collect())
        });
        Ok(Statistics {
            identity: Some(identity.to_owned()),
            count: Some(self.count),
            mean: self.mean.clone(),
            covariance: Matrix::of_rows(self.mean.len(), values),
            rows,
            roundoff: f64::EPSILON,
        })
    }
}

/// The mean and the covariance (with n - 1 in the denominator) of features, as published statistics hold them.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// What they are features of; published files do not say.
    pub(crate) identity: Option<String>,
    /// Of how many pictures; published files do not say.
    pub(crate) count: Option<usize>,
    pub(crate) mean: Vec<f64>,
    pub(crate) covariance: Matrix,
    /// X with `X^T X` the covariance, where it has no more rows than columns: whatever is asked of the covariance
    /// can then be asked of a smaller matrix.
    pub(crate) rows: Option<Matrix>,
    /// Of the numbers that the covariance was kept in.
    pub(crate) roundoff: f64,
}

impl Statistics {
    /// The statistics of features that are all at hand.
    ///
    /// # Errors
    /// As [`Moments::new`], [`Moments::add`] and [`Moments::statistics`].
    pub fn of(features: &Features, identity: &str) -> Result<Self, EvalError> {
        let mut moments = Moments::new(features.width)?;
        moments.add(features)?;
        moments.statistics(identity)
    }

    /// From the arrays `mu` \[d\] and `sigma` \[d, d\] of pytorch-fid and those who follow it; `identity` and
    /// `count` are what [`identity`](Self::identity) and [`count`](Self::count) will say.
    ///
    /// # Errors
    /// [`EvalError::NoCovariance`] when they do not fit together, are not finite or not symmetric.
    pub fn from_arrays(
        mu: &Array,
        sigma: &Array,
        identity: Option<String>,
        count: Option<usize>,
    ) -> Result<Self, EvalError> {
        let problem = |problem: String| EvalError::NoCovariance { problem };
        let width = match mu.shape[..] {
            [width] if width > 0 && sigma.shape == [width, width] => width,
            _ => return Err(problem(format!("their shapes are {:?} and {:?}", mu.shape, sigma.shape))),
        };
        let not_real = || problem("they are not float32 or float64".to_owned());
        let (mean, _) = reals(&mu.values).ok_or_else(not_real)?;
        let (values, roundoff) = reals(&sigma.values).ok_or_else(not_real)?;
        let covariance = Matrix::of_rows(width, values);
        if let Some(value) = mean.iter().chain(&covariance.values).find(|value| !value.is_finite()) {
            return Err(problem(format!("a value is {value}")));
        }
        match covariance.asymmetry() {
            (i, j, off) if off > 0.0 && off > width as f64 * roundoff * covariance.largest() => {
                Err(problem(format!("entries [{i}, {j}] and [{j}, {i}] of sigma differ by {off:e}")))
            }
            _ => {
                let few = roundoff == f64::EPSILON && count.is_some_and(|count| count <= width);
                let rows = if few { factor(&covariance) } else { None };
                Ok(Self { identity, count, mean, covariance, rows, roundoff })
            }
        }
    }

    /// The arrays `mu` and `sigma`, in f64.
    pub fn to_arrays(&self) -> [Array; 2] {
        let width = self.mean.len();
        let array = |shape, values: &Vec<f64>| Array { shape, values: Values::F64(values.clone()) };
        [array(vec![width], &self.mean), array(vec![width, width], &self.covariance.values)]
    }

    /// What they are features of, if that is known.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Of how many pictures, if that is known.
    pub fn count(&self) -> Option<usize> {
        self.count
    }

    /// How many features a picture has.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// The mean of each feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariances, row after row.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance.values
    }

    /// Whether the covariance is singular for want of pictures: at most as many as features. The distance to it is
    /// then finite, and biased strongly.
    pub fn is_rank_deficient(&self) -> bool {
        self.count.is_some_and(|count| count <= self.width())
    }
}

/// The numbers, and the unit roundoff of their type.
fn reals(values: &Values) -> Option<(Vec<f64>, f64)> {
    match values {
        Values::F64(values) => Some((values.clone(), f64::EPSILON)),
        Values::F32(values) => Some((values.iter().map(|value| f64::from(*value)).collect(), f32::EPSILON.into())),
        Values::I64(_) | Values::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal_features;

    /// Two passes in f64, the mean first.
    fn directly(features: &Features) -> (Vec<f64>, Vec<f64>) {
        let (n, d) = (features.len() as f64, features.width);
        let mean: Vec<f64> =
            (0..d).map(|j| features.rows().map(|row| f64::from(row[j])).sum::<f64>() / n).collect();
        let product = |i: usize, j: usize| {
            features.rows().map(|r| (f64::from(r[i]) - mean[i]) * (f64::from(r[j]) - mean[j])).sum::<f64>()
        };
        let covariance = (0..d * d).map(|k| product(k / d, k % d) / (n - 1.0)).collect();
        (mean, covariance)
    }

    fn far_from_zero(n: usize) -> Features {
        let mut features = normal_features(n, 5, 3);
        features.values.iter_mut().for_each(|value| *value += 1000.0);
        features
    }

    #[test]
    fn batches_of_any_size_give_the_moments_of_all() {
        let all = far_from_zero(1300);
        let (mean, covariance) = directly(&all);
        for size in [1, 7, 512, 1300] {
            let [mut moments, mut late] = [(); 2].map(|()| Moments::new(5).expect("few features"));
            for (k, rows) in all.values.chunks(5 * size).enumerate() {
                let batch = Features { width: 5, values: rows.to_vec() };
                if k % 3 == 1 { late.add(&batch) } else { moments.add(&batch) }.expect("finite");
            }
            moments.merge(&late);
            let found = moments.statistics("x").expect("many");
            assert_eq!(found.count(), Some(1300));
            // Sums of 1300 rounded numbers near 1000 for the mean, near 1 for the covariance.
            let near = |a: &[f64], b: &[f64], error: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() < error);
            assert!(near(found.mean(), &mean, 1300.0 * 1000.0 * f64::EPSILON), "{size}");
            assert!(near(found.covariance(), &covariance, 1300.0 * 10.0 * f64::EPSILON), "{size}");
        }
    }

    #[test]
    fn a_covariance_that_is_too_large_is_refused_before_there_is_one() {
        let wide = Features { width: 3 << 16, values: vec![0.0; 6 << 16] };
        let error = Statistics::of(&wide, "x").expect_err("288 GiB");
        assert_eq!(error, EvalError::TooWide { found: 196_608, gibibytes: 288.0, most: 16_384 });
        assert_eq!(Moments::check_width(MOST_FEATURES), Ok(()));
    }

    #[test]
    fn what_cannot_be_added_is_refused_and_changes_nothing() {
        let mut moments = Moments::new(2).expect("few features");
        let error = moments.add(&Features { width: 3, values: vec![0.0; 3] }).expect_err("too wide");
        assert_eq!(error, EvalError::Widths { first: 2, second: 3 });
        let error = moments.add(&Features { width: 2, values: vec![0.0, 1.0, f32::NAN, 2.0] }).expect_err("NaN");
        assert!(matches!(error, EvalError::FeatureNotFinite { picture: 1, feature: 0, .. }), "{error}");
        moments.add(&Features { width: 2, values: vec![0.0, 1.0] }).expect("finite");
        assert_eq!(moments.count(), 1);
        let error = moments.statistics("x").expect_err("one");
        assert_eq!(error, EvalError::TooFew { statistic: "a covariance", found: 1, needed: 2 });
    }

    #[test]
    fn published_arrays_read_back_and_damaged_ones_are_refused() {
        let statistics = Statistics::of(&far_from_zero(10), "x").expect("ten");
        let [mu, sigma] = statistics.to_arrays();
        let again = Statistics::from_arrays(&mu, &sigma, Some("x".to_owned()), Some(10)).expect("whole");
        assert_eq!(again, statistics);
        assert!(!statistics.is_rank_deficient());
        assert!(Statistics::of(&far_from_zero(5), "x").expect("five").is_rank_deficient());
        let refused = |mu: &Array, sigma: &Array| {
            Statistics::from_arrays(mu, sigma, None, None).expect_err("damaged").to_string()
        };
        let with = |at: usize, value: f64| {
            let mut values = statistics.covariance().to_vec();
            values[at] = value;
            Array { shape: vec![5, 5], values: Values::F64(values) }
        };
        assert!(refused(&mu, &with(3, f64::INFINITY)).contains("a value is inf"));
        assert!(refused(&mu, &with(3, 2.0)).contains("entries [0, 3] and [3, 0]"));
        assert!(refused(&sigma, &sigma).contains("their shapes are [5, 5] and [5, 5]"));
    }
}
