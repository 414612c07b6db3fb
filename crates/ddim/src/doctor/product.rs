//! A matrix product: right, and how fast.

use std::time::Duration;

use ddim_engine::{Engine, EngineOptions};
use ddim_graph::{Builder, Convolution, Labels};
use ddim_sampler::fill_uniforms;
use ddim_tensor::{Device, Tensor};

use super::Difference;
use crate::timing::Clock;

/// A product of two square matrices, which is what most of a network's time is spent on.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductCheck {
    /// Rows and columns.
    pub size: usize,
    /// From the product as the definition has it, the worst of all times.
    pub difference: Difference,
    /// The first time, in which kernels are compiled and tuned.
    pub first: Duration,
    /// The fastest of three later times, the result read back.
    pub later: Duration,
}

impl ProductCheck {
    /// Multiplies two matrices of `size` rows four times on the device, and once by the definition.
    pub fn new(size: usize, seed: u64, on: &Device, clock: &dyn Clock) -> Self {
        let [a, b] = [0, 1].map(|stream| {
            let mut values = vec![0.0; size * size];
            fill_uniforms(seed, 0, stream, &mut values);
            values.iter_mut().for_each(|value| *value -= 0.5);
            values
        });
        let expected = by_definition(&a, &b, size);
        let multiply = multiplier(&a, &b, size, on);
        let times: Vec<(Duration, Difference)> = (0..4)
            .map(|_| {
                let start = clock.now();
                let found = multiply();
                (clock.now().saturating_sub(start), Difference::between("matrix product", &found, &expected))
            })
            .collect();
        let worst = times.iter().map(|(_, difference)| difference).max_by(|a, b| a.largest.total_cmp(&b.largest));
        let later = times[1..].iter().map(|(time, _)| *time).min();
        Self {
            size,
            difference: worst.expect("four products").clone(),
            first: times[0].0,
            later: later.expect("three products"),
        }
    }

    /// Billions of additions and multiplications a second, of the later times.
    pub fn gflops(&self) -> f64 {
        2.0 * (self.size as f64).powi(3) / self.later.as_secs_f64() / 1e9
    }
}

/// Row by row, added up in f64.
fn by_definition(a: &[f32], b: &[f32], size: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let mut sums = vec![0.0; size];
        for (factor, b) in row.iter().zip(b.chunks_exact(size)) {
            sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += f64::from(*factor) * f64::from(*b));
        }
        sums
    };
    a.chunks_exact(size).flat_map(row).map(|sum| sum as f32).collect()
}

/// What multiplies the two on the device and reads the result back.
fn multiplier<'a>(a: &[f32], b: &[f32], size: usize, on: &Device) -> Box<dyn Fn() -> Vec<f32> + 'a> {
    match on {
        Device::Cpu => as_convolution(a, b, size),
        #[cfg(feature = "gpu")]
        Device::Burn(device) => {
            let matrix = |values: &[f32]| {
                let data = burn::tensor::TensorData::new(values.to_vec(), [size, size]);
                burn::tensor::Tensor::<2>::from_data(data, device)
            };
            let (a, b) = (matrix(a), matrix(b));
            Box::new(move || {
                let product = a.clone().matmul(b.clone()).into_data();
                product.convert::<f32>().try_into_vec().expect("converted to f32")
            })
        }
    }
}

/// A convolution of 1x1 is a product: `a` as weights, the columns of `b` as pixels.
fn as_convolution<'a>(a: &[f32], b: &[f32], size: usize) -> Box<dyn Fn() -> Vec<f32> + 'a> {
    let mut builder = Builder::new();
    let pixels = builder.input(size);
    let product = builder.convolve(pixels, Convolution::new("a", size));
    let graph = builder.finish(product);
    let weights = vec![a.to_vec(), vec![0.0; size]];
    let options = EngineOptions { size: Some([1, size]), ..EngineOptions::default() };
    let engine = Engine::new(graph.into(), weights.into(), &Device::Cpu, &options).expect("one convolution");
    let x = Tensor::new(b.to_vec(), [1, size, 1, size]);
    let conditioning = engine.condition(&[0.0], &Labels::None);
    Box::new(move || engine.forward(x.clone(), &conditioning).into_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of 64 products of numbers below 1/2: a few roundings of 2^-24.
    #[test]
    fn a_product_is_timed_and_right() {
        let check = ProductCheck::new(64, 0, &crate::device::cpu(), &std::time::Instant::now());
        assert!(check.difference.is_within(1e-6) && check.gflops() > 0.0, "{check:?}");
        assert_eq!(by_definition(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], 2), [19.0, 22.0, 43.0, 50.0]);
    }
}
