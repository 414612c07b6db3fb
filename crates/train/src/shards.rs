//! The gradient of a batch, its parts at the same time.

use crate::TrainError;
use crate::batch::{Batch, Batches};
use crate::weights;
use burn::tensor::Device;
use ddim_unet::{Labels, UNet2D};
use rayon::ThreadPool;

/// Computes gradients; made once a run.
pub(crate) struct Shards {
    unet: UNet2D,
    /// With autodiff.
    device: Device,
    /// A pool of one thread for each shard: what runs in it is not split further, which costs nothing in handing work
    /// around and makes the result independent of the number of processors.
    pools: Vec<ThreadPool>,
    rows: usize,
}

impl Shards {
    /// `rows` is the size of a shard.
    pub(crate) fn new(unet: UNet2D, device: &Device, shards: usize, rows: usize) -> Result<Self, TrainError> {
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pools = (0..shards).map(pool).collect::<Result<_, _>>();
        let pools = pools.map_err(|error| TrainError::Threads { shards, reason: error.to_string() })?;
        Ok(Shards { unet, device: device.clone().autodiff(), pools, rows })
    }

    /// The loss of a step, and its gradient at these weights.
    pub(crate) fn gradient(&self, batches: &Batches, step: u64, weights: &[f32]) -> (f64, Vec<f32>) {
        let shard = |index: usize| {
            let batch = batches.rows(step, index * self.rows..(index + 1) * self.rows);
            gradient(weights::replaced(self.unet.clone(), weights, &self.device), batch, &self.device)
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

/// The mean squared error over a batch and its gradient: Ho et al. 2020 (arXiv:2006.11239), Eq. 14.
fn gradient(unet: UNet2D, batch: Batch, device: &Device) -> (f64, Vec<f32>) {
    let labels = if batch.labels.is_empty() { Labels::None } else { Labels::Index(&batch.labels) };
    let conditioning = unet.condition(&batch.times, &labels, device);
    let (x_t, target) = batch.clone().tensors(device);
    let loss = (unet.forward(x_t, &conditioning) - target).square().mean();
    let gradients = loss.backward();
    (f64::from(loss.into_scalar::<f32>()), weights::gradient(&unet, gradients))
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
