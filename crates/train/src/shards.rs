//! The gradient of a batch, its parts at the same time.

use crate::TrainError;
use rayon::ThreadPool;
use std::ops::Range;

/// Splits batches; made once a run.
pub(crate) struct Shards {
    /// A pool of one thread for each shard: what runs in it is not split further, which costs nothing in handing
    /// work around and makes the result independent of the number of processors.
    pools: Vec<ThreadPool>,
    rows: usize,
}

impl Shards {
    /// `rows` is the size of a shard.
    pub(crate) fn new(shards: usize, rows: usize) -> Result<Self, TrainError> {
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pools = (0..shards).map(pool).collect::<Result<_, _>>();
        let pools = pools.map_err(|error| TrainError::Threads { shards, reason: error.to_string() })?;
        Ok(Shards { pools, rows })
    }

    /// The loss of a batch and its gradient, from those of some of its rows.
    pub(crate) fn gradient(&self, of: impl Fn(Range<usize>) -> (f64, Vec<f32>) + Sync) -> (f64, Vec<f32>) {
        let shard = |index: usize| of(index * self.rows..(index + 1) * self.rows);
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
    use crate::diffusion::{Beginning, Diffusion, initialised};
    use crate::optimizer::norm;
    use crate::run::Task;
    use crate::testing::{pictures, recipe};
    use ddim_tensor::Device;
    use serde_json::json;

    /// The loss and the gradient of the first step with so many shards, at these weights or the first ones.
    fn first_step(shards: usize, at: Option<&[f32]>) -> (f64, Vec<f32>, Vec<f32>) {
        let changes = json!({ "shards": shards });
        let (recipe, set, device) = (recipe(&changes), pictures(6), Device::Cpu);
        let (unet, first) = initialised(&recipe).expect("fine");
        let weights = at.map_or(first, <[f32]>::to_vec);
        let mut task = Diffusion::new(&recipe, &set, &Beginning::Random, &device, unet).expect("threads");
        let (loss, gradient) = task.gradient(1, &weights);
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

    /// (L(w + h u) - L(w - h u)) / 2h = |g| along u = g / |g|. With h = 0.01 the neglected term is some h^2 = 1e-4
    /// of it, rounding of a loss near 1 some 1e-7 / 2h = 5e-6.
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
