//! Whole matrix products: packed right matrices, blocks and threads.

use rayon::prelude::*;

use crate::block::{Block, Finish, Left, Right, Start, Target};
use crate::cell::Cell;
use crate::isa::Isa;
use crate::lanes::with_isa;
use crate::tile::multiply;

/// How the work of one layer is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// This thread does it: the others have pictures of their own.
    Never,
    /// Threads share it.
    Threads,
}

/// A right matrix, \[places, columns\], in panels of as many columns as a tile has: what a tile reads lies
/// together. Where a cell holds several terms, each column has as many of them as fill its places; those behind
/// the last are 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Packed<C = f32> {
    pub(crate) places: usize,
    pub(crate) columns: usize,
    panel: usize,
    values: Vec<C>,
}

/// A product: `rows` rows of `left` times `right`.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a, C = f32> {
    pub(crate) left: Left<'a, C>,
    pub(crate) right: &'a Packed<C>,
    pub(crate) finish: Finish<'a>,
    pub(crate) rows: usize,
}

/// Rows of a block, where the left matrix is the larger: some 100 kB of it stay in the cache for all panels.
const BLOCK: usize = 112;

/// Products of cells with their additions below which threads are not worth waking, which takes some 50
/// microseconds: a seventh of a millisecond of one thread.
pub(crate) const SMALL: usize = 1 << 23;

impl<C: Cell> Packed<C> {
    /// Packs `value(term, column)`.
    pub(crate) fn new(isa: Isa, [terms, columns]: [usize; 2], value: impl Fn(usize, usize) -> f32) -> Self {
        let mut packed = Packed::default();
        packed.fill(isa, [terms, columns], value);
        packed
    }

    /// Packs anew, into the same memory if it is large enough.
    pub(crate) fn fill(&mut self, isa: Isa, [terms, columns]: [usize; 2], value: impl Fn(usize, usize) -> f32) {
        self.begin(isa, [terms, columns]);
        let (panel, places) = (self.panel, self.places);
        self.values.resize(self.padded() * places, C::default());
        let mut start = 0;
        for first in (0..columns).step_by(panel) {
            let width = self.width(first);
            let count = width.min(columns - first);
            let values = &mut self.values[start..start + width * places];
            // Column by column: where the matrix comes from a transpose, that reads along its rows.
            for column in 0..count {
                let cell = |place: usize| {
                    C::of(|k| match place * C::TERMS + k {
                        term if term < terms => value(term, first + column),
                        _ => 0.0,
                    })
                };
                for (place, row) in values.chunks_exact_mut(width).enumerate() {
                    row[column] = cell(place);
                }
            }
            start += width * places;
        }
    }

    /// Packs rows that lie together: that of `term` is the beginning of `row(term)`.
    pub(crate) fn fill_rows<'a>(
        &mut self,
        isa: Isa,
        [terms, columns]: [usize; 2],
        row: impl Fn(usize) -> &'a [f32],
    ) {
        self.begin(isa, [terms, columns]);
        for first in (0..columns).step_by(self.panel) {
            self.push_panel(terms, |term| &row(term)[first..]);
        }
    }

    /// Makes room for a matrix whose panels are then pushed.
    pub(crate) fn begin(&mut self, isa: Isa, [terms, columns]: [usize; 2]) {
        let places = terms.div_ceil(C::TERMS);
        *self = Packed { places, columns, panel: isa.panel(), values: std::mem::take(&mut self.values) };
        self.values.clear();
        self.values.reserve_exact(self.padded() * places);
    }

    /// The next panel: its columns are the first of `row(term)`.
    pub(crate) fn push_panel<'a>(&mut self, terms: usize, row: impl Fn(usize) -> &'a [f32]) {
        let first = self.values.len() / self.places;
        let width = self.width(first);
        let count = width.min(self.columns - first);
        for place in 0..self.places {
            // A row behind the last is never looked at, but has to be something.
            let rows: [&[f32]; 2] = std::array::from_fn(|k| &row((place * C::TERMS + k).min(terms - 1))[..count]);
            let there = terms - place * C::TERMS;
            let cells = (0..count).map(|column| C::of(|k| if k < there { rows[k][column] } else { 0.0 }));
            self.values.extend(cells);
            self.values.resize(self.values.len() + width - count, C::default());
        }
    }

    /// Columns of the panel that begins at `first`, those behind the last column included.
    fn width(&self, first: usize) -> usize {
        // 16 is a multiple of every vector, so that no vector of a panel begins inside and ends outside of it.
        self.panel.min((self.columns - first).next_multiple_of(self.panel.min(16)))
    }

    /// Columns of all panels.
    fn padded(&self) -> usize {
        let last = self.columns.saturating_sub(1) / self.panel * self.panel;
        last + self.width(last)
    }

    fn panel_at(&self, first: usize) -> Right<'_, C> {
        let width = self.width(first);
        Right { values: &self.values[first * self.places..][..width * self.places], pitch: width }
    }
}

impl Packed {
    /// The matrix, row after row.
    pub(crate) fn plain(&self) -> Vec<f32> {
        let mut plain = vec![0.0; self.places * self.columns];
        for first in (0..self.columns).step_by(self.panel) {
            let Right { values, pitch } = self.panel_at(first);
            let count = pitch.min(self.columns - first);
            for (row, values) in plain.chunks_exact_mut(self.columns).zip(values.chunks_exact(pitch)) {
                row[first..first + count].copy_from_slice(&values[..count]);
            }
        }
        plain
    }
}

/// Computes a product into `out`, whose rows are `pitch` apart.
///
/// # Panics
/// Matrices that do not hold what the product names; a result with rows shorter than the right matrix.
pub(crate) fn product<C: Cell>(isa: Isa, split: Split, product: &Product<C>, out: &mut [f32], pitch: usize) {
    let Product { left, right, finish, rows } = *product;
    assert_eq!(left.runs.places(), right.places, "places of the left and of the right matrix");
    assert!(pitch >= right.columns, "rows of {} columns, {pitch} apart", right.columns);
    if rows == 0 || right.columns == 0 {
        return;
    }
    let target = Target { values: out.as_mut_ptr(), len: out.len(), pitch };
    let panels = right.columns.div_ceil(right.panel);
    let by_panel = right.values.len() > rows * right.places;
    let block_rows = if by_panel { rows } else { BLOCK };
    let blocks = rows.div_ceil(block_rows);
    let one = |k: usize| {
        let (block, panel) = if by_panel { (k % blocks, k / blocks) } else { (k / panels, k % panels) };
        let first = panel * right.panel;
        let block = Block {
            left,
            right: right.panel_at(first),
            finish,
            target,
            rows: (block * block_rows, rows.min((block + 1) * block_rows)),
            columns: (first, right.columns.min(first + right.panel)),
        };
        multiply_block(isa, block);
    };
    match split {
        Split::Threads if rows * right.places * right.columns > SMALL => {
            (0..blocks * panels).into_par_iter().for_each(one);
        }
        _ => (0..blocks * panels).for_each(one),
    }
}

/// A product with a right matrix as it lies, `(values, pitch, columns)`, with a vector's room behind its last row.
pub(crate) fn product_of_rows(
    isa: Isa,
    left: Left,
    (values, pitch, columns): (&[f32], usize, usize),
    finish: Finish,
    rows: usize,
    out: &mut [f32],
) {
    let target = Target { values: out.as_mut_ptr(), len: out.len(), pitch: columns };
    for first in (0..columns).step_by(isa.panel()) {
        let columns = (first, columns.min(first + isa.panel()));
        let right = Right { values: &values[first..], pitch };
        multiply_block(isa, Block { left, right, finish, target, rows: (0, rows), columns });
    }
}

with_isa! {
    fn multiply_block<C: Cell>(block: Block<C>) = multiply
}

impl Finish<'_> {
    /// The product itself.
    pub(crate) fn plain() -> Self {
        Finish { start: Start::Zero, residual: None, scale: 1.0, least: f32::NEG_INFINITY }
    }
}
