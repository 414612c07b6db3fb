//! Vectors of floats, as wide as the processor has them.

/// What the processor can do, found out once when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "which variants are constructed depends on the architecture")]
pub enum Isa {
    /// 16 floats, x86-64 with AVX-512F.
    Avx512,
    /// 8 floats, x86-64 with AVX2 and FMA.
    Avx2,
    /// 4 floats, 64-bit ARM.
    Neon,
    /// Plain Rust, 8 floats in an array: for any processor.
    Portable,
}

impl Isa {
    /// The widest that this processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        if cfg!(target_arch = "aarch64") { Self::Neon } else { Self::Portable }
    }

    /// Those that this processor has, the widest first: for tests, which run all of them.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::detect()];
        #[cfg(target_arch = "x86_64")]
        if all == [Self::Avx512] {
            all.push(Self::Avx2);
        }
        if all[0] != Self::Portable {
            all.push(Self::Portable);
        }
        all
    }

    /// The channels of one panel of packed weights.
    pub(crate) fn panel(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::WIDTH * Avx512::ACROSS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::WIDTH * Avx2::ACROSS,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::WIDTH * Neon::ACROSS,
            _ => Portable::WIDTH * Portable::ACROSS,
        }
    }
}

/// A vector register and what the layers need of it.
///
/// Methods are compiled into functions that have the instructions enabled ([`with_isa!`]); they must not be called
/// from others, which is why every constructor but those in such functions is private to this module's users.
pub(crate) trait Lanes: Copy {
    /// Floats in a vector.
    const WIDTH: usize;
    /// Vectors of output channels side by side in a tile of the matrix product.
    const ACROSS: usize;
    /// Pixels below each other in a tile, at most: `ACROSS * DOWN` accumulators, `ACROSS` weights and one more have
    /// to fit into the registers.
    const DOWN: usize;

    fn splat(x: f32) -> Self;
    /// # Safety
    /// `WIDTH` floats can be read from `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `WIDTH` floats can be written to `to`.
    unsafe fn store(self, to: *mut f32);
    /// `self + a * b`.
    fn add_product(self, a: Self, b: Self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self` where it is the larger, otherwise `other`: also where one of them is NaN.
    fn max(self, other: Self) -> Self;
    /// `self` where it is the smaller, otherwise `other`: also where one of them is NaN.
    fn min(self, other: Self) -> Self;
    /// The nearest whole numbers.
    fn round(self) -> Self;
    /// `self * 2^n` for whole `n` in [-126, 127].
    fn times_two_to(self, n: Self) -> Self;

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }

    /// e^x to about 1e-7 of itself: e^x = 2^n e^r, |r| <= ln(2)/2, with a polynomial for e^r.
    #[inline(always)]
    fn exp(self) -> Self {
        let s = Self::splat;
        let x = s(-87.0).max(s(88.0).min(self));
        let n = x.mul(s(std::f32::consts::LOG2_E)).round();
        // ln 2 in two parts: the first has so few digits that n times it is exact.
        let r = x.sub(n.mul(s(0.693_359_4))).add_product(n, s(2.121_944_4e-4));
        // Taylor to the order 7; the next term is below 0.35^8/8! = 6e-9.
        let p = s(1.0 / 5040.0);
        let p = s(1.0 / 720.0).add_product(p, r);
        let p = s(1.0 / 120.0).add_product(p, r);
        let p = s(1.0 / 24.0).add_product(p, r);
        let p = s(1.0 / 6.0).add_product(p, r);
        let p = s(0.5).add_product(p, r);
        let p = s(1.0).add_product(p, r);
        let p = s(1.0).add_product(p, r);
        p.times_two_to(n)
    }

    /// The first `count` floats; the rest is 0.
    ///
    /// # Safety
    /// `count` floats can be read from `from`.
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        let mut all = [0.0; 16];
        // SAFETY: the caller vouches for `count` floats, and no vector has more than 16.
        unsafe {
            std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), count.min(Self::WIDTH));
            Self::load(all.as_ptr())
        }
    }

    /// Writes the first `count` floats.
    ///
    /// # Safety
    /// `count` floats can be written to `to`.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        let mut all = [0.0; 16];
        // SAFETY: the caller vouches for `count` floats, and no vector has more than 16.
        unsafe {
            self.store(all.as_mut_ptr());
            std::ptr::copy_nonoverlapping(all.as_ptr(), to, count.min(Self::WIDTH));
        }
    }

    /// The sum of all floats.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut all = [0.0; 16];
        // SAFETY: no vector has more than 16 floats.
        unsafe { self.store(all.as_mut_ptr()) };
        all[..Self::WIDTH].iter().sum()
    }
}

/// Defines a function that runs `body::<L>` with the vectors of an [`Isa`], compiled for its instructions.
macro_rules! with_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis fn $name(isa: crate::lanes::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512($($arg: $ty),*) {
                $body::<crate::lanes::Avx512>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) {
                $body::<crate::lanes::Avx2>($($arg),*)
            }
            match isa {
                // SAFETY: `Isa::detect` found the instructions.
                #[cfg(target_arch = "x86_64")]
                crate::lanes::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::lanes::Isa::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                crate::lanes::Isa::Neon => $body::<crate::lanes::Neon>($($arg),*),
                _ => $body::<crate::lanes::Portable>($($arg),*),
            }
        }
    };
}
pub(crate) use with_isa;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

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

    impl Lanes for Avx512 {
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
    }

    fn mask(count: usize) -> u16 {
        ((1u32 << count.min(16)) - 1) as u16
    }

    impl Lanes for Avx2 {
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
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Lanes;
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
    }
}

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
}
