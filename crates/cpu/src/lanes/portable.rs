//! Vectors for any processor.

use super::Lanes;
use crate::cell::Pair;

/// Eight floats in an array; the compiler makes of it what the target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|k| f(self.0[k], other.0[k])))
    }
}

impl Lanes for Portable {
    type Pairs = [Pair; 8];

    const WIDTH: usize = 8;
    const ACROSS: usize = 1;
    const DOWN: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's; an array of floats has the alignment of a float.
        Self(unsafe { from.cast::<[f32; 8]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[f32; 8]>().write(self.0) }
    }
    /// Not `f32::mul_add`, which is a call where the processor has no such instruction.
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|k| self.0[k] + a.0[k] * b.0[k]))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(other, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.map(other, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.map(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.map(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self) -> Self {
        // Adding 1.5 * 2^23 leaves no room for digits behind the point.
        self.map(Self::splat(12_582_912.0), |x, magic| (x + magic) - magic)
    }
    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        self.map(n, |x, n| x * f32::from_bits((((n as i32) + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const Pair) -> [Pair; 8] {
        // SAFETY: the caller's; an array of pairs has the alignment of a pair.
        unsafe { from.cast::<[Pair; 8]>().read() }
    }
    #[inline(always)]
    fn splat_pair(pair: Pair) -> [Pair; 8] {
        [pair; 8]
    }
    #[inline(always)]
    fn firsts(pairs: [Pair; 8]) -> Self {
        Self(pairs.map(|pair| f32::from_bits(pair.0 << 16)))
    }
    #[inline(always)]
    fn seconds(pairs: [Pair; 8]) -> Self {
        Self(pairs.map(|pair| f32::from_bits(pair.0 & 0xffff_0000)))
    }
}
