//! The Frechet distance between normal distributions.

mod infinite;
mod spread;

pub use self::infinite::{Against, Extrapolated, extrapolated};
use crate::eigen::{Eigen, eigen};
use crate::matrix::Matrix;
use crate::{EvalError, Statistics};

/// The squared Frechet (2-Wasserstein) distance between the normal distributions of two sets' features: with the
/// features of Inception-v3 the FID, and of its spatial features the sFID.
///
/// ```text
/// |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)
/// ```
///
/// (Dowson and Landau 1982, Eq. 4; Heusel et al. 2017, Eq. 6.) The distance between finite samples is too large on
/// average, see [`extrapolated`], and its numerical error, that of square roots of eigenvalues near 0, is bounded here.
/// All of it is derived in MATH.md section 32.
#[derive(Clone, Debug)]
pub struct Frechet {
    /// The distance.
    pub distance: f64,
    /// The part of it that lies between the means.
    pub between_means: f64,
    /// How far the distance may be off by rounding.
    pub numerical_error: f64,
    /// `|R R - S1| / |S1|` (Frobenius) of the matrix R that is taken for the square root of S1: what the
    /// eigen-decomposition got wrong.
    pub residual: f64,
    maps: Maps,
}

/// What the standard error needs of the decompositions.
#[derive(Clone, Debug)]
struct Maps {
    means: [Vec<f64>; 2],
    /// `S1 = V W V^T`, without what is 0 up to rounding.
    first: Positive,
    /// `W^(1/2) V^T S2 V W^(1/2) = U L U^T`, likewise.
    product: Positive,
}

/// The positive part of a decomposition.
#[derive(Clone, Debug)]
struct Positive {
    values: Vec<f64>,
    /// Row k is the eigenvector of value k.
    vectors: Matrix,
}

impl Frechet {
    /// Between two sets' statistics.
    ///
    /// # Errors
    /// [`EvalError::Identities`] and [`EvalError::Widths`] for statistics that do not belong together, and
    /// [`EvalError::Negative`] and [`EvalError::NoEigenvalues`] for one that is no covariance.
    pub fn between(first: &Statistics, second: &Statistics) -> Result<Self, EvalError> {
        check(first, second)?;
        let whole = eigen(first.covariance.clone()).ok_or(EvalError::NoEigenvalues)?;
        let residual = residual(&whole, &first.covariance);
        let of_first = Positive::of(whole, first.roundoff)?;
        let half = of_first.scaled(f64::sqrt);
        let mut inner = half.times(&second.covariance).times(&half.transposed());
        inner.mirror();
        let of_inner = eigen(inner).ok_or(EvalError::NoEigenvalues)?;
        let off = (f64::EPSILON * (first.mean.len() as f64).sqrt()).max(residual);
        let numerical_error = 2.0 * root_error(&of_inner.values, off);
        let product = Positive::of(of_inner, first.roundoff.max(second.roundoff))?;
        let between_means = first.mean.iter().zip(&second.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let root_trace: f64 = product.values.iter().map(|value| value.sqrt()).sum();
        let between_covariances = first.covariance.trace() + second.covariance.trace() - 2.0 * root_trace;
        Ok(Self {
            distance: between_means + between_covariances,
            between_means,
            numerical_error: numerical_error + lost(first, second, of_first.values.len()),
            residual,
            maps: Maps { means: [first.mean.clone(), second.mean.clone()], first: of_first, product },
        })
    }
}

fn check(first: &Statistics, second: &Statistics) -> Result<(), EvalError> {
    if let (Some(one), Some(other)) = (&first.identity, &second.identity)
        && one != other
    {
        return Err(EvalError::Identities { first: one.clone(), second: other.clone() });
    }
    let (first, second) = (first.width(), second.width());
    if first == second { Ok(()) } else { Err(EvalError::Widths { first, second }) }
}

impl Positive {
    /// Leaves out what is 0 up to rounding.
    fn of(whole: Eigen, roundoff: f64) -> Result<Self, EvalError> {
        let n = whole.values.len();
        let (smallest, largest) = (whole.values.first().copied(), whole.values.last().copied().unwrap_or(0.0));
        let allowed = n as f64 * roundoff * largest.abs();
        match smallest {
            Some(eigenvalue) if eigenvalue < -allowed => {
                return Err(EvalError::Negative { eigenvalue, largest, allowed });
            }
            _ => {}
        }
        let zeros = whole.values.partition_point(|value| *value <= n as f64 * f64::EPSILON * largest);
        let columns = whole.vectors.columns;
        let vectors = Matrix { columns, values: whole.vectors.values[zeros * columns..].to_vec() };
        Ok(Self { values: whole.values[zeros..].to_vec(), vectors })
    }

    /// The eigenvectors as rows, each times a function of its eigenvalue.
    fn scaled(&self, factor: impl Fn(f64) -> f64) -> Matrix {
        let columns = self.vectors.columns;
        let rows = self.vectors.values.chunks_exact(columns.max(1)).zip(&self.values);
        let values = rows.flat_map(|(row, value)| {
            let factor = factor(*value);
            row.iter().map(move |entry| entry * factor)
        });
        Matrix { columns, values: values.collect() }
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

/// How far the sum of the roots of these eigenvalues may be off, if each is off by a share of the largest: a root
/// moves by at most `off / root`, and by at most `sqrt(off)`.
fn root_error(values: &[f64], off: f64) -> f64 {
    let off = off * values.last().copied().unwrap_or(0.0).max(0.0);
    let one = |value: &f64| if *value > off { off / value.sqrt() } else { off.sqrt() };
    values.iter().map(one).sum()
}

/// What the eigenvalues of the first covariance that were left out could have added to the distance.
fn lost(first: &Statistics, second: &Statistics, kept: usize) -> f64 {
    let n = first.width();
    let largest = |statistics: &Statistics| statistics.covariance.norm();
    let value = n as f64 * f64::EPSILON * largest(first);
    2.0 * (n - kept) as f64 * (value * largest(second)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;
    use crate::testing::normal_features;

    fn statistics(mean: &[f64], covariance: &[f64]) -> Statistics {
        Statistics {
            identity: None,
            count: None,
            mean: mean.to_vec(),
            covariance: Matrix { columns: mean.len(), values: covariance.to_vec() },
            roundoff: f64::EPSILON,
        }
    }

    /// A rotation by `angle` of the diagonal matrix.
    fn turned(a: f64, b: f64, angle: f64) -> [f64; 4] {
        let (sin, cos) = angle.sin_cos();
        let beside = (a - b) * sin * cos;
        [a * cos * cos + b * sin * sin, beside, beside, a * sin * sin + b * cos * cos]
    }

    /// For 2 x 2 matrices `tr (S1 S2)^(1/2) = sqrt(tr(S1 S2) + 2 sqrt(det S1 det S2))`, by Cayley and Hamilton.
    #[test]
    fn two_by_two_has_a_closed_form() {
        let (first, second) = (turned(4.0, 0.25, 0.3), turned(9.0, 1.0, -1.1));
        let product: f64 = (0..4).map(|k| first[k] * second[[0, 2, 1, 3][k]]).sum();
        let root = (product + 2.0 * (1.0 * 9.0f64).sqrt()).sqrt();
        let expected = 5.0 + 4.25 + 10.0 - 2.0 * root;
        let found = Frechet::between(&statistics(&[1.0, 2.0], &first), &statistics(&[2.0, 0.0], &second));
        let found = found.expect("covariances");
        assert!((found.distance - expected).abs() < 1e-13, "{} {expected}", found.distance);
        assert!((found.distance - expected).abs() < found.numerical_error, "{found:?}");
        assert_eq!(found.between_means, 5.0);
    }

    #[test]
    fn the_same_set_is_at_zero_within_the_stated_error() {
        // More pictures than features, as many, and fewer: the covariance is singular then.
        for (n, width) in [(500, 40), (40, 40), (15, 40), (2, 3)] {
            let statistics = Statistics::of(&normal_features(n, width, 5), "x").expect("finite");
            let found = Frechet::between(&statistics, &statistics).expect("covariances");
            assert!(found.distance.abs() <= found.numerical_error, "{n} x {width}: {found:?}");
            // And the stated error says something: the trace is near the width.
            assert!(found.numerical_error < 1e-4, "{n} x {width}: {}", found.numerical_error);
            assert!(found.residual < 1e-13, "{}", found.residual);
        }
    }

    #[test]
    fn a_shift_is_at_its_square_and_the_distance_is_symmetric() {
        let one = normal_features(300, 20, 1);
        let mut moved = one.clone();
        moved.values.iter_mut().for_each(|value| *value += 0.5);
        let [one, moved] = [&one, &moved].map(|set| Statistics::of(set, "x").expect("finite"));
        let there = Frechet::between(&one, &moved).expect("covariances");
        // The features are rounded to f32 after the shift: 20 times 2^-24 of their size.
        assert!((there.distance - 20.0 * 0.25).abs() < 1e-5, "{}", there.distance);
        let other = Statistics::of(&normal_features(100, 20, 2), "x").expect("finite");
        let back = Frechet::between(&other, &moved).expect("covariances").distance;
        let there = Frechet::between(&moved, &other).expect("covariances").distance;
        assert!((there - back).abs() < 1e-11, "{there} {back}");
    }

    #[test]
    fn what_is_no_covariance_or_of_other_features_is_refused() {
        let good = statistics(&[0.0; 2], &[1.0, 0.0, 0.0, 1.0]);
        let bad = statistics(&[0.0; 2], &[1.0, 2.0, 2.0, 1.0]);
        for (first, second) in [(&good, &bad), (&bad, &good)] {
            let error = Frechet::between(first, second).expect_err("an eigenvalue is -1");
            assert!(matches!(error, EvalError::Negative { eigenvalue, .. } if eigenvalue < -0.9), "{error}");
        }
        let wide = statistics(&[0.0], &[1.0]);
        assert_eq!(Frechet::between(&good, &wide).expect_err("widths"), EvalError::Widths { first: 2, second: 1 });
        let of = |identity: &str| Statistics { identity: Some(identity.to_owned()), ..good.clone() };
        assert!(Frechet::between(&good, &of("a")).is_ok() && Frechet::between(&of("a"), &of("a")).is_ok());
        let error = Frechet::between(&of("a"), &of("b")).expect_err("of other features");
        assert!(matches!(error, EvalError::Identities { .. }), "{error}");
        assert!(Statistics::of(&Features { width: 1, values: vec![1.0] }, "x").is_err());
    }
}
