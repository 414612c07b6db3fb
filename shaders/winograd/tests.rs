use burn::tensor::{Device, Tensor};

use super::{Kernels, Size, plain};
use crate::common::tests::{OF_TENS, assert_close, random, values};

/// What one convolution is given, on the host.
fn inputs([n, inputs, outputs, height, width]: [usize; 5]) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
    let bias = random(3, [1, 1, 1, outputs]).reshape([outputs]);
    (random(1, [n, inputs, height, width]), random(2, [outputs, inputs, 3, 3]) * 0.05, bias)
}

/// As the definition says, in f64.
fn convolved(x: &Tensor<4>, weight: &Tensor<4>, bias: &[f32], size: Size) -> Vec<f32> {
    let [n, inputs, height, width] = x.dims();
    let outputs = weight.dims()[0];
    let (x, weight) = (values(x.clone()), values(weight.clone()));
    let each = if size == Size::Doubled { 2 } else { 1 };
    let at = |picture: usize, input: usize, line: usize, column: usize| {
        // Lines and columns count from the border.
        let inside = (1..=each * height).contains(&line) && (1..=each * width).contains(&column);
        let place = |line: usize, column: usize| ((picture * inputs + input) * height + line) * width + column;
        if inside { f64::from(x[place((line - 1) / each, (column - 1) / each)]) } else { 0.0 }
    };
    let mut found = Vec::new();
    for place in 0..n * outputs * each * height * each * width {
        let (rest, column) = (place / (each * width), place % (each * width));
        let (rest, line) = (rest / (each * height), rest % (each * height));
        let (picture, output) = (rest / outputs, rest % outputs);
        let taps = (0..inputs * 9).map(|k| {
            let (input, tap) = (k / 9, k % 9);
            at(picture, input, line + tap / 3, column + tap % 3) * f64::from(weight[output * inputs * 9 + k])
        });
        found.push((taps.sum::<f64>() + f64::from(bias[output])) as f32);
    }
    found
}

#[test]
fn the_plain_meaning_is_the_definition() {
    for shape in [[1, 1, 1, 1, 1], [2, 3, 5, 4, 7], [1, 8, 4, 5, 3]] {
        let (x, weight, bias) = inputs(shape);
        let bias_values: Vec<f32> = bias.to_data().try_to_vec().expect("floats");
        let kernels = Kernels::plain(weight.clone(), Some(bias));
        for size in [Size::Same, Size::Doubled] {
            let expected = convolved(&x, &weight, &bias_values, size);
            let found = plain::convolve(x.clone(), &kernels, size, None);
            let added = random(4, found.dims());
            let sum = plain::convolve(x.clone(), &kernels, size, Some(added.clone()));
            let found = values(found);
            assert_close(&found, &expected, OF_TENS, &format!("{shape:?} {size:?}"));
            let expected: Vec<f32> = found.iter().zip(values(added)).map(|(a, b)| a + b).collect();
            assert_eq!(values(sum), expected);
        }
    }
}

#[test]
fn nothing_is_transformed_on_the_host() {
    let (_, weight, bias) = inputs([1, 32, 32, 1, 1]);
    assert!(!Kernels::prepared(weight.to_device(&Device::flex()), Some(bias)).are_transformed());
}

#[cfg(feature = "wgpu")]
mod kernel {
    use burn::tensor::FloatDType;

    use super::super::convolve;
    use super::super::launch::{self, CHANNELS, convolve_in_parts, has_tensor_cores};
    use super::*;
    use crate::common::memory::memory_of;
    use crate::common::tests::{gpu, layouts, traced};

    /// Whether burn's own convolutions are taken there.
    fn keeps_to_burn(device: &Device) -> bool {
        memory_of(&Tensor::<1>::zeros([1], device)).is_some_and(|memory| has_tensor_cores(&memory))
    }

    #[test]
    fn it_is_the_plain_convolution_on_every_layout() {
        let Some(device) = gpu().filter(|device| !keeps_to_burn(device)) else { return };
        for shape in [[1, 32, 32, 1, 1], [3, 32, 36, 5, 7], [2, 36, 32, 8, 8], [2, 40, 48, 17, 30]] {
            let [_, inputs, outputs, ..] = shape;
            let (x, weight, bias) = super::inputs(shape);
            let kernels =
                Kernels::prepared(weight.clone().to_device(&device), Some(bias.clone().to_device(&device)));
            assert!(kernels.are_transformed(), "wide enough");
            let on_host = Kernels::plain(weight, Some(bias));
            for size in [Size::Same, Size::Doubled] {
                let expected = plain::convolve(x.clone(), &on_host, size, None);
                let added = random(4, expected.dims());
                let sum = values(plain::convolve(x.clone(), &on_host, size, Some(added.clone())));
                let expected = values(expected);
                let added = layouts(&added, &device);
                for (x, added) in layouts(&x, &device).iter().zip(added.iter().rev()) {
                    // At once: all, one, and two as far as there are two.
                    let [.., height, width] = added.dims();
                    let two = 2 * 36 * inputs.max(outputs) * height.div_ceil(4) * width.div_ceil(4);
                    for (added, expected, at_once) in
                        [(None, &expected, usize::MAX), (None, &expected, 1), (Some(added), &sum, two)]
                    {
                        let found = convolve_in_parts(x, &kernels, size, added, at_once);
                        let what = format!("{inputs} to {outputs}, {size:?}, at once: {at_once}");
                        // Values of some tens, and the transform's error, twice that of a direct sum.
                        assert_close(&values(found.expect("taken")), expected, 2.0 * OF_TENS, &what);
                    }
                }
            }
        }
    }

    #[test]
    fn only_kernels_that_gain_are_transformed() {
        let Some(device) = gpu() else { return };
        let is_transformed = |shape: [usize; 4], dtype| {
            let weight = random(1, shape).to_device(&device).cast(dtype);
            let bias = Tensor::zeros([shape[0]], &device);
            Kernels::prepared(weight, Some(bias)).are_transformed()
        };
        assert_eq!(is_transformed([CHANNELS, CHANNELS, 3, 3], FloatDType::F32), !keeps_to_burn(&device));
        assert!(!is_transformed([32, 32, 3, 3], FloatDType::F16), "16 bits");
        assert!(!is_transformed([16, 32, 3, 3], FloatDType::F32), "few channels");
        assert!(!is_transformed([32, 33, 3, 3], FloatDType::F32), "no whole vectors");
        assert!(!is_transformed([32, 32, 1, 1], FloatDType::F32), "another size");
        let traced = traced(&random(1, [32, 32, 3, 3]).to_device(&device));
        assert!(!Kernels::prepared(traced, Some(Tensor::zeros([32], &device))).are_transformed(), "in a graph");
        let bare = random(1, [32, 32, 3, 3]).to_device(&device);
        assert!(!Kernels::prepared(bare, None).are_transformed(), "without a bias");
    }

    #[test]
    fn what_they_do_not_take_goes_the_plain_way() {
        let Some(device) = gpu() else { return };
        let (x, weight, bias) = inputs([2, 4, 4, 3, 3]);
        let expected = values(plain::convolve(
            x.clone(),
            &Kernels::plain(weight.clone(), Some(bias.clone())),
            Size::Same,
            None,
        ));
        let there = x.clone().to_device(&device);
        let (weight_there, bias_there) = (weight.clone().to_device(&device), bias.clone().to_device(&device));
        // More than `prepared` would make of so few channels: what is refused here is for the tensors alone.
        let transformed = |weight: &Tensor<4>, bias: &Tensor<1>| Kernels {
            weight: weight.clone(),
            bias: Some(bias.clone()),
            transformed: Some(Tensor::zeros([36, 4, 4], &device)),
        };
        let kernels = transformed(&weight_there, &bias_there);
        assert!(launch::convolve(&there, &kernels, Size::Same, Some(&there)).is_some());
        let bias_of = |values: usize| transformed(&weight_there, &Tensor::zeros([values], &device));
        assert!(launch::convolve(&there, &bias_of(3), Size::Same, None).is_none(), "another bias");
        let untransformed = Kernels::plain(weight_there.clone(), Some(bias_there.clone()));
        let graph = traced(&there);
        let in_a_graph = Kernels {
            weight: traced(&weight_there),
            bias: Some(Tensor::from_data(bias.to_data(), &graph.device())),
            ..kernels.clone()
        };
        for (what, x, kernels) in [
            ("on the host", &x, &transformed(&weight, &bias)),
            ("in a graph", &graph, &in_a_graph),
            ("not transformed", &there, &untransformed),
        ] {
            assert!(launch::convolve(x, kernels, Size::Same, None).is_none(), "{what}");
            let found = convolve(x.clone(), kernels, Size::Same, None);
            assert_close(&values(found), &expected, OF_TENS, what);
        }
        let half = there.clone().cast(FloatDType::F16);
        for (wrong, what) in [
            (&x, "on the host"),
            (&graph, "in a graph"),
            (&half, "of 16 bits"),
            (&there.clone().slice([0..1]), "another number"),
        ] {
            assert!(launch::convolve(&there, &kernels, Size::Same, Some(wrong)).is_none(), "added: {what}");
        }
        assert!(launch::convolve(&half, &kernels, Size::Same, None).is_none(), "of 16 bits");
    }
}
