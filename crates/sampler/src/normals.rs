//! Standard normal numbers from a counter: Philox4x32-10 and the Box-Muller transform.
//!
//! A number is a function of `(seed, picture, step, position)` and of nothing else, so it can be drawn in
//! any order, by any thread, again after a restart. Only additions, multiplications, divisions and square
//! roots are used, which IEEE 754 rounds the same everywhere: every machine draws the same bits.

/// Numbers drawn at once: enough independent lanes for the compiler to vectorise every loop below.
pub(crate) const LANES: usize = 16;

/// Fills `out` with the standard normal numbers of one picture at one step.
///
/// `stream` is 0 for the initial noise, `k + 1` for the noise of step `k`, and `2^31 + k` for that of a known part
/// after step `k`. A longer `out` begins with
/// the numbers of a shorter one.
///
/// Philox is that of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", with `seed` as
/// the key and `(block, stream, picture)` as the counter.
///
/// ```
/// let (mut a, mut b) = ([0.0; 100], [0.0; 7]);
/// ddim_sampler::fill_normals(0, 5, 0, &mut a);
/// ddim_sampler::fill_normals(0, 5, 0, &mut b);
/// assert_eq!(a[..7], b);
/// ```
pub fn fill_normals(seed: u64, picture: u64, stream: u32, out: &mut [f32]) {
    for (chunk_index, chunk) in out.chunks_mut(4 * LANES).enumerate() {
        let bits = philox_lanes(seed, picture, stream, (chunk_index * LANES) as u32);
        let mut normals = [[0.0f32; LANES]; 4];
        for half in 0..2 {
            for lane in 0..LANES {
                let (a, b) = box_muller(bits[2 * half][lane], bits[2 * half + 1][lane]);
                normals[2 * half][lane] = a;
                normals[2 * half + 1][lane] = b;
            }
        }
        chunk.copy_from_slice(&normals.as_flattened()[..chunk.len()]);
    }
}

/// The four outputs of `LANES` consecutive counters, output by output.
pub(crate) fn philox_lanes(seed: u64, picture: u64, stream: u32, first_block: u32) -> [[u32; LANES]; 4] {
    let mut key = [seed as u32, (seed >> 32) as u32];
    let mut c0: [u32; LANES] = std::array::from_fn(|lane| first_block.wrapping_add(lane as u32));
    let mut c1 = [stream; LANES];
    let mut c2 = [picture as u32; LANES];
    let mut c3 = [(picture >> 32) as u32; LANES];
    for _ in 0..10 {
        for lane in 0..LANES {
            let p0 = u64::from(c0[lane]) * 0xD251_1F53;
            let p1 = u64::from(c2[lane]) * 0xCD9E_8D57;
            c0[lane] = (p1 >> 32) as u32 ^ c1[lane] ^ key[0];
            c1[lane] = p1 as u32;
            c2[lane] = (p0 >> 32) as u32 ^ c3[lane] ^ key[1];
            c3[lane] = p0 as u32;
        }
        key[0] = key[0].wrapping_add(0x9E37_79B9);
        key[1] = key[1].wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// Two independent standard normals from two words of 32 random bits; 24 of each are used.
#[inline(always)]
fn box_muller(radius_bits: u32, angle_bits: u32) -> (f32, f32) {
    const ULP: f32 = 1.0 / 16_777_216.0; // 2^-24
    // (0, 1], so that the logarithm is finite; the largest radius is sqrt(48 ln 2) = 5.77.
    let u = ((radius_bits >> 8) as i32 + 1) as f32 * ULP;
    let radius = (-2.0 * ln(u)).sqrt();
    let (sin, cos) = sin_cos_turns((angle_bits >> 8) as i32 as f32 * ULP);
    (radius * cos, radius * sin)
}

/// Natural logarithm of a normal number in (0, 1], to about one unit in the last place.
#[inline(always)]
fn ln(u: f32) -> f32 {
    const LN_2: f32 = std::f32::consts::LN_2;
    const SQRT_HALF_BITS: i32 = 0x3F35_04F3;
    // u = m 2^e with m in [sqrt(1/2), sqrt(2)), and ln m = 2 artanh((m - 1) / (m + 1)).
    let shifted = u.to_bits() as i32 - SQRT_HALF_BITS;
    let e = (shifted >> 23) as f32;
    let m = f32::from_bits(((shifted & 0x007F_FFFF) + SQRT_HALF_BITS) as u32);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = 2.0 + z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    e * LN_2 + s * series
}

/// `(sin, cos)` of `turns` full turns, for `turns` in [0, 1).
#[inline(always)]
fn sin_cos_turns(turns: f32) -> (f32, f32) {
    let quarters = turns * 4.0;
    let quadrant = (quarters + 0.5) as i32;
    let angle = (quarters - quadrant as f32) * std::f32::consts::FRAC_PI_2; // [-pi/4, pi/4]
    let z = angle * angle;
    // Taylor: the first term left out is below 4e-9 at pi/4.
    let sin = angle * (1.0 - z * (1.0 / 6.0 - z * (1.0 / 120.0 - z * (1.0 / 5040.0 - z / 362_880.0))));
    let cos = 1.0 - z * (0.5 - z * (1.0 / 24.0 - z * (1.0 / 720.0 - z / 40_320.0)));
    let (s, c) = if quadrant & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let sin_sign = ((quadrant & 2) as u32) << 30;
    let cos_sign = (((quadrant + 1) & 2) as u32) << 30;
    (f32::from_bits(s.to_bits() ^ sin_sign), f32::from_bits(c.to_bits() ^ cos_sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds).
    #[test]
    fn philox_gives_the_published_answers() {
        let first = |key: u64, picture, stream, block| philox_lanes(key, picture, stream, block).map(|c| c[0]);
        assert_eq!(first(0, 0, 0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            first(u64::MAX, u64::MAX, u32::MAX, u32::MAX),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            first(0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e, 0x85a3_08d3, 0x243f_6a88),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn elementary_functions_agree_with_f64() {
        for i in 1..=4096u32 {
            let u = (i * 4096) as f32 / 16_777_216.0;
            let exact = f64::from(u).ln();
            assert!((f64::from(ln(u)) - exact).abs() <= 2e-7 * exact.abs().max(1e-6), "ln({u})");
            let turns = (i - 1) as f32 / 4096.0;
            let (sin, cos) = sin_cos_turns(turns);
            let angle = f64::from(turns) * std::f64::consts::TAU;
            assert!((f64::from(sin) - angle.sin()).abs() < 1.5e-7, "sin of {turns} turns");
            assert!((f64::from(cos) - angle.cos()).abs() < 1.5e-7, "cos of {turns} turns");
        }
    }

    /// The seed is fixed, so this cannot fail by chance; the bounds are five standard errors.
    #[test]
    fn moments_are_those_of_a_standard_normal() {
        let n = 1 << 20;
        let mut z = vec![0.0; n];
        fill_normals(1, 2, 3, &mut z);
        let moment = |k: i32| z.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n as f64;
        let five_errors = |variance: f64| 5.0 * (variance / n as f64).sqrt();
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            assert!((moment(k) - expected).abs() < five_errors(variance), "moment {k}: {}", moment(k));
        }
    }

    #[test]
    fn pictures_steps_and_seeds_are_independent() {
        let draw = |seed, picture, stream| {
            let mut z = vec![0.0; 4096];
            fill_normals(seed, picture, stream, &mut z);
            z
        };
        let base = draw(0, 0, 0);
        for other in [draw(1, 0, 0), draw(0, 1, 0), draw(0, 0, 1), draw(1 << 32, 0, 0), draw(0, 1 << 32, 0)] {
            let correlation = base.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum::<f64>() / 4096.0;
            assert!(correlation.abs() < 5.0 / 64.0, "{correlation}");
        }
    }

    /// Pinned: a change here changes every picture anyone has drawn.
    #[test]
    fn the_stream_never_changes() {
        let mut z = [0.0; 3];
        fill_normals(0, 0, 0, &mut z);
        assert_eq!(z.map(f32::to_bits), PINNED.map(f32::to_bits), "{z:?}");
    }

    const PINNED: [f32; 3] = [0.99113744, -0.15363814, -1.1863568];
}
