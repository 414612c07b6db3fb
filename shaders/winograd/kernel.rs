//! Device code: 3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016,
//! arXiv:1509.09308).
//!
//! 4x4 outputs depend on 6x6 inputs. An input tile d and a kernel g become B^T d B and G g G^T, their products are
//! added up over channels at each of the 36 places, and A^T m A leads back: 36 multiplications in place of 144,
//! all of them matrix products, which burn tunes. The points are 0, +-5/8, +-3/2 and infinity, as `ddim-cpu` has
//! them and for its reasons.
//!
//! Two kernels, one before the products and one behind them.

use burn_cubecl::cubecl::std::FastDivmod;
use burn_cubecl::cubecl::{self, prelude::*};

/// Outputs of a tile, each way.
pub(crate) const TILE: usize = 4;
/// Inputs of a tile, and points, each way.
pub(crate) const POINTS: usize = 6;
/// Places of a transformed tile.
pub(crate) const PLACES: usize = POINTS * POINTS;

pub(crate) const A: f32 = 0.625;
pub(crate) const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// (x^2 - A2) (x^2 - B2) = x^4 - SUM x^2 + PRODUCT.
const SUM: f32 = A2 + B2;
const PRODUCT: f32 = A2 * B2;

/// The pictures that are worked on, in tiles.
#[derive(CubeType, CubeLaunch)]
pub(crate) struct Part {
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

/// B^T d B of tiles of pictures `[n, c, h, w]` with a border of one: `[36, tiles, c]`. A unit takes a channel of a
/// tile.
#[cube(launch, address_type = "dynamic")]
pub(crate) fn input_kernel(x: &Tensor<f32>, places: &mut Tensor<f32>, part: Part, #[comptime] doubled: bool) {
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

/// A^T m A of `[36, tiles, c]`, and a bias: `[n, h, w, c]`; and `added`, `[n, c, h, w]`. A unit takes a channel of
/// a tile.
#[cube(launch, address_type = "dynamic")]
pub(crate) fn output_kernel(
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
