use burn::tensor::module::{conv2d, interpolate};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, FloatDType, Tensor};

use super::super::memory_of;
use super::super::winograd::{CHANNELS, convolve_in_parts, has_tensor_cores};
use super::{OF_TENS, assert_close, gpu, layouts, random, values};
use crate::transformed_for_gpu;

/// Whether burn's own convolutions are taken there.
fn keeps_to_burn(device: &Device) -> bool {
    memory_of(&Tensor::<1>::zeros([1], device)).is_some_and(|memory| has_tensor_cores(&memory))
}

#[test]
fn winograd_is_a_convolution() {
    let Some(device) = gpu().filter(|device| !keeps_to_burn(device)) else { return };
    for [n, inputs, outputs, height, width] in
        [[1, 32, 32, 1, 1], [3, 32, 36, 5, 7], [2, 36, 32, 8, 8], [2, 40, 48, 17, 30]]
    {
        let x = random(1, [n, inputs, height, width]);
        let weight = random(2, [outputs, inputs, 3, 3]) * 0.05;
        let bias = random(3, [1, 1, 1, outputs]).reshape([outputs]);
        let kernels = transformed_for_gpu(&weight.clone().to_device(&device)).expect("wide enough");
        let bias_there = bias.clone().to_device(&device);
        for doubled in [false, true] {
            let size = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
            let before = if doubled { interpolate(x.clone(), size) } else { x.clone() };
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            let expected = conv2d(before, weight.clone(), Some(bias.clone()), options);
            let added = random(4, expected.dims());
            let sum = values(expected.clone() + added.clone());
            let expected = values(expected);
            let added = layouts(&added, &device);
            for (x, added) in layouts(&x, &device).iter().zip(added.iter().rev()) {
                // At once: all, one, and two as far as there are two.
                let two = 2 * 36 * inputs.max(outputs) * added.dims()[2].div_ceil(4) * added.dims()[3].div_ceil(4);
                for (added, expected, at_once) in
                    [(None, &expected, usize::MAX), (None, &expected, 1), (Some(added), &sum, two)]
                {
                    let found = convolve_in_parts(x, &kernels, &bias_there, added, doubled, at_once);
                    let what = format!("{inputs} to {outputs}, doubled: {doubled}, at once: {at_once}");
                    // Values of some tens, and the transform's error, twice that of a direct sum.
                    assert_close(&values(found.expect("taken")), expected, 2.0 * OF_TENS, &what);
                }
            }
        }
    }
}

#[test]
fn only_convolutions_that_gain_are_transformed() {
    let Some(device) = gpu() else { return };
    let is_transformed = |shape, dtype| {
        let weight = random(1, shape).to_device(&device).cast(dtype);
        transformed_for_gpu(&weight).is_some()
    };
    assert_eq!(is_transformed([CHANNELS, CHANNELS, 3, 3], FloatDType::F32), !keeps_to_burn(&device));
    assert!(!is_transformed([32, 32, 3, 3], FloatDType::F16), "16 bits");
    assert!(!is_transformed([16, 32, 3, 3], FloatDType::F32), "few channels");
    assert!(!is_transformed([32, 33, 3, 3], FloatDType::F32), "no whole vectors");
    assert!(!is_transformed([32, 32, 1, 1], FloatDType::F32), "another size");
}
