//! 3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308).
//!
//! 4x4 outputs depend on 6x6 inputs. An input tile d and a kernel g become B^T d B and G g G^T, their products are added up over
//! channels at each of the 36 places, and A^T m A leads back: 36 multiplications in place of 144, all of them matrix products, which
//! burn tunes. The points are 0, +-5/8, +-3/2 and infinity, as `ddim-cpu` has them and for its reasons.
//!
//! Without tensor cores burn has one kernel for such a convolution, which shares nothing between its units.
//!
//! Gain, embedded model, batch 4, llvmpipe: 238 ms a call in place of 431 (docs/results.md, "On a GPU").

use burn::tensor::{self, DType, TensorData};
use burn_cubecl::cubecl::std::FastDivmod;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::permute_nhwc_to_nchw;
use burn_cubecl::tensor::CubeTensor;
use rayon::prelude::*;

use super::{Pictures, Tensor1, address_type, empty, memory_of, tensor_of};
use crate::TransformedKernels;

/// Outputs of a tile, each way.
const TILE: usize = 4;
/// Inputs of a tile, and points, each way.
const POINTS: usize = 6;
/// Places of a transformed tile.
const PLACES: usize = POINTS * POINTS;

/// Channels on either side below which too little is saved for the time it takes to compile and tune.
pub(super) const CHANNELS: usize = 32;
/// What channels are a multiple of, so that products read whole vectors: for others burn's kernels are long, and a software device
/// takes seconds to compile each.
const VECTOR: usize = 4;
/// Values of transformed tiles that are worked on at once, so that a large batch takes no more memory: 128 MiB before the products and as
/// much after them, or what one picture takes.
const AT_ONCE: usize = 1 << 25;

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// (x^2 - A2) (x^2 - B2) = x^4 - SUM x^2 + PRODUCT.
const SUM: f32 = A2 + B2;
const PRODUCT: f32 = A2 * B2;

/// G g G^T of kernels `[out, in, 3, 3]`: `[36, in, out]`. Nothing where the plain convolution is better off: with few channels or no whole
/// vectors of them, in 16 bits, and where tensor cores do it.
pub(crate) fn transformed(weight: &Pictures) -> Option<TransformedKernels> {
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
    Some(TransformedKernels(tensor::Tensor::from_data(values, (&weight.device(), DType::F32))))
}

/// Whether burn's own convolutions are faster.
pub(super) fn has_tensor_cores(on: &CubeTensor) -> bool {
    !on.client.properties().features.matmul.cmma.is_empty()
}

/// G: for each point p the powers of p up to the square over m'(p), the weights of Lagrange's formula for
/// m(x) = x (x^2 - a^2) (x^2 - b^2); and for infinity the highest.
fn points() -> [[f64; 3]; POINTS] {
    let (a, b) = (f64::from(A), f64::from(B));
    let at = |p: f64, derivative: f64| [1.0 / derivative, p / derivative, p * p / derivative];
    let (at_a, at_b) = (2.0 * a * a * (a * a - b * b), 2.0 * b * b * (b * b - a * a));
    [at(0.0, a * a * b * b), at(a, at_a), at(-a, at_a), at(b, at_b), at(-b, at_b), [0.0, 0.0, 1.0]]
}

/// Whether the device has tensors of so many values.
fn has_room(on: &CubeTensor, values: usize) -> bool {
    (values * size_of::<f32>()) as u64 <= on.client.properties().memory.max_page_size
}

/// The convolution of `x`, `[n, in, h, w]`, with a border of one; of each of its pixels four times, if that is to be doubled first.
pub(crate) fn convolve(
    x: &Pictures,
    kernels: &TransformedKernels,
    bias: &Tensor1,
    added: Option<&Pictures>,
    doubled: bool,
) -> Option<Pictures> {
    convolve_in_parts(x, kernels, bias, added, doubled, AT_ONCE)
}

/// With so many values at once, or those of one picture.
pub(super) fn convolve_in_parts(
    x: &Pictures,
    kernels: &TransformedKernels,
    bias: &Tensor1,
    added: Option<&Pictures>,
    doubled: bool,
    at_once: usize,
) -> Option<Pictures> {
    let TransformedKernels(kernels) = kernels;
    let [n, inputs, height, width] = x.dims();
    let [_, taken, outputs] = kernels.dims();
    let [height, width] = if doubled { [2 * height, 2 * width] } else { [height, width] };
    let fits = |added: &Pictures| added.dims() == [n, outputs, height, width] && added.dtype() == DType::F32;
    let are_floats = [x.dtype(), bias.dtype()] == [DType::F32; 2];
    let agree = inputs == taken && bias.dims() == [outputs] && added.is_none_or(fits);
    if x.dims().contains(&0) || !are_floats || !agree {
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
        to_places(&x, &places, part(inputs), doubled);
        let products = tensor_of::<3>(places).matmul(kernels.clone());
        from_places(into_contiguous(memory_of(&products)?), &bias, added.as_ref(), &out, part(outputs));
    }
    Some(tensor_of(permute_nhwc_to_nchw(out)))
}

fn to_places(x: &CubeTensor, places: &CubeTensor, part: PartLaunch, doubled: bool) {
    let (count, dim) = a_unit_each(places);
    input_kernel::launch(
        &x.client,
        count,
        dim,
        address_type([x, places]),
        x.clone().into_tensor_arg(),
        places.clone().into_tensor_arg(),
        part,
        doubled,
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

/// The pictures that are worked on, in tiles.
#[derive(CubeType, CubeLaunch)]
struct Part {
    by_channel: FastDivmod<usize>,
    by_column: FastDivmod<usize>,
    by_line: FastDivmod<usize>,
    /// Of the result.
    height: usize,
    width: usize,
    /// The first of the pictures.
    first: usize,
    /// How many values a place has.
    len: usize,
}

/// Of which picture a unit takes which channel of the tile that begins at which line and column.
#[cube]
fn of_unit(part: &Part) -> (usize, usize, usize, usize) {
    let (tile, channel) = part.by_channel.div_mod(ABSOLUTE_POS);
    let (tile, column) = part.by_column.div_mod(tile);
    let (picture, line) = part.by_line.div_mod(tile);
    (part.first + picture, channel, line * TILE, column * TILE)
}

/// B^T d B of tiles of pictures `[n, c, h, w]` with a border of one: `[36, tiles, c]`. A unit takes a channel of a tile.
#[cube(launch, address_type = "dynamic")]
fn input_kernel(x: &Tensor<f32>, places: &mut Tensor<f32>, part: Part, #[comptime] doubled: bool) {
    if ABSOLUTE_POS >= part.len {
        terminate!();
    }
    let (picture, channel, top, left) = of_unit(&part);
    let start = picture * x.stride(0) + channel * x.stride(1);

    let mut half = Array::<f32>::new(PLACES);
    #[unroll]
    for column in 0..POINTS {
        let mut d = Array::<f32>::new(POINTS);
        #[unroll]
        for line in 0..POINTS {
            d[line] = value_at(x, start, top + line, left + column, &part, doubled);
        }
        let points = to_points(&d);
        #[unroll]
        for line in 0..POINTS {
            half[line * POINTS + column] = points[line];
        }
    }
    #[unroll]
    for line in 0..POINTS {
        let mut d = Array::<f32>::new(POINTS);
        #[unroll]
        for column in 0..POINTS {
            d[column] = half[line * POINTS + column];
        }
        let points = to_points(&d);
        #[unroll]
        for column in 0..POINTS {
            places[(line * POINTS + column) * part.len + ABSOLUTE_POS] = points[column];
        }
    }
}

/// What the picture has there; line and column count from the border, which is 0.
#[cube]
fn value_at(
    x: &Tensor<f32>,
    start: usize,
    line: usize,
    column: usize,
    part: &Part,
    #[comptime] doubled: bool,
) -> f32 {
    let mut value = 0.0f32;
    if line > 0 && line <= part.height && column > 0 && column <= part.width {
        let each = if comptime!(doubled) { 2usize } else { 1usize };
        value = x[start + (line - 1) / each * x.stride(2) + (column - 1) / each * x.stride(3)];
    }
    value
}

/// B^T d: 6 values, a line or a column of a tile, to what multiplies at 6 points.
#[cube]
fn to_points(d: &Array<f32>) -> Array<f32> {
    let (even_a, odd_a) = (d[4] - B2 * d[2], A * (d[3] - B2 * d[1]));
    let (even_b, odd_b) = (d[4] - A2 * d[2], B * (d[3] - A2 * d[1]));
    let mut points = Array::<f32>::new(POINTS);
    points[0] = d[4] + PRODUCT * d[0] - SUM * d[2];
    points[1] = even_a + odd_a;
    points[2] = even_a - odd_a;
    points[3] = even_b + odd_b;
    points[4] = even_b - odd_b;
    points[5] = d[5] + PRODUCT * d[1] - SUM * d[3];
    points
}

/// A^T m A of `[36, tiles, c]`, and a bias: `[n, h, w, c]`; and `added`, `[n, c, h, w]`. A unit takes a channel of a tile.
#[cube(launch, address_type = "dynamic")]
fn output_kernel(
    products: &Tensor<f32>,
    bias: &Tensor<f32>,
    added: &Tensor<f32>,
    out: &mut Tensor<f32>,
    part: Part,
    #[comptime] has_added: bool,
) {
    if ABSOLUTE_POS >= part.len {
        terminate!();
    }
    let (picture, channel, top, left) = of_unit(&part);
    let (channels, bias) = (out.shape(3), bias[channel * bias.stride(0)]);

    let mut half = Array::<f32>::new(TILE * POINTS);
    #[unroll]
    for column in 0..POINTS {
        let mut m = Array::<f32>::new(POINTS);
        #[unroll]
        for line in 0..POINTS {
            m[line] = products[(line * POINTS + column) * part.len + ABSOLUTE_POS];
        }
        let outputs = to_outputs(&m);
        #[unroll]
        for line in 0..TILE {
            half[line * POINTS + column] = outputs[line];
        }
    }
    #[unroll]
    for line in 0..TILE {
        let mut m = Array::<f32>::new(POINTS);
        #[unroll]
        for column in 0..POINTS {
            m[column] = half[line * POINTS + column];
        }
        let outputs = to_outputs(&m);
        let y = top + line;
        #[unroll]
        for column in 0..TILE {
            let x = left + column;
            if y < part.height && x < part.width {
                let mut value = outputs[column] + bias;
                if comptime!(has_added) {
                    value += added[picture * added.stride(0)
                        + channel * added.stride(1)
                        + y * added.stride(2)
                        + x * added.stride(3)];
                }
                out[((picture * part.height + y) * part.width + x) * channels + channel] = value;
            }
        }
    }
}

/// A^T m: sums of products at 6 points to 4 values, a line or a column of a tile.
#[cube]
fn to_outputs(m: &Array<f32>) -> Array<f32> {
    let (sum_a, difference_a) = (m[1] + m[2], A * (m[1] - m[2]));
    let (sum_b, difference_b) = (m[3] + m[4], B * (m[3] - m[4]));
    let mut outputs = Array::<f32>::new(TILE);
    outputs[0] = m[0] + sum_a + sum_b;
    outputs[1] = difference_a + difference_b;
    outputs[2] = A2 * sum_a + B2 * sum_b;
    outputs[3] = m[5] + A2 * difference_a + B2 * difference_b;
    outputs
}
