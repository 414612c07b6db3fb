//! Whether the kernels take these tensors, their launches and the products between them: a unit for each channel
//! of each tile.
//!
//! Without tensor cores burn has one kernel for such a convolution, which shares nothing between its units.

use burn::tensor::{DType, Tensor, TensorData};
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::permute_nhwc_to_nchw;
use burn_cubecl::tensor::CubeTensor;
use rayon::prelude::*;

use super::kernel::{A, B, PLACES, POINTS, PartLaunch, TILE, input_kernel, output_kernel};
use super::{Kernels, Size};
use crate::common::memory::{address_type, empty, memory_of, tensor_of};

/// Channels on either side below which too little is saved for the time it takes to compile and tune.
pub(super) const CHANNELS: usize = 32;
/// What channels are a multiple of, so that products read whole vectors: for others burn's kernels are long, and a
/// software device takes seconds to compile each.
const VECTOR: usize = 4;
/// Values of transformed tiles that are worked on at once, so that a large batch takes no more memory: 128 MiB
/// before the products and as much after them, or what one picture takes.
const AT_ONCE: usize = 1 << 25;

/// G g G^T of kernels `[out, in, 3, 3]`: `[36, in, out]`. Nothing where the plain convolution is better off: with
/// few channels or no whole vectors of them, in 16 bits, and where tensor cores do it.
pub(super) fn transformed(weight: &Tensor<4>) -> Option<Tensor<3>> {
    let [outputs, inputs, rows, columns] = weight.dims();
    let on = memory_of(weight)?;
    let suits = |channels: usize| channels >= CHANNELS && channels.is_multiple_of(VECTOR);
    let is_taken = [rows, columns] == [3; 2] && suits(inputs) && suits(outputs) && on.dtype == DType::F32;
    if !is_taken || has_tensor_cores(&on) || !has_room(&on, PLACES * inputs * outputs) {
        return None;
    }
    let kernels = weight.to_data().try_to_vec::<f32>().expect("of this type");
    let points = points();
    let mut values = vec![0.0f32; PLACES * inputs * outputs];
    values.par_chunks_mut(inputs * outputs).enumerate().for_each(|(place, values)| {
        let [row, column] = [points[place / POINTS], points[place % POINTS]];
        let weights: [f64; 9] = std::array::from_fn(|tap| row[tap / 3] * column[tap % 3]);
        for (kernel, taps) in kernels.chunks_exact(9).enumerate() {
            let (output, input) = (kernel / inputs, kernel % inputs);
            let value: f64 = weights.iter().zip(taps).map(|(weight, tap)| weight * f64::from(*tap)).sum();
            values[input * outputs + output] = value as f32;
        }
    });
    let values = TensorData::new(values, [PLACES, inputs, outputs]);
    Some(Tensor::from_data(values, (&weight.device(), DType::F32)))
}

/// `None` for tensors that they do not take.
pub(super) fn convolve(
    x: &Tensor<4>,
    kernels: &Kernels,
    size: Size,
    added: Option<&Tensor<4>>,
) -> Option<Tensor<4>> {
    convolve_in_parts(x, kernels, size, added, AT_ONCE)
}

/// With so many values at once, or those of one picture.
pub(super) fn convolve_in_parts(
    x: &Tensor<4>,
    kernels: &Kernels,
    size: Size,
    added: Option<&Tensor<4>>,
    at_once: usize,
) -> Option<Tensor<4>> {
    let (kernels, bias) = (kernels.transformed.as_ref()?, kernels.bias.as_ref()?);
    let [n, inputs, height, width] = x.dims();
    let [_, taken, outputs] = kernels.dims();
    let [height, width] = match size {
        Size::Same => [height, width],
        Size::Doubled => [2 * height, 2 * width],
    };
    let agree = inputs == taken && bias.dims() == [outputs];
    let fits = added.is_none_or(|added| added.dims() == [n, outputs, height, width]);
    let mut types = [x.dtype(), bias.dtype()].into_iter().chain(added.map(Tensor::dtype));
    if x.dims().contains(&0) || !agree || !fits || types.any(|dtype| dtype != DType::F32) {
        return None;
    }
    let (x, bias) = (memory_of(x)?, memory_of(bias)?);
    let added = match added {
        Some(added) => Some(memory_of(added)?),
        None => None,
    };
    let [lines, columns] = [height, width].map(|side| side.div_ceil(TILE));
    let a_picture = PLACES * lines * columns * inputs.max(outputs);
    if !has_room(&x, a_picture) {
        return None;
    }
    let out = empty(&x, [n, height, width, outputs]);
    let some = (at_once / a_picture).clamp(1, n);
    for first in (0..n).step_by(some) {
        let tiles = some.min(n - first) * lines * columns;
        let part = |channels| PartLaunch::new(channels, columns, lines, height, width, first, tiles * channels);
        let places = empty(&x, [PLACES, tiles, inputs]);
        to_places(&x, &places, part(inputs), size);
        let products = tensor_of::<3>(places).matmul(kernels.clone());
        from_places(into_contiguous(memory_of(&products)?), &bias, added.as_ref(), &out, part(outputs));
    }
    Some(tensor_of(permute_nhwc_to_nchw(out)))
}

fn to_places(x: &CubeTensor, places: &CubeTensor, part: PartLaunch, size: Size) {
    let (count, dim) = a_unit_each(places);
    input_kernel::launch(
        &x.client,
        count,
        dim,
        address_type([x, places]),
        x.clone().into_tensor_arg(),
        places.clone().into_tensor_arg(),
        part,
        size == Size::Doubled,
    );
}

fn from_places(
    products: CubeTensor,
    bias: &CubeTensor,
    added: Option<&CubeTensor>,
    out: &CubeTensor,
    part: PartLaunch,
) {
    let (count, dim) = a_unit_each(&products);
    output_kernel::launch(
        &out.client,
        count,
        dim,
        address_type([&products, out].into_iter().chain(added)),
        products.into_tensor_arg(),
        bias.clone().into_tensor_arg(),
        // Without one it is not read.
        added.unwrap_or(bias).clone().into_tensor_arg(),
        out.clone().into_tensor_arg(),
        part,
        added.is_some(),
    );
}

/// A unit for each channel of each tile of transformed ones.
fn a_unit_each(places: &CubeTensor) -> (CubeCount, CubeDim) {
    let units = places.meta.num_elements() / PLACES;
    let dim = CubeDim::new(&places.client, units);
    (calculate_cube_count_elemwise(&places.client, units, dim), dim)
}

/// G: for each point p the powers of p up to the square over m'(p), the weights of Lagrange's formula for
/// m(x) = x (x^2 - a^2) (x^2 - b^2); and for infinity the highest.
fn points() -> [[f64; 3]; POINTS] {
    let (a, b) = (f64::from(A), f64::from(B));
    let at = |p: f64, derivative: f64| [1.0 / derivative, p / derivative, p * p / derivative];
    let (at_a, at_b) = (2.0 * a * a * (a * a - b * b), 2.0 * b * b * (b * b - a * a));
    [at(0.0, a * a * b * b), at(a, at_a), at(-a, at_a), at(b, at_b), at(-b, at_b), [0.0, 0.0, 1.0]]
}

/// Whether burn's own convolutions are faster.
pub(super) fn has_tensor_cores(on: &CubeTensor) -> bool {
    !on.client.properties().features.matmul.cmma.is_empty()
}

/// Whether the device has tensors of so many values.
fn has_room(on: &CubeTensor, values: usize) -> bool {
    (values * size_of::<f32>()) as u64 <= on.client.properties().memory.max_page_size
}
