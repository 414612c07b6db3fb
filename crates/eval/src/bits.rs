//! From pixels of 8 bits to bits per dimension.

use std::f64::consts::LN_2;

use ddim_sampler::PictureNoise;
use ddim_tensor::{Device, Tensor};

use crate::{LogDensity, Mean};

/// How many grey levels lie between -1 and 0.
const HALF_RANGE: f64 = 127.5;

/// Pictures of 8 bits, `[h, w, c]` each, as real numbers around those that a network was trained with:
/// `(k + u - 1/2)/127.5 - 1`, `u` uniform in `[0, 1)`, `[n, c, h, w]`.
///
/// Averaged over `u`, the logarithm of the density is at most that of the probability of the 8-bit picture
/// (Jensen's inequality; Theis et al. 2016, section 3.1).
///
/// # Panics
///
/// If a picture has another size, or `noise` is not that of as many pictures.
pub fn dequantised(pictures: &[&[u8]], shape: [usize; 3], noise: &PictureNoise, device: &Device) -> Tensor {
    let levels = grey_levels(pictures, shape, device);
    let u = noise.uniforms(0, levels.dims(), device);
    (levels + u - 0.5) / HALF_RANGE - 1.0
}

/// Pictures of 8 bits, `[h, w, c]` each, as a network is trained with them: `k/127.5 - 1`, `[n, c, h, w]`.
///
/// ```
/// use ddim_tensor::Device;
/// let x0 = ddim_eval::scaled(&[&[0, 255]], [1, 2, 1], &Device::Cpu).into_values();
/// assert_eq!(x0, [-1.0, 1.0]);
/// ```
///
/// # Panics
///
/// If a picture has another size.
pub fn scaled(pictures: &[&[u8]], shape: [usize; 3], device: &Device) -> Tensor {
    grey_levels(pictures, shape, device) / HALF_RANGE - 1.0
}

/// From 0 to 255, `[n, c, h, w]`.
fn grey_levels(pictures: &[&[u8]], shape: [usize; 3], device: &Device) -> Tensor {
    let [height, width, channels] = shape;
    let size = height * width * channels;
    assert!(pictures.iter().all(|pixels| pixels.len() == size), "pictures of {height}x{width}x{channels}");
    let n = pictures.len();
    let mut values = Vec::with_capacity(n * size);
    for pixels in pictures {
        for channel in 0..channels {
            values.extend(pixels.iter().skip(channel).step_by(channels).map(|value| f32::from(*value)));
        }
    }
    Tensor::new(values, [n, channels, height, width]).to(device)
}

/// Bits per dimension of a set of pictures of 8 bits: an upper bound of what it takes to store them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BitsPerDim {
    /// The mean over pictures and probes.
    pub mean: f64,
    /// Its standard error, from the spread between pictures: choice of the pictures, of the probes and of `u`
    /// together. None for a single picture.
    pub standard_error: Option<f64>,
    /// The part of it that more probes would remove, from the spread between probes. None for a single probe, and
    /// for exact traces.
    pub probe_error: Option<f64>,
}

impl BitsPerDim {
    /// Of pictures made by [`dequantised`]: `-log2 p / dims + log2(127.5)`, since a grey level is 1/127.5 wide.
    /// None of no pictures.
    ///
    /// ```
    /// use ddim_eval::{BitsPerDim, LogDensity};
    /// // Uniform over all 256 grey levels: a density of 127.5/256.
    /// let nats = (127.5_f64 / 256.0).ln();
    /// let found = LogDensity { estimates: vec![vec![3.0 * nats]; 4], dims: 3, calls: 0 };
    /// assert!((BitsPerDim::of(&[found]).unwrap().mean - 8.0).abs() < 1e-12);
    /// ```
    pub fn of(batches: &[LogDensity]) -> Option<Self> {
        let bits = |nats: f64, dims: usize| -nats / (dims as f64 * LN_2) + HALF_RANGE.log2();
        let pictures: Vec<Mean> = batches
            .iter()
            .flat_map(|batch| batch.estimates.iter().map(|estimates| (estimates, batch.dims)))
            .filter_map(|(estimates, dims)| {
                Mean::of(&estimates.iter().map(|n| bits(*n, dims)).collect::<Vec<_>>())
            })
            .collect();
        let means: Vec<f64> = pictures.iter().map(|picture| picture.mean).collect();
        let squares: Option<Vec<f64>> =
            pictures.iter().map(|picture| Some(picture.standard_error?.powi(2))).collect();
        let probe_error = squares.map(|squares| squares.iter().sum::<f64>().sqrt() / means.len() as f64);
        let Mean { mean, standard_error } = Mean::of(&means)?;
        Some(Self { mean, standard_error, probe_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_grey_level_is_where_training_puts_it() {
        let device = Device::Cpu;
        let pixels: Vec<u8> = (0..=255).collect();
        // 16 x 8 pictures of two channels: the planes are the even and the odd values.
        let x = dequantised(&[&pixels], [16, 8, 2], &PictureNoise::new(0, [0]), &device).into_values();
        let planes = (0..256).map(|i| if i < 128 { 2 * i } else { 2 * (i - 128) + 1 });
        for (x, level) in x.into_iter().map(f64::from).zip(planes) {
            // Half a grey level, and the rounding of f32.
            assert!((x - (f64::from(level) / 127.5 - 1.0)).abs() <= 0.5 / 127.5 + 1e-6, "{x} {level}");
        }
    }

    #[test]
    fn errors_come_from_pictures_and_from_probes() {
        // In bits: pictures at 1 and 3 + log2(127.5), probes a bit away on both sides.
        let picture = |bits: f64| vec![-(bits - 1.0) * LN_2, -(bits + 1.0) * LN_2];
        let found = LogDensity { estimates: vec![picture(1.0), picture(3.0)], dims: 1, calls: 0 };
        let bits = BitsPerDim::of(&[found]).expect("two pictures");
        assert!((bits.mean - 2.0 - 127.5_f64.log2()).abs() < 1e-12);
        // The means 1 and 3: sqrt(2/2). Two probes at -1 and +1 have an error of 1, two pictures sqrt(1 + 1)/2.
        assert!((bits.standard_error.expect("two pictures") - 1.0).abs() < 1e-12);
        assert!((bits.probe_error.expect("two probes") - 0.5_f64.sqrt()).abs() < 1e-12);
        let one = LogDensity { estimates: vec![vec![0.0]], dims: 1, calls: 0 };
        let one = BitsPerDim::of(&[one]).expect("a picture");
        assert_eq!((one.standard_error, one.probe_error), (None, None));
        assert_eq!(BitsPerDim::of(&[]), None);
    }
}
