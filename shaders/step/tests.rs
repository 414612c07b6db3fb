use burn::tensor::{Device, Tensor};

use super::{StepCoefficients, plain};
use crate::common::tests::{OF_TENS, assert_close, random, values};

const COEFFICIENTS: StepCoefficients = StepCoefficients {
    x0_from_x: 1.7,
    x0_from_out: -1.3,
    x0_limit: 0.8,
    next_from_x: 0.3,
    next_from_out: -0.2,
    next_from_x0: 0.8,
    sigma: 0.37,
};

const CASES: [([usize; 4], f64); 4] =
    [([1, 1, 1, 1], 0.8), ([3, 2, 5, 7], f64::INFINITY), ([2, 3, 33, 31], 0.8), ([2, 3, 16, 4], 0.8)];

/// The next state and the clean image as the definition says, in f64.
fn defined(x: &Tensor<4>, out: &Tensor<4>, added: Option<&Tensor<4>>, c: &StepCoefficients) -> [Vec<f32>; 2] {
    let (x, out) = (values(x.clone()), values(out.clone()));
    let added = added.map_or_else(|| vec![0.0; x.len()], |added| values(added.clone()));
    let pixel = |i: usize| {
        let [x, out, added] = [x[i], out[i], added[i]].map(f64::from);
        let x0 = (c.x0_from_x * x + c.x0_from_out * out).clamp(-c.x0_limit, c.x0_limit);
        [c.next_from_x * x + c.next_from_out * out + c.next_from_x0 * x0 + c.sigma * added, x0]
    };
    [0, 1].map(|part| (0..x.len()).map(|i| pixel(i)[part] as f32).collect())
}

#[test]
fn the_plain_meaning_is_the_definition() {
    for (shape, x0_limit) in CASES {
        let [x, out, added] = [1, 2, 3].map(|seed| random(seed, shape));
        for added in [None, Some(added)] {
            // Weights of 0 and 1 save operations.
            for next_from_x in [0.3, 0.0, 1.0] {
                let c = StepCoefficients { x0_limit, next_from_x, ..COEFFICIENTS };
                let [next, x0] = defined(&x, &out, added.as_ref(), &c);
                let found = plain::step(x.clone(), out.clone(), added.clone(), &c);
                assert_close(&values(found.next), &next, OF_TENS, "next");
                assert_close(&values(found.x0), &x0, OF_TENS, "x0");
                assert!(found.sums.into_data().iter::<f32>().all(f32::is_finite));
            }
        }
    }
}

/// A run that jumps back to pure noise forgets all that it had.
#[test]
fn weights_that_are_all_0_leave_what_is_added() {
    let [x, out, added] = [1, 2, 3].map(|seed| random(seed, [2, 1, 3, 5]));
    let c =
        StepCoefficients { next_from_x: 0.0, next_from_out: 0.0, next_from_x0: 0.0, sigma: 1.0, ..COEFFICIENTS };
    assert_eq!(values(plain::step(x, out, Some(added.clone()), &c).next), values(added));
}

/// Three pictures of three parts, with a value in the middle part of the last that is not finite.
fn spoiled(bad: f32, tensor: usize, device: &Device) -> [Tensor<4>; 3] {
    let mut data = [1, 2, 3].map(|seed| random(seed, [3, 1, 41, 53]).into_data());
    data[tensor].as_mut_slice::<f32>().expect("floats")[2 * 41 * 53 + 2000] = bad;
    data.map(|data| Tensor::<4>::from_data(data, device))
}

/// The places of sums that are not finite, of how many a picture.
fn bad_parts(sums: Tensor<2>) -> (usize, Vec<usize>) {
    let [_, parts] = sums.dims();
    let sums = sums.into_data();
    let found = sums.iter::<f32>().enumerate().filter(|(_, sum)| !sum.is_finite()).map(|(i, _)| i).collect();
    (parts, found)
}

#[test]
fn what_is_not_finite_is_found_in_its_picture_plainly() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for tensor in 0..3 {
            let [x, out, z] = spoiled(bad, tensor, &Device::flex());
            let sums = plain::step(x, out, Some(z), &COEFFICIENTS).sums;
            assert_eq!(bad_parts(sums), (1, vec![2]), "{bad} in tensor {tensor}");
        }
    }
}

/// Of an infinite prediction the limit makes a number; here all that leads to it is finite, and so is the next
/// state.
#[test]
fn what_the_limit_hides_is_found_plainly() {
    for (bad, tensor) in [(f32::MAX, 0), (f32::MIN, 1)] {
        let [x, out, z] = spoiled(bad, tensor, &Device::flex());
        let found = plain::step(x, out, Some(z), &COEFFICIENTS);
        assert!(values(found.next).iter().all(|value| value.is_finite()), "hidden");
        assert_eq!(bad_parts(found.sums), (1, vec![2]), "{bad} in tensor {tensor}");
    }
}

#[cfg(feature = "wgpu")]
mod kernel {
    use burn::tensor::FloatDType;

    use super::super::{launch, step};
    use super::*;
    use crate::common::tests::{gpu, layouts, traced};

    #[test]
    fn it_is_the_plain_step_on_every_layout() {
        let Some(device) = gpu() else { return };
        for (shape, x0_limit) in CASES {
            let [x, out, noise] = [1, 2, 3].map(|seed| random(seed, shape));
            let [xs, outs, noises] = [&x, &out, &noise].map(|x| layouts(x, &device));
            let c = StepCoefficients { x0_limit, ..COEFFICIENTS };
            for draws in [false, true] {
                let expected = plain::step(x.clone(), out.clone(), draws.then(|| noise.clone()), &c);
                let (next, x0) = (values(expected.next), values(expected.x0));
                for layout in 0..3 {
                    let noise = draws.then_some(&noises[(layout + 2) % 3]);
                    let found = launch::step(&xs[layout], &outs[(layout + 1) % 3], noise, &c).expect("taken");
                    assert_close(&values(found.next), &next, OF_TENS, "next");
                    assert_close(&values(found.x0), &x0, OF_TENS, "x0");
                    assert!(found.sums.into_data().iter::<f32>().all(|sum| sum == 0.0));
                }
            }
        }
    }

    /// Every part of a picture tells on its own.
    #[test]
    fn what_is_not_finite_is_found_where_it_is() {
        let Some(device) = gpu() else { return };
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for tensor in 0..3 {
                let [x, out, z] = spoiled(bad, tensor, &device);
                let sums = launch::step(&x, &out, Some(&z), &COEFFICIENTS).expect("taken").sums;
                assert_eq!(bad_parts(sums), (3, vec![2 * 3 + 1]), "{bad} in tensor {tensor}");
            }
        }
    }

    #[test]
    fn what_the_limit_hides_is_found() {
        let Some(device) = gpu() else { return };
        for (bad, tensor) in [(f32::MAX, 0), (f32::MIN, 1)] {
            let [x, out, z] = spoiled(bad, tensor, &device);
            let found = launch::step(&x, &out, Some(&z), &COEFFICIENTS).expect("taken");
            assert!(values(found.next).iter().all(|value| value.is_finite()), "hidden");
            assert_eq!(bad_parts(found.sums), (3, vec![2 * 3 + 1]), "{bad} in tensor {tensor}");
        }
    }

    #[test]
    fn what_it_does_not_take_goes_the_plain_way() {
        let Some(device) = gpu() else { return };
        let x = random(1, [2, 4, 3, 3]);
        let there = x.clone().to_device(&device);
        let expected = plain::step(x.clone(), x.clone(), Some(x.clone()), &COEFFICIENTS);
        let expected = [values(expected.next), values(expected.x0)];
        // Of the same shape and values, but the pixels of a channel do not follow each other.
        let turned = x.clone().swap_dims(2, 3).to_device(&device).swap_dims(2, 3);
        for (what, x, out) in [
            ("on the host", &x, &x),
            ("in a graph", &traced(&there), &traced(&there)),
            ("no line of pixels", &there, &turned),
        ] {
            assert!(launch::step(x, out, Some(x), &COEFFICIENTS).is_none(), "{what}");
            let found = step(x.clone(), out.clone(), Some(x.clone()), &COEFFICIENTS);
            assert_close(&values(found.next), &expected[0], OF_TENS, what);
            assert_close(&values(found.x0), &expected[1], OF_TENS, what);
        }
        let half = there.clone().cast(FloatDType::F16);
        assert!(launch::step(&there, &half, None, &COEFFICIENTS).is_none(), "an output of 16 bits");
        let found = step(there.clone(), half, None, &COEFFICIENTS);
        // Rounded to 11 bits, values up to 8 are off by 2^-8 at most; the next state has a fifth of it.
        let expected = values(step(there.clone(), there.clone(), None, &COEFFICIENTS).next);
        assert_close(&values(found.next), &expected, 2.0 / 256.0, "an output of 16 bits");
        let narrow = there.clone().slice([0..2, 0..4, 0..3, 0..2]);
        assert!(launch::step(&there, &narrow, None, &COEFFICIENTS).is_none(), "another shape");
    }
}

#[test]
#[should_panic(expected = "the network's output must have the shape of its input")]
fn an_output_of_another_shape_is_our_own_mistake() {
    super::step(random(1, [1, 1, 2, 2]), random(1, [1, 1, 2, 3]), None, &COEFFICIENTS);
}
