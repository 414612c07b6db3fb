//! One tile on its way to the 36 places, and back.

use super::{A, A2, B, B2, PLACES, POINTS, Place, TILE};
use crate::block::{Finish, Start};
use crate::cell::Cell;
use crate::lanes::{Lanes, with_isa};
use crate::layout::Layout;

/// Memory that tasks write to at places of their own.
#[derive(Clone, Copy)]
pub(super) struct Spread<C> {
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
    pub(super) fn new(values: &mut [C], pitch: usize) -> Self {
        Spread { values: values.as_mut_ptr(), len: values.len(), pitch }
    }

    /// All of one place.
    ///
    /// # Safety
    /// No other task may write to it, and the memory outlives the task.
    pub(super) unsafe fn place<'a>(self, at: usize) -> &'a mut [C] {
        assert!((at + 1) * self.pitch <= self.len);
        // SAFETY: it is inside, and the caller vouches that it is nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(at * self.pitch), self.pitch) }
    }
}

with_isa! {
    /// B^T d B of one tile, at its place in each of the 36 matrices.
    pub(super) fn input_tile<C: Cell>(x: &[f32], from: &Layout, at: Place, to: Spread<C>, tile: usize)
        = input_tile_body
}

#[inline(always)]
fn input_tile_body<L: Lanes, C: Cell>(x: &[f32], from: &Layout, at: Place, to: Spread<C>, tile: usize) {
    let channels = from.channels;
    let cells = channels.div_ceil(C::TERMS);
    let (lines, columns) =
        (from.height + from.border.top + from.border.bottom, from.width + from.border.left + from.border.right);
    let start = at.picture * from.len() + at.y * from.pitch() + at.x * channels;
    let (rows, width) = (POINTS.min(lines - at.y), POINTS.min(columns - at.x));
    assert!(start + (rows - 1) * from.pitch() + width * channels <= x.len(), "a tile ends behind the picture");
    assert!((PLACES - 1) * to.pitch + (tile + 1) * cells <= to.len, "a tile ends behind its memory");
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        let mut lines = [[L::zero(); POINTS]; POINTS];
        // SAFETY: rows and columns up to `rows` and `width` are inside, as are `count` channels; so is the tile's
        // row of each place.
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

/// A tile of the result: where its products are, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    /// Place after place, `pitch` apart.
    pub(super) products: &'a [f32],
    pub(super) pitch: usize,
    /// Which of the tiles it is.
    pub(super) tile: usize,
    pub(super) at: Place,
    pub(super) finish: Finish<'a>,
    pub(super) to: &'a Layout,
    pub(super) target: Spread<f32>,
}

with_isa! {
    /// A^T m A of one tile, with what follows, into the picture.
    pub(super) fn output_tile(output: Output) = output_tile_body
}

#[inline(always)]
fn output_tile_body<L: Lanes>(output: Output) {
    let channels = output.to.channels;
    output.check();
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        // SAFETY: `check` has seen that all of it is there; `count` channels are.
        unsafe {
            let lines = output.lines::<L>(first, count);
            output.finish(lines, first, count);
        }
    }
}

impl Output<'_> {
    /// Rows and columns of the tile that are inside the picture.
    #[inline(always)]
    fn inside(&self) -> (usize, usize) {
        (TILE.min(self.to.height - self.at.y), TILE.min(self.to.width - self.at.x))
    }

    /// Where the tile begins in the result.
    #[inline(always)]
    fn start(&self) -> usize {
        let Output { at, to, .. } = self;
        at.picture * to.len() + to.inside() + at.y * to.pitch() + at.x * to.channels
    }

    /// Panics unless everything that the tile touches is there.
    #[inline(always)]
    fn check(&self) {
        let Output { products, pitch, tile, at, finish, to, target } = *self;
        let (rows, columns) = self.inside();
        let end = self.start() + (rows - 1) * to.pitch() + columns * to.channels;
        let there = |residual: &[f32]| end <= residual.len();
        assert!(end <= target.len && finish.residual.is_none_or(there), "a tile ends behind");
        assert!(
            (PLACES - 1) * pitch + (tile + 1) * to.channels <= products.len(),
            "a tile ends behind its memory"
        );
        if let Start::Rows { values, pitch } = finish.start {
            let end = at.picture * pitch + to.channels.next_multiple_of(16);
            assert!(end <= values.len(), "the start rows end early");
        }
    }

    /// A^T m for `count` channels behind `first`.
    ///
    /// # Safety
    /// [`Output::check`] has passed, and there are as many channels.
    #[inline(always)]
    unsafe fn lines<L: Lanes>(&self, first: usize, count: usize) -> [[L; POINTS]; TILE] {
        let from = self.tile * self.to.channels + first;
        let mut lines = [[L::zero(); POINTS]; TILE];
        for column in 0..POINTS {
            let mut m = [L::zero(); POINTS];
            for (row, m) in m.iter_mut().enumerate() {
                // SAFETY: the caller's.
                unsafe {
                    let from = self.products.as_ptr().add((row * POINTS + column) * self.pitch + from);
                    *m = if count == L::WIDTH { L::load(from) } else { L::load_some(from, count) };
                }
            }
            for (line, y) in lines.iter_mut().zip(from_points(m)) {
                line[column] = y;
            }
        }
        lines
    }

    /// The rest of the way, with start, residual and scale, into memory.
    ///
    /// # Safety
    /// As for [`Output::lines`].
    #[inline(always)]
    unsafe fn finish<L: Lanes>(&self, lines: [[L; POINTS]; TILE], first: usize, count: usize) {
        let Output { at, finish, to, target, .. } = *self;
        let ((rows, columns), start) = (self.inside(), self.start() + first);
        let begin = match finish.start {
            // SAFETY: the caller's.
            Start::Rows { values, pitch } => unsafe { L::load(values.as_ptr().add(at.picture * pitch + first)) },
            Start::Zero => L::zero(),
            Start::Result => unreachable!("only products add to what is there"),
        };
        for (row, line) in lines.into_iter().enumerate().take(rows) {
            for (column, y) in from_points(line).into_iter().enumerate().take(columns) {
                let place = start + row * to.pitch() + column * to.channels;
                let mut y = y.add(begin);
                // SAFETY: the caller's.
                unsafe {
                    if let Some(residual) = finish.residual {
                        y = y.add(L::load_some(residual.as_ptr().add(place), count));
                    }
                    if finish.scale != 1.0 {
                        y = y.mul(L::splat(finish.scale));
                    }
                    y = L::splat(finish.least).max(y);
                    let to = target.values.add(place);
                    if count == L::WIDTH { y.store(to) } else { y.store_some(to, count) }
                }
            }
        }
    }
}
