//! Weighted sums: most of what a sampler does.

use std::sync::Arc;

use rayon::prelude::*;

use crate::Tensor;
use crate::host::GRAIN;
use crate::tensor::{APART, Values};

/// The sum of `weight x tensor`, from left to right; `None` if all weights are 0, and a weight of 0 costs nothing.
/// In host memory it is one pass.
///
/// # Panics
/// Tensors of different shapes or on different devices.
pub fn weighted_sum<'a>(terms: impl IntoIterator<Item = (f64, &'a Tensor)>) -> Option<Tensor> {
    let terms: Vec<(f64, &Tensor)> = terms.into_iter().filter(|(weight, _)| *weight != 0.0).collect();
    let ((first_weight, first), rest) = terms.split_first()?;
    assert!(rest.iter().all(|(_, tensor)| tensor.dims == first.dims), "a sum of tensors of different shapes");
    Some(match &first.values {
        Values::Host(values) => {
            let others = rest.iter().map(|(weight, tensor)| (*weight as f32, tensor.host().expect(APART)));
            let values = on_host((*first_weight as f32, values), &others.collect::<Vec<_>>());
            Tensor { dims: first.dims, values: Values::Host(Arc::new(values)) }
        }
        #[cfg(feature = "gpu")]
        Values::Burn(_) => {
            let products = terms.iter().map(|(weight, tensor)| {
                let tensor = tensor.burn().expect(APART).clone();
                if *weight == 1.0 { tensor } else { tensor * *weight }
            });
            products.reduce(|sum, product| sum + product).expect("a first term").into()
        }
    })
}

fn on_host((weight, values): (f32, &[f32]), others: &[(f32, &[f32])]) -> Vec<f32> {
    let mut sums = vec![0.0; values.len()];
    sums.par_chunks_mut(GRAIN).enumerate().for_each(|(chunk, sums)| {
        let from = chunk * GRAIN;
        for (sum, value) in sums.iter_mut().zip(&values[from..]) {
            *sum = value * weight;
        }
        for (weight, values) in others {
            for (sum, value) in sums.iter_mut().zip(&values[from..]) {
                *sum += value * weight;
            }
        }
    });
    sums
}
