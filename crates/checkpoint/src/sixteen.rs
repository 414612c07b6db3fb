//! Floats of 16 bits, which are all floats of 32 bits as well. (The crate `half` brings a derive macro and its
//! parser into the build of every program.)

/// Between the exponents of both formats, which begin at -14 and -126.
const BIAS: f32 = f32::from_bits((127 + 112) << 23);

/// A number in IEEE 754 binary16: a sign, 5 bits of exponent, 10 of the significand. What is no number stays
/// none, and quiet.
pub(crate) fn of_f16(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff) << 13);
    let magnitude = match rest >> 23 {
        31 => special(rest),
        // Numbers below 2^-14 too, which are whole multiples of 2^-24.
        _ => (f32::from_bits(rest) * BIAS).to_bits(),
    };
    f32::from_bits(sign | magnitude)
}

/// Infinity, or not a number.
fn special(rest: u32) -> u32 {
    let quiet = if rest & 0x007f_ffff == 0 { 0 } else { 0x0040_0000 };
    0x7f80_0000 | quiet | rest
}

/// A number in bf16: the upper half of an f32.
pub(crate) fn of_bf16(bits: u16) -> f32 {
    let value = f32::from_bits(u32::from(bits) << 16);
    if value.is_nan() { f32::from_bits(value.to_bits() | 0x0040_0000) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_what_another_crate_says() {
        for bits in 0..=u16::MAX {
            let (f16, bf16) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            assert_eq!(of_f16(bits).to_bits(), f16.to_f32().to_bits(), "f16 {bits:#06x}");
            assert_eq!(of_bf16(bits).to_bits(), bf16.to_f32().to_bits(), "bf16 {bits:#06x}");
        }
    }
}
