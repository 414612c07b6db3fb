//! The gradient of the loss of a diffusion network.

use crate::batch::Batch;
use crate::flat::Trainee;
use crate::objective::{Loss, Pair};
use crate::{Objective, TrainError};
use ddim_checkpoint::Denoiser;
use ddim_cpu::Wanted;
use ddim_graph::Labels;
use ddim_tensor::Device;
use std::sync::Arc;

/// A network in training: its loss and the gradient of that.
pub(crate) struct Backward {
    trainee: Trainee,
    loss: Loss,
    on: On,
}

/// Where a network is trained.
pub(crate) enum On {
    /// The processor's own engine.
    Processor(ddim_cpu::Network),
    /// Tensors of burn, on a device with automatic differentiation.
    #[cfg(feature = "gpu")]
    Tensors(burn::tensor::Device),
}

impl On {
    /// For pictures of this height and width.
    ///
    /// # Errors
    /// A network with a layer that the processor's engine lacks.
    pub(crate) fn new(trainee: &Trainee, size: [usize; 2], device: &Device) -> Result<Self, TrainError> {
        match device {
            Device::Cpu => Ok(On::Processor(trainee.processor(size)?)),
            #[cfg(feature = "gpu")]
            Device::Burn(device) => Ok(On::Tensors(device.clone().autodiff())),
        }
    }
}

impl Backward {
    pub(crate) fn new(unet: &Denoiser, loss: Loss, device: &Device) -> Result<Self, TrainError> {
        let trainee = Trainee::new(Arc::clone(unet.graph()), unet.shared());
        let size = unet.config().sample_size().unwrap_or([32; 2]);
        let on = On::new(&trainee, size, device)?;
        Ok(Backward { trainee, loss, on })
    }

    /// The weights of the network with these trained ones, in the order of the graph.
    pub(crate) fn weights(&self, trained: &[f32]) -> Vec<Vec<f32>> {
        self.trainee.replaced(trained)
    }

    /// Gives the processor's engine the weights of a step, before all its gradients.
    pub(crate) fn load(&mut self, weights: &[f32]) {
        match &mut self.on {
            On::Processor(network) => self.trainee.load(network, weights),
            #[cfg(feature = "gpu")]
            On::Tensors(_) => {}
        }
    }

    /// The loss of a batch and its gradient, at the weights that were loaded.
    #[cfg_attr(not(feature = "gpu"), expect(unused_variables, reason = "the engine was loaded with the weights"))]
    pub(crate) fn gradient(&self, batch: &Batch, weights: &[f32]) -> (f64, Vec<f32>) {
        match &self.on {
            On::Processor(network) => match self.loss.objective {
                Objective::Denoising => self.denoising(network, batch),
                Objective::Implicit => self.implicit(network, batch),
            },
            #[cfg(feature = "gpu")]
            On::Tensors(device) => self.on_tensors(batch, weights, device),
        }
    }

    #[cfg(feature = "gpu")]
    fn on_tensors(&self, batch: &Batch, weights: &[f32], device: &burn::tensor::Device) -> (f64, Vec<f32>) {
        let network = self.trainee.on_tensors(weights, device);
        let conditioning = network.condition(&batch.times, &labels(batch));
        let [x_t, target] = batch.tensors(device);
        let loss = self.loss.of(|x| network.forward(x, &conditioning), x_t, target, batch);
        let gradients = loss.backward();
        (f64::from(loss.into_scalar::<f32>()), network.gradient(gradients))
    }

    fn denoising(&self, network: &ddim_cpu::Network, batch: &Batch) -> (f64, Vec<f32>) {
        let size = batch.target.len() / batch.times.len();
        let (mut squares, scale) = (0.0, 2.0 / batch.target.len() as f32);
        let slope = |first: usize, out: &[f32], slope: &mut [f32]| {
            let values = out.iter().zip(&batch.target[first * size..]).zip(slope);
            for (k, ((out, target), slope)) in values.enumerate() {
                let (difference, weight) = (out - target, batch.weight(first + k / size));
                squares += f64::from(weight * difference * difference);
                *slope = scale * weight * difference;
            }
        };
        let gradient = self.back(network, batch, &batch.x_t, slope);
        (squares / batch.target.len() as f64, gradient)
    }

    /// Both sides go back by themselves; each needs what the network says on the other.
    fn implicit(&self, network: &ddim_cpu::Network, batch: &Batch) -> (f64, Vec<f32>) {
        let conditioning = network.condition(&batch.times, &labels(batch));
        let x = [1.0, -1.0].map(|side| self.loss.shifted(batch, side));
        let mut out = [Vec::new(), network.forward(&x[1], batch.shape(), &conditioning.modulations())];
        let (size, count) = (batch.target.len() / batch.times.len(), batch.target.len());
        let (mut total, mut above) = (0.0, Vec::with_capacity(count));
        let of = |side: usize, first: usize, found: &[f32], other: &[f32], slope: &mut [f32]| {
            let mut loss = 0.0;
            for (k, (found, slope)) in found.chunks_exact(size).zip(slope.chunks_exact_mut(size)).enumerate() {
                let at = (first + k) * size..(first + k + 1) * size;
                let mut out = [found, &other[at.clone()]];
                if side == 1 {
                    out.swap(0, 1);
                }
                let x = x.each_ref().map(|x| &x[at.clone()]);
                let pair = Pair { x, out, signs: &batch.target[at], alpha_bar: batch.alpha_bars[first + k] };
                loss += self.loss.implicit(&pair);
                self.loss.implicit_slope(&pair, side, 1.0 / count as f64, slope);
            }
            loss
        };
        let mut gradient = self.back(network, batch, &x[0], |first, found, slope| {
            total += of(0, first, found, &out[1], slope);
            above.extend_from_slice(found);
        });
        out[0] = above;
        let below = self.back(network, batch, &x[1], |first, found, slope| {
            of(1, first, found, &out[0], slope);
        });
        gradient.iter_mut().zip(below).for_each(|(sum, part)| *sum += part);
        (total / count as f64, gradient)
    }

    fn back(
        &self,
        network: &ddim_cpu::Network,
        batch: &Batch,
        x: &[f32],
        slope: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> Vec<f32> {
        let conditioning = network.condition(&batch.times, &labels(batch));
        let rows = conditioning.modulations();
        let mut gradients = network.gradients(x, batch.shape(), &rows, Wanted::Weights, slope);
        network.condition_gradients(&batch.times, &labels(batch), &mut gradients);
        self.trainee.of_trained(gradients.parameters)
    }
}

pub(crate) fn labels(batch: &Batch) -> Labels<'_> {
    if batch.labels.is_empty() { Labels::None } else { Labels::Index(&batch.labels) }
}

#[cfg(test)]
#[cfg(feature = "gpu")]
mod tests;
