//! Data whose best network is known in closed form: one-dimensional mixtures of Gaussians.
//!
//! All of it is written in `y = x0 + s eps`, with the noise level `s`.

use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};

use ddim_schedule::{NoiseSchedule, Prediction};

use crate::scalar::Output;

/// One Gaussian of the mixture.
pub(crate) struct Component {
    weight: f64,
    mean: f64,
    deviation: f64,
}

/// Pictures of one value, drawn from a mixture.
pub(crate) struct Data(&'static [Component]);

/// N(0.3, 0.5^2), the data of MATH.md section 14.
pub(crate) const GAUSSIAN: Data = Data(&[Component { weight: 1.0, mean: 0.3, deviation: 0.5 }]);

/// Two humps that overlap: their network is not linear in x.
pub(crate) const MIXTURE: Data = Data(&[
    Component { weight: 0.4, mean: -0.8, deviation: 0.4 },
    Component { weight: 0.6, mean: 0.6, deviation: 0.5 },
]);

impl Data {
    /// The best guess of x0, `E[x0 | y]`: each component's own, weighed with how likely it is to have made `y`.
    pub(crate) fn denoised(&self, y: f64, s: f64) -> f64 {
        let (mut total, mut sum) = (0.0, 0.0);
        for component in self.0 {
            let likelihood = component.density(y, s);
            let shrink = component.deviation.powi(2) / component.variance(s);
            total += likelihood;
            sum += likelihood * (component.mean + shrink * (y - component.mean));
        }
        sum / total
    }

    /// The share of all `y` at this noise level that is below this one.
    pub(crate) fn cdf(&self, y: f64, s: f64) -> f64 {
        let below = |c: &Component| c.weight * (1.0 + erf((y - c.mean) / (SQRT_2 * c.variance(s).sqrt()))) / 2.0;
        self.0.iter().map(below).sum()
    }

    /// The exact solution of the probability flow ODE from `y` at one noise level to another.
    ///
    /// The flow carries the distribution at one noise level to that at another. On a line its paths cannot cross,
    /// so it keeps the share of pictures below `y`: the solution is a quantile, and needs no integration.
    pub(crate) fn transported(&self, y: f64, from: f64, to: f64) -> f64 {
        let share = self.cdf(y, from);
        let (mut low, mut high) = (-1e4, 1e4);
        while low < high {
            let middle = low + (high - low) / 2.0;
            if middle == low || middle == high {
                break;
            }
            if self.cdf(middle, to) < share { low = middle } else { high = middle }
        }
        self.polished(low, to, share)
    }

    /// One step of Newton's method, which takes the quantile below the grain of the distribution function.
    fn polished(&self, y: f64, s: f64, share: f64) -> f64 {
        let density: f64 = self.0.iter().map(|component| component.density(y, s)).sum();
        y - (self.cdf(y, s) - share) / density
    }

    /// One `y` at this noise level, from a uniform and a normal number.
    pub(crate) fn draw(&self, s: f64, uniform: f64, normal: f64) -> f64 {
        let mut left = uniform;
        let chosen = self.0.iter().find(|component| {
            left -= component.weight;
            left < 0.0
        });
        let component = chosen.unwrap_or(&self.0[self.0.len() - 1]);
        component.mean + component.variance(s).sqrt() * normal
    }

    /// Mean of the data.
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().map(|c| c.weight * c.mean).sum()
    }

    /// Variance of `y` at this noise level.
    pub(crate) fn variance(&self, s: f64) -> f64 {
        let second: f64 = self.0.iter().map(|c| c.weight * (c.mean.powi(2) + c.variance(s))).sum();
        second - self.mean().powi(2)
    }

    /// The best network of a model that was trained with this schedule. It knows nothing but what a network is
    /// told: its scaled input and the time.
    pub(crate) fn network<'a>(
        &'a self,
        schedule: &'a NoiseSchedule,
        prediction: Prediction,
    ) -> impl Fn(&[f64], f64) -> Output + 'a {
        move |input, time| {
            let (s, y_from_input) = told(schedule, prediction, time);
            let value = |input: &f64| {
                let y = input * y_from_input;
                output(prediction, y, self.denoised(y, s), s)
            };
            Output { prediction: input.iter().map(value).collect(), spread: Vec::new() }
        }
    }
}

impl Component {
    /// Variance of its `y`.
    fn variance(&self, s: f64) -> f64 {
        self.deviation.powi(2) + s * s
    }

    /// Its share of the density of `y`.
    fn density(&self, y: f64, s: f64) -> f64 {
        let variance = self.variance(s);
        self.weight * (-(y - self.mean).powi(2) / (2.0 * variance)).exp() / (2.0 * PI * variance).sqrt()
    }
}

/// The noise level that a network concludes from the time, and what takes its input back to `y`.
fn told(schedule: &NoiseSchedule, prediction: Prediction, time: f64) -> (f64, f64) {
    match prediction {
        Prediction::Edm { sigma_data } => {
            let s = (4.0 * time).exp();
            (s, s.hypot(sigma_data))
        }
        Prediction::Score => (time, 1.0),
        Prediction::Epsilon | Prediction::X0 | Prediction::V => {
            let s = schedule.noise_level_at(time);
            (s, s.hypot(1.0))
        }
    }
}

/// What the network predicts, where `x0` is its best guess: the definitions of Ho et al. 2020, Salimans & Ho 2022
/// (v), Karras et al. 2022 (edm) and Song et al. 2021 (score).
fn output(prediction: Prediction, y: f64, x0: f64, s: f64) -> f64 {
    let eps = (y - x0) / s;
    match prediction {
        Prediction::Epsilon => eps,
        Prediction::X0 => x0,
        Prediction::V => (eps - s * x0) / s.hypot(1.0),
        Prediction::Edm { sigma_data } => {
            let total = s * s + sigma_data * sigma_data;
            (x0 - sigma_data * sigma_data / total * y) * total.sqrt() / (s * sigma_data)
        }
        Prediction::Score => -eps / s,
    }
}

/// The error function by its series `2/sqrt(pi) exp(-x^2) sum_k 2^k x^(2k+1)/(2k+1)!!`: all terms have one sign,
/// so nothing cancels. Beyond 6 it is 1 in f64.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-18 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * k + 1.0);
        sum += term;
        k += 1.0;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Values of Abramowitz & Stegun, table 7.1, to the ten decimals printed there.
#[test]
fn error_function() {
    for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
        assert!((erf(x) - expected).abs() < 1e-10, "{x}");
        assert_eq!(erf(-x), -erf(x));
    }
}

/// Of a single Gaussian the solution is a straight line (MATH.md, section 14).
#[test]
fn gaussian_transport_is_a_straight_line() {
    for y in [-4.0, 0.1, 2.5_f64] {
        let scale = (GAUSSIAN.variance(0.1) / GAUSSIAN.variance(3.0)).sqrt();
        let found = GAUSSIAN.transported(y, 3.0, 0.1);
        // The distribution function has a grain of 1e-16, and the density is at least 0.1 here.
        assert!((found - (0.3 + (y - 0.3) * scale)).abs() < 1e-14, "{y}: {found}");
    }
}

/// The quantiles against the ODE itself, `dy/ds = (y - E[x0 | y])/s`, by the classical Runge-Kutta method in log
/// s.
#[test]
fn mixture_transport_solves_the_ode() {
    let (from, to, n) = (3.0_f64, 0.1_f64, 2000);
    let slope = |log_s: f64, y: f64| y - MIXTURE.denoised(y, log_s.exp());
    let h = (to / from).ln() / f64::from(n);
    for start in [-4.0, -1.0, 0.1, 2.5] {
        let mut y = start;
        for i in 0..n {
            let at = from.ln() + f64::from(i) * h;
            let k1 = slope(at, y);
            let k2 = slope(at + h / 2.0, y + h / 2.0 * k1);
            let k3 = slope(at + h / 2.0, y + h / 2.0 * k2);
            let k4 = slope(at + h, y + h * k3);
            y += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        }
        let found = MIXTURE.transported(start, from, to);
        // h^4 is 8e-12, and the constant is of the order of 1.
        assert!((found - y).abs() < 1e-11, "{start}: {found} {y}");
    }
}
