//! What several tests ask.

use ddim_tensor::Tensor;

/// Whether numbers are those expected, but for the rounding of f32.
pub(crate) fn assert_near(found: &Tensor, expected: &[f32]) {
    let found = found.values();
    assert!(expected.len() == found.len(), "{found:?} and {expected:?}");
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * (1.0 + b.abs());
    assert!(found.iter().zip(expected).all(near), "{found:?} and {expected:?}");
}
