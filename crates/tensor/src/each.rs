//! One number of each picture.

use rayon::prelude::*;

use crate::tensor::Values;
use crate::{DeviceError, Tensor};

impl Tensor {
    /// The sum of each picture, `[n, 1, 1, 1]`, where this tensor lies.
    pub fn sum_each(&self) -> Self {
        let column = [self.dims[0], 1, 1, 1];
        match &self.values {
            Values::Host(values) => {
                let sums = of_pictures(values, self.dims).into_iter().map(|sum| sum as f32);
                Self::new(sums.collect(), column)
            }
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => {
                let len = self.dims[1..].iter().product();
                tensor.clone().reshape([column[0], len]).sum_dim(1).reshape(column).into()
            }
        }
    }

    /// The mean of each picture, `[n, 1, 1, 1]`, where this tensor lies.
    pub fn mean_each(&self) -> Self {
        let [_, c, h, w] = self.dims;
        self.sum_each() / (c * h * w) as f64
    }

    /// The sum of each picture: added up in f64 in host memory, and as burn does elsewhere.
    ///
    /// # Errors
    /// A device that fails.
    pub fn read_sums(&self) -> Result<Vec<f64>, DeviceError> {
        match &self.values {
            Values::Host(values) => Ok(of_pictures(values, self.dims)),
            #[cfg(feature = "gpu")]
            Values::Burn(_) => Ok(self.sum_each().read()?.into_iter().map(f64::from).collect()),
        }
    }

    /// [`read_sums`](Self::read_sums), for whoever has nothing better to do about a device that fails.
    ///
    /// # Panics
    /// A device that fails.
    pub fn sums(&self) -> Vec<f64> {
        self.read_sums().unwrap_or_else(|error| panic!("the device failed: {error}"))
    }

    /// The quantile of the absolute values of each picture, `[n, 1, 1, 1]`: interpolated linearly between
    /// neighbours, 0 the least and 1 the largest.
    ///
    /// # Panics
    /// Pictures without numbers; a `ratio` outside of [0, 1].
    pub fn quantile_of_abs(&self, ratio: f64) -> Self {
        let [n, c, h, w] = self.dims;
        assert!((0.0..=1.0).contains(&ratio) && c * h * w > 0, "the {ratio}-quantile of pictures of {c}x{h}x{w}");
        let place = ratio * (c * h * w - 1) as f64;
        match &self.values {
            Values::Host(values) => {
                let quantile = |picture: &[f32]| quantile_of_abs(picture, place);
                let values = values.par_chunks_exact(c * h * w).map(quantile).collect();
                Self::new(values, [n, 1, 1, 1])
            }
            #[cfg(feature = "gpu")]
            Values::Burn(tensor) => {
                let sorted = tensor.clone().abs().reshape([n, c * h * w]).sort(1);
                let at = |place: f64| sorted.clone().narrow(1, place as usize, 1);
                let below = at(place.floor());
                let quantile = below.clone() + (at(place.ceil()) - below) * place.fract();
                quantile.reshape([n, 1, 1, 1]).into()
            }
        }
    }
}

/// Between the numbers at `place` and above, in order of size.
fn quantile_of_abs(picture: &[f32], place: f64) -> f32 {
    let mut sizes: Vec<f32> = picture.iter().map(|value| value.abs()).collect();
    let (_, below, above) = sizes.select_nth_unstable_by(place as usize, f32::total_cmp);
    let below = *below;
    let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(below);
    below + (next - below) * place.fract() as f32
}

fn of_pictures(values: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f64> {
    let len = c * h * w;
    let sum = |k: usize| values[k * len..(k + 1) * len].iter().map(|value| f64::from(*value)).sum();
    (0..n).into_par_iter().map(sum).collect()
}
