//! From pixels of 8 bits to bits per dimension.

use std::f64::consts::LN_2;

use burn::tensor::{Device, Tensor, TensorData};
use ddim_sampler::PictureNoise;

use crate::LogDensity;

/// How many grey levels lie between -1 and 0.
const HALF_RANGE: f64 = 127.5;

/// Pictures of 8 bits, `[h, w, c]` each, as real numbers around those that a network was trained with:
/// `(k + u - 1/2)/127.5 - 1`, `u` uniform in `[0, 1)`, `[n, c, h, w]`.
///
/// Averaged over `u`, the logarithm of the density is at most that of the probability of the 8-bit picture (Jensen's
/// inequality; Theis et al. 2016, section 3.1).
///
/// # Panics
///
/// If a picture has another size, or `noise` is not that of as many pictures.
pub fn dequantised(pictures: &[&[u8]], shape: [usize; 3], noise: &PictureNoise, device: &Device) -> Tensor<4> {
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
    let shape = [n, channels, height, width];
    let levels = Tensor::from_data(TensorData::new(values, shape), device);
    (levels + noise.uniforms(0, shape, device) - 0.5) / HALF_RANGE - 1.0
}

/// Bits per dimension of a set of pictures of 8 bits: an upper bound of what it takes to store them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BitsPerDim {
    /// The mean over pictures and probes.
    pub mean: f64,
    /// Its standard error, from the spread between pictures: choice of the pictures, of the probes and of `u`
    /// together. None for a single picture.
    pub standard_error: Option<f64>,
    /// The part of it that more probes would remove, from the spread between probes. None for a single probe, and for
    /// exact traces.
    pub probe_error: Option<f64>,
}

impl BitsPerDim {
    /// Of pictures made by [`dequantised`]: `-log2 p / dims + log2(127.5)`, since a grey level is 1/127.5 wide. None
    /// of no pictures.
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
        let pictures: Vec<(f64, Option<f64>)> = batches
            .iter()
            .flat_map(|batch| batch.estimates.iter().map(|estimates| (estimates, batch.dims)))
            .map(|(estimates, dims)| mean_and_error(&estimates.iter().map(|n| bits(*n, dims)).collect::<Vec<_>>()))
            .collect();
        let means: Vec<f64> = pictures.iter().map(|(mean, _)| *mean).collect();
        let squares: Option<Vec<f64>> = pictures.iter().map(|(_, error)| error.map(|e| e * e)).collect();
        let probe_error = squares.map(|squares| squares.iter().sum::<f64>().sqrt() / means.len() as f64);
        let (mean, standard_error) = mean_and_error(&means);
        (!means.is_empty()).then_some(Self { mean, standard_error, probe_error })
    }
}

/// The mean of numbers, and its standard error where there are two or more.
fn mean_and_error(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (values.len() > 1).then(|| (square / (n - 1.0) / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_grey_level_is_where_training_puts_it() {
        let device = Device::flex();
        let pixels: Vec<u8> = (0..=255).collect();
        // 16 x 8 pictures of two channels: the planes are the even and the odd values.
        let x = dequantised(&[&pixels], [16, 8, 2], &PictureNoise::new(0, [0]), &device).into_data();
        let planes = (0..256).map(|i| if i < 128 { 2 * i } else { 2 * (i - 128) + 1 });
        for (x, level) in x.iter::<f64>().zip(planes) {
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
