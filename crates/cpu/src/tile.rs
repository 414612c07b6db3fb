//! The one inner loop: a tile of a matrix product, kept in registers from its first to its last term.
//!
//! A convolution of a picture with channels innermost is a matrix product whose left matrix need not be made: the
//! values that a row of the kernel meets lie side by side in the picture, so a pixel's row of the matrix is a few runs
//! of the picture, one a row of the kernel. What matters is that `DOWN` pixels times `ACROSS` vectors of channels are
//! added up in registers: each weight that is loaded serves all pixels, each value all channels.

use crate::cell::Cell;
use crate::lanes::Lanes;

/// A left matrix that lies in memory as runs: the cell of row `i` at place `k` of run `r` is at
/// `row(i) + runs[r] + k * step`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, C = f32> {
    pub(crate) values: &'a [C],
    pub(crate) rows: Rows,
    /// Where runs begin, behind the start of a row.
    pub(crate) runs: Runs,
    /// From one place of a run to the next.
    pub(crate) step: usize,
}

/// `count` runs, `pitch` apart, of `len` places each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Runs {
    pub(crate) count: usize,
    pub(crate) pitch: usize,
    pub(crate) len: usize,
}

/// Where the rows of a matrix begin: those of pixel (n, y, x) at `n * picture + y * line + x * pixel`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rows {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) picture: usize,
    pub(crate) line: usize,
    pub(crate) pixel: usize,
}

/// A right matrix: place `k` of all runs, counted through, has its row at `k * pitch`.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a, C = f32> {
    pub(crate) values: &'a [C],
    pub(crate) pitch: usize,
}

/// What becomes of the sums: `(start + product + residual) * scale`.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// Sums begin here: a row for each picture, or one for all of them.
    pub(crate) start: Start<'a>,
    /// Added at the end, laid out as the result.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) scale: f32,
}

/// What the sums of a product begin with.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Zero,
    /// A row of `pitch` values for each picture.
    Rows {
        values: &'a [f32],
        pitch: usize,
    },
    /// What the result holds already.
    Result,
}

/// Where results go: row `i` at `i * pitch + column`.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) values: *mut f32,
    pub(crate) len: usize,
    pub(crate) pitch: usize,
}

// SAFETY: tiles of one product are disjoint; whoever hands a target to threads sees to that.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// One block of a product: these rows, and these columns, at most a panel of them.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, C = f32> {
    pub(crate) left: Left<'a, C>,
    /// The panel of the right matrix that holds the columns, its first column first.
    pub(crate) right: Right<'a, C>,
    pub(crate) finish: Finish<'a>,
    pub(crate) target: Target,
    pub(crate) rows: (usize, usize),
    pub(crate) columns: (usize, usize),
}

impl Rows {
    /// The rows of a plain matrix.
    pub(crate) fn matrix(pitch: usize) -> Self {
        Rows { height: 1, width: usize::MAX, picture: 0, line: 0, pixel: pitch }
    }

    /// Where row `row` begins.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize) -> usize {
        if self.width == usize::MAX {
            return row * self.pixel;
        }
        let (line, x) = (row / self.width, row % self.width);
        let (n, y) = (line / self.height, line % self.height);
        n * self.picture + y * self.line + x * self.pixel
    }

    #[inline(always)]
    fn picture_of(&self, row: usize) -> usize {
        if self.width == usize::MAX { 0 } else { row / (self.width * self.height) }
    }

    /// Whether rows lie one behind the other, so that the last is the farthest.
    fn grow(&self) -> bool {
        self.width == usize::MAX
            || self.line >= (self.width - 1) * self.pixel
                && self.picture >= (self.height - 1) * self.line + (self.width - 1) * self.pixel
    }
}

impl Runs {
    /// One run: the row of a plain matrix.
    pub(crate) fn one(len: usize) -> Self {
        Runs { count: 1, pitch: 0, len }
    }

    /// Places in all runs.
    pub(crate) fn places(&self) -> usize {
        self.count * self.len
    }
}

impl<C: Cell> Block<'_, C> {
    /// Panics unless everything that [`tile`] will touch is there, for vectors of `width` cells.
    #[inline(always)]
    fn check(&self, width: usize) {
        let Block { left, right, finish, target, rows: (from, to), columns: (first, last) } = *self;
        assert!(from < to && first < last && left.runs.places() > 0, "a block of nothing");
        let runs = left.runs;
        let reach = (runs.count - 1) * runs.pitch + (runs.len - 1) * left.step;
        assert!(left.rows.grow(), "the rows of the left matrix do not lie in order");
        assert!(left.rows.at(to - 1) + reach < left.values.len(), "the left matrix ends early");
        let columns = (last - first).next_multiple_of(width);
        assert!((runs.places() - 1) * right.pitch + columns <= right.values.len(), "the right matrix ends early");
        let end = (to - 1) * target.pitch + last;
        assert!(end <= target.len, "the result ends early");
        assert!(finish.residual.is_none_or(|residual| end <= residual.len()), "the residual ends early");
        if let Start::Rows { values, pitch } = finish.start {
            let end = left.rows.picture_of(to - 1) * pitch + first + columns;
            assert!(pitch == 0 || pitch >= first + columns, "a start row ends early");
            assert!(end <= values.len(), "the start rows end early");
        }
    }
}

/// Computes a block.
///
/// # Panics
/// Matrices that do not hold what the block names.
#[inline(always)]
pub(crate) fn multiply<L: Lanes, C: Cell>(block: Block<C>) {
    block.check(L::WIDTH);
    let (from, to) = block.rows;
    let across = (block.columns.1 - block.columns.0).div_ceil(L::WIDTH);
    let count = to - from;
    let tiles = count.div_ceil(L::DOWN);
    for tile in 0..tiles {
        // As even as it goes: 49 rows are 13 + 12 + 12 + 12, not 14 + 14 + 14 + 7.
        let (start, end) = (from + count * tile / tiles, from + count * (tile + 1) / tiles);
        // SAFETY: `check` has seen that all of it is there.
        unsafe {
            match across {
                1 => rows_of::<L, C, 1>(&block, start, end - start),
                2 => rows_of::<L, C, 2>(&block, start, end - start),
                3 => rows_of::<L, C, 3>(&block, start, end - start),
                4 => rows_of::<L, C, 4>(&block, start, end - start),
                _ => unreachable!("a panel has at most four vectors"),
            }
        }
    }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn rows_of<L: Lanes, C: Cell, const ACROSS: usize>(block: &Block<C>, row: usize, down: usize) {
    if ACROSS > L::ACROSS {
        unreachable!("a panel has at most {} vectors", L::ACROSS);
    }
    macro_rules! of {
        ($($down:literal)*) => {
            match down {
                // SAFETY: the caller's.
                $($down if $down <= L::DOWN => unsafe { tile::<L, C, $down, ACROSS>(block, row) },)*
                _ => unreachable!("a tile has 1 to {} rows", L::DOWN),
            }
        };
    }
    of!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

/// One tile.
///
/// # Safety
/// Everything that `block` names for these rows and columns must be there.
#[inline(always)]
unsafe fn tile<L: Lanes, C: Cell, const DOWN: usize, const ACROSS: usize>(block: &Block<C>, row: usize) {
    if DOWN > L::DOWN || ACROSS > L::ACROSS {
        return;
    }
    let Block { left, right, .. } = *block;
    // SAFETY: the caller vouches for every place that is touched here.
    unsafe {
        let mut first_sums = [[L::zero(); ACROSS]; DOWN];
        begin(block, row, &mut first_sums);
        // A copy that only the loop below touches, with indices known to the compiler: it lives in registers.
        let mut sums = first_sums;

        let mut right_at = right.values.as_ptr();
        let start: [*const C; DOWN] = std::array::from_fn(|i| left.values.as_ptr().add(left.rows.at(row + i)));
        for run in 0..left.runs.count {
            let rows: [*const C; DOWN] = std::array::from_fn(|i| start[i].add(run * left.runs.pitch));
            let mut at = 0;
            for _ in 0..left.runs.len {
                let weights: [C::Vector<L>; ACROSS] = std::array::from_fn(|v| C::load(right_at.add(v * L::WIDTH)));
                // Behind the last place it points nowhere, and is not read.
                right_at = right_at.wrapping_add(right.pitch);
                for i in 0..DOWN {
                    let x = C::splat::<L>(*rows[i].add(at));
                    for v in 0..ACROSS {
                        sums[i][v] = C::add_product(sums[i][v], x, weights[v]);
                    }
                }
                at += left.step;
            }
        }

        let last_sums = sums;
        end(block, row, &last_sums);
    }
}

/// What the sums of a tile begin with.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn begin<L: Lanes, C: Cell, const DOWN: usize, const ACROSS: usize>(
    block: &Block<C>,
    row: usize,
    sums: &mut [[L; ACROSS]; DOWN],
) {
    let Block { left, finish, target, columns: (first, last), .. } = *block;
    for (i, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            let at = v * L::WIDTH;
            // SAFETY: the caller vouches for every place that is touched here.
            unsafe {
                match finish.start {
                    Start::Zero => {}
                    Start::Rows { values, pitch } => {
                        *sum = L::load(values.as_ptr().add(left.rows.picture_of(row + i) * pitch + first + at));
                    }
                    Start::Result => {
                        let from = target.values.add((row + i) * target.pitch + first + at);
                        *sum = L::load_some(from, last - first - at);
                    }
                }
            }
        }
    }
}

/// Residual and scale, and into memory.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn end<L: Lanes, C: Cell, const DOWN: usize, const ACROSS: usize>(
    block: &Block<C>,
    row: usize,
    sums: &[[L; ACROSS]; DOWN],
) {
    let Block { finish, target, columns: (first, last), .. } = *block;
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            let (place, count) = ((row + i) * target.pitch + first + v * L::WIDTH, last - first - v * L::WIDTH);
            let mut sum = *sum;
            // SAFETY: the caller vouches for every place that is touched here.
            unsafe {
                if let Some(residual) = finish.residual {
                    let from = residual.as_ptr().add(place);
                    sum = sum.add(if count >= L::WIDTH { L::load(from) } else { L::load_some(from, count) });
                }
                if finish.scale != 1.0 {
                    sum = sum.mul(L::splat(finish.scale));
                }
                let to = target.values.add(place);
                if count >= L::WIDTH { sum.store(to) } else { sum.store_some(to, count) }
            }
        }
    }
}
