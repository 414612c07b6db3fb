//! Random choice without replacement.

use ddim_sampler::fill_uniforms;

/// The first `count` places of a random order of `0..n`, that of this seed, run and stream (Fisher and
/// Yates; Knuth, Algorithm 3.4.2P).
///
/// # Panics
///
/// When `count` is above `n`.
pub(crate) fn pick(seed: u64, run: u64, stream: u32, n: usize, count: usize) -> Vec<usize> {
    assert!(count <= n, "{count} of {n}");
    let mut uniforms = vec![0.0; 2 * count];
    fill_uniforms(seed, run, stream, &mut uniforms);
    let mut order: Vec<usize> = (0..n).collect();
    for (at, pair) in uniforms.chunks_exact(2).enumerate() {
        // 48 random bits: with 24 some places of a large set would be chosen more often than others.
        let uniform = f64::from(pair[0]) + f64::from(pair[1]) * (-24.0f64).exp2();
        let other = at + (uniform * (n - at) as f64) as usize;
        order.swap(at, other);
    }
    order.truncate(count);
    order
}

/// The values in a random order, that of this seed, run and stream.
pub(crate) fn shuffled(values: &[usize], seed: u64, run: u64, stream: u32) -> Vec<usize> {
    pick(seed, run, stream, values.len(), values.len()).into_iter().map(|at| values[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_part_of_an_order() {
        let mut all = pick(1, 0, 2, 100, 100);
        assert_eq!(all[..10], pick(1, 0, 2, 100, 10));
        assert_ne!(all[..10], pick(1, 0, 3, 100, 10));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
    }
}
