//! What a training step minimises.

use crate::RecipeError;
use crate::batch::Batch;
use ddim_schedule::{Marginal, Prediction};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which of the two losses that lead to the same score is minimised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The network is shown a noisy picture and told what noise (or picture, or v) was in it: the mean squared
    /// error (Vincent 2011; Ho et al. 2020, arXiv:2006.11239, Eq. 14).
    #[default]
    Denoising,
    /// The network is told nothing: `|score|^2/2 + tr(d score/dx)` (Hyvarinen 2005, Eq. 4), times
    /// `2 (1 - alpha_bar)` a value. That is the mean squared error in eps less the constant 1, on average over the
    /// noise (MATH.md), with more spread.
    ///
    /// The trace would take a second derivative through the network, which burn does not give. It is estimated
    /// from the difference of two calls along a vector of random signs (Pang et al. 2020, arXiv:2007.03317), with
    /// an error of the square of their distance.
    Implicit,
}

impl FromStr for Objective {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        match text {
            "denoising" => Ok(Self::Denoising),
            "implicit" => Ok(Self::Implicit),
            _ => Err(RecipeError::Value {
                key: "objective",
                value: text.to_owned(),
                allowed: "denoising or implicit".to_owned(),
            }),
        }
    }
}

/// How far from the picture the two calls of the implicit objective are, in units of its noise. Features of a
/// score are as wide as the noise, so the error is some 1/64^2 of the trace; a smaller step loses as much to
/// rounding.
const STEP: f64 = 1.0 / 64.0;

/// The loss of a run, value by value on the processor, and on tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) objective: Objective,
    pub(crate) prediction: Prediction,
}

/// One picture of the implicit objective, as the network sees it `STEP` noises above and below along some signs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// What the network is given, above and below.
    pub(crate) x: [&'a [f32]; 2],
    /// What it says.
    pub(crate) out: [&'a [f32]; 2],
    pub(crate) signs: &'a [f32],
    pub(crate) alpha_bar: f64,
}

impl Loss {
    /// What the network is given on one side: `x_t + side STEP noise signs`.
    pub(crate) fn shifted(self, batch: &Batch, side: f64) -> Vec<f32> {
        let size = batch.target.len() / batch.times.len();
        let pictures = batch.x_t.chunks_exact(size).zip(batch.target.chunks_exact(size)).zip(&batch.alpha_bars);
        let shifted = pictures.flat_map(|((x, signs), alpha_bar)| {
            let shift = (side * STEP * Marginal::new(*alpha_bar).noise) as f32;
            x.iter().zip(signs).map(move |(x, sign)| x + shift * sign)
        });
        shifted.collect()
    }

    /// The sum over a picture's values of `eps^2 - 2 noise d eps/dx`, which is the divergence along the signs on
    /// average: `eps` is the mean of both sides, and its slope their difference over twice the step.
    pub(crate) fn implicit(self, pair: &Pair) -> f64 {
        let term = |([above, below], sign): ([f64; 2], f64)| {
            let middle = (above + below) / 2.0;
            middle * middle - (above - below) * sign / STEP
        };
        self.eps(pair).map(term).sum()
    }

    /// Its slope by what the network says on one side, times `scale`.
    pub(crate) fn implicit_slope(self, pair: &Pair, side: usize, scale: f64, slope: &mut [f32]) {
        let from_out = self.prediction.coefficients(pair.alpha_bar).eps_from_out;
        let direction = [-1.0, 1.0][side] / STEP;
        for (([above, below], sign), slope) in self.eps(pair).zip(slope) {
            *slope = (scale * from_out * ((above + below) / 2.0 + direction * sign)) as f32;
        }
    }

    /// Both predictions of the noise and the sign, value by value.
    fn eps<'a>(self, pair: &Pair<'a>) -> impl Iterator<Item = ([f64; 2], f64)> + 'a {
        let Pair { x, out, signs, alpha_bar } = *pair;
        let from = self.prediction.coefficients(alpha_bar);
        let eps = move |side: usize, i: usize| {
            f64::from(out[side][i]) * from.eps_from_out + f64::from(x[side][i]) * from.eps_from_x
        };
        signs.iter().enumerate().map(move |(i, sign)| ([eps(0, i), eps(1, i)], f64::from(*sign)))
    }
}

#[cfg(feature = "gpu")]
mod tensors;
#[cfg(test)]
mod tests;
