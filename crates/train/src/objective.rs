//! What a training step minimises.

use crate::RecipeError;
use burn::tensor::{Device, Tensor, TensorData};
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

/// The loss of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) objective: Objective,
    pub(crate) prediction: Prediction,
}

impl Loss {
    /// The mean over a batch of noisy pictures `x` \[n, c, h, w\]; `target` is that of the batch.
    pub(crate) fn of(
        self,
        network: impl Fn(Tensor<4>) -> Tensor<4>,
        x: Tensor<4>,
        target: Tensor<4>,
        alpha_bars: &[f64],
    ) -> Tensor<1> {
        match self.objective {
            Objective::Denoising => (network(x) - target).square().mean(),
            Objective::Implicit => self.implicit(network, x, target, alpha_bars),
        }
    }

    /// `mean(eps^2) - 2 noise tr(d eps/dx)/d`, of eps at the two ends of `x +- STEP noise signs`.
    fn implicit(
        self,
        network: impl Fn(Tensor<4>) -> Tensor<4>,
        x: Tensor<4>,
        signs: Tensor<4>,
        alpha_bars: &[f64],
    ) -> Tensor<1> {
        let device = x.device();
        let column = |of: &dyn Fn(f64) -> f64| column(alpha_bars.iter().map(|a| of(*a)), &device);
        let from_x = column(&|alpha_bar| self.prediction.coefficients(alpha_bar).eps_from_x);
        let from_out = column(&|alpha_bar| self.prediction.coefficients(alpha_bar).eps_from_out);
        let shift = signs.clone() * column(&|alpha_bar| STEP * Marginal::new(alpha_bar).noise);
        let eps = |x: Tensor<4>| network(x.clone()) * from_out.clone() + x * from_x.clone();
        let (above, below) = (eps(x.clone() + shift.clone()), eps(x - shift));
        let middle = (above.clone() + below.clone()) / 2.0;
        (middle.square() - (above - below) * signs / STEP).mean()
    }
}

/// One number a picture, \[n, 1, 1, 1\].
fn column(values: impl Iterator<Item = f64>, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n, 1, 1, 1]), device)
}

#[cfg(test)]
mod tests;
