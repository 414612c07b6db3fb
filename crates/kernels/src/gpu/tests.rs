//! Each kernel against its meaning, at odd sizes. They need a Vulkan device, software ones included: where there is none they
//! pass without a word, unless `DDIM_EXPECT_GPU` is set.

use std::sync::OnceLock;

use burn::tensor::module::{conv2d, interpolate};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::{Device, DeviceKind, Distribution, FloatDType, Tensor};

use crate::{
    GroupNorm, StepCoefficients, convolve_on_gpu, group_norm_on_gpu, softmax_on_gpu, step_on_gpu, step_on_host,
    transformed_for_gpu,
};

/// A software device, which CI has, else whatever there is; opened once.
fn gpu() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let open = |kind| Device::wgpu_options().device_kind(kind).graphics_api(WgpuBackend::Vulkan).init().ok();
    let kinds = [DeviceKind::Cpu, DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0)];
    let found = FOUND.get_or_init(|| kinds.into_iter().find_map(open)).clone();
    assert!(found.is_some() || std::env::var_os("DDIM_EXPECT_GPU").is_none(), "DDIM_EXPECT_GPU is set");
    found
}

fn random(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Normal(0.3, 2.0), &Device::flex())
}

fn values(x: Tensor<4>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_to_vec().expect("floats")
}

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

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= tolerance, "{what}: off by {off}");
}

#[test]
fn group_norm_is_its_definition_in_any_layout() {
    let Some(device) = gpu() else { return };
    for (shape, groups) in [([1, 1, 1, 1], 1), ([3, 6, 5, 7], 2), ([2, 35, 17, 3], 5), ([1, 4, 31, 33], 4)] {
        let [n, channels, ..] = shape;
        let x = random(shape);
        let [one, each] = [random([1, channels, 1, 1]), random([n, channels, 1, 1])];
        for (silu, added, weight) in [(false, None, &one), (true, Some(&each), &one), (true, Some(&one), &each)] {
            let norm = GroupNorm { groups, epsilon: 1e-5, silu };
            let expected = normalized(&norm, &x, added, weight, &one);
            let on = |x: &Tensor<4>| x.clone().to_device(&device);
            let innermost = x.clone().permute([0, 2, 3, 1]).to_device(&device).permute([0, 3, 1, 2]);
            for x in [on(&x), innermost] {
                let found =
                    group_norm_on_gpu(&norm, &x, added.map(on).as_ref(), &on(weight), &on(&one)).expect("taken");
                assert_close(&values(found), &expected, 3e-5, &format!("{shape:?} {norm:?}"));
            }
        }
    }
}

#[test]
fn group_norm_of_16_bits_sums_in_32() {
    let Some(device) = gpu() else { return };
    let shape = [2, 6, 9, 5];
    let (x, row) = (random(shape), random([1, 6, 1, 1]));
    let half = x.clone().to_device(&device).cast(FloatDType::F16);
    let norm = GroupNorm { groups: 2, epsilon: 1e-5, silu: true };
    let row_there = row.clone().to_device(&device);
    let found = group_norm_on_gpu(&norm, &half, None, &row_there, &row_there).expect("taken");
    let rounded = half.cast(FloatDType::F32).to_device(&Device::flex());
    assert_close(&values(found), &normalized(&norm, &rounded, None, &row, &row), 1e-2, "f16");
}

#[test]
fn softmax_is_its_definition() {
    let Some(device) = gpu() else { return };
    for shape in [[1, 1, 1, 1], [2, 3, 5, 49], [1, 2, 67, 67], [3, 1, 2, 300]] {
        // As large as would overflow without the row's largest taken off first.
        let scores = random(shape) * 80.0;
        let rows = values(scores.clone());
        let expected = rows.chunks(shape[3]).flat_map(|row| {
            let scaled = row.iter().map(|score| f64::from(*score) * 0.7);
            let largest = scaled.clone().fold(f64::NEG_INFINITY, f64::max);
            let exponentials: Vec<f64> = scaled.map(|score| (score - largest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            exponentials.into_iter().map(move |exponential| (exponential / sum) as f32)
        });
        let expected: Vec<f32> = expected.collect();
        let transposed = scores.clone().swap_dims(2, 3).to_device(&device).swap_dims(2, 3);
        for scores in [scores.to_device(&device), transposed] {
            let found = softmax_on_gpu(&scores, 0.7).expect("taken");
            assert_close(&values(found), &expected, 3e-5, &format!("{shape:?}"));
        }
    }
}

#[test]
fn winograd_is_a_convolution() {
    let Some(device) = gpu() else { return };
    let one = [1, 1];
    for [n, inputs, outputs, height, width] in
        [[1, 32, 32, 1, 1], [3, 32, 36, 5, 7], [2, 36, 32, 9, 4], [2, 40, 48, 17, 30]]
    {
        let x = random([n, inputs, height, width]);
        let weight = random([outputs, inputs, 3, 3]) * 0.05;
        let bias = random([1, 1, 1, outputs]).reshape([outputs]);
        let on = |x: &Tensor<4>| x.clone().to_device(&device);
        let kernels = transformed_for_gpu(&on(&weight)).expect("wide enough, and no tensor cores");
        let bias_there = bias.clone().to_device(&device);
        for doubled in [false, true] {
            let size = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
            let before = if doubled { interpolate(x.clone(), size) } else { x.clone() };
            let options = ConvOptions::new(one, one, one, 1);
            let expected = values(conv2d(before, weight.clone(), Some(bias.clone()), options));
            let innermost = x.clone().permute([0, 2, 3, 1]).to_device(&device).permute([0, 3, 1, 2]);
            for x in [on(&x), innermost] {
                let found = convolve_on_gpu(&x, &kernels, &bias_there, doubled).expect("taken");
                // Of values up to 10.
                assert_close(
                    &values(found),
                    &expected,
                    5e-5,
                    &format!("{inputs} to {outputs}, doubled: {doubled}"),
                );
            }
        }
    }
    assert!(transformed_for_gpu(&random([16, 32, 3, 3]).to_device(&device)).is_none(), "few channels");
    assert!(transformed_for_gpu(&random([32, 33, 3, 3]).to_device(&device)).is_none(), "no whole vectors");
    assert!(transformed_for_gpu(&random([32, 32, 1, 1]).to_device(&device)).is_none(), "another size");
}

#[test]
fn a_step_is_that_of_the_host() {
    let Some(device) = gpu() else { return };
    let on = |x: &Tensor<4>| x.clone().to_device(&device);
    for (shape, x0_limit) in [([1, 1, 1, 1], 0.8), ([3, 2, 5, 7], f32::INFINITY), ([2, 3, 33, 31], 0.8)] {
        let [x, out, z] = [(); 3].map(|()| random(shape));
        for noise in [None, Some(z)] {
            let c = StepCoefficients {
                x0_from_x: 1.7,
                x0_from_out: -1.3,
                x0_limit,
                next_from_x: 0.3,
                next_from_out: -0.2,
                next_from_x0: 0.8,
                sigma: 0.37,
            };
            let innermost = out.clone().permute([0, 2, 3, 1]).to_device(&device).permute([0, 3, 1, 2]);
            let found = step_on_gpu(&on(&x), &innermost, noise.as_ref().map(on).as_ref(), &c).expect("taken");
            let host =
                step_on_host(x.clone(), out.clone(), noise, &c).unwrap_or_else(|_| panic!("in host memory"));
            assert_close(&values(found.next), &values(host.next), 1e-5, "next");
            assert_close(&values(found.x0), &values(host.x0), 1e-5, "x0");
            assert!(found.sums.into_data().iter::<f32>().all(f32::is_finite));
        }
    }
}

/// Every part of a picture tells on its own.
#[test]
fn what_is_not_finite_is_found_where_it_is() {
    let Some(device) = gpu() else { return };
    let c = StepCoefficients {
        x0_from_x: 1.0,
        x0_from_out: 0.0,
        x0_limit: 1.0,
        next_from_x: 0.0,
        next_from_out: 1.0,
        next_from_x0: 1.0,
        sigma: 1.0,
    };
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for tensor in 0..3 {
            let mut data = [(); 3].map(|()| random([3, 1, 41, 53]).into_data());
            data[tensor].as_mut_slice::<f32>().expect("floats")[2 * 41 * 53 + 2000] = bad;
            let [x, out, z] = data.map(|data| Tensor::<4>::from_data(data, &device));
            let sums = step_on_gpu(&x, &out, Some(&z), &c).expect("taken").sums;
            let [_, parts] = sums.dims();
            let found: Vec<usize> = sums
                .into_data()
                .iter::<f32>()
                .enumerate()
                .filter(|(_, sum)| !sum.is_finite())
                .map(|(i, _)| i)
                .collect();
            assert_eq!((parts, found), (3, vec![2 * 3 + 1]), "{bad} in tensor {tensor}");
        }
    }
}

#[test]
fn other_tensors_are_left_alone() {
    let x = random([2, 4, 3, 3]);
    let row = random([1, 4, 1, 1]);
    let norm = GroupNorm { groups: 2, epsilon: 1e-5, silu: false };
    assert!(group_norm_on_gpu(&norm, &x, None, &row, &row).is_none(), "on the host");
    let Some(device) = gpu() else { return };
    let on = |x: &Tensor<4>| x.clone().to_device(&device);
    let traced = Tensor::<4>::from_data(x.to_data(), &device.clone().autodiff());
    assert!(group_norm_on_gpu(&norm, &traced, None, &on(&row), &on(&row)).is_none(), "in a graph");
    let half = row.clone().to_device(&device).cast(FloatDType::F16);
    assert!(group_norm_on_gpu(&norm, &on(&x), None, &half, &half).is_none(), "weights of 16 bits");
}
