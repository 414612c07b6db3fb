use burn::tensor::Tensor;

use super::{OF_TENS, assert_close, gpu, layouts, random, values};
use crate::{StepCoefficients, step_on_gpu, step_on_host};

pub(super) const COEFFICIENTS: StepCoefficients = StepCoefficients {
    x0_from_x: 1.7,
    x0_from_out: -1.3,
    x0_limit: 0.8,
    next_from_x: 0.3,
    next_from_out: -0.2,
    next_from_x0: 0.8,
    sigma: 0.37,
};

#[test]
fn a_step_is_that_of_the_host() {
    let Some(device) = gpu() else { return };
    for (shape, x0_limit) in
        [([1, 1, 1, 1], 0.8), ([3, 2, 5, 7], f32::INFINITY), ([2, 3, 33, 31], 0.8), ([2, 3, 16, 4], 0.8)]
    {
        let [x, out, noise] = [1, 2, 3].map(|seed| random(seed, shape));
        let [xs, outs, noises] = [&x, &out, &noise].map(|x| layouts(x, &device));
        let c = StepCoefficients { x0_limit, ..COEFFICIENTS };
        for draws in [false, true] {
            let host = step_on_host(x.clone(), out.clone(), draws.then(|| noise.clone()), &c);
            let host = host.unwrap_or_else(|_| panic!("in host memory"));
            let (next, x0) = (values(host.next), values(host.x0));
            for layout in 0..3 {
                let noise = draws.then_some(&noises[(layout + 2) % 3]);
                let found = step_on_gpu(&xs[layout], &outs[(layout + 1) % 3], noise, &c).expect("taken");
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
            let mut data = [1, 2, 3].map(|seed| random(seed, [3, 1, 41, 53]).into_data());
            data[tensor].as_mut_slice::<f32>().expect("floats")[2 * 41 * 53 + 2000] = bad;
            let [x, out, z] = data.map(|data| Tensor::<4>::from_data(data, &device));
            let sums = step_on_gpu(&x, &out, Some(&z), &COEFFICIENTS).expect("taken").sums;
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
