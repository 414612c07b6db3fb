//! The Frechet distance between normal distributions.

mod infinite;
mod parts;
mod spread;

pub use self::infinite::{Against, Extrapolated, extrapolated};
use self::parts::{Decomposed, Positive, Product, inner};
use crate::{EvalError, Statistics};

/// The squared Frechet (2-Wasserstein) distance between the normal distributions of two sets' features: with the
/// features of Inception-v3 the FID, and of its spatial features the sFID.
///
/// ```text
/// |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)
/// ```
///
/// (Dowson and Landau 1982, Eq. 4; Heusel et al. 2017, Eq. 6.) The distance between finite samples is too large on
/// average, see [`extrapolated`], and its numerical error, that of square roots of eigenvalues near 0, is bounded
/// here. Where a set has no more pictures than features, the roots are found from the products of its pictures
/// with each other, a smaller matrix than that of its features. All of it is derived in MATH.md section 32.
#[derive(Clone, Debug)]
pub struct Frechet {
    /// The distance.
    pub distance: f64,
    /// The part of it that lies between the means.
    pub between_means: f64,
    /// How far the distance may be off by rounding.
    pub numerical_error: f64,
    /// `|R R - S1| / |S1|` (Frobenius) of the matrix R that is taken for the square root of S1, or of S2 where
    /// that is the smaller problem: what the eigen-decomposition got wrong.
    pub residual: f64,
    maps: Maps,
}

/// What the standard error needs of the decompositions.
#[derive(Clone, Debug)]
struct Maps {
    means: [Vec<f64>; 2],
    /// Whose covariance was taken apart; the words below call it the first.
    base: Side,
    /// `S1 = V W V^T`, without what is 0 up to rounding.
    first: Positive,
    /// `W^(1/2) V^T S2 V W^(1/2) = U L U^T`, likewise.
    product: Product,
}

/// One of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

impl Frechet {
    /// Between two sets' statistics.
    ///
    /// # Errors
    /// [`EvalError::Identities`] and [`EvalError::Widths`] for statistics that do not belong together, and
    /// [`EvalError::Negative`] and [`EvalError::NoEigenvalues`] for one that is not a covariance.
    pub fn between(first: &Statistics, second: &Statistics) -> Result<Self, EvalError> {
        check(first, second)?;
        let base = Side::of_fewer(first, second);
        let (own, other) = if base == Side::First { (first, second) } else { (second, first) };
        let Decomposed { positive, residual, left_out, terms } = Decomposed::new(own)?;
        let inner = inner(&positive.scaled(f64::sqrt), other);
        let (size, few) = (inner.columns, own.rows.is_some());
        let off = (f64::EPSILON * (first.mean.len() as f64).sqrt()).max(residual);
        let roundoff = first.roundoff.max(second.roundoff);
        let product = Product::new(inner, if few { terms } else { size }, roundoff)?;
        let numerical_error = 2.0 * root_error(product.values(), off);
        let between_means = first.mean.iter().zip(&second.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let root_trace: f64 = product.positive_values().iter().map(|value| value.sqrt()).sum();
        let between_covariances = first.covariance.trace() + second.covariance.trace() - 2.0 * root_trace;
        Ok(Self {
            distance: between_means + between_covariances,
            between_means,
            numerical_error: numerical_error + lost([own, other], terms, left_out),
            residual,
            maps: Maps { means: [first.mean.clone(), second.mean.clone()], base, first: positive, product },
        })
    }
}

impl Side {
    /// The one whose covariance is the smaller problem: that of fewer pictures, if there are no more than
    /// features.
    fn of_fewer(first: &Statistics, second: &Statistics) -> Self {
        match (&first.rows, &second.rows) {
            (None, Some(_)) => Self::Second,
            (Some(first), Some(second)) if second.rows < first.rows => Self::Second,
            _ => Self::First,
        }
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

/// How far the sum of the roots of these eigenvalues may be off, if each is off by a share of the largest: a root
/// moves by at most `off / root`, and by at most `sqrt(off)`.
fn root_error(values: &[f64], off: f64) -> f64 {
    let off = off * values.last().copied().unwrap_or(0.0).max(0.0);
    let one = |value: &f64| if *value > off { off / value.sqrt() } else { off.sqrt() };
    values.iter().map(one).sum()
}

/// What so many eigenvalues of the first covariance that were left out could have added to the distance.
fn lost([first, second]: [&Statistics; 2], terms: usize, left_out: usize) -> f64 {
    let largest = |statistics: &Statistics| statistics.covariance.norm();
    let value = terms as f64 * f64::EPSILON * largest(first);
    2.0 * left_out as f64 * (value * largest(second)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;
    use crate::matrix::Matrix;
    use crate::testing::normal_features;

    fn statistics(mean: &[f64], covariance: &[f64]) -> Statistics {
        Statistics {
            identity: None,
            count: None,
            mean: mean.to_vec(),
            covariance: Matrix::of_rows(mean.len(), covariance.to_vec()),
            rows: None,
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

    /// All numbers of a distance, standard errors included.
    fn all_of(one: &Statistics, other: &Statistics, sets: [&Features; 2]) -> [f64; 5] {
        let found = Frechet::between(one, other).expect("covariances");
        let error = |a, b| found.standard_error(a, b).expect("fits").expect("given");
        let errors = [error(Some(sets[0]), None), error(None, Some(sets[1]))];
        [found.distance, found.between_means, found.numerical_error, errors[0], errors[1]]
    }

    /// What is found from products of pictures is what is found from those of features: rounding of sums of 60
    /// terms in roots of eigenvalues that are far from 0, and in the errors a little more, whose maps divide by
    /// them.
    #[test]
    fn fewer_pictures_than_features_are_a_smaller_problem_with_the_same_answer() {
        let width = 60;
        for (n, m) in [(10, 200), (200, 10), (10, 12), (12, 10), (30, 60), (61, 2)] {
            let mut sets = [normal_features(n, width, 1), normal_features(m, width, 2)];
            sets[1].values.iter_mut().for_each(|value| *value = 0.5 + 2.0 * *value);
            let [one, other] = sets.each_ref().map(|set| Statistics::of(set, "x").expect("finite"));
            assert_eq!((one.rows.is_some(), other.rows.is_some()), (n <= width, m <= width));
            let [dense, also_dense] = [&one, &other].map(|few| Statistics { rows: None, ..few.clone() });
            // Statistics of a file, whose pictures are gone.
            let [read, also_read] = [&one, &other].map(|few| {
                let [mu, sigma] = few.to_arrays();
                Statistics::from_arrays(&mu, &sigma, None, few.count()).expect("whole")
            });
            assert_eq!((read.rows.is_some(), also_read.rows.is_some()), (n <= width, m <= width));
            let expected = all_of(&dense, &also_dense, [&sets[0], &sets[1]]);
            for (one, other) in [(&one, &other), (&one, &also_dense), (&dense, &other), (&read, &also_read)] {
                let found = all_of(one, other, [&sets[0], &sets[1]]);
                assert!((found[0] / expected[0] - 1.0).abs() < 1e-12, "{n} {m}: {found:?} {expected:?}");
                assert!(found[2] <= expected[2], "{n} {m}: {found:?} {expected:?}");
                for k in [3, 4] {
                    assert!((found[k] / expected[k] - 1.0).abs() < 1e-9, "{n} {m}: {found:?} {expected:?}");
                }
            }
        }
    }

    /// A set without variance has a covariance of rank 0: what is left is the distance of the means, and the trace
    /// of the other set's covariance.
    #[test]
    fn sets_without_variance_have_a_distance() {
        let flat = |n: usize, level: f32| Features { width: 3, values: vec![level; 3 * n] };
        let of = |set: &Features| Statistics::of(set, "x").expect("finite");
        for n in [2, 3, 10] {
            let found = all_of(&of(&flat(n, 0.0)), &of(&flat(4, 2.0)), [&flat(n, 0.0), &flat(4, 2.0)]);
            assert_eq!(found, [12.0, 12.0, 0.0, 0.0, 0.0]);
        }
        for n in [3, 50] {
            let (set, flat) = (normal_features(n, 3, 1), flat(5, 0.0));
            let (one, other) = (of(&set), of(&flat));
            let expected = one.mean.iter().map(|mean| mean * mean).sum::<f64>() + one.covariance.trace();
            for (one, other, sets) in [(&one, &other, [&set, &flat]), (&other, &one, [&flat, &set])] {
                let found = all_of(one, other, sets);
                assert!((found[0] / expected - 1.0).abs() < 1e-14 && found[2] < 1e-6, "{found:?} {expected}");
                assert!(found[3..].iter().all(|error| error.is_finite()), "{found:?}");
            }
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
