//! Every operation in host memory beside the same of burn, on its processor backend, at odd sizes.

#![cfg(feature = "gpu")]

use ddim_tensor::{Device, Tensor, weighted_sum};

fn burn() -> Device {
    burn::tensor::Device::flex().into()
}

/// Numbers in (-1, 1) without an order.
fn numbers(dims: [usize; 4], seed: u32) -> Tensor {
    let number =
        |k: u32| ((k.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32) / (1 << 23) as f32 - 1.0;
    Tensor::new((0..dims.iter().product::<usize>() as u32).map(number).collect(), dims)
}

/// The result in host memory and that on burn's tensors: the same shape, and numbers that differ by rounding.
fn check(what: &str, inputs: &[Tensor], of: impl Fn(&[Tensor]) -> Tensor) {
    let host = of(inputs);
    let there: Vec<Tensor> = inputs.iter().map(|input| input.clone().to(&burn())).collect();
    let found = of(&there);
    assert_eq!((found.device(), found.dims()), (burn(), host.dims()), "{what}");
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 2e-6 * (1.0 + b.abs()) || a.is_nan() && b.is_nan();
    assert!(found.values().iter().zip(&host.values()).all(near), "{what}");
}

#[test]
fn every_operation_is_that_of_burn() {
    for dims in [[1, 1, 1, 1], [3, 2, 5, 7], [5, 3, 33, 31]] {
        let [n, c, h, w] = dims;
        let (x, y) = (numbers(dims, 1), numbers(dims, 2));
        let (each, mask) = (numbers([n, 1, 1, 1], 3), numbers([1, 1, h, w], 4));
        let one = |what: &str, of: &dyn Fn(Tensor) -> Tensor| {
            check(what, std::slice::from_ref(&x), |t| of(t[0].clone()))
        };
        one("square", &|x| x.square());
        one("root", &|x| (x.abs() + 0.25).sqrt());
        one("exponential", &|x| x.exp());
        one("logarithm", &|x| (x.abs() + 0.25).ln());
        one("clamp", &|x| x.clamp(-0.3, 0.6));
        one("scalars", &|x| 1.0 - (x * 0.3 + 0.7 - 0.1) / -1.7);
        one("opposite", &|x| -x);
        one("sums", &|x| x.sum_each());
        one("means", &|x| x.mean_each());
        one("quantile", &|x| x.quantile_of_abs(0.83));
        one("pictures", &|x| x.pictures(n / 2..n));
        one("selection", &|x| x.select(&[n - 1, 0, n - 1]));
        one("channels", &|x| x.channels(c / 2..c));
        for (what, other) in [("alike", &y), ("a number a picture", &each), ("a number a pixel", &mask)] {
            let two = |operation: &str, of: &dyn Fn(Tensor, Tensor) -> Tensor| {
                check(&format!("{operation}, {what}"), &[x.clone(), other.clone()], |t| {
                    of(t[0].clone(), t[1].clone())
                });
            };
            two("sum", &|x, y| x + y);
            two("difference", &|x, y| x - y);
            two("product", &|x, y| x * y);
            two("quotient", &|x, y| x / (y.abs() + 0.25));
            two("larger", &|x, y| x.max_pair(y));
            two("smaller", &|x, y| x.min_pair(y));
            two("quotient or", &|x, y| x.divided_or(y.clamp(0.0, 1.0) + 0.0, 2.0).clamp(-9.0, 9.0));
        }
        check("weighted sum", &[x.clone(), y.clone()], |t| {
            weighted_sum([(1.0, &t[0]), (0.0, &t[1]), (-0.7, &t[1])]).expect("two weights")
        });
        check("put together", &[x.clone(), y.clone()], Tensor::cat);
        check("channels joined", &[x, y], |t| t[0].join_channels(&t[1]));
    }
}
