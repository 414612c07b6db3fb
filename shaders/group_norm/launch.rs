//! Whether the kernel takes these tensors, and its launch: a cube for each group of each picture.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Tensor};
use burn_cubecl::cubecl::prelude::CubeDim;
use burn_cubecl::ops::permute_nhwc_to_nchw;
use burn_cubecl::tensor::CubeTensor;

use super::kernel::group_norm_kernel;
use super::{Activation, GroupNorm};
use crate::common::fold::UNITS;
use crate::common::memory::{address_type, cubes, empty, lines_of, memory_of, tensor_of};

/// `None` for tensors that it does not take.
pub(super) fn group_norm(
    norm: &GroupNorm,
    x: &Tensor<4>,
    added: Option<&Tensor<4>>,
    weight: &Tensor<4>,
    bias: &Tensor<4>,
) -> Option<Tensor<4>> {
    let [n, channels, ..] = x.dims();
    let rows_of = |rows: &Tensor<4>| {
        let is_taken = rows.dtype() == DType::F32;
        is_taken.then(|| memory_of(&rows.clone().expand([n, channels, 1, 1]))).flatten()
    };
    if x.dims().contains(&0) {
        return None;
    }
    let added = match added {
        Some(added) => Some(rows_of(added)?),
        None => None,
    };
    launch(norm, x.dims(), lines_of(x)?, added, [rows_of(weight)?, rows_of(bias)?]).map(tensor_of)
}

/// The result lies with its channels innermost.
fn launch(
    norm: &GroupNorm,
    [n, channels, height, width]: [usize; 4],
    x: CubeTensor,
    added: Option<CubeTensor>,
    [weight, bias]: [CubeTensor; 2],
) -> Option<CubeTensor> {
    let count = cubes(&x, [norm.groups, n, 1])?;
    let out = permute_nhwc_to_nchw(empty(&x, [n, height, width, channels]));
    let each = channels / norm.groups;
    let wide = each.min(UNITS);
    let has_added = added.is_some();
    let dtype = dtype_to_storage_type(x.dtype);
    group_norm_kernel::launch(
        &x.client.clone(),
        count,
        CubeDim::new_1d(UNITS as u32),
        address_type([&x, &out]),
        x.into_tensor_arg(),
        // Without one it is not read.
        added.unwrap_or_else(|| bias.clone()).into_tensor_arg(),
        weight.into_tensor_arg(),
        bias.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        each,
        height * width,
        wide,
        UNITS / wide,
        norm.epsilon as f32,
        has_added,
        norm.activation == Activation::Silu,
        dtype,
    );
    Some(out)
}
