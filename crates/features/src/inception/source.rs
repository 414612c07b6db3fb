//! Where the weights of the network come from, named once for reading and for checking.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor, TensorData};
use ddim_checkpoint::{CheckpointError, Slot, Weights};

use super::blocks::Unit;

/// Builds the network out of named tensors. The first pass only lists them, so that a file can be compared as a
/// whole before any of it is read; nothing is allocated by it.
pub(super) struct Source<'a> {
    /// The file of the second pass.
    weights: Option<&'a Weights>,
    pub(super) slots: Vec<Slot>,
    device: &'a Device,
}

/// What is added to a variance before its root: TensorFlow's batch normalisation in this network.
const EPSILON: f64 = 1e-3;

impl<'a> Source<'a> {
    pub(super) fn listing(device: &'a Device) -> Self {
        Source { weights: None, slots: Vec::new(), device }
    }

    pub(super) fn file(weights: &'a Weights, device: &'a Device) -> Self {
        Source { weights: Some(weights), slots: Vec::new(), device }
    }

    /// A tensor of the file; nothing in the first pass.
    fn values(&mut self, name: String, shape: &[usize]) -> Result<Option<Vec<f32>>, CheckpointError> {
        let values = self.weights.map(|weights| weights.read(&name)).transpose();
        self.slots.push(Slot { name, shape: shape.to_vec() });
        values
    }

    /// A matrix or a list.
    pub(super) fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, CheckpointError> {
        let values = self.values(name.to_owned(), &shape)?;
        Ok(parameter(values.unwrap_or_default(), shape, self.device))
    }

    /// A convolution that keeps the size.
    pub(super) fn same(
        &mut self,
        name: &str,
        channels: [usize; 2],
        kernel: [usize; 2],
    ) -> Result<Unit, CheckpointError> {
        let [y, x] = kernel.map(|side| side / 2);
        self.unit(name, channels, kernel, 1, PaddingConfig2d::Explicit(y, x, y, x))
    }

    /// A 3x3 convolution without padding.
    pub(super) fn valid(
        &mut self,
        name: &str,
        channels: [usize; 2],
        stride: usize,
    ) -> Result<Unit, CheckpointError> {
        self.unit(name, channels, [3, 3], stride, PaddingConfig2d::Valid)
    }

    /// Batch normalisation is folded into the convolution, in f64: with s = weight / sqrt(variance + epsilon), the
    /// kernel becomes s kernel and the bias becomes bias - s mean.
    fn unit(
        &mut self,
        name: &str,
        channels: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        padding: PaddingConfig2d,
    ) -> Result<Unit, CheckpointError> {
        let [from, to] = channels;
        let shape = [to, from, kernel[0], kernel[1]];
        let kernels = self.values(format!("{name}.conv.weight"), &shape)?;
        let mut norm = |part| self.values(format!("{name}.bn.{part}"), &[to]);
        let norm = [norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?];
        let [weight, bias, mean, variance] = norm.map(Option::unwrap_or_default);
        let scale: Vec<f64> =
            weight.iter().zip(&variance).map(|(w, v)| f64::from(*w) / (f64::from(*v) + EPSILON).sqrt()).collect();
        let shift =
            bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| (f64::from(*b) - s * f64::from(*m)) as f32);
        let each = from * kernel[0] * kernel[1];
        let rows = kernels.iter().flat_map(|kernels| kernels.chunks_exact(each)).zip(&scale);
        let folded = rows.flat_map(|(row, s)| row.iter().map(move |k| (f64::from(*k) * s) as f32)).collect();
        let config = Conv2dConfig::new(channels, kernel).with_stride([stride; 2]).with_padding(padding);
        let lazy = config.init(self.device);
        let weight = parameter(folded, shape, self.device);
        let bias = Some(parameter(shift.collect(), [to], self.device));
        Ok(Unit { conv: Conv2d { weight, bias, ..lazy } })
    }
}

/// The first pass has no values: an empty tensor takes their place, which nobody looks at.
fn parameter<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let shape = if values.is_empty() { [0; D] } else { shape };
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device).set_require_grad(false))
}
