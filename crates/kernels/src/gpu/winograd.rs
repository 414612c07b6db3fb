//! 3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308).
//!
//! 4x4 outputs depend on 6x6 inputs. An input tile d and a kernel g become B^T d B and G g G^T, their products are added up over
//! channels at each of the 36 places, and A^T m A leads back: 36 multiplications in place of 144, all of them matrix products, which
//! burn tunes. The points are 0, +-5/8, +-3/2 and infinity, as `ddim-cpu` has them and for its reasons.
//!
//! Without tensor cores burn has one kernel for a convolution, which shares nothing between its units.
//!
//! Gain, embedded model, batch 4, llvmpipe: its 24 convolutions take 350 ms in place of 1090. A single one of 128 to 128 channels at
//! 32 x 32 is 7.6 times as fast, one of 32 to 32 at 28 x 28 1.8 times.

use burn::tensor::{DType, Shape, TensorData};
use burn_cubecl::cubecl::std::FastDivmod;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise, prelude::*};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::permute_nhwc_to_nchw;
use burn_cubecl::tensor::CubeTensor;

use super::{Pictures, Tensor1, Tensor3, memory, tensor};

/// Outputs of a tile, each way.
const TILE: usize = 4;
/// Inputs of a tile, and points, each way.
const POINTS: usize = 6;
/// Places of a transformed tile.
const PLACES: usize = POINTS * POINTS;

/// Channels on either side below which too little is saved for the time it takes to compile and tune.
const CHANNELS: usize = 32;
/// What channels are a multiple of, so that products read whole vectors: for others burn's kernels are long, and a software device
/// compiles one for minutes.
const VECTOR: usize = 4;
/// Values of transformed tiles that are worked on at once, so that a large batch takes no more memory: 128 MiB of them.
const AT_ONCE: usize = 1 << 25;

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// (x^2 - A2) (x^2 - B2) = x^4 - SUM x^2 + PRODUCT.
const SUM: f32 = A2 + B2;
const PRODUCT: f32 = A2 * B2;

/// G g G^T of kernels `[out, in, 3, 3]`: `[36, in, out]`. Nothing where the plain convolution is better off: with few channels,
/// and where tensor cores do it.
pub(crate) fn transformed(weight: &Pictures) -> Option<Tensor3> {
    let [outputs, inputs, rows, columns] = weight.dims();
    let on = memory(weight.clone())?;
    let has_tensor_cores = !on.client.properties().features.matmul.cmma.is_empty();
    let suits = |channels: usize| channels >= CHANNELS && channels.is_multiple_of(VECTOR);
    let is_taken = [rows, columns] == [3; 2] && suits(inputs) && suits(outputs) && on.dtype == DType::F32;
    if !is_taken || has_tensor_cores {
        return None;
    }
    let values = weight.to_data().try_to_vec::<f32>().expect("of this type");
    let (a, b) = (f64::from(A), f64::from(B));
    // 1 / m'(p) of m(x) = x (x^2 - a^2) (x^2 - b^2): the weights of Lagrange's formula.
    let at = |p: f64, weight: f64| [1.0 / weight, p / weight, p * p / weight];
    let (of_a, of_b) = (2.0 * a * a * (a * a - b * b), 2.0 * b * b * (b * b - a * a));
    let points = [at(0.0, a * a * b * b), at(a, of_a), at(-a, of_a), at(b, of_b), at(-b, of_b), [0.0, 0.0, 1.0]];
    let mut places = vec![0.0f32; PLACES * inputs * outputs];
    for (kernel, taps) in values.chunks_exact(9).enumerate() {
        let (output, input) = (kernel / inputs, kernel % inputs);
        for (place, [row, column]) in
            (0..PLACES).map(|place| (place, [points[place / POINTS], points[place % POINTS]]))
        {
            let value: f64 = (0..9).map(|tap| row[tap / 3] * column[tap % 3] * f64::from(taps[tap])).sum();
            places[(place * inputs + input) * outputs + output] = value as f32;
        }
    }
    Some(Tensor3::from_data(TensorData::new(places, [PLACES, inputs, outputs]), &weight.device()))
}

/// The convolution of `x`, `[n, in, h, w]`, with a border of one; of each of its pixels four times, if that is to be doubled first.
pub(crate) fn convolve(x: &Pictures, kernels: &Tensor3, bias: &Tensor1, doubled: bool) -> Option<Pictures> {
    let [n, inputs, height, width] = x.dims();
    let [_, _, outputs] = kernels.dims();
    if x.dims().contains(&0) || [x.dtype(), bias.dtype()] != [DType::F32; 2] {
        return None;
    }
    let (x, bias) = (memory(x.clone())?, memory(bias.clone())?);
    let [height, width] = if doubled { [2 * height, 2 * width] } else { [height, width] };
    let [lines, columns] = [height, width].map(|side| side.div_ceil(TILE));
    let a_picture = PLACES * lines * columns * inputs.max(outputs);
    if (a_picture * size_of::<f32>()) as u64 > x.client.properties().memory.max_page_size {
        return None;
    }
    let out = empty(&x, Shape::new([n, height, width, outputs]));
    let some = (AT_ONCE / a_picture).clamp(1, n);
    for first in (0..n).step_by(some) {
        let tiles = some.min(n - first) * lines * columns;
        let size = |channels| SizeLaunch::new(channels, columns, lines, height, width, first, tiles * channels);
        let places = empty(&x, Shape::new([PLACES, tiles, inputs]));
        to_places(&x, &places, size(inputs), doubled);
        let products = tensor::<3>(places).matmul(kernels.clone());
        from_places(into_contiguous(memory(products)?), &bias, &out, size(outputs));
    }
    Some(tensor(permute_nhwc_to_nchw(out)))
}

fn empty(like: &CubeTensor, shape: Shape) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, like.dtype)
}

fn to_places(x: &CubeTensor, places: &CubeTensor, size: SizeLaunch, doubled: bool) {
    let units = places.meta.num_elements() / PLACES;
    let dim = CubeDim::new(&x.client, units);
    input_kernel::launch(
        &x.client,
        calculate_cube_count_elemwise(&x.client, units, dim),
        dim,
        x.required_address_type().max(places.required_address_type()),
        x.clone().into_tensor_arg(),
        places.clone().into_tensor_arg(),
        size,
        doubled,
    );
}

fn from_places(products: CubeTensor, bias: &CubeTensor, out: &CubeTensor, size: SizeLaunch) {
    let units = products.meta.num_elements() / PLACES;
    let dim = CubeDim::new(&out.client, units);
    output_kernel::launch(
        &out.client,
        calculate_cube_count_elemwise(&out.client, units, dim),
        dim,
        products.required_address_type().max(out.required_address_type()),
        products.into_tensor_arg(),
        bias.clone().into_tensor_arg(),
        out.clone().into_tensor_arg(),
        size,
    );
}

/// Where a unit finds its tile and its channel.
#[derive(CubeType, CubeLaunch)]
struct Size {
    by_channel: FastDivmod<usize>,
    by_column: FastDivmod<usize>,
    by_line: FastDivmod<usize>,
    /// Of the result.
    height: usize,
    width: usize,
    /// The first of the pictures that are worked on.
    first: usize,
    /// How many values a place has.
    len: usize,
}

/// B^T d B of tiles of pictures `[n, c, h, w]` with a border of one: `[36, tiles, c]`. A unit takes a channel of a tile.
#[cube(launch, address_type = "dynamic")]
fn input_kernel(x: &Tensor<f32>, places: &mut Tensor<f32>, size: Size, #[comptime] doubled: bool) {
    if ABSOLUTE_POS >= size.len {
        terminate!();
    }
    let (tile, channel) = size.by_channel.div_mod(ABSOLUTE_POS);
    let (tile, tile_x) = size.by_column.div_mod(tile);
    let (picture, tile_y) = size.by_line.div_mod(tile);
    let start = (size.first + picture) * x.stride(0) + channel * x.stride(1);

    let mut half = Array::<f32>::new(PLACES);
    #[unroll]
    for column in 0..POINTS {
        let mut d = Array::<f32>::new(POINTS);
        // Lines and columns count from the border.
        let at_x = tile_x * TILE + column;
        #[unroll]
        for line in 0..POINTS {
            let at_y = tile_y * TILE + line;
            let mut value = 0.0f32;
            if at_y > 0 && at_y <= size.height && at_x > 0 && at_x <= size.width {
                let mut from_y = at_y - 1;
                let mut from_x = at_x - 1;
                if comptime!(doubled) {
                    from_y /= 2;
                    from_x /= 2;
                }
                value = x[start + from_y * x.stride(2) + from_x * x.stride(3)];
            }
            d[line] = value;
        }
        let (even_a, odd_a) = (d[4] - B2 * d[2], A * (d[3] - B2 * d[1]));
        let (even_b, odd_b) = (d[4] - A2 * d[2], B * (d[3] - A2 * d[1]));
        half[column] = d[4] + PRODUCT * d[0] - SUM * d[2];
        half[POINTS + column] = even_a + odd_a;
        half[2 * POINTS + column] = even_a - odd_a;
        half[3 * POINTS + column] = even_b + odd_b;
        half[4 * POINTS + column] = even_b - odd_b;
        half[5 * POINTS + column] = d[5] + PRODUCT * d[1] - SUM * d[3];
    }
    #[unroll]
    for line in 0..POINTS {
        let d = line * POINTS;
        let (even_a, odd_a) = (half[d + 4] - B2 * half[d + 2], A * (half[d + 3] - B2 * half[d + 1]));
        let (even_b, odd_b) = (half[d + 4] - A2 * half[d + 2], B * (half[d + 3] - A2 * half[d + 1]));
        let to = d * size.len + ABSOLUTE_POS;
        places[to] = half[d + 4] + PRODUCT * half[d] - SUM * half[d + 2];
        places[to + size.len] = even_a + odd_a;
        places[to + 2 * size.len] = even_a - odd_a;
        places[to + 3 * size.len] = even_b + odd_b;
        places[to + 4 * size.len] = even_b - odd_b;
        places[to + 5 * size.len] = half[d + 5] + PRODUCT * half[d + 1] - SUM * half[d + 3];
    }
}

/// A^T m A of `[36, tiles, c]`, and a bias: `[n, h, w, c]`. A unit takes a channel of a tile.
#[cube(launch, address_type = "dynamic")]
fn output_kernel(products: &Tensor<f32>, bias: &Tensor<f32>, out: &mut Tensor<f32>, size: Size) {
    if ABSOLUTE_POS >= size.len {
        terminate!();
    }
    let (tile, channel) = size.by_channel.div_mod(ABSOLUTE_POS);
    let (tile, tile_x) = size.by_column.div_mod(tile);
    let (picture, tile_y) = size.by_line.div_mod(tile);
    let bias = bias[channel * bias.stride(0)];

    let mut half = Array::<f32>::new(TILE * POINTS);
    #[unroll]
    for column in 0..POINTS {
        let at = ABSOLUTE_POS + column * size.len;
        let down = POINTS * size.len;
        let (sum_a, difference_a) =
            (products[at + down] + products[at + 2 * down], A * (products[at + down] - products[at + 2 * down]));
        let (sum_b, difference_b) = (
            products[at + 3 * down] + products[at + 4 * down],
            B * (products[at + 3 * down] - products[at + 4 * down]),
        );
        half[column] = products[at] + sum_a + sum_b;
        half[POINTS + column] = difference_a + difference_b;
        half[2 * POINTS + column] = A2 * sum_a + B2 * sum_b;
        half[3 * POINTS + column] = products[at + 5 * down] + A2 * difference_a + B2 * difference_b;
    }
    #[unroll]
    for line in 0..TILE {
        let m = line * POINTS;
        let (sum_a, difference_a) = (half[m + 1] + half[m + 2], A * (half[m + 1] - half[m + 2]));
        let (sum_b, difference_b) = (half[m + 3] + half[m + 4], B * (half[m + 3] - half[m + 4]));
        let y = tile_y * TILE + line;
        let x = tile_x * TILE;
        if y < size.height {
            let channels = out.shape(3);
            let to = (((size.first + picture) * size.height + y) * size.width + x) * channels + channel;
            out[to] = half[m] + sum_a + sum_b + bias;
            if x + 1 < size.width {
                out[to + channels] = difference_a + difference_b + bias;
            }
            if x + 2 < size.width {
                out[to + 2 * channels] = A2 * sum_a + B2 * sum_b + bias;
            }
            if x + 3 < size.width {
                out[to + 3 * channels] = half[m + 5] + A2 * difference_a + B2 * difference_b + bias;
            }
        }
    }
}
