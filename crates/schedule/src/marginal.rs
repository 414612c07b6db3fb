//! The forward process: how noisy a picture is at a timestep.

/// `q(x_t | x0) = N(signal x0, noise^2 I)` with `signal = sqrt(alpha_bar)`, `noise = sqrt(1 - alpha_bar)`
/// (DDIM, Eq. 4).
///
/// ```
/// use ddim_schedule::Marginal;
/// let q = Marginal::new(0.36);
/// assert_eq!((q.signal, q.noise), (0.6, 0.8));
/// let (x0, eps) = (1.0, -0.5);
/// let x = q.noisy(x0, eps);
/// assert!((q.eps_from_x * x + q.eps_from_x0 * x0 - eps).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marginal {
    /// `sqrt(alpha_bar)`: what is left of the picture.
    pub signal: f64,
    /// `sqrt(1 - alpha_bar)`: how much noise has been added.
    pub noise: f64,
    /// `1 / noise`: with [`eps_from_x0`](Self::eps_from_x0), the eps that lies between a noisy picture and
    /// a clean one, `eps = eps_from_x x + eps_from_x0 x0`. This is how eps is re-derived after x0 was limited.
    pub eps_from_x: f64,
    /// `-signal / noise`.
    pub eps_from_x0: f64,
}

impl Marginal {
    /// The marginal at `alpha_bar`, which lies in `[0, 1)`.
    ///
    /// ```
    /// # use ddim_schedule::Marginal;
    /// assert_eq!(Marginal::new(0.0).noise, 1.0);
    /// ```
    pub fn new(alpha_bar: f64) -> Self {
        let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        Self { signal, noise, eps_from_x: 1.0 / noise, eps_from_x0: -signal / noise }
    }

    /// The same in coordinates in which the picture keeps its size: `x = x0 + noise_level eps`, with
    /// `noise_level = sqrt((1 - alpha_bar)/alpha_bar)` (Karras et al. 2022).
    ///
    /// ```
    /// # use ddim_schedule::Marginal;
    /// let expected = Marginal { signal: 1.0, noise: 2.0, eps_from_x: 0.5, eps_from_x0: -0.5 };
    /// assert_eq!(Marginal::exploding(0.2), expected);
    /// ```
    pub fn exploding(alpha_bar: f64) -> Self {
        let noise = ((1.0 - alpha_bar) / alpha_bar).sqrt();
        Self { signal: 1.0, noise, eps_from_x: 1.0 / noise, eps_from_x0: -1.0 / noise }
    }

    /// A noisy picture: `x_t = signal x0 + noise eps`.
    ///
    /// ```
    /// # use ddim_schedule::Marginal;
    /// assert_eq!(Marginal::new(0.25).noisy(2.0, 0.0), 1.0);
    /// ```
    pub fn noisy(&self, x0: f64, eps: f64) -> f64 {
        self.signal * x0 + self.noise * eps
    }

    /// What a network that predicts v is trained on: `v = signal eps - noise x0` (Salimans & Ho 2022).
    ///
    /// ```
    /// # use ddim_schedule::Marginal;
    /// assert_eq!(Marginal::new(0.0).velocity(0.5, 3.0), -0.5);
    /// ```
    pub fn velocity(&self, x0: f64, eps: f64) -> f64 {
        self.signal * eps - self.noise * x0
    }
}
