use burn::tensor::{DType, Device, FloatDType, Tensor};

use super::{Activation, GroupNorm, plain};
use crate::common::tests::{OF_TENS, assert_close, random, values};

const SHAPES: [([usize; 4], usize); 6] = [
    ([1, 1, 1, 1], 1),
    ([3, 6, 5, 7], 2),
    ([2, 35, 17, 3], 5),
    ([1, 4, 31, 33], 4),
    ([2, 10, 8, 8], 2),
    // More channels in a group than a cube has units.
    ([1, 600, 2, 3], 2),
];

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
    let activated = |y: f64| match norm.activation {
        Activation::Identity => y,
        Activation::Silu => y / (1.0 + (-y).exp()),
    };
    affine.map(|y| activated(y) as f32).collect()
}

/// What a normalisation is given, on the host: rows `[1, c, 1, 1]` and `[n, c, 1, 1]`, in every place that takes
/// either.
struct Case {
    norm: GroupNorm,
    x: Tensor<4>,
    added: Option<Tensor<4>>,
    weight: Tensor<4>,
    bias: Tensor<4>,
}

fn cases() -> impl Iterator<Item = Case> {
    SHAPES.into_iter().flat_map(|(shape, groups)| {
        let [n, channels, ..] = shape;
        let x = random(1, shape);
        let [one, each] = [random(2, [1, channels, 1, 1]), random(3, [n, channels, 1, 1])];
        let case = |activation, added, weight: &Tensor<4>| Case {
            norm: GroupNorm { groups, epsilon: 1e-5, activation },
            x: x.clone(),
            added,
            weight: weight.clone(),
            // Not the weight, which would hide an exchange of the two.
            bias: weight.clone() * -0.5 + 0.1,
        };
        [
            case(Activation::Identity, None, &one),
            case(Activation::Silu, Some(each.clone()), &one),
            case(Activation::Silu, Some(one.clone()), &each),
        ]
    })
}

impl Case {
    fn expected(&self) -> Vec<f32> {
        normalized(&self.norm, &self.x, self.added.as_ref(), &self.weight, &self.bias)
    }

    fn name(&self) -> String {
        format!("{:?} {:?}", self.x.dims(), self.norm)
    }
}

#[test]
fn the_plain_meaning_is_the_definition() {
    for case in cases() {
        let Case { norm, x, added, weight, bias } = &case;
        let found = plain::group_norm(norm, x.clone(), added.as_ref(), weight, bias);
        assert_close(&values(found), &case.expected(), OF_TENS, &case.name());
    }
}

const ROOT_OF_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// As large as the variance it is seen, unlike the 1e-5 of a network.
#[test]
fn epsilon_is_added_to_the_variance() {
    let device = Device::flex();
    let norm = GroupNorm { groups: 1, epsilon: 1.0, activation: Activation::Identity };
    let x = Tensor::<4>::from_data([[[[1.0f32, 3.0]]]], &device);
    let [weight, bias] = [1.0, 0.0].map(|value| Tensor::full([1, 1, 1, 1], value, &device));
    let found = plain::group_norm(&norm, x, None, &weight, &bias);
    assert_close(&values(found), &[-ROOT_OF_HALF, ROOT_OF_HALF], 1e-7, "variance 1, epsilon 1");
}

/// Half of the last bit of values below 4, rounded once.
const OF_HALVES: f32 = 1.01 / 1024.0;

/// Groups whose sums are too large for f16.
fn halves() -> (GroupNorm, Tensor<4>) {
    let norm = GroupNorm { groups: 2, epsilon: 1e-5, activation: Activation::Identity };
    (norm, (random(1, [2, 6, 64, 64]) + 8.0).cast(FloatDType::F16))
}

#[test]
fn sixteen_bits_are_summed_in_32_plainly() {
    let (norm, half) = halves();
    let [weight, bias] = [1.0, 0.0].map(|value| Tensor::full([1, 6, 1, 1], value, &Device::flex()));
    let expected = normalized(&norm, &half.clone().cast(FloatDType::F32), None, &weight, &bias);
    let found = plain::group_norm(&norm, half, None, &weight, &bias);
    assert_eq!(found.dtype(), DType::F16);
    assert_close(&values(found), &expected, OF_HALVES, "f16");
}

#[cfg(feature = "wgpu")]
mod kernel {
    use super::super::{group_norm, launch};
    use super::*;
    use crate::common::tests::{gpu, layouts, traced};

    #[test]
    fn it_is_the_definition_on_every_layout() {
        let Some(device) = gpu() else { return };
        let on = |x: &Tensor<4>| x.clone().to_device(&device);
        for case in cases() {
            let (added, weight, bias) = (case.added.as_ref().map(on), on(&case.weight), on(&case.bias));
            for x in layouts(&case.x, &device) {
                let found = launch::group_norm(&case.norm, &x, added.as_ref(), &weight, &bias).expect("taken");
                assert_close(&values(found), &case.expected(), OF_TENS, &case.name());
            }
        }
    }

    #[test]
    fn it_adds_epsilon_to_the_variance() {
        let Some(device) = gpu() else { return };
        let norm = GroupNorm { groups: 1, epsilon: 1.0, activation: Activation::Identity };
        let x = Tensor::<4>::from_data([[[[1.0f32, 3.0]]]], &device);
        let [weight, bias] = [1.0, 0.0].map(|value| Tensor::full([1, 1, 1, 1], value, &device));
        let found = launch::group_norm(&norm, &x, None, &weight, &bias).expect("taken");
        assert_close(&values(found), &[-ROOT_OF_HALF, ROOT_OF_HALF], 1e-6, "variance 1, epsilon 1");
    }

    #[test]
    fn sixteen_bits_are_summed_in_32() {
        let Some(device) = gpu() else { return };
        let (norm, half) = halves();
        let rows = |device: &Device| [1.0, 0.0].map(|value| Tensor::full([1, 6, 1, 1], value, device));
        let [weight, bias] = rows(&Device::flex());
        let expected = normalized(&norm, &half.clone().cast(FloatDType::F32), None, &weight, &bias);
        let ([weight, bias], half) = (rows(&device), half.to_device(&device));
        let innermost = half.clone().permute([0, 2, 3, 1]) + 0.0;
        for half in [half, innermost.permute([0, 3, 1, 2])] {
            let found = launch::group_norm(&norm, &half, None, &weight, &bias).expect("taken");
            assert_eq!(found.dtype(), DType::F16);
            assert_close(&values(found), &expected, OF_HALVES, "f16");
        }
    }

    #[test]
    fn what_it_does_not_take_goes_the_plain_way() {
        let Some(device) = gpu() else { return };
        let x = random(1, [2, 4, 3, 3]);
        let there = x.clone().to_device(&device);
        let norm = GroupNorm { groups: 2, epsilon: 1e-5, activation: Activation::Silu };
        let row = |x: &Tensor<4>| x.clone().slice([0..1, 0..4, 0..1, 0..1]);
        let expected = values(plain::group_norm(&norm, x.clone(), None, &row(&x), &row(&x)));
        // Of the same shape and values, but the pixels of a channel do not follow each other.
        let turned = x.clone().swap_dims(2, 3).to_device(&device).swap_dims(2, 3);
        let half = row(&there).cast(FloatDType::F16);
        let rounded = plain::group_norm(&norm, x.clone(), None, &row(&x).cast(FloatDType::F16), &row(&x));
        for (what, x, weight, bias, expected) in [
            ("on the host", &x, row(&x), row(&x), &expected),
            ("in a graph", &traced(&there), row(&traced(&there)), row(&traced(&there)), &expected),
            ("no line of pixels", &turned, row(&there), row(&there), &expected),
            ("weights of 16 bits", &there, half, row(&there), &values(rounded)),
        ] {
            assert!(launch::group_norm(&norm, x, None, &weight, &bias).is_none(), "{what}");
            let found = group_norm(&norm, x.clone(), None, &weight, &bias);
            assert_close(&values(found), expected, OF_TENS, what);
        }
        let empty = Tensor::<4>::zeros([0, 4, 3, 3], &device);
        assert!(launch::group_norm(&norm, &empty, None, &row(&there), &row(&there)).is_none(), "no pictures");
    }
}
