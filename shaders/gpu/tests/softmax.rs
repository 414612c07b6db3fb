use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, FloatDType};

use super::{assert_close, gpu, layouts, random, values};
use crate::softmax_on_gpu;

/// In the last test scores are so large that they would overflow without the row's largest taken off first.
#[test]
fn softmax_is_its_definition() {
    let Some(device) = gpu() else { return };
    for (shape, scale) in [
        ([1, 1, 1, 1], 1.0),
        ([2, 3, 5, 49], 1.0),
        ([1, 2, 67, 67], 1.0),
        ([3, 1, 2, 300], 1.0),
        ([2, 3, 5, 49], 80.0),
    ] {
        let scores = random(1, shape) * scale;
        let rows = values(scores.clone());
        let expected = rows.chunks(shape[3]).flat_map(|row| {
            let scores = row.iter().map(|score| f64::from(*score));
            let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
            let exponentials: Vec<f64> = scores.map(|score| (score - largest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            exponentials.into_iter().map(move |exponential| (exponential / sum) as f32)
        });
        let expected: Vec<f32> = expected.collect();
        let transposed = scores.clone().swap_dims(2, 3).to_device(&device).swap_dims(2, 3);
        for scores in layouts(&scores, &device).into_iter().chain([transposed]) {
            let found = softmax_on_gpu(&scores).expect("taken");
            // Weights of at most 1, by exponentials that WGSL asks to be right to 3 + 2 |x| last bits.
            assert_close(&values(found), &expected, 1e-6, &format!("{shape:?} {scale}"));
        }
    }
}

#[test]
fn softmax_of_16_bits_sums_in_32() {
    let Some(device) = gpu() else { return };
    let half = random(1, [1, 2, 3, 3000]).to_device(&device).cast(FloatDType::F16);
    let found = softmax_on_gpu(&half).expect("taken");
    assert_eq!(found.dtype(), DType::F16);
    let expected = values(softmax(half.cast(FloatDType::F32).to_device(&Device::flex()), 3));
    // Rounded once, to 11 bits: half of the last one. Added up in f16, 3000 weights would be off by far more.
    let largest = expected.iter().copied().fold(0.0, f32::max);
    assert_close(&values(found), &expected, largest / 2000.0, "f16");
}
