//! How far two sets are apart, by how well a trained discriminator tells them apart.

use std::f64::consts::LN_2;
use std::ops::ControlFlow;

use crate::discriminator::training::Part;
use crate::pick::pick;
use crate::{Discriminator, EvalError, Mean, Samples, Training};

/// A divergence of two distributions `p` and `q`, and the loss whose least risk it is (Nguyen, Wainwright, Jordan
/// 2009; MATH.md). All are 0 for equal distributions only, and largest for those that do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// `1/2 sum |p - q|`, from 0 to 1: the 0-1 loss. No gradient leads down that one, so the discriminator is
    /// trained with the hinge loss, which has the same best answer, and judged by the 0-1 loss.
    TotalVariation,
    /// `1/2 sum (p - q)^2/(p + q)`, from 0 to 1: the squared loss (`f(t) = -4t/(t + 1)`; Le Cam's, or the
    /// triangular discrimination).
    Triangular,
    /// The mean of the divergences of `p` and `q` from their mean, from 0 to log 2: the logistic loss.
    JensenShannon,
}

impl Divergence {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TotalVariation, Self::Triangular, Self::JensenShannon];

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::TotalVariation => "total_variation",
            Self::Triangular => "triangular",
            Self::JensenShannon => "jensen_shannon",
        }
    }

    /// Its value for distributions that do not meet.
    pub fn largest(self) -> f64 {
        match self {
            Self::TotalVariation | Self::Triangular => 1.0,
            Self::JensenShannon => LN_2,
        }
    }

    /// The loss of an input whose score is so far on its right side of 0.
    pub fn loss(self, margin: f64) -> f64 {
        match self {
            // A score of 0 is a coin toss.
            Self::TotalVariation if margin == 0.0 => 0.5,
            Self::TotalVariation => f64::from(u8::from(margin < 0.0)),
            Self::Triangular => (1.0 - margin).powi(2),
            Self::JensenShannon => (-margin).max(0.0) + (-margin.abs()).exp().ln_1p(),
        }
    }

    /// What a risk, the mean of the mean losses of both sets, says about the divergence: 0 for that of guessing.
    pub fn of_risk(self, risk: f64) -> f64 {
        match self {
            Self::TotalVariation => 1.0 - 2.0 * risk,
            Self::Triangular | Self::JensenShannon => self.largest() - risk,
        }
    }

    /// The loss that it is trained with: its own, or the hinge loss.
    pub fn surrogate(self, margin: f64) -> f64 {
        match self {
            Self::TotalVariation => (1.0 - margin).max(0.0),
            _ => self.loss(margin),
        }
    }

    /// The derivative of that.
    pub fn surrogate_slope(self, margin: f64) -> f64 {
        match self {
            Self::TotalVariation => -f64::from(u8::from(margin < 1.0)),
            Self::Triangular => -2.0 * (1.0 - margin),
            Self::JensenShannon => -1.0 / (1.0 + margin.exp()),
        }
    }

    /// The risk under that loss where nothing can be told apart: 1, 1 and log 2.
    pub fn surrogate_of_guessing(self) -> f64 {
        self.surrogate(0.0)
    }

    /// The mean over both sets of the mean of that loss.
    pub(crate) fn surrogate_risk(self, margins: &[Vec<f64>; 2]) -> f64 {
        let mean = |margins: &Vec<f64>| {
            margins.iter().map(|margin| self.surrogate(*margin)).sum::<f64>() / margins.len() as f64
        };
        (mean(&margins[0]) + mean(&margins[1])) / 2.0
    }
}

/// A divergence as discriminators see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DivergenceEstimate {
    /// Which one.
    pub divergence: Divergence,
    /// What the risk on held-out inputs says of it. On average a lower bound: the risk of a discriminator that was
    /// not made for these inputs is at least the least risk. So it may lie below 0.
    pub value: Mean,
    /// In 95 of 100 cases the average that `value` estimates lies between these: by its standard error, and for
    /// the 0-1 loss by Newcombe's interval for a difference of shares, which is right at 0 and 1 too.
    pub interval: [f64; 2],
}

/// Inputs that each set needs at least.
pub const MIN_SAMPLES: usize = 20;

/// Estimates a divergence by discriminators that are judged by what they have not seen: the inputs of each set are
/// dealt into `folds` parts, and each part is judged by a discriminator that was trained with the others. So every
/// input is judged once. Both sets count the same, whatever their sizes.
///
/// `observe` is told of every step of training, and which share of the work is done; none comes back if it breaks.
///
/// # Errors
///
/// [`EvalError::TooFewSamples`] for a set of fewer than [`MIN_SAMPLES`], [`EvalError::Folds`] for fewer than 2
/// folds or so many that one has fewer than 2 inputs, and [`EvalError::Diverged`] if a score is not finite.
pub fn divergence(
    divergence: Divergence,
    discriminator: &Discriminator,
    sets: [Samples<'_>; 2],
    folds: usize,
    training: &Training,
    mut observe: impl FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<DivergenceEstimate>, EvalError> {
    let fewest = sets[0].len.min(sets[1].len);
    if fewest < MIN_SAMPLES {
        return Err(EvalError::TooFewSamples { found: fewest, needed: MIN_SAMPLES });
    }
    if folds < 2 || folds > fewest / 2 {
        return Err(EvalError::Folds { folds, most: fewest / 2 });
    }
    // Runs of training have the numbers of their folds; the deal comes after them.
    let order = [0, 1].map(|k| pick(training.seed, folds as u64, k as u32, sets[k].len, sets[k].len));
    let mut found = [Vec::new(), Vec::new()];
    for fold in 0..folds {
        let part = |held_out: bool| {
            [0, 1].map(|k: usize| {
                let places = order[k].iter().enumerate().filter(|(i, _)| (i % folds == fold) == held_out);
                Part { samples: sets[k], indices: places.map(|(_, index)| *index).collect() }
            })
        };
        let of_all = |share: f64| observe((fold as f64 + share) / folds as f64);
        let trained = training.train(discriminator, divergence, &part(false), fold as u64, of_all);
        let Some(learner) = trained else { return Ok(None) };
        let of_fold = learner.margins(&part(true));
        found.iter_mut().zip(of_fold).for_each(|(found, of_fold)| found.extend(of_fold));
    }
    if found.iter().flatten().any(|margin| !margin.is_finite()) {
        return Err(EvalError::Diverged { divergence: divergence.name() });
    }
    Ok(Some(DivergenceEstimate::of(divergence, &found)))
}

impl DivergenceEstimate {
    /// From held-out margins.
    fn of(divergence: Divergence, margins: &[Vec<f64>; 2]) -> Self {
        let losses = |k: usize| margins[k].iter().map(|margin| divergence.loss(*margin)).collect::<Vec<_>>();
        let [first, second] = [0, 1].map(|k| Mean::of(&losses(k)).expect("there are samples"));
        let value = divergence.of_risk((first.mean + second.mean) / 2.0);
        let slope = divergence.of_risk(0.0) - divergence.of_risk(1.0);
        let both = first.standard_error.zip(second.standard_error);
        let error = both.map(|(first, second)| slope / 2.0 * first.hypot(second));
        let interval = match divergence {
            // 1 - 2 risk is the share of the first set that is told right, less that of the second that is told
            // wrong.
            Divergence::TotalVariation => {
                let counts = [0, 1].map(|k| margins[k].len() as f64);
                difference_of_shares([1.0 - first.mean, second.mean], counts)
            }
            _ => [-1.0, 1.0].map(|side| value + side * TWO_SIDED_95 * error.unwrap_or(f64::INFINITY)),
        };
        Self { divergence, value: Mean { mean: value, standard_error: error }, interval }
    }
}

/// The quantile of the normal distribution beyond which 2.5 in 100 lie.
const TWO_SIDED_95: f64 = 1.959_963_984_540_054;

/// The interval of a difference of two shares by Newcombe 1998 (*Interval Estimation for the Difference Between
/// Independent Proportions*, method 10), from Wilson's intervals of both.
fn difference_of_shares(shares: [f64; 2], counts: [f64; 2]) -> [f64; 2] {
    let wilson = |k: usize| {
        let (share, n, z2) = (shares[k], counts[k], TWO_SIDED_95 * TWO_SIDED_95);
        let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = TWO_SIDED_95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
        [middle - half, middle + half]
    };
    let ([low_1, high_1], [low_2, high_2]) = (wilson(0), wilson(1));
    let difference = shares[0] - shares[1];
    [
        difference - (shares[0] - low_1).hypot(high_2 - shares[1]),
        difference + (high_1 - shares[0]).hypot(shares[1] - low_2),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best margin of a point where `p` is `t` times `q`, and the risk there, `-f(t)/(t + 1)`: no other margin
    /// does better.
    #[test]
    fn least_losses_are_those_of_the_table() {
        for t in [0.1_f64, 0.9, 1.0, 3.0, 20.0] {
            let risk = |divergence: Divergence, score: f64| {
                (t * divergence.loss(score) + divergence.loss(-score)) / (t + 1.0)
            };
            let log = |x: f64| x * f64::ln(x);
            for (divergence, best, least) in [
                (Divergence::TotalVariation, t.ln(), t.min(1.0) / (t + 1.0)),
                (Divergence::Triangular, (t - 1.0) / (t + 1.0), 4.0 * t / (t + 1.0).powi(2)),
                (Divergence::JensenShannon, t.ln(), -log(t / (t + 1.0)) - log(1.0 / (t + 1.0))),
            ] {
                // Rounding; at t = 1 the 0-1 loss is one half for every score.
                assert!((risk(divergence, best) - least).abs() < 1e-12, "{divergence:?} {t}");
                let grid = (-400..400).map(|k| risk(divergence, f64::from(k) / 100.0));
                assert!(grid.fold(f64::INFINITY, f64::min) > least - 1e-12, "{divergence:?} {t}");
            }
        }
    }

    /// `f(t)` never rises and is convex, on a grid of scores: its slope is minus the loss of the best score,
    /// which is nothing for the 0-1 and the hinge loss where `p` is larger.
    #[test]
    fn f_decreases_and_is_convex() {
        let scores = || (-1000..=1000).map(|k| f64::from(k) / 100.0);
        for divergence in Divergence::ALL {
            for loss in [Divergence::loss, Divergence::surrogate] {
                let f = |t: f64| {
                    let risk = |score: f64| t * loss(divergence, score) + loss(divergence, -score);
                    -scores().map(risk).fold(f64::INFINITY, f64::min)
                };
                let h = 0.05;
                for t in (1..100).map(|k| h * f64::from(k)) {
                    let (before, here, after) = (f(t - h), f(t), f(t + h));
                    assert!(after <= here && here <= 0.0, "{divergence:?} {t}: {here}, then {after}");
                    // Rounding.
                    assert!(before + after - 2.0 * here > -1e-12, "{divergence:?} {t}");
                }
                assert!(f(0.5) > f(0.9), "{divergence:?} falls where q is larger");
            }
        }
    }

    /// What it is trained with is the loss, or the hinge loss, and its slope is that of its values and leads away
    /// from guessing.
    #[test]
    fn training_goes_down_the_loss() {
        for divergence in Divergence::ALL {
            for margin in [-30.0, -1.5, 0.0, 0.5, 1.5, 30.0] {
                let (loss, hinge) = (divergence.surrogate(margin), f64::max(1.0 - margin, 0.0));
                let expected =
                    if divergence == Divergence::TotalVariation { hinge } else { divergence.loss(margin) };
                assert_eq!(loss, expected, "{divergence:?} {margin}");
                let (h, slope) = (1e-5, divergence.surrogate_slope(margin));
                let difference = (divergence.surrogate(margin + h) - divergence.surrogate(margin - h)) / (2.0 * h);
                // Rounding of values up to a thousand, divided by h.
                assert!((slope - difference).abs() < 1e-7, "{divergence:?} {margin}: {slope} and {difference}");
            }
            assert!(divergence.surrogate_slope(0.0) < -0.4, "{divergence:?}");
        }
    }

    #[test]
    fn guessing_says_0_and_knowing_says_the_largest() {
        for divergence in Divergence::ALL {
            assert_eq!(divergence.of_risk(divergence.loss(0.0)), 0.0);
            assert_eq!(divergence.of_risk(0.0), divergence.largest());
        }
    }

    /// Newcombe's own example, 56/70 against 48/80, in his Table II, method 10: 0.0524 to 0.3339.
    #[test]
    fn shares_have_newcombes_interval() {
        let [low, high] = difference_of_shares([56.0 / 70.0, 48.0 / 80.0], [70.0, 80.0]);
        assert!((low - 0.0524).abs() < 5e-5 && (high - 0.3339).abs() < 5e-5, "{low} {high}");
        let [low, high] = difference_of_shares([1.0, 0.0], [50.0, 50.0]);
        assert!(low < 0.95 && high == 1.0, "{low} {high}");
    }

    /// The risks in the middle of two sets of unlike sizes, and their error: a quarter of the sum of both
    /// variances.
    #[test]
    fn both_sets_count_the_same() {
        let margins = [vec![1.0, 1.0, 0.0, 0.0], vec![0.5, 1.5]];
        let estimate = DivergenceEstimate::of(Divergence::Triangular, &margins);
        // Losses 0 0 1 1 with a mean of 1/2, and 1/4 1/4.
        assert_eq!(estimate.value.mean, 1.0 - (0.5 + 0.25) / 2.0);
        assert!(
            (estimate.value.standard_error.expect("samples") - (1.0_f64 / 3.0 / 4.0 / 4.0).sqrt()).abs() < 1e-12
        );
    }
}
