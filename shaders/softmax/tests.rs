use burn::tensor::{DType, FloatDType, Tensor};

use super::plain;
use crate::common::tests::{assert_close, random, values};

/// In the last of these scores are so large that they would overflow without the row's largest taken off first.
const CASES: [([usize; 4], f64); 5] = [
    ([1, 1, 1, 1], 1.0),
    ([2, 3, 5, 49], 1.0),
    ([1, 2, 67, 67], 1.0),
    ([3, 1, 2, 300], 1.0),
    ([2, 3, 5, 49], 80.0),
];

/// Of weights of at most 1, by exponentials that WGSL asks to be right to 3 + 2 |x| last bits.
const OF_WEIGHTS: f32 = 1e-6;

/// As the definition says, in f64.
fn weights(scores: &Tensor<4>) -> Vec<f32> {
    let rows = values(scores.clone());
    let weights = rows.chunks(scores.dims()[3]).flat_map(|row| {
        let scores = row.iter().map(|score| f64::from(*score));
        let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> = scores.map(|score| (score - largest).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        exponentials.into_iter().map(move |exponential| (exponential / sum) as f32)
    });
    weights.collect()
}

#[test]
fn the_plain_meaning_is_the_definition() {
    for (shape, scale) in CASES {
        let scores = random(1, shape) * scale;
        let found = values(plain::softmax(scores.clone()));
        assert_close(&found, &weights(&scores), OF_WEIGHTS, &format!("{shape:?} {scale}"));
    }
}

/// Scores whose weights, added up in f16, would be off by far more than the returned tolerance: weights are
/// rounded once, to 11 bits, by half of the last one.
fn halves() -> (Tensor<4>, Vec<f32>, f32) {
    let half = random(1, [1, 2, 3, 3000]).cast(FloatDType::F16);
    let expected = weights(&half.clone().cast(FloatDType::F32));
    let largest = expected.iter().copied().fold(0.0, f32::max);
    (half, expected, largest / 2000.0)
}

#[test]
fn sixteen_bits_are_summed_in_32_plainly() {
    let (half, expected, tolerance) = halves();
    let found = plain::softmax(half);
    assert_eq!(found.dtype(), DType::F16);
    assert_close(&values(found), &expected, tolerance, "f16");
}

#[cfg(feature = "wgpu")]
mod kernel {
    use super::super::{launch, softmax};
    use super::*;
    use crate::common::memory::memory_of;
    use crate::common::tests::{gpu, layouts, traced};

    #[test]
    fn it_is_the_definition_on_every_layout() {
        let Some(device) = gpu() else { return };
        for (shape, scale) in CASES {
            let scores = random(1, shape) * scale;
            let expected = weights(&scores);
            let transposed = scores.clone().swap_dims(2, 3).to_device(&device).swap_dims(2, 3);
            for scores in layouts(&scores, &device).into_iter().chain([transposed]) {
                let found = launch::softmax(&scores).expect("taken");
                assert_close(&values(found), &expected, OF_WEIGHTS, &format!("{shape:?} {scale}"));
            }
        }
    }

    #[test]
    fn sixteen_bits_are_summed_in_32() {
        let Some(device) = gpu() else { return };
        let (half, expected, tolerance) = halves();
        let found = launch::softmax(&half.to_device(&device)).expect("taken");
        assert_eq!(found.dtype(), DType::F16);
        assert_close(&values(found), &expected, tolerance, "f16");
    }

    #[test]
    fn what_it_does_not_take_goes_the_plain_way() {
        let Some(device) = gpu() else { return };
        let scores = random(1, [2, 4, 3, 3]);
        let expected = values(plain::softmax(scores.clone()));
        let in_a_graph = traced(&scores.clone().to_device(&device));
        for (what, scores) in [("on the host", scores), ("in a graph", in_a_graph)] {
            assert!(launch::softmax(&scores).is_none(), "{what}");
            assert_close(&values(softmax(scores)), &expected, OF_WEIGHTS, what);
        }
        assert!(launch::softmax(&Tensor::zeros([0, 4, 3, 3], &device)).is_none(), "no rows");
    }

    #[test]
    fn more_cubes_than_a_launch_takes_go_the_plain_way() {
        let Some(device) = gpu() else { return };
        let memory = memory_of(&Tensor::<1>::zeros([1], &device)).expect("on a GPU");
        let (most, ..) = memory.client.properties().hardware.max_cube_count;
        // Some drivers set no limit that a tensor reaches.
        if most < 1 << 24 {
            let rows = |rows: u32| Tensor::<4>::zeros([1, 1, rows as usize, 1], &device);
            assert!(launch::softmax(&rows(most)).is_some() && launch::softmax(&rows(most + 1)).is_none());
            assert!(values(softmax(rows(most + 1))).iter().all(|weight| *weight == 1.0));
        }
    }
}
