//! Vectors of floats, as wide as the processor has them.

#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::Neon;
pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

use crate::cell::Pair;

/// A vector register and what the layers need of it.
///
/// Methods are compiled into functions that have the instructions enabled ([`with_isa!`]), and must not be called
/// from others: only bodies that `with_isa!` names are generic over it. A network is made only for an `Isa` that
/// is there.
pub(crate) trait Lanes: Copy {
    /// As many pairs in bf16.
    type Pairs: Copy;

    /// Floats in a vector.
    const WIDTH: usize;
    /// Vectors of output channels side by side in a tile of the matrix product.
    const ACROSS: usize;
    /// Pixels below each other in a tile, at most: `ACROSS * DOWN` accumulators, `ACROSS` weights and one more
    /// have to fit into the registers.
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

    /// # Safety
    /// `WIDTH` pairs can be read from `from`.
    unsafe fn load_pairs(from: *const Pair) -> Self::Pairs;
    fn splat_pair(pair: Pair) -> Self::Pairs;
    /// The first number of each pair.
    fn firsts(pairs: Self::Pairs) -> Self;
    /// The second number of each pair.
    fn seconds(pairs: Self::Pairs) -> Self;

    /// `self` plus the product of the seconds, plus that of the firsts: each rounded, in this order.
    #[inline(always)]
    fn add_pair_products(self, a: Self::Pairs, b: Self::Pairs) -> Self {
        add_products_singly(self, a, b)
    }

    /// Writes the first `count` pairs of floats that lie side by side, rounded.
    ///
    /// # Safety
    /// `count` pairs can be written to `to`.
    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut Pair, count: usize) {
        // SAFETY: the caller's.
        unsafe { store_pairs_singly(self, to, count) }
    }

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }

    /// e^x to about 1e-7 of itself.
    #[inline(always)]
    fn exp(self) -> Self {
        let Exponential { n, r, slope } = self.exponential();
        Self::splat(1.0).add_product(slope, r).times_two_to(n)
    }

    /// e^x - 1 to about 1e-7 of itself, around 0 as well: 2^n (e^r - 1) + (2^n - 1).
    #[inline(always)]
    fn exp_minus_1(self) -> Self {
        let (one, Exponential { n, r, slope }) = (Self::splat(1.0), self.exponential());
        slope.mul(r).times_two_to(n).add(one.times_two_to(n).sub(one))
    }

    /// e^x = 2^n e^r, |r| <= ln(2)/2, with a polynomial for e^r.
    #[inline(always)]
    fn exponential(self) -> Exponential<Self> {
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
        let slope = s(1.0).add_product(p, r);
        Exponential { n, r, slope }
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

    /// All of a vector where `count` floats or more are there, else the first `count`.
    ///
    /// # Safety
    /// `count` floats can be read from `from`, or a whole vector.
    #[inline(always)]
    unsafe fn load_some_of(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { if count >= Self::WIDTH { Self::load(from) } else { Self::load_some(from, count) } }
    }

    /// Writes all of a vector where there is room for `count` floats or more, else the first `count`.
    ///
    /// # Safety
    /// `count` floats can be written to `to`, or a whole vector.
    #[inline(always)]
    unsafe fn store_some_of(self, to: *mut f32, count: usize) {
        // SAFETY: the caller's.
        unsafe { if count >= Self::WIDTH { self.store(to) } else { self.store_some(to, count) } }
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

/// An exponential in parts: 2^n (1 + slope r).
pub(crate) struct Exponential<L> {
    n: L,
    r: L,
    slope: L,
}

/// What [`Lanes::add_pair_products`] does where there is no instruction for it.
#[inline(always)]
fn add_products_singly<L: Lanes>(sum: L, a: L::Pairs, b: L::Pairs) -> L {
    sum.add_product(L::seconds(a), L::seconds(b)).add_product(L::firsts(a), L::firsts(b))
}

/// What [`Lanes::store_pairs`] does where there is no instruction for it.
///
/// # Safety
/// `count` pairs can be written to `to`.
#[inline(always)]
unsafe fn store_pairs_singly<L: Lanes>(x: L, to: *mut Pair, count: usize) {
    let mut all = [0.0; 16];
    // SAFETY: no vector has more than 16 floats.
    unsafe { x.store(all.as_mut_ptr()) };
    for (k, two) in all.chunks_exact(2).enumerate().take(count.min(L::WIDTH / 2)) {
        // SAFETY: the caller vouches for `count` pairs.
        unsafe { to.add(k).write(Pair::new(two[0], two[1])) };
    }
}

/// Defines a function that runs `body::<L>` with the vectors of an `Isa`, compiled for its instructions. Those
/// for pairs in bf16 are one more function, made where there are pairs alone: with `pairs fn`, or a type that
/// may be one ([`Cell`]).
///
/// [`Cell`]: crate::cell::Cell
macro_rules! with_isa {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident <$cell:ident: $bound:ident> ($($arg:ident: $ty:ty),* $(,)?) = $body:ident
    ) => {
        with_isa! { @pairs $cell::ARE_PAIRS, $(#[$meta])* $vis fn $name <$cell: $bound> ($($arg: $ty),*) = $body }
    };
    (pairs $(#[$meta:meta])* $vis:vis fn $name:ident ($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        with_isa! { @pairs true, $(#[$meta])* $vis fn $name ($($arg: $ty),*) = $body }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident ($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        with_isa! { @floats $(#[$meta])* $vis fn $name ($($arg: $ty),*) = $body }
    };
    (
        @pairs $are_pairs:expr,
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$cell:ident: $bound:ident>)? ($($arg:ident: $ty:ty),*) = $body:ident
    ) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
        $vis fn $name $(<$cell: $bound>)? (isa: crate::isa::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512bf16,avx512f,avx2,fma")]
                fn avx512bf16 $(<$cell: $bound>)? ($($arg: $ty),*) {
                    $body::<crate::lanes::Avx512<true> $(, $cell)?>($($arg),*)
                }
                if $are_pairs && isa == crate::isa::Isa::Avx512Bf16 {
                    // SAFETY: `Network::new` has seen that the instructions are there.
                    return unsafe { avx512bf16 $(::<$cell>)? ($($arg),*) };
                }
            }
            with_isa! { @floats fn others $(<$cell: $bound>)? ($($arg: $ty),*) = $body }
            others $(::<$cell>)? (isa, $($arg),*)
        }
    };
    (
        @floats
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$cell:ident: $bound:ident>)? ($($arg:ident: $ty:ty),*) = $body:ident
    ) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
        $vis fn $name $(<$cell: $bound>)? (isa: crate::isa::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512 $(<$cell: $bound>)? ($($arg: $ty),*) {
                $body::<crate::lanes::Avx512<false> $(, $cell)?>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$cell: $bound>)? ($($arg: $ty),*) {
                $body::<crate::lanes::Avx2 $(, $cell)?>($($arg),*)
            }
            match isa {
                // SAFETY: `Network::new` has seen that the instructions are there.
                #[cfg(target_arch = "x86_64")]
                crate::isa::Isa::Avx512Bf16 | crate::isa::Isa::Avx512 => unsafe {
                    avx512 $(::<$cell>)? ($($arg),*)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::isa::Isa::Avx2 => unsafe { avx2 $(::<$cell>)? ($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                crate::isa::Isa::Neon => $body::<crate::lanes::Neon $(, $cell)?>($($arg),*),
                _ => $body::<crate::lanes::Portable $(, $cell)?>($($arg),*),
            }
        }
    };
}
pub(crate) use with_isa;
