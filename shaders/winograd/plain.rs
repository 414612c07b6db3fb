//! The meaning of the kernels in tensor operations.

use burn::tensor::Tensor;
use burn::tensor::module::{conv2d, interpolate};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};

use super::{Kernels, Size};

pub(super) fn convolve(x: Tensor<4>, kernels: &Kernels, size: Size, added: Option<Tensor<4>>) -> Tensor<4> {
    let x = match size {
        Size::Same => x,
        Size::Doubled => double(x),
    };
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let convolved = conv2d(x, kernels.weight.clone(), kernels.bias.clone(), options);
    match added {
        Some(added) => added + convolved,
        None => convolved,
    }
}

/// Each pixel four times: `[n, c, h, w]` to `[n, c, 2h, 2w]`.
fn double(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]))
}
