//! The Frechet distance of infinitely many pictures.

use super::Frechet;
use crate::pick::pick;
use crate::{EvalError, Features, Statistics};

/// The sets are cut into 1, 2, and up to so many parts.
const MOST_PARTS: usize = 5;

/// A Frechet distance extrapolated to infinitely many pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Extrapolated {
    /// Where the line meets infinitely many pictures.
    pub distance: f64,
    /// The bias of the whole sets by this line: how much larger their distance is.
    pub bias: f64,
    /// The root mean square distance of the points from the line: large where it is not a line.
    pub scatter: f64,
}

/// The Frechet distance as the sets grow without end: the bias of sets of n pictures is `c / n` up to higher
/// orders, with a c that depends on both distributions, so distances of smaller sets are laid on a line in `1 / n`
/// (Chong and Forsyth 2020, section 3). Where they take one random subset of each size, all pictures are used at
/// each size here: the distances of the whole sets, and the means of those of random halves, thirds, quarters and
/// fifths. All sets given as features are cut alike; statistics stay as they are, bias included.
///
/// It is a line where a fifth of the set has several times as many pictures as features; with fewer, higher orders
/// bend it, and `scatter` shows it.
///
/// # Errors
/// As [`Statistics::of`] and [`Frechet::between`], and [`EvalError::TooFew`] below 20 pictures.
pub fn extrapolated(first: &Features, second: Against<'_>, seed: u64) -> Result<Extrapolated, EvalError> {
    let smaller = match second {
        Against::Features(second) => first.len().min(second.len()),
        Against::Statistics(_) => first.len(),
    };
    let (found, needed) = (smaller, 4 * MOST_PARTS);
    if found < needed {
        return Err(EvalError::TooFew { statistic: "the extrapolated Frechet distance", found, needed });
    }
    let first = Shuffled::new(first, seed, 0);
    let second = match second {
        Against::Features(second) => Other::Shuffled(Shuffled::new(second, seed, 1)),
        Against::Statistics(second) => Other::Fixed(Statistics { identity: None, ..second.clone() }),
    };
    let mut points = Vec::with_capacity(MOST_PARTS);
    for parts in 1..=MOST_PARTS {
        let mut sum = 0.0;
        for k in 0..parts {
            let first = first.part(k, parts)?;
            sum += match &second {
                Other::Shuffled(second) => Frechet::between(&first, &second.part(k, parts)?)?,
                Other::Fixed(second) => Frechet::between(&first, second)?,
            }
            .distance;
        }
        points.push((parts as f64, sum / parts as f64));
    }
    Ok(line(&points))
}

/// What a set is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Against<'a> {
    /// The features of another.
    Features(&'a Features),
    /// The statistics of another, of the same features.
    Statistics(&'a Statistics),
}

/// The second set, made ready.
enum Other<'a> {
    Shuffled(Shuffled<'a>),
    Fixed(Statistics),
}

/// A set in random order: as it comes it may be sorted by class.
struct Shuffled<'a> {
    set: &'a Features,
    order: Vec<usize>,
}

impl<'a> Shuffled<'a> {
    fn new(set: &'a Features, seed: u64, stream: u32) -> Self {
        Self { set, order: pick(seed, 0, stream, set.len(), set.len()) }
    }

    /// The statistics of part `k` of so many.
    fn part(&self, k: usize, parts: usize) -> Result<Statistics, EvalError> {
        let n = self.order.len();
        Statistics::of(&self.set.at(&self.order[k * n / parts..(k + 1) * n / parts]), "a part")
    }
}

/// Least squares of `distance = a + b x`.
fn line(points: &[(f64, f64)]) -> Extrapolated {
    let n = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|(x, _)| x).sum::<f64>() / n, points.iter().map(|(_, y)| y).sum::<f64>() / n);
    let along: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let slope = along / points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
    let distance = mean_y - slope * mean_x;
    let square = |(x, y): &(f64, f64)| (y - distance - slope * x).powi(2);
    // At x = 1, the whole sets, the line is `slope` above its end.
    Extrapolated { distance, bias: slope, scatter: (points.iter().map(square).sum::<f64>() / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal_features;

    #[test]
    fn points_on_a_line_are_extrapolated_exactly() {
        let found = line(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert!((found.distance - 3.0).abs() < 1e-12 && (found.bias - 2.0).abs() < 1e-12, "{found:?}");
        assert!(found.scatter < 1e-12, "{found:?}");
    }

    /// Two samples of one distribution are at distance 0, and their Frechet distance is far from it.
    #[test]
    fn the_bias_of_short_samples_goes() {
        let of = |set: &Features| Statistics::of(set, "x").expect("finite");
        let found: Vec<[f64; 4]> = (0..10)
            .map(|k| {
                let (first, second) = (normal_features(1000, 10, 2 * k), normal_features(1000, 10, 2 * k + 1));
                let plain = Frechet::between(&of(&first), &of(&second)).expect("covariances").distance;
                let both = extrapolated(&first, Against::Features(&second), 0).expect("many");
                let one = extrapolated(&first, Against::Statistics(&of(&second)), 0).expect("many");
                [plain, both.distance, both.bias, one.bias]
            })
            .collect();
        let [plain, both, bias, bias_of_one] =
            [0, 1, 2, 3].map(|k| found.iter().map(|f| f[k]).sum::<f64>() / 10.0);
        assert!(both.abs() < 0.1 * plain, "{both} of {plain}");
        // Half the bias is that of the set that is cut.
        assert!(
            (bias / plain - 1.0).abs() < 0.1 && (bias_of_one / plain - 0.5).abs() < 0.1,
            "{bias} {bias_of_one}"
        );
    }

    #[test]
    fn parts_need_pictures() {
        let second = normal_features(40, 10, 2);
        let short = normal_features(19, 10, 1);
        assert!(extrapolated(&short, Against::Features(&second), 0).is_err());
    }
}
