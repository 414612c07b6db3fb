//! The meaning of the kernel in tensor operations.

use burn::tensor::Tensor;

use super::{Step, StepCoefficients};
use crate::common::cast;

/// Some nine passes over the picture; weights of 0 and 1 save one each.
pub(super) fn step(x: Tensor<4>, out: Tensor<4>, added: Option<Tensor<4>>, c: &StepCoefficients) -> Step {
    let dtype = x.dtype();
    let out = cast(out, dtype);
    let predicted = sum([(c.x0_from_x, &x), (c.x0_from_out, &out)]);
    let x0 = if c.x0_limit == f64::INFINITY {
        predicted.clone()
    } else {
        predicted.clone().clamp(-c.x0_limit, c.x0_limit)
    };
    let next = sum([(c.next_from_x, &x), (c.next_from_out, &out), (c.next_from_x0, &x0)]);
    let next = match added {
        Some(added) => next + cast(added, dtype) * c.sigma,
        None => next,
    };
    // The limit would hide an infinite prediction.
    let sums = sum_per_picture(predicted) + sum_per_picture(next.clone());
    Step { next, x0, sums }
}

/// The weighted sum of tensors, left to right; a weight of 0 costs nothing. All are 0 where a run jumps back to
/// pure noise.
fn sum<const N: usize>(terms: [(f64, &Tensor<4>); N]) -> Tensor<4> {
    let weighted = terms.into_iter().filter(|(weight, _)| *weight != 0.0);
    let products = weighted.map(|(weight, x)| if weight == 1.0 { x.clone() } else { x.clone() * weight });
    products.reduce(|sum, product| sum + product).unwrap_or_else(|| terms[0].1.zeros_like())
}

/// `[n, c, h, w]` to `[n, 1]`.
fn sum_per_picture(x: Tensor<4>) -> Tensor<2> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c * h * w]).sum_dim(1)
}
