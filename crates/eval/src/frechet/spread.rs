//! How far a Frechet distance would move with other pictures.

use super::{Frechet, Side};
use crate::matrix::Matrix;
use crate::{EvalError, Features};

/// Rows whose influence is computed at once.
const BLOCK: usize = 256;

impl Frechet {
    /// The standard error of the distance, for the choice of the pictures that are given: those of one set, or of
    /// both. They must be the features that the statistics were made of. None where no set is given.
    ///
    /// It is the infinitesimal jackknife (Efron 1982, section 6.3): how the distance answers when a picture weighs
    /// a little more. It is exact for long samples whose distance is large against its error; for sets of one
    /// distribution it is a third too large, as measured in MATH.md section 32.
    ///
    /// # Errors
    /// [`EvalError::TooFew`] for a set of one picture, [`EvalError::Widths`] for other features.
    pub fn standard_error(
        &self,
        first: Option<&Features>,
        second: Option<&Features>,
    ) -> Result<Option<f64>, EvalError> {
        let sets = [(Side::First, first), (Side::Second, second)];
        let given: Vec<_> = sets.into_iter().filter_map(|(side, set)| Some((side, set?))).collect();
        let variances =
            given.iter().map(|(side, set)| self.variance(*side, set)).collect::<Result<Vec<_>, _>>()?;
        Ok((!variances.is_empty()).then(|| variances.iter().sum::<f64>().sqrt()))
    }

    fn variance(&self, side: Side, set: &Features) -> Result<f64, EvalError> {
        let (found, needed, width) = (set.len(), 2, self.maps.means[0].len());
        if found < needed {
            return Err(EvalError::TooFew { statistic: "a standard error", found, needed });
        }
        if set.width != width {
            return Err(EvalError::Widths { first: width, second: set.width });
        }
        let influences = self.influences(side, set);
        let n = found as f64;
        let mean = influences.iter().sum::<f64>() / n;
        Ok(influences.iter().map(|influence| (influence - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    }

    /// For each picture how fast the distance grows with its weight: `2 (m - m')^T y + y^T (1 - T) y` with `y` the
    /// feature less its mean, and T the optimal transport from its distribution to the other.
    fn influences(&self, side: Side, set: &Features) -> Vec<f64> {
        let [one, other] = &self.maps.means;
        let (own, other) = if side == Side::First { (one, other) } else { (other, one) };
        let factor = self.factor_of_transport(side).transposed();
        let rows = set.values.chunks(BLOCK * set.width);
        let block = |rows: &[f32]| {
            let centred = rows.iter().zip(own.iter().cycle()).map(|(value, mean)| f64::from(*value) - mean);
            let centred = Matrix::of_rows(set.width, centred.collect());
            let mapped = centred.times(&factor);
            let square = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>();
            let one = |k: usize| {
                let y = centred.row(k);
                let along: f64 = y.iter().zip(own).zip(other).map(|((y, own), other)| y * (own - other)).sum();
                2.0 * along + square(y) - square(mapped.row(k))
            };
            (0..centred.len()).map(one).collect::<Vec<_>>()
        };
        rows.flat_map(block).collect()
    }

    /// F with `T = F^T F` on the space that the pictures of the base span. With `R = V W^(1/2) V^T` the root of
    /// S1, T from the first to the second is `R^-1 (R S2 R)^(1/2) R^-1`, and back it is `R (R S2 R)^(-1/2) R`.
    fn factor_of_transport(&self, side: Side) -> Matrix {
        let (inner, outer): (f64, fn(f64) -> f64) =
            if side == self.maps.base { (0.25, |value| value.sqrt().recip()) } else { (-0.25, f64::sqrt) };
        self.maps.product.positive().scaled(|value| value.powf(inner)).times(&self.maps.first.scaled(outer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Statistics;
    use crate::testing::normal_features;

    /// Features of mean `mean` and standard deviation `scale`.
    fn features(n: usize, width: usize, seed: u64, [mean, scale]: [f32; 2]) -> Features {
        let mut features = normal_features(n, width, seed);
        features.values.iter_mut().for_each(|value| *value = mean + scale * *value);
        features
    }

    fn distance_and_error(first: &Features, second: &Features) -> (f64, f64) {
        let [one, other] = [first, second].map(|set| Statistics::of(set, "x").expect("finite"));
        let found = Frechet::between(&one, &other).expect("covariances");
        let error = found.standard_error(Some(first), Some(second)).expect("many").expect("given");
        (found.distance, error)
    }

    /// In one dimension the distance is `(m1 - m2)^2 + (s1 - s2)^2`, and the delta method gives its variance from
    /// the sample's own moments.
    #[test]
    fn one_dimension_has_a_closed_form() {
        let (first, second) = (features(400, 1, 1, [0.0, 1.0]), features(300, 1, 2, [1.0, 2.0]));
        let moments = |set: &Features| {
            let n = set.len() as f64;
            let average = |f: &dyn Fn(f64) -> f64| set.values.iter().map(|v| f(f64::from(*v))).sum::<f64>() / n;
            let mean = average(&|v| v);
            let central = [2, 3, 4].map(|power| average(&|v| (v - mean).powi(power)));
            (n, mean, central)
        };
        let ((n1, m1, c1), (n2, m2, c2)) = (moments(&first), moments(&second));
        let [s1, s2] = [(n1, c1), (n2, c2)].map(|(n, c)| (c[0] * n / (n - 1.0)).sqrt());
        // Influence: a y + b (y^2 - c2), a = 2 (m1 - m2), b = 1 - s2/s1.
        let variance = |n: f64, c: [f64; 3], a: f64, b: f64| {
            (a * a * c[0] + 2.0 * a * b * c[1] + b * b * (c[2] - c[0] * c[0])) / (n - 1.0)
        };
        let apart = 2.0 * (m1 - m2);
        let expected = (variance(n1, c1, apart, 1.0 - s2 / s1) + variance(n2, c2, -apart, 1.0 - s1 / s2)).sqrt();
        let (distance, error) = distance_and_error(&first, &second);
        assert!((distance - (m1 - m2).powi(2) - (s1 - s2).powi(2)).abs() < 1e-12, "{distance}");
        assert!((error / expected - 1.0).abs() < 1e-10, "{error} {expected}");
    }

    /// The spread of 100 distances against the mean of their stated errors. A standard deviation of 100 numbers is
    /// known to 7%; three of those, and the few percent by which the jackknife is too large at this length.
    #[test]
    fn the_stated_error_is_the_spread_of_repetitions() {
        // More pictures than features and fewer.
        for (n, width) in [(400, 8), (12, 16)] {
            let found: Vec<(f64, f64)> = (0..100)
                .map(|k| {
                    let first = features(n, width, 2 * k, [0.0, 1.0]);
                    distance_and_error(&first, &features(n, width, 2 * k + 1, [1.0, 2.0]))
                })
                .collect();
            let mean = found.iter().map(|(distance, _)| distance).sum::<f64>() / 100.0;
            let spread = (found.iter().map(|(d, _)| (d - mean).powi(2)).sum::<f64>() / 99.0).sqrt();
            let stated = found.iter().map(|(_, error)| error).sum::<f64>() / 100.0;
            let ratio = stated / spread;
            assert!((0.75..1.4).contains(&ratio), "{n} x {width}: stated {stated}, found {spread}");
        }
    }

    #[test]
    fn sets_can_be_left_out_and_have_to_fit() {
        let (first, second) = (normal_features(30, 3, 1), normal_features(30, 3, 2));
        let [one, other] = [&first, &second].map(|set| Statistics::of(set, "x").expect("finite"));
        let found = Frechet::between(&one, &other).expect("covariances");
        let error = |a, b| found.standard_error(a, b).expect("fits");
        assert_eq!(error(None, None), None);
        let squares = [error(Some(&first), None), error(None, Some(&second))].map(|e| e.expect("given").powi(2));
        let both = error(Some(&first), Some(&second)).expect("given");
        assert!((squares.iter().sum::<f64>().sqrt() / both - 1.0).abs() < 1e-12);
        assert!(found.standard_error(Some(&normal_features(30, 4, 1)), None).is_err());
        assert!(found.standard_error(Some(&normal_features(1, 3, 1)), None).is_err());
    }
}
