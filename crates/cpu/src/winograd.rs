//! 3x3 convolutions with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308).
//!
//! 4x4 outputs depend on 6x6 inputs. Both sides of the product are polynomials' values at six points: an input tile d
//! and a kernel g become B^T d B and G g G^T, their products are added up over channels at each of the 36 places, and
//! A^T m A leads back: 36 multiplications in place of 144, all of them matrix products.
//!
//! The points are 0, +-5/8, +-3/2 and infinity. They decide the rounding: with the usual 0, +-1, +-2 the error is
//! three and a half times that of adding up directly, with these 1.6 times (root mean square over 64 channels, f32),
//! and their coefficients are exact in f32 as well. In bf16 the transformed tiles are what is rounded, once and where
//! they are written, and amplified 4.5 times on the way back (MATH.md section 34).

use rayon::prelude::*;

use crate::cell::Cell;
use crate::kernel::Pictures;
use crate::lanes::{Isa, Lanes, with_isa};
use crate::layout::Layout;
use crate::product::{Packed, Product, SMALL, Split, product};
use crate::tile::{Finish, Left, Rows, Runs, Start};

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
        // [in, place, out] for a panel of outputs, so that the network is not there twice: an input's kernels at all
        // places lie together, and inputs are transformed at the same time.
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

/// The convolution of pictures with a border of one, as [`product`] with the left matrix of a 3x3 kernel.
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
        let target = Spread::new(out, 0);
        let products = &room.products;
        each(split, count, |k| output_tile(isa, products, len_out, k, tiles.place(first + k), finish, to, target));
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

/// Memory that tasks write to at places of their own.
#[derive(Clone, Copy)]
struct Spread<C> {
    values: *mut C,
    len: usize,
    /// From one place to the next.
    pitch: usize,
}

// SAFETY: each task writes to tiles or places of its own.
unsafe impl<C: Send> Send for Spread<C> {}
// SAFETY: as above.
unsafe impl<C: Send> Sync for Spread<C> {}

impl<C> Spread<C> {
    fn new(values: &mut [C], pitch: usize) -> Self {
        Spread { values: values.as_mut_ptr(), len: values.len(), pitch }
    }

    /// All of one place.
    ///
    /// # Safety
    /// No other task may write to it, and the memory outlives the task.
    unsafe fn place<'a>(self, at: usize) -> &'a mut [C] {
        assert!((at + 1) * self.pitch <= self.len);
        // SAFETY: it is inside, and the caller vouches that it is nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(at * self.pitch), self.pitch) }
    }
}

with_isa! {
    /// B^T d B of one tile, at its place in each of the 36 matrices.
    fn input_tile<C: Cell>(x: &[f32], from: &Layout, at: Place, to: Spread<C>, tile: usize) = input_tile_body
}

#[inline(always)]
fn input_tile_body<L: Lanes, C: Cell>(x: &[f32], from: &Layout, at: Place, to: Spread<C>, tile: usize) {
    let channels = from.channels;
    let cells = channels.div_ceil(C::TERMS);
    let (lines, columns) = (from.height + 2, from.width + 2);
    let start = at.picture * from.len() + at.y * from.pitch() + at.x * channels;
    let (rows, width) = (POINTS.min(lines - at.y), POINTS.min(columns - at.x));
    assert!(start + (rows - 1) * from.pitch() + width * channels <= x.len(), "a tile ends behind the picture");
    assert!((PLACES - 1) * to.pitch + (tile + 1) * cells <= to.len, "a tile ends behind its memory");
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        let mut lines = [[L::zero(); POINTS]; POINTS];
        // SAFETY: rows and columns up to `rows` and `width` are inside, as are `count` channels; so is the tile's row
        // of each place.
        unsafe {
            for column in 0..width {
                let mut d = [L::zero(); POINTS];
                for (row, d) in d.iter_mut().enumerate().take(rows) {
                    let from = x.as_ptr().add(start + row * from.pitch() + column * channels + first);
                    *d = if count == L::WIDTH { L::load(from) } else { L::load_some(from, count) };
                }
                let t = at_points(d);
                for (line, t) in lines.iter_mut().zip(t) {
                    line[column] = t;
                }
            }
            for (row, line) in lines.into_iter().enumerate() {
                for (column, value) in at_points(line).into_iter().enumerate() {
                    let place = row * POINTS + column;
                    // Vectors have as many floats as go into whole cells.
                    let out = to.values.add(place * to.pitch + tile * cells + first / C::TERMS);
                    C::store(value, out, count);
                }
            }
        }
    }
}

/// B^T d.
#[inline(always)]
fn at_points<L: Lanes>(d: [L; POINTS]) -> [L; POINTS] {
    let s = L::splat;
    let (minus_a2, minus_b2) = (s(-A2), s(-B2));
    let (product, minus_sum) = (s(A2 * B2), s(-(A2 + B2)));
    let (even_a, odd_a) = (d[4].add_product(minus_b2, d[2]), d[3].add_product(minus_b2, d[1]).mul(s(A)));
    let (even_b, odd_b) = (d[4].add_product(minus_a2, d[2]), d[3].add_product(minus_a2, d[1]).mul(s(B)));
    [
        d[4].add_product(product, d[0]).add_product(minus_sum, d[2]),
        even_a.add(odd_a),
        even_a.sub(odd_a),
        even_b.add(odd_b),
        even_b.sub(odd_b),
        d[5].add_product(product, d[1]).add_product(minus_sum, d[3]),
    ]
}

/// A^T m.
#[inline(always)]
fn from_points<L: Lanes>(m: [L; POINTS]) -> [L; TILE] {
    let s = L::splat;
    let (sum_a, difference_a) = (m[1].add(m[2]), m[1].sub(m[2]).mul(s(A)));
    let (sum_b, difference_b) = (m[3].add(m[4]), m[3].sub(m[4]).mul(s(B)));
    [
        m[0].add(sum_a).add(sum_b),
        difference_a.add(difference_b),
        sum_a.mul(s(A2)).add_product(s(B2), sum_b),
        m[5].add_product(s(A2), difference_a).add_product(s(B2), difference_b),
    ]
}

with_isa! {
    /// A^T m A of one tile, with what follows, into the picture.
    fn output_tile(
        products: &[f32],
        pitch: usize,
        tile: usize,
        at: Place,
        finish: Finish,
        to: &Layout,
        out: Spread<f32>,
    ) = output_tile_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn output_tile_body<L: Lanes>(
    products: &[f32],
    pitch: usize,
    tile: usize,
    at: Place,
    finish: Finish,
    to: &Layout,
    out: Spread<f32>,
) {
    let channels = to.channels;
    let (rows, columns) = (TILE.min(to.height - at.y), TILE.min(to.width - at.x));
    let start = at.picture * to.len() + at.y * to.pitch() + at.x * channels;
    let end = start + (rows - 1) * to.pitch() + columns * channels;
    assert!(end <= out.len && finish.residual.is_none_or(|residual| end <= residual.len()), "a tile ends behind");
    assert!((PLACES - 1) * pitch + (tile + 1) * channels <= products.len(), "a tile ends behind its memory");
    if let Start::Rows { values, pitch } = finish.start {
        assert!(at.picture * pitch + channels.next_multiple_of(16) <= values.len(), "the start rows end early");
    }
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        // SAFETY: all places were asserted to be inside; `count` channels are.
        unsafe {
            let mut lines = [[L::zero(); POINTS]; TILE];
            for column in 0..POINTS {
                let mut m = [L::zero(); POINTS];
                for (row, m) in m.iter_mut().enumerate() {
                    let place = row * POINTS + column;
                    let from = products.as_ptr().add(place * pitch + tile * channels + first);
                    *m = if count == L::WIDTH { L::load(from) } else { L::load_some(from, count) };
                }
                let y = from_points(m);
                for (line, y) in lines.iter_mut().zip(y) {
                    line[column] = y;
                }
            }
            let begin = match finish.start {
                Start::Rows { values, pitch } => L::load(values.as_ptr().add(at.picture * pitch + first)),
                Start::Zero => L::zero(),
                Start::Result => unreachable!("only products add to what is there"),
            };
            for (row, line) in lines.into_iter().enumerate().take(rows) {
                for (column, y) in from_points(line).into_iter().enumerate().take(columns) {
                    let place = start + row * to.pitch() + column * channels + first;
                    let mut y = y.add(begin);
                    if let Some(residual) = finish.residual {
                        y = y.add(L::load_some(residual.as_ptr().add(place), count));
                    }
                    if finish.scale != 1.0 {
                        y = y.mul(L::splat(finish.scale));
                    }
                    let to = out.values.add(place);
                    if count == L::WIDTH { y.store(to) } else { y.store_some(to, count) }
                }
            }
        }
    }
}
