//! From latents to those that a diffusion model draws: one affine map for each channel.

use ddim_options::range::out_of_range;
use ddim_options::{ConfigError, Options};

/// `u = (z - mean) / std` for each channel of the latents z, so that u is near a standard normal distribution, in
/// which a diffusion model draws (Rombach et al. 2022, arXiv:2112.10752, appendix G). The mean and the standard
/// deviation are those of a normal prior over z.
///
/// ```
/// use ddim_autoencoder::AutoencoderKLConfig;
///
/// let config = AutoencoderKLConfig { shift_factor: Some(0.5), scaling_factor: 0.25, ..Default::default() };
/// let scale = config.scale()?;
/// assert_eq!((scale.mean()[0], scale.std()[0]), (0.5, 4.0));
/// # Ok::<(), ddim_autoencoder::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Scale {
    /// Of a configuration: one factor and one shift for all channels, or a mean and a deviation for each.
    pub(crate) fn new<T: Options>(
        channels: usize,
        factor: f64,
        shift: Option<f64>,
        (means, deviations): (Option<&[f64]>, Option<&[f64]>),
    ) -> Result<Self, ConfigError> {
        if !(factor.is_finite() && factor > 0.0) {
            out_of_range::<T>("scaling_factor", &factor, "a finite number above 0")?;
        }
        let shift = shift.unwrap_or(0.0);
        if !shift.is_finite() {
            out_of_range::<T>("shift_factor", &shift, "a finite number")?;
        }
        for (key, numbers) in [("latents_mean", means), ("latents_std", deviations)] {
            if let Some(numbers) = numbers.filter(|numbers| numbers.len() != channels) {
                let allowed = format!("null or {channels} numbers, one for each channel of the latents");
                out_of_range::<T>(key, &numbers, &allowed)?;
            }
        }
        if means.is_some() != deviations.is_some() {
            out_of_range::<T>("latents_std", &deviations, "there where latents_mean is, and null where that is")?;
        }
        let mean = means.map_or_else(|| vec![shift; channels], <[f64]>::to_vec);
        let std = deviations.map_or_else(|| vec![1.0; channels], <[f64]>::to_vec);
        if mean.iter().any(|mean| !mean.is_finite()) {
            out_of_range::<T>("latents_mean", &mean, "finite numbers")?;
        }
        if std.iter().any(|std| !(std.is_finite() && *std > 0.0)) {
            out_of_range::<T>("latents_std", &std, "finite numbers above 0")?;
        }
        Ok(Scale { mean, std: std.into_iter().map(|std| std / factor).collect() })
    }

    /// The mean of each channel.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The standard deviation of each channel.
    pub fn std(&self) -> &[f64] {
        &self.std
    }
}
