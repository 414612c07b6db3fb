//! A decoder against a discriminator: what it is told, and how much that counts.

use crate::Divergence;

/// What a network that makes pictures is told by the scores of what it made, the discriminator having learned to
/// give them negative ones (MATH.md section 39).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorLoss {
    /// Minus the score: a slope of the same size wherever the discriminator stands.
    Linear,
    /// The loss as if what was made were of the first set: the slope is largest where the discriminator is sure.
    NonSaturating,
    /// Minus the loss of the discriminator: half of an f-divergence where that is the best one, and no slope
    /// where it is sure.
    Saturating,
}

impl GeneratorLoss {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Linear, Self::NonSaturating, Self::Saturating];

    /// The loss of something with this score, beside a discriminator that is trained for `divergence`.
    pub fn loss(self, divergence: Divergence, score: f64) -> f64 {
        match self {
            Self::Linear => -score,
            Self::NonSaturating => divergence.surrogate(score),
            Self::Saturating => -divergence.surrogate(-score),
        }
    }

    /// The derivative of that by the score.
    pub fn slope(self, divergence: Divergence, score: f64) -> f64 {
        match self {
            Self::Linear => -1.0,
            Self::NonSaturating => divergence.surrogate_slope(score),
            Self::Saturating => divergence.surrogate_slope(-score),
        }
    }
}

/// What is added to the length of the adversary's gradient before it divides.
const LEAST: f64 = 1e-4;
/// The largest ratio of the two lengths.
const MOST: f64 = 1e4;

/// What the adversary's loss counts beside a likelihood, so that in the decoder's last layer the one is as
/// strong as the other, times `weight`: the ratio of the lengths of both gradients there, between 0 and 10,000
/// (Esser, Rombach, Ommer 2021, arXiv:2012.09841, Eq. 7). It is a number, through which no gradient goes.
pub fn adaptive_weight(likelihood: f64, adversary: f64, weight: f64) -> f64 {
    weight * (likelihood / (adversary + LEAST)).clamp(0.0, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slope is that of the loss, away from corners.
    #[test]
    fn slopes_are_those_of_the_losses() {
        for divergence in Divergence::ALL {
            for generator in GeneratorLoss::ALL {
                for score in [-3.0, -1.5, 0.2, 0.7, 4.0] {
                    let h = 1e-5;
                    let of = |score| generator.loss(divergence, score);
                    let difference = (of(score + h) - of(score - h)) / (2.0 * h);
                    let slope = generator.slope(divergence, score);
                    // Rounding of losses up to 25, divided by h.
                    assert!((slope - difference).abs() < 1e-8, "{divergence:?} {generator:?} {score}: {slope}");
                }
            }
        }
    }
}
