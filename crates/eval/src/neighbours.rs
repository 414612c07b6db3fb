//! Fidelity and diversity by nearest neighbours.

use macerator::AutoArch;
use rayon::prelude::*;

use crate::{EvalError, Features, Mean};

/// How many neighbours the balls of precision and recall reach to (Kynkäänniemi et al. 2019, section 3.1).
pub const PRECISION_NEIGHBOURS: usize = 3;

/// How many those of density and coverage reach to (Naeem et al. 2020, section 5).
pub const DENSITY_NEIGHBOURS: usize = 5;

/// How well a set imitates a reference, and how much of it. Around each picture lies a ball that reaches to its
/// k-th nearest neighbour in its own set; balls are closed.
///
/// The standard errors are those of the means over pictures, with the balls held fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbourhoods {
    /// The share of the set that lies in a ball of the reference (Kynkäänniemi et al. 2019, Eq. 2), k = 3.
    pub precision: Mean,
    /// The share of the reference that lies in a ball of the set, k = 3.
    pub recall: Mean,
    /// In how many balls of the reference a picture of the set lies, over k (Naeem et al. 2020, Eq. 4), k = 5:
    /// near 1 for a perfect imitation, more for one that keeps to the crowded places.
    pub density: Mean,
    /// The share of the balls of the reference with a picture of the set in them (Eq. 5), k = 5.
    pub coverage: Mean,
}

/// What one set sees of another.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The nearest of the others.
    nearest: f32,
    /// In how many of the others' small balls this one lies.
    small: usize,
    /// The same for their large balls.
    large: usize,
}

impl Neighbourhoods {
    /// Compares a set with a reference. Every pair is looked at: `n^2` times the width of the features.
    ///
    /// # Errors
    /// [`EvalError::TooFew`], [`EvalError::Widths`], and [`EvalError::FeatureNotFinite`].
    pub fn between(set: &Features, reference: &Features) -> Result<Self, EvalError> {
        set.check_pair(reference, "precision, recall, density and coverage", DENSITY_NEIGHBOURS + 1)?;
        [set, reference].into_iter().try_for_each(Features::check_finite)?;
        let (of_set, of_reference) = (radii(set), radii(reference));
        let from_set = seen(set, reference, &of_reference);
        let from_reference = seen(reference, set, &of_set);
        let mean = |values: Vec<f64>| Mean::of(&values).expect("at least six pictures");
        let share =
            |inside: &mut dyn Iterator<Item = bool>| mean(inside.map(|inside| f64::from(inside as u8)).collect());
        let covered = from_reference.iter().zip(&of_reference).map(|(seen, [_, large])| seen.nearest <= *large);
        let density = from_set.iter().map(|seen| seen.large as f64 / DENSITY_NEIGHBOURS as f64).collect();
        Ok(Self {
            precision: share(&mut from_set.iter().map(|seen| seen.small > 0)),
            recall: share(&mut from_reference.iter().map(|seen| seen.small > 0)),
            density: mean(density),
            coverage: share(&mut { covered }),
        })
    }
}

/// The squared radii of the small and the large ball around each picture.
fn radii(set: &Features) -> Vec<[f32; 2]> {
    let start = [f32::INFINITY; DENSITY_NEIGHBOURS];
    let nearest = over_pairs(set, set, start, |nearest, at, other, distance| {
        if at != other && distance < nearest[DENSITY_NEIGHBOURS - 1] {
            let place = nearest.partition_point(|near| *near <= distance);
            nearest[place..].rotate_right(1);
            nearest[place] = distance;
        }
    });
    nearest.iter().map(|nearest| [nearest[PRECISION_NEIGHBOURS - 1], nearest[DENSITY_NEIGHBOURS - 1]]).collect()
}

fn seen(from: &Features, others: &Features, radii: &[[f32; 2]]) -> Vec<Seen> {
    let start = Seen { nearest: f32::INFINITY, ..Seen::default() };
    over_pairs(from, others, start, |seen, _, other, distance| {
        seen.nearest = seen.nearest.min(distance);
        seen.small += usize::from(distance <= radii[other][0]);
        seen.large += usize::from(distance <= radii[other][1]);
    })
}

/// Rows of each set that are compared before the next are fetched: with some thousand features both stay in a
/// cache.
const BLOCK: usize = 32;

/// For each vector of one set what comes of looking at every vector of another: `look(state, place, other place,
/// squared distance)`.
fn over_pairs<T: Copy + Send + Sync>(
    from: &Features,
    to: &Features,
    start: T,
    look: impl Fn(&mut T, usize, usize, f32) + Sync,
) -> Vec<T> {
    let mut states = vec![start; from.len()];
    let width = from.width;
    states.par_chunks_mut(BLOCK).enumerate().for_each(|(block, states)| {
        let own = &from.values[block * BLOCK * width..][..states.len() * width];
        for (other_block, others) in to.values.chunks(BLOCK * width).enumerate() {
            let mut distances = [[0.0; BLOCK]; BLOCK];
            AutoArch::new().dispatch(
                #[inline(always)]
                || all_distances(own, others, width, &mut distances),
            );
            for (k, (state, distances)) in states.iter_mut().zip(&distances).enumerate() {
                for (other, distance) in distances[..others.len() / width].iter().enumerate() {
                    look(state, block * BLOCK + k, other_block * BLOCK + other, *distance);
                }
            }
        }
    });
    states
}

#[inline(always)]
fn all_distances(own: &[f32], others: &[f32], width: usize, distances: &mut [[f32; BLOCK]; BLOCK]) {
    for (one, distances) in own.chunks_exact(width).zip(distances) {
        for (other, distance) in others.chunks_exact(width).zip(distances) {
            *distance = squared_distance(one, other);
        }
    }
}

/// Numbers summed side by side.
const LANES: usize = 16;

/// By differences and not by products: exactly 0 for equal vectors, the same both ways, and to a few units in the
/// last place of f32 for neighbours however far from zero they are.
#[inline(always)]
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let whole = a.len() / LANES * LANES;
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            let apart = a[lane] - b[lane];
            sums[lane] += apart * apart;
        }
    }
    let rest: f32 = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal_features;

    fn moved(mut set: Features, by: f32) -> Features {
        set.values.iter_mut().for_each(|value| *value += by);
        set
    }

    #[test]
    fn a_set_imitates_itself_and_nothing_far_away() {
        let set = normal_features(100, 20, 1);
        let same = Neighbourhoods::between(&set, &set).expect("many");
        assert_eq!([same.precision, same.recall, same.coverage].map(|found| found.mean), [1.0; 3]);
        // Each picture lies in its own ball, in those of k others on average, and neighbours are no ties here.
        assert!((same.density.mean - 6.0 / 5.0).abs() < 1e-12, "{}", same.density.mean);
        let far = Neighbourhoods::between(&set, &moved(normal_features(100, 20, 2), 100.0)).expect("many");
        assert_eq!([far.precision, far.recall, far.density, far.coverage].map(|found| found.mean), [0.0; 4]);
    }

    /// On a line by hand: the reference 0, 1, ... 9 has k-th neighbours at known distances.
    #[test]
    fn points_on_a_line() {
        let line = |values: Vec<f32>| Features { width: 1, values };
        let reference = line((0..10).map(|k| k as f32).collect());
        assert_eq!(radii(&reference)[0], [9.0, 25.0]); // 1, 2, 3 away, and 5 away
        assert_eq!(radii(&reference)[4], [4.0, 9.0]); // 3, 5, 2, 6, 1
        // All at 9: the set's balls have no size.
        let set = line(vec![9.0; 8]);
        let found = Neighbourhoods::between(&set, &reference).expect("enough");
        assert_eq!(found.precision.mean, 1.0);
        assert_eq!(found.recall.mean, 0.1);
        // Large balls that hold 9: of 9 (5), 8 (4), 7 (3), 6 (3).
        assert!((found.density.mean - 4.0 / 5.0).abs() < 1e-15, "{found:?}");
        assert_eq!(found.coverage.mean, 0.4);
    }

    /// For two samples of one distribution coverage is `1 - (m-1)...(m-k) / ((2m-1)...(2m-k))` on average
    /// (Naeem et al. 2020, Eq. 9), and density 1.
    #[test]
    fn a_perfect_imitation_has_the_expected_coverage() {
        let m = 2000;
        let found = Neighbourhoods::between(&normal_features(m, 6, 1), &normal_features(m, 6, 2)).expect("many");
        let left: f64 = (1..=DENSITY_NEIGHBOURS).map(|k| (m - k) as f64 / (2 * m - k) as f64).product();
        let near =
            |found: Mean, expected: f64| (found.mean - expected).abs() < 5.0 * found.standard_error.expect("many");
        assert!(near(found.coverage, 1.0 - left), "{found:?} {left}");
        // The balls are random too, which doubles the variance, more or less.
        assert!(near(found.density, 1.0), "{found:?}");
    }

    #[test]
    fn blocks_do_not_matter() {
        let (a, b) = (normal_features(67, 37, 1), normal_features(45, 37, 2));
        let found = over_pairs(&a, &b, [0.0f32; 45], |row, _, other, distance| row[other] = distance);
        for (row, one) in found.iter().zip(a.rows()) {
            for (distance, other) in row.iter().zip(b.rows()) {
                let exact: f64 = one.iter().zip(other).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                // 37 numbers in f32: three sums a lane, sixteen lanes.
                assert!((f64::from(*distance) / exact - 1.0).abs() < 20.0 * f64::from(f32::EPSILON));
            }
        }
    }

    #[test]
    fn sets_have_to_be_large_enough_and_alike() {
        let set = normal_features(6, 2, 1);
        assert!(Neighbourhoods::between(&set, &set).is_ok());
        let error = Neighbourhoods::between(&normal_features(5, 2, 1), &set).expect_err("five");
        assert!(matches!(error, EvalError::TooFew { found: 5, needed: 6, .. }), "{error}");
        assert!(Neighbourhoods::between(&set, &normal_features(6, 3, 1)).is_err());
    }
}
