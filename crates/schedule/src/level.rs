//! A point on the way from noise to picture.

/// How noisy the state is at one point of a run, and the time that the network is told there.
///
/// ```
/// use ddim_schedule::Level;
/// let level = Level { time: 500.0, alpha_bar: 0.36 };
/// assert_eq!((level.signal(), level.noise()), (0.6, 0.8));
/// assert!((level.lambda() - 0.75_f64.ln()).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// The time given to the network: a timestep of its training, or a real number between two of them.
    pub time: f64,
    /// The share of the picture in the variance of the state.
    pub alpha_bar: f64,
}

impl Level {
    /// The finished picture, where the network is not called any more.
    pub const CLEAN: Self = Self { time: 0.0, alpha_bar: 1.0 };

    /// The level whose noise is `noise_level` times as large as its signal: `alpha_bar = 1/(1 + noise_level^2)`.
    ///
    /// ```
    /// use ddim_schedule::Level;
    /// assert_eq!(Level::at_noise_level(3.0, 2.0).alpha_bar, 0.2);
    /// ```
    pub fn at_noise_level(time: f64, noise_level: f64) -> Self {
        Self { time, alpha_bar: 1.0 / (1.0 + noise_level * noise_level) }
    }

    /// `sqrt(alpha_bar)`: the alpha of DPM-Solver and its kin.
    pub fn signal(self) -> f64 {
        self.alpha_bar.sqrt()
    }

    /// `sqrt(1 - alpha_bar)`: the sigma of DPM-Solver and its kin.
    pub fn noise(self) -> f64 {
        (1.0 - self.alpha_bar).sqrt()
    }

    /// Noise over signal, the sigma of Karras et al. 2022: 0 for a picture, infinite for pure noise.
    pub fn noise_level(self) -> f64 {
        ((1.0 - self.alpha_bar) / self.alpha_bar).sqrt()
    }

    /// `log(signal/noise)`, half the logarithm of the signal-to-noise ratio (Lu et al. 2022, section 2.1).
    pub fn lambda(self) -> f64 {
        -self.noise_level().ln()
    }
}
