//! 3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308).
//!
//! 4x4 outputs depend on 6x6 inputs. Both sides of the product are polynomials' values at six points: an input
//! tile d and a kernel g become B^T d B and G g G^T, their products are added up over channels at each of the 36
//! places, and A^T m A leads back: 36 multiplications in place of 144, all of them matrix products.
//!
//! The points are 0, +-5/8, +-3/2 and infinity. They decide the rounding: with the usual 0, +-1, +-2 the error is
//! three and a half times that of adding up directly, with these 1.6 times (root mean square over 64 channels,
//! f32), and their coefficients are exact in f32 as well. In bf16 the transformed tiles are what is rounded, once
//! and where they are written, and amplified 4.5 times on the way back (MATH.md section 34).

mod tile;

use rayon::prelude::*;

use crate::block::{Finish, Left, Rows, Runs};
use crate::cell::Cell;
use crate::isa::Isa;
use crate::kernel::Pictures;
use crate::product::{Packed, Product, SMALL, Split, product};
use tile::{Output, Spread, input_tile, output_tile};

/// Outputs of a tile, each way.
const TILE: usize = 4;
/// Inputs of a tile, and points, each way.
const POINTS: usize = 6;
/// Places of a transformed tile.
const PLACES: usize = POINTS * POINTS;

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// A kernel at the 36 places: a matrix \[in, out\] for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transformed<C> {
    places: Vec<Packed<C>>,
}

/// Memory for transformed tiles.
#[derive(Default)]
pub(crate) struct Room<C> {
    inputs: Vec<C>,
    products: Vec<f32>,
}

/// Floats of transformed tiles that are worked on at once: what stays in the cache of one core.
const AT_ONCE: usize = 100_000;

impl<C: Cell> Transformed<C> {
    /// Transforms `weight(out, in, tap)`.
    pub(crate) fn fill(
        &mut self,
        isa: Isa,
        [from, to]: [usize; 2],
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) {
        self.places.resize_with(PLACES, Packed::default);
        self.places.iter_mut().for_each(|packed| packed.begin(isa, [from, to]));
        // [in, place, out] for a panel of outputs, so that the network is not there twice: an input's kernels at
        // all places lie together, and inputs are transformed at the same time.
        let panel = isa.panel();
        let mut some = vec![0.0f32; from * PLACES * panel];
        for first in (0..to).step_by(panel) {
            let count = panel.min(to - first);
            some.par_chunks_exact_mut(PLACES * panel).enumerate().for_each(|(input, some)| {
                for out in 0..count {
                    let tap = |y, x| f64::from(weight(first + out, input, 3 * y + x));
                    let kernel = std::array::from_fn(|y| std::array::from_fn(|x| tap(y, x)));
                    for (place, value) in kernel_at_points(&kernel).into_iter().flatten().enumerate() {
                        some[place * panel + out] = value as f32;
                    }
                }
            });
            self.places.par_iter_mut().enumerate().for_each(|(place, packed)| {
                packed.push_panel(from, |input| &some[(input * PLACES + place) * panel..][..count]);
            });
        }
    }
}

/// G g G^T.
fn kernel_at_points(g: &[[f64; 3]; 3]) -> [[f64; POINTS]; POINTS] {
    let (a, b) = (f64::from(A), f64::from(B));
    // 1 / m'(p) of m(x) = x (x^2 - a^2) (x^2 - b^2): the weights of Lagrange's formula.
    let at = |p: f64, weight: f64| [1.0 / weight, p / weight, p * p / weight];
    let (of_a, of_b) = (2.0 * a * a * (a * a - b * b), 2.0 * b * b * (b * b - a * a));
    let rows = [at(0.0, a * a * b * b), at(a, of_a), at(-a, of_a), at(b, of_b), at(-b, of_b), [0.0, 0.0, 1.0]];
    let dot = |row: &[f64; 3], values: [f64; 3]| row.iter().zip(values).map(|(r, v)| r * v).sum::<f64>();
    let lines: [[f64; 3]; POINTS] =
        std::array::from_fn(|i| std::array::from_fn(|x| dot(&rows[i], [g[0][x], g[1][x], g[2][x]])));
    std::array::from_fn(|i| std::array::from_fn(|j| dot(&rows[j], lines[i])))
}

/// The convolution of pictures, as [`product`] with the left matrix of a 3x3 kernel.
pub(crate) fn convolve<C: Cell>(
    isa: Isa,
    split: Split,
    pictures: Pictures,
    kernel: &Transformed<C>,
    finish: Finish,
    room: &mut Room<C>,
    out: &mut [f32],
) {
    let Pictures { x, from, to, .. } = pictures;
    let tiles = Tiles::of(&pictures);
    let split = tiles.split(split, from.channels * to.channels);
    let at_once = tiles.at_once(split, from.channels + to.channels);
    let cells = from.channels.div_ceil(C::TERMS);
    let (len_in, len_out) = (at_once * cells, at_once * to.channels);
    room.inputs.resize((PLACES * len_in).max(room.inputs.len()), C::default());
    room.products.resize((PLACES * len_out).max(room.products.len()), 0.0);
    for first in (0..tiles.count).step_by(at_once) {
        let count = at_once.min(tiles.count - first);
        let inputs = Spread::new(&mut room.inputs, len_in);
        each(split, count, |k| input_tile(isa, x, from, tiles.place(first + k), inputs, k));
        let products = Spread::new(&mut room.products, len_out);
        each(split, PLACES, |at| {
            let values = &room.inputs[at * len_in..][..len_in];
            let left = Left { values, rows: Rows::matrix(cells), runs: Runs::one(cells), step: 1 };
            let work = Product { left, right: &kernel.places[at], finish: Finish::plain(), rows: count };
            // SAFETY: places are disjoint, and each has one task.
            let out = unsafe { products.place(at) };
            product(isa, Split::Never, &work, out, to.channels);
        });
        let products = &room.products[..];
        let target = Spread::new(out, 0);
        each(split, count, |k| {
            let at = tiles.place(first + k);
            output_tile(isa, Output { products, pitch: len_out, tile: k, at, finish, to, target });
        });
    }
}

/// The tiles of some pictures, counted through.
#[derive(Clone, Copy)]
struct Tiles {
    across: usize,
    down: usize,
    count: usize,
}

impl Tiles {
    fn of(pictures: &Pictures) -> Self {
        let (across, down) = (pictures.to.width.div_ceil(TILE), pictures.to.height.div_ceil(TILE));
        Tiles { across, down, count: pictures.count * across * down }
    }

    /// Whether threads share the work, `products` at each place of a tile.
    fn split(&self, split: Split, products: usize) -> Split {
        // Where there are few tiles, reading the weights is the work.
        if PLACES * self.count.max(16) * products > SMALL { split } else { Split::Never }
    }

    /// How many are worked on at once, with `widths` channels before and after.
    fn at_once(&self, split: Split, widths: usize) -> usize {
        match split {
            Split::Threads => self.count,
            Split::Never => (AT_ONCE / (PLACES * widths)).clamp(28, self.count.max(28)),
        }
    }

    fn place(&self, tile: usize) -> Place {
        Place {
            picture: tile / (self.across * self.down),
            y: tile / self.across % self.down * TILE,
            x: tile % self.across * TILE,
        }
    }
}

/// Runs `work` for 0 to `count`.
fn each(split: Split, count: usize, work: impl Fn(usize) + Sync + Send) {
    match split {
        Split::Threads => (0..count).into_par_iter().with_min_len(4).for_each(work),
        Split::Never => (0..count).for_each(work),
    }
}

/// Where a tile begins.
#[derive(Clone, Copy)]
struct Place {
    picture: usize,
    y: usize,
    x: usize,
}
