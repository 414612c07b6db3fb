//! Whether the kernel takes these tensors, and its launch: as many cubes for each picture as it has parts.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::CubeDim;
use burn_cubecl::tensor::CubeTensor;

use super::kernel::{CoefficientsLaunch, EACH, step_kernel};
use super::{Step, StepCoefficients};
use crate::common::fold::UNITS;
use crate::common::memory::{address_type, cubes, empty, lines_of, tensor_of};

/// `None` for tensors that it does not take.
pub(super) fn step(
    x: &Tensor<4>,
    out: &Tensor<4>,
    added: Option<&Tensor<4>>,
    coefficients: &StepCoefficients,
) -> Option<Step> {
    let taken = |tensor: &Tensor<4>| {
        let fits = tensor.dtype() == DType::F32 && tensor.dims() == x.dims() && !tensor.dims().contains(&0);
        fits.then(|| lines_of(tensor)).flatten()
    };
    let (state, out) = (taken(x)?, taken(out)?);
    let added = match added {
        Some(added) => Some(taken(added)?),
        None => None,
    };
    launch(x.dims(), state, out, added, coefficients)
}

fn launch(
    [n, channels, height, width]: [usize; 4],
    x: CubeTensor,
    out: CubeTensor,
    added: Option<CubeTensor>,
    coefficients: &StepCoefficients,
) -> Option<Step> {
    let len = channels * height * width;
    let parts = len.div_ceil(EACH * UNITS);
    let count = cubes(&x, [parts, n, 1])?;
    let (next, x0, sums) = (empty(&x, x.shape()), empty(&x, x.shape()), empty(&x, [n, parts]));
    let has_added = added.is_some();
    let c = coefficients.rounded();
    step_kernel::launch(
        &x.client.clone(),
        count,
        CubeDim::new_1d(UNITS as u32),
        address_type([&x, &out, &next].into_iter().chain(&added)),
        x.clone().into_tensor_arg(),
        out.into_tensor_arg(),
        // Without one it is not read.
        added.unwrap_or(x).into_tensor_arg(),
        next.clone().into_tensor_arg(),
        x0.clone().into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        height * width,
        len,
        CoefficientsLaunch::new(
            c.x0_from_x,
            c.x0_from_out,
            c.x0_limit,
            c.next_from_x,
            c.next_from_out,
            c.next_from_x0,
            c.sigma,
        ),
        has_added,
    );
    Some(Step { next: tensor_of(next), x0: tensor_of(x0), sums: tensor_of(sums) })
}
