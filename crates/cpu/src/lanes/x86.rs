//! The vectors of x86-64.

use super::{Lanes, add_products_singly, store_pairs_singly};
use crate::cell::Pair;
use std::arch::x86_64::*;

/// With or without the products of pairs in bf16; all else is the same.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>(__m512);

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// The methods that are one instruction.
macro_rules! instructions {
    ($vector:ident: $($name:ident($($arg:ident),*) = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $name(self $(, $arg: Self)*) -> Self {
            // SAFETY: only called where `with_isa!` has enabled the instructions.
            unsafe { $vector($intrinsic(self.0 $(, $arg.0)*)) }
        }
    )*};
}

impl<const BF16: bool> Lanes for Avx512<BF16> {
    type Pairs = __m512i;

    const WIDTH: usize = 16;
    const ACROSS: usize = 2;
    const DOWN: usize = 14;

    instructions! { Avx512:
        add(other) = _mm512_add_ps;
        sub(other) = _mm512_sub_ps;
        mul(other) = _mm512_mul_ps;
        div(other) = _mm512_div_ps;
        max(other) = _mm512_max_ps;
        min(other) = _mm512_min_ps;
        times_two_to(n) = _mm512_scalef_ps;
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: only called where `with_isa!` has enabled the instructions; so are all below.
        unsafe { Self(_mm512_set1_ps(x)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(_mm512_loadu_ps(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
    }
    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm512_roundscale_ps::<0>(self.0)) }
    }
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller vouches for `count` floats; no other is touched.
        unsafe { Self(_mm512_maskz_loadu_ps(mask(count), from)) }
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: the caller vouches for `count` floats; no other is touched.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const Pair) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    fn splat_pair(pair: Pair) -> __m512i {
        // SAFETY: as in `splat`.
        unsafe { _mm512_set1_epi32(pair.0.cast_signed()) }
    }
    #[inline(always)]
    fn firsts(pairs: __m512i) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs))) }
    }
    #[inline(always)]
    fn seconds(pairs: __m512i) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(UPPER)))) }
    }
    #[inline(always)]
    fn add_pair_products(self, a: __m512i, b: __m512i) -> Self {
        if !BF16 {
            return add_products_singly(self, a, b);
        }
        // SAFETY: as in `splat`; both types are 512 bits.
        unsafe {
            let [a, b] = [a, b].map(|pairs| std::mem::transmute::<__m512i, __m512bh>(pairs));
            Self(_mm512_dpbf16_ps(self.0, a, b))
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut Pair, count: usize) {
        // SAFETY: the caller vouches for `count` pairs; 16 numbers in bf16 are eight.
        unsafe {
            if !BF16 {
                return store_pairs_singly(self, to, count);
            }
            let pairs = std::mem::transmute::<__m256bh, [Pair; 8]>(_mm512_cvtneps_pbh(self.0));
            std::ptr::copy_nonoverlapping(pairs.as_ptr(), to, count.min(8));
        }
    }
}

/// The upper half of 32 bits.
const UPPER: i32 = 0xffff_0000_u32.cast_signed();

fn mask(count: usize) -> u16 {
    ((1u32 << count.min(16)) - 1) as u16
}

impl Lanes for Avx2 {
    type Pairs = __m256i;

    const WIDTH: usize = 8;
    const ACROSS: usize = 2;
    const DOWN: usize = 6;

    instructions! { Avx2:
        add(other) = _mm256_add_ps;
        sub(other) = _mm256_sub_ps;
        mul(other) = _mm256_mul_ps;
        div(other) = _mm256_div_ps;
        max(other) = _mm256_max_ps;
        min(other) = _mm256_min_ps;
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: only called where `with_isa!` has enabled the instructions; so are all below.
        unsafe { Self(_mm256_set1_ps(x)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(_mm256_loadu_ps(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0)) }
    }
    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
    }
    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        // SAFETY: as in `splat`. 2^n has n + 127 as its exponent bits.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127));
            let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
            Self(_mm256_mul_ps(self.0, power))
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const Pair) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    fn splat_pair(pair: Pair) -> __m256i {
        // SAFETY: as in `splat`.
        unsafe { _mm256_set1_epi32(pair.0.cast_signed()) }
    }
    #[inline(always)]
    fn firsts(pairs: __m256i) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs))) }
    }
    #[inline(always)]
    fn seconds(pairs: __m256i) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(_mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(UPPER)))) }
    }
}
