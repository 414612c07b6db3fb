//! A block of a matrix product: where its operands lie, and what becomes of its sums.

use crate::cell::Cell;

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

/// What becomes of the sums: `max((start + product + residual) * scale, least)`.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// Sums begin here: a row for each picture, or one for all of them.
    pub(crate) start: Start<'a>,
    /// Added at the end, laid out as the result.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) scale: f32,
    /// 0 where what is below vanishes, the least number of all otherwise.
    pub(crate) least: f32,
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
    pub(crate) fn picture_of(&self, row: usize) -> usize {
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
    /// Panics unless everything that a tile will touch is there, for vectors of `width` cells.
    #[inline(always)]
    pub(crate) fn check(&self, width: usize) {
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
