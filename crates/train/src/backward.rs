//! The gradient of the loss of a diffusion network.

use crate::Objective;
use crate::batch::Batch;
use crate::flat::Trainee;
use crate::objective::Loss;
use burn::tensor::Device;
use ddim_checkpoint::UNet;
use ddim_cpu::Wanted;
use ddim_graph::Labels;
use std::sync::Arc;

/// The network of a run with its loss.
pub(crate) struct Backward {
    trainee: Trainee,
    /// The processor's own engine, where one trains there, and the loss asks for the network's output alone.
    processor: Option<ddim_cpu::Network>,
    loss: Loss,
    /// With autodiff.
    device: Device,
}

impl Backward {
    pub(crate) fn new(unet: &UNet, loss: Loss, device: &Device) -> Self {
        let trainee = Trainee::new(Arc::clone(unet.graph()), unet.shared());
        let size = unet.config().sample_size.map_or([32; 2], ddim_unet::SampleSize::height_width);
        let on_processor = ddim_sampler::is_host(device) && loss.objective == Objective::Denoising;
        let processor = if on_processor { trainee.processor(size) } else { None };
        Backward { trainee, processor, loss, device: device.clone().autodiff() }
    }

    /// All weights of the network, with those that are trained.
    pub(crate) fn weights(&self, trained: &[f32]) -> Vec<Vec<f32>> {
        self.trainee.replaced(trained)
    }

    /// Makes ready for [`gradient`](Self::gradient) at these weights.
    pub(crate) fn load(&mut self, weights: &[f32]) {
        if let Some(network) = &mut self.processor {
            self.trainee.load(network, weights);
        }
    }

    /// The loss over a batch and its gradient at the weights that were loaded.
    pub(crate) fn gradient(&self, batch: &Batch, weights: &[f32]) -> (f64, Vec<f32>) {
        match &self.processor {
            Some(network) => self.on_processor(network, batch),
            None => self.on_tensors(batch, weights),
        }
    }

    fn on_tensors(&self, batch: &Batch, weights: &[f32]) -> (f64, Vec<f32>) {
        let network = self.trainee.on_tensors(weights, &self.device);
        let conditioning = network.condition(&batch.times, &labels(batch));
        let (x_t, target) = batch.tensors(&self.device);
        let loss = self.loss.of(|x| network.forward(x, &conditioning), x_t, target, &batch.alpha_bars);
        let gradients = loss.backward();
        (f64::from(loss.into_scalar::<f32>()), network.gradient(gradients))
    }

    /// The same for the denoising objective, without tensors.
    fn on_processor(&self, network: &ddim_cpu::Network, batch: &Batch) -> (f64, Vec<f32>) {
        let conditioning = network.condition(&batch.times, &labels(batch));
        let size = batch.target.len() / batch.times.len();
        let (mut squares, scale) = (0.0, 2.0 / batch.target.len() as f32);
        let slope = |first: usize, out: &[f32], slope: &mut [f32]| {
            for ((out, target), slope) in out.iter().zip(&batch.target[first * size..]).zip(slope) {
                let difference = out - target;
                squares += f64::from(difference * difference);
                *slope = scale * difference;
            }
        };
        let rows = conditioning.modulations();
        let mut gradients = network.gradients(&batch.x_t, batch.shape(), &rows, Wanted::Weights, slope);
        network.condition_gradients(&batch.times, &labels(batch), &mut gradients);
        (squares / batch.target.len() as f64, self.trainee.of_trained(gradients.parameters))
    }
}

fn labels(batch: &Batch) -> Labels<'_> {
    if batch.labels.is_empty() { Labels::None } else { Labels::Index(&batch.labels) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batches;
    use crate::diffusion::initialised;
    use crate::optimizer::norm;
    use crate::testing::{pictures, recipe};
    use serde_json::json;

    /// Two programs for one gradient, each within f32 rounding of it: 1e-5 of the norm.
    #[test]
    fn the_processors_gradient_is_that_of_the_tensor_operations() {
        let (recipe, set, device) = (recipe(&json!({})), pictures(6), Device::flex());
        let scheduler = recipe.scheduler().expect("fine");
        let schedule = scheduler.noise_schedule().expect("fine");
        let batches =
            Batches::new(&recipe, &set, schedule, scheduler.prediction()).expect("pictures that are there");
        let (unet, weights) = initialised(&recipe).expect("fine");
        let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
        let mut backward = Backward::new(&unet, loss, &device);
        assert!(backward.processor.is_some());
        backward.load(&weights);
        let batch = batches.rows(3, 0..recipe.batch_size);
        let (loss, gradient) = backward.gradient(&batch, &weights);
        let (plain_loss, plain) = Backward { processor: None, ..backward }.gradient(&batch, &weights);
        let difference: Vec<f32> = gradient.iter().zip(&plain).map(|(a, b)| a - b).collect();
        assert!((loss - plain_loss).abs() < 1e-6 * loss, "{loss} and {plain_loss}");
        assert!(norm(&difference) < 1e-5 * norm(&plain), "{} of {}", norm(&difference), norm(&plain));
    }
}
