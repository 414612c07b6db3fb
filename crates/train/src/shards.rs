//! The gradient of a batch, its parts at the same time.

use crate::batch::{Batch, Batches};
use crate::objective::Loss;
use crate::weights::{self, Places};
use crate::{Objective, TrainError};
use burn::tensor::Device;
use ddim_unet::{CompiledUNet, Convolution, Labels, UNet2D};
use rayon::ThreadPool;

/// Computes gradients; made once a run.
pub(crate) struct Shards {
    unet: UNet2D,
    /// The same for the processor, and where its parameters lie among the weights: where one trains there, and the loss
    /// asks for the network's output alone.
    compiled: Option<(CompiledUNet, Places)>,
    loss: Loss,
    /// With autodiff.
    device: Device,
    /// A pool of one thread for each shard: what runs in it is not split further, which costs nothing in handing work
    /// around and makes the result independent of the number of processors.
    pools: Vec<ThreadPool>,
    rows: usize,
}

impl Shards {
    /// `rows` is the size of a shard.
    pub(crate) fn new(
        unet: UNet2D,
        loss: Loss,
        device: &Device,
        shards: usize,
        rows: usize,
    ) -> Result<Self, TrainError> {
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pools = (0..shards).map(pool).collect::<Result<_, _>>();
        let pools = pools.map_err(|error| TrainError::Threads { shards, reason: error.to_string() })?;
        let on_processor = *device == Device::flex() && loss.objective == Objective::Denoising;
        let compiled = if on_processor { unet.compile(Convolution::Direct) } else { None };
        let compiled = compiled.map(|compiled| (compiled, Places::new(&unet)));
        Ok(Shards { unet, compiled, loss, device: device.clone().autodiff(), pools, rows })
    }

    /// The same by tensor operations alone.
    #[cfg(test)]
    fn plain(self) -> Self {
        Shards { compiled: None, ..self }
    }

    /// The loss of a step, and its gradient at these weights.
    pub(crate) fn gradient(&mut self, batches: &Batches, step: u64, weights: &[f32]) -> (f64, Vec<f32>) {
        if let Some((compiled, places)) = &mut self.compiled {
            compiled.load(|id| places.of(id, weights));
        }
        let shard = |index: usize| {
            let batch = batches.rows(step, index * self.rows..(index + 1) * self.rows);
            let unet = weights::replaced(self.unet.clone(), weights, &self.device);
            match &self.compiled {
                Some(compiled) => compiled_gradient(&unet, compiled, &batch, &self.device),
                None => gradient(&unet, self.loss, &batch, &self.device),
            }
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let shard = &shard;
            self.pools
                .iter()
                .enumerate()
                .map(|(index, pool)| scope.spawn(move || pool.install(|| shard(index))))
                .collect::<Vec<_>>()
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        mean(results)
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

/// The same for the denoising objective, with the network compiled: only the embeddings of times and labels, which the
/// compiled network is given, are tensor operations.
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

/// The mean over shards of one size, added up in their order.
fn mean(shards: Vec<(f64, Vec<f32>)>) -> (f64, Vec<f32>) {
    let share = 1.0 / shards.len() as f32;
    let loss = shards.iter().map(|(loss, _)| loss).sum::<f64>() / shards.len() as f64;
    let gradients = shards.into_iter().map(|(_, gradient)| gradient);
    let total = gradients.reduce(|mut total, gradient| {
        total.iter_mut().zip(gradient).for_each(|(total, part)| *total += part);
        total
    });
    let mut total = total.expect("a run has at least one shard");
    if share != 1.0 {
        total.iter_mut().for_each(|value| *value *= share);
    }
    (loss, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::norm;
    use crate::run::initialised;
    use crate::testing::{pictures, recipe};
    use serde_json::json;

    /// The loss and the gradient of the first step with so many shards, at these weights or the first ones.
    fn first_step(shards: usize, at: Option<&[f32]>) -> (f64, Vec<f32>, Vec<f32>) {
        let (recipe, set, device) = (recipe(&json!({})), pictures(6), Device::flex());
        let scheduler = recipe.scheduler().expect("fine");
        let schedule = scheduler.noise_schedule().expect("fine");
        let batches = Batches::new(&recipe, &set, schedule, scheduler.prediction());
        let (unet, first) = initialised(&recipe, &device).expect("fine");
        let weights = at.map_or(first, <[f32]>::to_vec);
        let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
        let mut shards = Shards::new(unet, loss, &device, shards, recipe.batch_size / shards).expect("threads");
        let (loss, gradient) = shards.gradient(&batches, 1, &weights);
        (loss, gradient, weights)
    }

    /// f32 sums in another order: 1e-5 of the norm.
    #[test]
    fn the_number_of_shards_does_not_change_the_gradient() {
        let (loss, gradient, _) = first_step(1, None);
        for shards in [2, 4] {
            let (other_loss, other, _) = first_step(shards, None);
            let difference: Vec<f32> = gradient.iter().zip(&other).map(|(a, b)| a - b).collect();
            assert!((loss - other_loss).abs() < 1e-6 * loss, "{loss} and {other_loss}");
            assert!(norm(&difference) < 1e-5 * norm(&gradient), "{} of {}", norm(&difference), norm(&gradient));
        }
    }

    /// Two programs for one gradient, each within f32 rounding of it: 1e-5 of the norm.
    #[test]
    fn the_compiled_gradient_is_that_of_the_tensor_operations() {
        let (recipe, set, device) = (recipe(&json!({})), pictures(6), Device::flex());
        let scheduler = recipe.scheduler().expect("fine");
        let schedule = scheduler.noise_schedule().expect("fine");
        let batches = Batches::new(&recipe, &set, schedule, scheduler.prediction());
        let (unet, weights) = initialised(&recipe, &device).expect("fine");
        let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
        let made = || Shards::new(unet.clone(), loss, &device, 1, recipe.batch_size).expect("a thread");
        assert!(made().compiled.is_some());
        let (loss, gradient) = made().gradient(&batches, 3, &weights);
        let (plain_loss, plain) = made().plain().gradient(&batches, 3, &weights);
        let difference: Vec<f32> = gradient.iter().zip(&plain).map(|(a, b)| a - b).collect();
        assert!((loss - plain_loss).abs() < 1e-6 * loss, "{loss} and {plain_loss}");
        assert!(norm(&difference) < 1e-5 * norm(&plain), "{} of {}", norm(&difference), norm(&plain));
    }

    /// (L(w + h u) - L(w - h u)) / 2h = |g| along u = g / |g|. With h = 0.01 the neglected term is some h^2 = 1e-4 of it,
    /// rounding of a loss near 1 some 1e-7 / 2h = 5e-6.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (_, gradient, weights) = first_step(2, None);
        let length = norm(&gradient);
        let loss = |h: f64| {
            let moved = weights.iter().zip(&gradient).map(|(w, g)| w + (h * f64::from(*g) / length) as f32);
            first_step(2, Some(&moved.collect::<Vec<_>>())).0
        };
        let slope = (loss(0.01) - loss(-0.01)) / 0.02;
        assert!((slope - length).abs() < 5e-3 * length, "{slope} and {length}");
    }

    #[test]
    fn the_gradient_is_the_same_bit_for_bit_each_time() {
        assert_eq!(first_step(2, None), first_step(2, None));
    }
}
