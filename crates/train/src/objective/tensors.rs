//! The objectives on tensors that automatic differentiation can follow.

use super::{Loss, STEP};
use crate::Objective;
use crate::batch::Batch;
use burn::tensor::{Device, Tensor, TensorData};
use ddim_schedule::Marginal;

impl Loss {
    /// The mean over a batch, of tensors \[n, c, h, w\], of a network that knows its times.
    pub(crate) fn of(
        self,
        network: impl Fn(Tensor<4>) -> Tensor<4>,
        x: Tensor<4>,
        target: Tensor<4>,
        batch: &Batch,
    ) -> Tensor<1> {
        match self.objective {
            Objective::Denoising if batch.weights.is_empty() => (network(x) - target).square().mean(),
            Objective::Denoising => {
                let weights = column(batch.weights.iter().copied(), &x.device());
                ((network(x) - target).square() * weights).mean()
            }
            Objective::Implicit => self.on_both_sides(network, x, target, &batch.alpha_bars),
        }
    }

    fn on_both_sides(
        self,
        network: impl Fn(Tensor<4>) -> Tensor<4>,
        x: Tensor<4>,
        signs: Tensor<4>,
        alpha_bars: &[f64],
    ) -> Tensor<1> {
        let device = x.device();
        let column = |of: &dyn Fn(f64) -> f64| column(alpha_bars.iter().map(|a| of(*a) as f32), &device);
        let from_x = column(&|alpha_bar| self.prediction.coefficients(alpha_bar).eps_from_x);
        let from_out = column(&|alpha_bar| self.prediction.coefficients(alpha_bar).eps_from_out);
        let shift = signs.clone() * column(&|alpha_bar| STEP * Marginal::new(alpha_bar).noise);
        let eps = |x: Tensor<4>| network(x.clone()) * from_out.clone() + x * from_x.clone();
        let (above, below) = (eps(x.clone() + shift.clone()), eps(x - shift));
        let middle = (above.clone() + below.clone()) / 2.0;
        (middle.square() - (above - below) * signs / STEP).mean()
    }
}

fn column(values: impl Iterator<Item = f32>, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = values.collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n, 1, 1, 1]), device)
}
