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

/// What bf16 is worth, beside half the memory for weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16 {
    /// Less time than f32: AMD's processors with the instruction (Zen 4).
    Faster,
    /// About the time of f32: Intel's. They begin an f32 product of 16 numbers twice a cycle, and `vdpbf16ps`,
    /// which is two such, once in two cycles: half as many products in all (measured: 6.4 and 1.6 thousand
    /// million a second). The conversion is as slow. What is between the products is the same.
    NoFaster,
    /// Twice the time: there is no instruction.
    Slower,
}

/// Whether the processor calls itself one of Intel's.
fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let vendor = std::arch::x86_64::__cpuid(0);
        [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
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

    /// What products in bf16 are worth on this processor, if it runs these instructions. They are as exact on all.
    pub fn bf16(self) -> Bf16 {
        match self {
            Self::Avx512Bf16 if is_intel() => Bf16::NoFaster,
            Self::Avx512Bf16 => Bf16::Faster,
            _ => Bf16::Slower,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_worth_what_the_processor_makes_of_it() {
        assert_eq!(Isa::Avx2.bf16(), Bf16::Slower);
        assert_eq!(Isa::Avx512.bf16(), Bf16::Slower);
        let expected = if is_intel() { Bf16::NoFaster } else { Bf16::Faster };
        assert_eq!(Isa::Avx512Bf16.bf16(), expected);
        // An emulator of another architecture shows its host's file.
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok().filter(|_| cfg!(target_arch = "x86_64"));
        let says_intel = cpuinfo.map_or(is_intel(), |text| text.contains("GenuineIntel"));
        assert_eq!(is_intel(), says_intel, "/proc/cpuinfo says otherwise");
    }
}
