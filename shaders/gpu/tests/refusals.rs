use burn::tensor::{FloatDType, Tensor};

use super::super::memory_of;
use super::step::COEFFICIENTS;
use super::{gpu, random};
use crate::{
    GroupNorm, TransformedKernels, convolve_on_gpu, group_norm_on_gpu, softmax_on_gpu, step_on_gpu,
    transformed_for_gpu,
};

#[test]
fn other_tensors_are_left_alone() {
    let Some(device) = gpu() else { return };
    let x = random(1, [2, 4, 3, 3]);
    let there = x.clone().to_device(&device);
    let traced = Tensor::<4>::from_data(x.to_data(), &device.clone().autodiff());
    for (x, what) in [(&x, "on the host"), (&traced, "in a graph")] {
        assert!(normalize(x, &there).is_none(), "{what}");
        assert!(softmax_on_gpu(x).is_none(), "{what}");
        assert!(transformed_for_gpu(x).is_none(), "{what}");
        assert!(step_on_gpu(x, x, None, &COEFFICIENTS).is_none(), "{what}");
        let kernels = TransformedKernels(Tensor::zeros([36, 4, 4], &device));
        assert!(convolve_on_gpu(x, &kernels, &Tensor::zeros([4], &device), None, false).is_none(), "{what}");
    }
    let half = there.clone().cast(FloatDType::F16);
    assert!(normalize(&there, &half).is_none(), "weights of 16 bits");
    assert!(step_on_gpu(&there, &half, None, &COEFFICIENTS).is_none(), "an output of 16 bits");
    let narrow = there.clone().slice([0..2, 0..4, 0..3, 0..2]);
    assert!(step_on_gpu(&there, &narrow, None, &COEFFICIENTS).is_none(), "another shape");
    for (wrong, what) in [
        (&x, "on the host"),
        (&traced, "in a graph"),
        (&half, "of 16 bits"),
        (&there.clone().slice([0..1]), "another number"),
    ] {
        let kernels = TransformedKernels(Tensor::zeros([36, 4, 4], &device));
        let bias = Tensor::zeros([4], &device);
        assert!(convolve_on_gpu(&there, &kernels, &bias, Some(&there), false).is_some());
        assert!(convolve_on_gpu(&there, &kernels, &bias, Some(wrong), false).is_none(), "added: {what}");
        assert!(convolve_on_gpu(&there, &kernels, &Tensor::zeros([3], &device), None, false).is_none(), "bias");
    }
    // Of the same shape, but the pixels of a channel do not follow each other.
    let turned = there.clone().swap_dims(2, 3);
    assert!(normalize(&turned, &there).is_none(), "no line of pixels");
    assert!(step_on_gpu(&there, &turned, None, &COEFFICIENTS).is_none(), "no line of pixels");
}

#[test]
fn more_cubes_than_a_launch_takes_are_left_alone() {
    let Some(device) = gpu() else { return };
    let memory = memory_of(&Tensor::<1>::zeros([1], &device)).expect("on a GPU");
    let (most, ..) = memory.client.properties().hardware.max_cube_count;
    // Some drivers set no limit that a tensor reaches.
    if most < 1 << 24 {
        let rows = |rows: u32| Tensor::<4>::zeros([1, 1, rows as usize, 1], &device);
        assert!(softmax_on_gpu(&rows(most)).is_some() && softmax_on_gpu(&rows(most + 1)).is_none());
    }
}

/// With a row of these as weight and bias.
fn normalize(x: &Tensor<4>, row: &Tensor<4>) -> Option<Tensor<4>> {
    let row = row.clone().slice([0..1, 0..4, 0..1, 0..1]);
    group_norm_on_gpu(&GroupNorm { groups: 2, epsilon: 1e-5, silu: false }, x, None, &row, &row)
}
