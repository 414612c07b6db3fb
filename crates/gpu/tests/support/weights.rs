//! Weights without training.

use ddim_graph::{Graph, Initial, ParameterInfo};

/// Weights that look random, and are the same on every machine, as large as those that training begins with. Not
/// a wave: sums along one nearly vanish, and 16 bits of their terms are then too few.
pub(crate) fn weights(graph: &Graph) -> Vec<Vec<f32>> {
    let numbers = |(k, info): (usize, &ParameterInfo)| -> Vec<f32> {
        let scale = match info.initial {
            Initial::Ones => return vec![1.0; info.len()],
            Initial::Zeros => 0.0,
            Initial::Uniform { bound } => bound,
            Initial::Normal { deviation } => deviation,
        };
        (0..info.len() as u64).map(|i| (scale * unit(((k as u64) << 32) + i)) as f32).collect()
    };
    graph.parameters().iter().enumerate().map(numbers).collect()
}

/// In \[-1, 1): SplitMix64 of the number (Steele et al. 2014, *Fast Splittable Pseudorandom Number Generators*).
fn unit(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}
