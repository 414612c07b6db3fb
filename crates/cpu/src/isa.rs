//! Which instructions the processor has.

#[cfg(target_arch = "aarch64")]
use crate::lanes::Neon;
#[cfg(target_arch = "x86_64")]
use crate::lanes::{Avx2, Avx512};
use crate::lanes::{Lanes, Portable};

/// What the processor can do, found out once when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "which variants are constructed depends on the architecture")]
pub enum Isa {
    /// 16 floats, x86-64 with AVX-512F and products of pairs in bf16.
    Avx512Bf16,
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
    /// The best that this processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                let bf16 = is_x86_feature_detected!("avx512bf16");
                return if bf16 { Self::Avx512Bf16 } else { Self::Avx512 };
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        if cfg!(target_arch = "aarch64") { Self::Neon } else { Self::Portable }
    }

    /// Those that this processor has, the best first: for tests, which run all of them.
    pub fn available() -> Vec<Self> {
        let all = [Self::Avx512Bf16, Self::Avx512, Self::Avx2, Self::Portable];
        match Self::detect() {
            Self::Neon => vec![Self::Neon, Self::Portable],
            best => all.into_iter().skip_while(|isa| *isa != best).collect(),
        }
    }

    /// Whether products in bf16 are faster than those in f32: elsewhere they are as exact, and take twice the
    /// time.
    pub fn multiplies_bf16(self) -> bool {
        self == Self::Avx512Bf16
    }

    /// The channels of one panel of packed weights.
    pub(crate) fn panel(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 | Self::Avx512 => Avx512::<false>::WIDTH * Avx512::<false>::ACROSS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::WIDTH * Avx2::ACROSS,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::WIDTH * Neon::ACROSS,
            _ => Portable::WIDTH * Portable::ACROSS,
        }
    }
}
