//! The vectors of 64-bit ARM.

use super::Lanes;
use crate::cell::Pair;
use std::arch::aarch64::*;

#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

/// The methods that are one instruction.
macro_rules! instructions {
    ($($name:ident($($arg:ident),*) = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $name(self $(, $arg: Self)*) -> Self {
            // SAFETY: every 64-bit ARM processor has NEON.
            unsafe { Neon($intrinsic(self.0 $(, $arg.0)*)) }
        }
    )*};
}

impl Lanes for Neon {
    type Pairs = uint32x4_t;

    const WIDTH: usize = 4;
    const ACROSS: usize = 4;
    const DOWN: usize = 6;

    instructions! {
        add(other) = vaddq_f32;
        sub(other) = vsubq_f32;
        mul(other) = vmulq_f32;
        div(other) = vdivq_f32;
        max(other) = vmaxq_f32; // NaN where one of them is
        min(other) = vminq_f32;
        add_product(a, b) = vfmaq_f32;
        round() = vrndnq_f32;
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: every 64-bit ARM processor has NEON; so are all below.
        unsafe { Self(vdupq_n_f32(x)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(vld1q_f32(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { vst1q_f32(to, self.0) }
    }
    #[inline(always)]
    fn times_two_to(self, n: Self) -> Self {
        // SAFETY: as in `splat`. 2^n has n + 127 as its exponent bits.
        unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(n.0), vdupq_n_s32(127));
            Self(vmulq_f32(self.0, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))))
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const Pair) -> uint32x4_t {
        // SAFETY: the caller's.
        unsafe { vld1q_u32(from.cast()) }
    }
    #[inline(always)]
    fn splat_pair(pair: Pair) -> uint32x4_t {
        // SAFETY: as in `splat`.
        unsafe { vdupq_n_u32(pair.0) }
    }
    #[inline(always)]
    fn firsts(pairs: uint32x4_t) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs))) }
    }
    #[inline(always)]
    fn seconds(pairs: uint32x4_t) -> Self {
        // SAFETY: as in `splat`.
        unsafe { Self(vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff_0000)))) }
    }
}
