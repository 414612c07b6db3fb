//! Numbers that need no transform: uniform ones, and signs.

use crate::normals::{LANES, philox_lanes};

/// Fills `out` with numbers that are uniform in `[0, 1)`: multiples of 2^-24.
///
/// The counter is that of [`fill_normals`](crate::fill_normals), so the two share a stream: take one of them from
/// each.
///
/// ```
/// let mut u = [0.0; 3];
/// ddim_sampler::fill_uniforms(0, 5, 0, &mut u);
/// assert!(u.iter().all(|u| (0.0..1.0).contains(u)));
/// ```
pub fn fill_uniforms(seed: u64, picture: u64, stream: u32, out: &mut [f32]) {
    const ULP: f32 = 1.0 / 16_777_216.0; // 2^-24
    fill(seed, picture, stream, out, |bits| (bits >> 8) as f32 * ULP);
}

/// Fills `out` with 1 and -1, each as likely: Rademacher's numbers. They share streams as [`fill_uniforms`] does.
///
/// ```
/// let mut signs = [0.0; 3];
/// ddim_sampler::fill_signs(0, 5, 0, &mut signs);
/// assert!(signs.iter().all(|sign| sign.abs() == 1.0));
/// ```
pub fn fill_signs(seed: u64, picture: u64, stream: u32, out: &mut [f32]) {
    fill(seed, picture, stream, out, |bits| if bits >> 31 == 0 { 1.0 } else { -1.0 });
}

fn fill(seed: u64, picture: u64, stream: u32, out: &mut [f32], number: impl Fn(u32) -> f32) {
    for (chunk_index, chunk) in out.chunks_mut(4 * LANES).enumerate() {
        let bits = philox_lanes(seed, picture, stream, (chunk_index * LANES) as u32);
        chunk.iter_mut().zip(bits.as_flattened()).for_each(|(out, bits)| *out = number(*bits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fill = fn(u64, u64, u32, &mut [f32]);

    /// Means and variances of 2^20 numbers of a fixed seed, within five standard errors; uniform numbers have mean
    /// 1/2, variance 1/12 and fourth central moment 1/80, signs have mean 0 and variance 1 without an error.
    #[test]
    fn moments_are_right() {
        let n = 1 << 20;
        let fills: [(Fill, f64, f64, f64); 2] =
            [(fill_uniforms, 0.5, 1.0 / 12.0, 1.0 / 80.0), (fill_signs, 0.0, 1.0, 1.0)];
        for (fill, mean, variance, fourth) in fills {
            let mut values = vec![0.0; n];
            fill(1, 2, 3, &mut values);
            let average = |f: &dyn Fn(f64) -> f64| values.iter().map(|v| f(f64::from(*v))).sum::<f64>() / n as f64;
            let five_errors = |variance: f64| 5.0 * (variance / n as f64).sqrt();
            let (found, spread) = (average(&|v| v), average(&|v| (v - mean).powi(2)));
            assert!((found - mean).abs() < five_errors(variance), "mean {found}");
            let error = five_errors(fourth - variance * variance).max(1e-12);
            assert!((spread - variance).abs() < error, "variance {spread}");
        }
    }

    #[test]
    fn a_longer_list_begins_with_a_shorter_one() {
        for fill in [fill_uniforms as Fill, fill_signs] {
            let (mut long, mut short) = ([0.0; 100], [0.0; 67]);
            fill(7, 1, 9, &mut long);
            fill(7, 1, 9, &mut short);
            assert_eq!(long[..67], short);
        }
    }
}
