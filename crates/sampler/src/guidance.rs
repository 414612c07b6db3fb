//! Classifier-free guidance.

use burn::tensor::Tensor;

/// The guided prediction of Ho & Salimans 2022, `unconditional + scale (conditional - unconditional)`.
///
/// `halves` is `[2n, c, h, w]`, what the network gives for the batch twice: first with its labels, then
/// without. Scale 1 is the conditional prediction, 0 the unconditional one. The paper writes the scale as
/// `1 + w` (its Eq. 6).
///
/// # Panics
///
/// If the batch is odd.
pub fn guide(halves: Tensor<4>, scale: f64) -> Tensor<4> {
    let [n2, ..] = halves.dims();
    assert!(n2.is_multiple_of(2), "guidance needs the batch twice, not {n2} pictures");
    let conditional = halves.clone().slice([0..n2 / 2]);
    let unconditional = halves.slice([n2 / 2..n2]);
    unconditional.clone() + (conditional - unconditional) * scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn scale_goes_through_both_predictions() {
        let device = Device::flex();
        let halves = Tensor::<4>::from_data([[[[3.0f32]]], [[[1.0]]]], &device);
        for (scale, expected) in [(0.0, 1.0f32), (1.0, 3.0), (2.5, 6.0)] {
            let guided = guide(halves.clone(), scale).into_data();
            guided.assert_approx_eq::<f32>(&[[[[expected]]]].into(), Tolerance::default());
        }
    }
}
