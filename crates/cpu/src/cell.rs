//! What lies at one place of a matrix: a float, or two numbers of 16 bits that are multiplied at once.
//!
//! bf16 is the upper half of an f32: the same exponents, 8 binary digits. The product of two is exact in f32, so
//! that every processor can say what one with the instruction for it (`vdpbf16ps`) would: with [`Pair`], the
//! products of the same numbers are the same bit for bit with and without it. Values below 2^-126 count as 0, as
//! they do for the instruction.
//!
//! What it gains with the instruction (Zen 4, the fastest of some runs, in turn with f32): 3x3 convolutions of
//! 128 to 512 channels take 1.65 to 2 times less time, products at each pixel 1.8, attention 1.4; what lies
//! between is left as it is. The DDPM network for CIFAR-10 on two threads: 28 ms in place of 40 for one picture,
//! 73 in place of 128 for four, 300 in place of 495 for 16; its packed weights 180 MB in place of 350. Intel's
//! processors begin the instruction, and the one that rounds, a quarter as often as a product in f32, and gain
//! nothing. Without the instruction it takes twice the time of f32.

use crate::isa::Isa;
use crate::lanes::{Lanes, with_isa};

/// What lies at one place of a matrix.
pub(crate) trait Cell: Copy + Default + Send + Sync {
    /// Numbers in a cell: as many terms of a sum.
    const TERMS: usize;
    /// Whether a processor may have instructions of its own for it.
    #[cfg(target_arch = "x86_64")]
    const ARE_PAIRS: bool = Self::TERMS == 2;
    /// As many cells as `L` has floats.
    type Vector<L: Lanes>: Copy;

    /// The cell of the numbers `term(0)` to `term(TERMS - 1)`.
    fn of(term: impl Fn(usize) -> f32) -> Self;
    fn splat<L: Lanes>(self) -> Self::Vector<L>;
    /// # Safety
    /// `L::WIDTH` cells can be read from `from`.
    unsafe fn load<L: Lanes>(from: *const Self) -> Self::Vector<L>;
    /// Writes the first `count` floats of `x`, the rest of which is 0, as whole cells.
    ///
    /// # Safety
    /// As many cells can be written to `to`.
    unsafe fn store<L: Lanes>(x: L, to: *mut Self, count: usize);
    /// `sum` plus the products of all terms.
    fn add_product<L: Lanes>(sum: L, a: Self::Vector<L>, b: Self::Vector<L>) -> L;

    /// The first `len` floats of each of `rows` rows that begin `pitch` apart, as cells; how far apart those
    /// begin.
    fn rows<'a>(
        isa: Isa,
        values: &'a [f32],
        rows: usize,
        pitch: usize,
        len: usize,
        room: &'a mut Vec<Self>,
    ) -> (&'a [Self], usize);
}

/// Two numbers in bf16, the first in the lower half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Pair(pub(crate) u32);

impl Pair {
    /// The nearest pair.
    #[inline(always)]
    pub(crate) fn new(first: f32, second: f32) -> Self {
        Pair(nearest(first) | nearest(second) << 16)
    }
}

/// The nearest number in bf16, of two the even one; quiet where it is none, 0 below 2^-126.
#[inline(always)]
fn nearest(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() {
        bits >> 16 | 0x40
    } else if x.abs() < f32::MIN_POSITIVE {
        bits >> 16 & 0x8000
    } else {
        (bits + 0x7fff + (bits >> 16 & 1)) >> 16
    }
}

impl Cell for f32 {
    const TERMS: usize = 1;
    type Vector<L: Lanes> = L;

    #[inline(always)]
    fn of(term: impl Fn(usize) -> f32) -> Self {
        term(0)
    }
    #[inline(always)]
    fn splat<L: Lanes>(self) -> L {
        L::splat(self)
    }
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const f32) -> L {
        // SAFETY: the caller's.
        unsafe { L::load(from) }
    }
    #[inline(always)]
    unsafe fn store<L: Lanes>(x: L, to: *mut f32, count: usize) {
        // SAFETY: the caller's.
        unsafe { if count >= L::WIDTH { x.store(to) } else { x.store_some(to, count) } }
    }
    #[inline(always)]
    fn add_product<L: Lanes>(sum: L, a: L, b: L) -> L {
        sum.add_product(a, b)
    }
    fn rows<'a>(
        _: Isa,
        values: &'a [f32],
        _: usize,
        pitch: usize,
        _: usize,
        _: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize) {
        (values, pitch)
    }
}

impl Cell for Pair {
    const TERMS: usize = 2;
    type Vector<L: Lanes> = L::Pairs;

    #[inline(always)]
    fn of(term: impl Fn(usize) -> f32) -> Self {
        Pair::new(term(0), term(1))
    }
    #[inline(always)]
    fn splat<L: Lanes>(self) -> L::Pairs {
        L::splat_pair(self)
    }
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Pair) -> L::Pairs {
        // SAFETY: the caller's.
        unsafe { L::load_pairs(from) }
    }
    #[inline(always)]
    unsafe fn store<L: Lanes>(x: L, to: *mut Pair, count: usize) {
        // SAFETY: the caller's. The usual number is one that the compiler knows.
        unsafe {
            if count >= L::WIDTH { x.store_pairs(to, L::WIDTH / 2) } else { x.store_pairs(to, count.div_ceil(2)) }
        }
    }
    #[inline(always)]
    fn add_product<L: Lanes>(sum: L, a: L::Pairs, b: L::Pairs) -> L {
        sum.add_pair_products(a, b)
    }
    fn rows<'a>(
        isa: Isa,
        values: &'a [f32],
        rows: usize,
        pitch: usize,
        len: usize,
        room: &'a mut Vec<Pair>,
    ) -> (&'a [Pair], usize) {
        let pairs = len.div_ceil(2);
        room.resize((rows * pairs).max(room.len()), Pair::default());
        let out = &mut room[..rows * pairs];
        // Rows without a gap between them are one row.
        let (pitch, len) = if len == pitch && len == 2 * pairs { (rows * len, rows * len) } else { (pitch, len) };
        round_rows(isa, values, pitch, len, out);
        (out, pairs)
    }
}

with_isa! {
    pairs fn round_rows(values: &[f32], pitch: usize, len: usize, out: &mut [Pair]) = round_rows_body
}

#[inline(always)]
fn round_rows_body<L: Lanes>(values: &[f32], pitch: usize, len: usize, out: &mut [Pair]) {
    for (row, out) in values.chunks(pitch).zip(out.chunks_exact_mut(len.div_ceil(2))) {
        let row = &row[..len];
        let mut parts = row.chunks_exact(L::WIDTH);
        let mut to = out.as_mut_ptr();
        for part in &mut parts {
            // SAFETY: the part is a whole vector; `out` has a pair for each two values of the row.
            unsafe {
                Pair::store(L::load(part.as_ptr()), to, L::WIDTH);
                to = to.add(L::WIDTH / 2);
            }
        }
        let rest = parts.remainder();
        if !rest.is_empty() {
            // SAFETY: as above, for the values that are left.
            unsafe { Pair::store(L::load_some(rest.as_ptr(), rest.len()), to, rest.len()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_number_of_sixteen_bits() {
        let one = 1.0f32.to_bits();
        let of = |bits: u32| nearest(f32::from_bits(bits));
        assert_eq!(of(one), 0x3f80);
        assert_eq!(of(one + 0x7fff), 0x3f80, "below the middle");
        assert_eq!(of(one + 0x8000), 0x3f80, "the middle, to the even one");
        assert_eq!(of(one + 0x8001), 0x3f81, "above the middle");
        assert_eq!(of(one + 0x1_8000), 0x3f82, "the middle, to the even one");
        assert_eq!(nearest(f32::MAX), 0x7f80, "infinity is nearer than the largest");
        assert_eq!(nearest(f32::NEG_INFINITY), 0xff80);
        assert_eq!(of(0x7f80_0001), 0x7fc0, "not a number stays none");
        assert_eq!(nearest(-1e-40), 0x8000);
    }

    #[test]
    fn every_instruction_set_rounds_alike() {
        let special = [f32::NAN, f32::INFINITY, -1e-40, f32::MAX, -0.0];
        let values: Vec<f32> =
            (0..75u32).map(|k| f32::from_bits(k.wrapping_mul(0x9e37_79b9))).chain(special).collect();
        for isa in Isa::available() {
            for (rows, pitch, len) in [(4, 20, 20), (4, 20, 19), (5, 16, 7), (1, 80, 80), (80, 1, 1)] {
                let mut room = Vec::new();
                let (out, pairs) = Pair::rows(isa, &values, rows, pitch, len, &mut room);
                for (row, out) in values.chunks(pitch).zip(out.chunks(pairs)) {
                    let at = |k: usize| if k < len { row[k] } else { 0.0 };
                    let expected: Vec<Pair> = (0..pairs).map(|k| Pair::new(at(2 * k), at(2 * k + 1))).collect();
                    assert_eq!(out, expected, "{isa:?} {rows} rows of {len}");
                }
            }
        }
    }
}
