use burn::tensor::{DType, Device, FloatDType, Tensor};

use super::{OF_TENS, assert_close, gpu, layouts, random, values};
use crate::{GroupNorm, group_norm_on_gpu};

/// As the definition says, in f64.
fn normalized(
    norm: &GroupNorm,
    x: &Tensor<4>,
    added: Option<&Tensor<4>>,
    weight: &Tensor<4>,
    bias: &Tensor<4>,
) -> Vec<f32> {
    let [n, channels, h, w] = x.dims();
    let rows = |rows: &Tensor<4>| values(rows.clone().expand([n, channels, 1, 1]));
    let (weight, bias) = (rows(weight), rows(bias));
    let added = added.map_or_else(|| vec![0.0; n * channels], rows);
    let x: Vec<f64> =
        values(x.clone()).iter().enumerate().map(|(i, x)| f64::from(*x) + f64::from(added[i / (h * w)])).collect();
    let len = channels / norm.groups * h * w;
    let normalized = x.chunks(len).flat_map(|group| {
        let mean = group.iter().sum::<f64>() / len as f64;
        let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / len as f64;
        group.iter().map(move |x| (x - mean) / (variance + norm.epsilon).sqrt()).collect::<Vec<_>>()
    });
    let affine =
        normalized.enumerate().map(|(i, y)| y * f64::from(weight[i / (h * w)]) + f64::from(bias[i / (h * w)]));
    affine.map(|y| if norm.silu { y / (1.0 + (-y).exp()) } else { y } as f32).collect()
}

#[test]
fn group_norm_is_its_definition() {
    let Some(device) = gpu() else { return };
    let on = |x: &Tensor<4>| x.clone().to_device(&device);
    for (shape, groups) in [
        ([1, 1, 1, 1], 1),
        ([3, 6, 5, 7], 2),
        ([2, 35, 17, 3], 5),
        ([1, 4, 31, 33], 4),
        ([2, 10, 8, 8], 2),
        // More channels in a group than a cube has units.
        ([1, 600, 2, 3], 2),
    ] {
        let [n, channels, ..] = shape;
        let x = random(1, shape);
        let [one, each] = [random(2, [1, channels, 1, 1]), random(3, [n, channels, 1, 1])];
        for (silu, added, weight, bias) in
            [(false, None, &one, &one), (true, Some(&each), &one, &one), (true, Some(&one), &each, &each)]
        {
            let norm = GroupNorm { groups, epsilon: 1e-5, silu };
            let expected = normalized(&norm, &x, added, weight, bias);
            for x in layouts(&x, &device) {
                let found =
                    group_norm_on_gpu(&norm, &x, added.map(on).as_ref(), &on(weight), &on(bias)).expect("taken");
                assert_close(&values(found), &expected, OF_TENS, &format!("{shape:?} {norm:?}"));
            }
        }
    }
}

#[test]
fn group_norm_of_16_bits_sums_in_32() {
    let Some(device) = gpu() else { return };
    // Groups whose sums are too large for f16.
    let half = (random(1, [2, 6, 64, 64]) + 8.0).to_device(&device).cast(FloatDType::F16);
    let norm = GroupNorm { groups: 2, epsilon: 1e-5, silu: false };
    let (weight, bias) = (Tensor::ones([1, 6, 1, 1], &device), Tensor::zeros([1, 6, 1, 1], &device));
    let rounded = half.clone().cast(FloatDType::F32).to_device(&Device::flex());
    let on_host = |row: &Tensor<4>| row.clone().to_device(&Device::flex());
    let expected = normalized(&norm, &rounded, None, &on_host(&weight), &on_host(&bias));
    let innermost = half.clone().permute([0, 2, 3, 1]) + 0.0;
    for half in [half, innermost.permute([0, 3, 1, 2])] {
        let found = group_norm_on_gpu(&norm, &half, None, &weight, &bias).expect("taken");
        assert_eq!(found.dtype(), DType::F16);
        // Half of the last bit of values below 4, rounded once.
        assert_close(&values(found), &expected, 1.01 / 1024.0, "f16");
    }
}
