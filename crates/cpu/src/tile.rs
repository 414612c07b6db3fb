//! The one inner loop: a tile of a matrix product, kept in registers from its first to its last term.
//!
//! A convolution of a picture with channels innermost is a matrix product whose left matrix need not be made: the
//! values that a row of the kernel meets lie side by side in the picture, so a pixel's row of the matrix is a few
//! runs of the picture, one a row of the kernel. What matters is that `DOWN` pixels times `ACROSS` vectors of
//! channels are added up in registers: each weight that is loaded serves all pixels, each value all channels.

use crate::block::{Block, Start};
use crate::cell::Cell;
use crate::lanes::Lanes;

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

/// Residual, scale and what follows, and into memory.
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
                sum = L::splat(finish.least).max(sum);
                let to = target.values.add(place);
                if count >= L::WIDTH { sum.store(to) } else { sum.store_some(to, count) }
            }
        }
    }
}
