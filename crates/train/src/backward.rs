//! The gradient of the loss of a diffusion network.

use crate::Objective;
use crate::batch::Batch;
use crate::objective::Loss;
use crate::weights::{self, Places};
use burn::tensor::Device;
use ddim_unet::{CompiledUNet, Convolution, Labels, Precision, UNet2D};

/// The network of a run with its loss.
pub(crate) struct Backward {
    /// Whose weights are replaced.
    unet: UNet2D,
    /// The same for the processor, and where its parameters lie among the weights: where one trains there, and the
    /// loss asks for the network's output alone.
    compiled: Option<(CompiledUNet, Places)>,
    loss: Loss,
    /// With autodiff.
    device: Device,
}

impl Backward {
    pub(crate) fn new(unet: UNet2D, loss: Loss, device: &Device) -> Self {
        let on_processor = ddim_sampler::is_host(device) && loss.objective == Objective::Denoising;
        let compiled = if on_processor { unet.compile(Convolution::Direct, Precision::F32) } else { None };
        let compiled = compiled.map(|compiled| (compiled, Places::new(&unet)));
        Backward { unet, compiled, loss, device: device.clone().autodiff() }
    }

    /// Makes ready for [`gradient`](Self::gradient) at these weights.
    pub(crate) fn load(&mut self, weights: &[f32]) {
        if let Some((compiled, places)) = &mut self.compiled {
            compiled.load(|id| places.of(id, weights));
        }
    }

    /// The loss over a batch and its gradient at the weights that were loaded.
    pub(crate) fn gradient(&self, batch: &Batch, weights: &[f32]) -> (f64, Vec<f32>) {
        let unet = weights::replaced(self.unet.clone(), weights, &self.device);
        match &self.compiled {
            Some(compiled) => compiled_gradient(&unet, compiled, batch, &self.device),
            None => gradient(&unet, self.loss, batch, &self.device),
        }
    }
}

/// The loss over a batch and its gradient.
fn gradient(unet: &UNet2D, loss: Loss, batch: &Batch, device: &Device) -> (f64, Vec<f32>) {
    let labels = if batch.labels.is_empty() { Labels::None } else { Labels::Index(&batch.labels) };
    let conditioning = unet.condition(&batch.times, &labels, device);
    let (x_t, target) = batch.tensors(device);
    let loss = loss.of(|x| unet.forward(x, &conditioning), x_t, target, &batch.alpha_bars);
    let gradients = loss.backward();
    (f64::from(loss.into_scalar::<f32>()), weights::gradient(unet, gradients))
}

/// The same for the denoising objective, with the network compiled: only the embeddings of times and labels, which
/// the compiled network is given, are tensor operations.
fn compiled_gradient(
    unet: &UNet2D,
    (compiled, places): &(CompiledUNet, Places),
    batch: &Batch,
    device: &Device,
) -> (f64, Vec<f32>) {
    let labels = if batch.labels.is_empty() { Labels::None } else { Labels::Index(&batch.labels) };
    let conditioning = unet.condition(&batch.times, &labels, device);
    let size = batch.target.len() / batch.times.len();
    let (mut squares, scale) = (0.0, 2.0 / batch.target.len() as f32);
    let gradients = compiled.gradients(&batch.x_t, batch.shape(), &conditioning, |first, out, slope| {
        for ((out, target), slope) in out.iter().zip(&batch.target[first * size..]).zip(slope) {
            let difference = out - target;
            squares += f64::from(difference * difference);
            *slope = scale * difference;
        }
    });
    let mut gradient = weights::gradient(unet, gradients.conditioning.backward());
    for (id, part) in gradients.weights {
        gradient[places.range(id)].copy_from_slice(&part);
    }
    (squares / batch.target.len() as f64, gradient)
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
    fn the_compiled_gradient_is_that_of_the_tensor_operations() {
        let (recipe, set, device) = (recipe(&json!({})), pictures(6), Device::flex());
        let scheduler = recipe.scheduler().expect("fine");
        let schedule = scheduler.noise_schedule().expect("fine");
        let batches =
            Batches::new(&recipe, &set, schedule, scheduler.prediction()).expect("pictures that are there");
        let (unet, weights) = initialised(&recipe, &device).expect("fine");
        let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
        let mut backward = Backward::new(unet, loss, &device);
        assert!(backward.compiled.is_some());
        backward.load(&weights);
        let batch = batches.rows(3, 0..recipe.batch_size);
        let (loss, gradient) = backward.gradient(&batch, &weights);
        let (plain_loss, plain) = Backward { compiled: None, ..backward }.gradient(&batch, &weights);
        let difference: Vec<f32> = gradient.iter().zip(&plain).map(|(a, b)| a - b).collect();
        assert!((loss - plain_loss).abs() < 1e-6 * loss, "{loss} and {plain_loss}");
        assert!(norm(&difference) < 1e-5 * norm(&plain), "{} of {}", norm(&difference), norm(&plain));
    }
}
