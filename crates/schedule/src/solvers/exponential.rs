//! Exponential integrators: what DPM-Solver, UniPC and DEIS have in common.
//!
//! In `lambda = log(signal/noise)` the reverse equation is linear in the state but for the prediction `m` (x0 or
//! eps), so that a step of length `h` is exact up to an integral over `m` (Lu et al. 2022a, Proposition 3.1, and
//! 2022b, Proposition 4.1; MATH.md derives it):
//!
//! ```text
//! x' = c_x x + scale int_0^growth e^(v - growth) m dv + sigma z,    v = growth (lambda - lambda_from)/h
//! ```
//!
//! A method says how `m` goes on between the calls, and that is all that it says.

use super::{Equation, Predicted};
use crate::{Level, Row, StepNoise};

/// One step of the exact solution, whose integral is left open.
pub(super) struct Exponential {
    /// The length of the step in lambda; infinite for a step to the picture.
    pub(super) h: f64,
    /// Coefficient of the state.
    pub(super) c_x: f64,
    /// Standard deviation of the fresh noise.
    sigma: f64,
    /// What stands before the integral.
    scale: f64,
    /// The range of the integral.
    growth: f64,
    /// The integral of 1, times `scale`.
    constant: f64,
}

impl Exponential {
    /// The step between two levels. A step to the picture itself adds no noise: all that it can do well is to end
    /// at the predicted x0, which is what the equation without noise does there.
    pub(super) fn new(predicted: Predicted, equation: Equation, from: Level, to: Level) -> Self {
        let h = to.lambda() - from.lambda();
        let equation = if to.alpha_bar == 1.0 { Equation::Ode } else { equation };
        // Without noise, a state that is all prediction stays so: this gives the integral of 1 also where h is
        // infinite.
        let ode =
            |c_x, scale, growth, from, to| Self { h, c_x, sigma: 0.0, scale, growth, constant: to - c_x * from };
        let ode = match predicted {
            Predicted::X0 => ode(to.noise() / from.noise(), to.signal(), h, from.signal(), to.signal()),
            Predicted::Eps => ode(to.signal() / from.signal(), to.noise(), -h, from.noise(), to.noise()),
        };
        match (equation, predicted) {
            (Equation::Ode, _) => ode,
            (Equation::Sde, Predicted::X0) => Self {
                c_x: ode.c_x * (-h).exp(),
                growth: 2.0 * h,
                constant: -to.signal() * (-2.0 * h).exp_m1(),
                sigma: to.noise() * (-(-2.0 * h).exp_m1()).sqrt(),
                ..ode
            },
            (Equation::Sde, Predicted::Eps) => Self {
                scale: 2.0 * ode.scale,
                constant: 2.0 * ode.constant,
                sigma: to.noise() * (2.0 * h).exp_m1().sqrt(),
                ..ode
            },
        }
    }

    /// The integral, `scale` included, of `(lambda - lambda_from)^k`; finite for `k` above 0 where `h` is.
    pub(super) fn moment(&self, k: usize) -> f64 {
        match k {
            0 => self.constant,
            _ => self.linear() * self.h.powi(k as i32) * factorial(k) * phi(k + 1, -self.growth),
        }
    }

    /// The first `n` moments.
    pub(super) fn moments(&self, n: usize) -> Vec<f64> {
        (0..n).map(|k| self.moment(k)).collect()
    }

    /// The integral of 1 to first order in `h`.
    pub(super) fn linear(&self) -> f64 {
        self.scale * self.growth
    }

    /// The row of this step, with weights of the predictions, the latest first.
    pub(super) fn row(&self, predicted: Predicted, from: Level, to: Level, c_x: f64, weights: &[f64]) -> Row {
        let row =
            Row { c_x, history: weights[1..].to_vec(), noise: StepNoise::fixed(self.sigma), ..Row::new(from, to) };
        match predicted {
            Predicted::X0 => Row { c_x0: weights[0], ..row },
            Predicted::Eps => Row { c_eps: weights[0], ..row },
        }
    }
}

/// The weights of values at `nodes` that give the polynomial through them these moments: each is the integral of
/// the Lagrange polynomial that is 1 at its node and 0 at the others. Has as many weights as nodes.
pub(super) fn quadrature(nodes: &[f64], moments: &[f64]) -> Vec<f64> {
    let weight = |(j, node): (usize, &f64)| {
        let mut lagrange = vec![1.0];
        for (_, other) in nodes.iter().enumerate().filter(|(i, _)| *i != j) {
            lagrange.push(0.0);
            for k in (0..lagrange.len()).rev() {
                let lower = if k > 0 { lagrange[k - 1] } else { 0.0 };
                lagrange[k] = (lower - other * lagrange[k]) / (node - other);
            }
        }
        lagrange.iter().zip(moments).map(|(coefficient, moment)| coefficient * moment).sum()
    };
    nodes.iter().enumerate().map(weight).collect()
}

/// Where the calls at these levels were, seen from `origin`: lambda less its lambda, the latest first.
pub(super) fn nodes(origin: Level, calls: &[Level]) -> Vec<f64> {
    calls.iter().rev().map(|call| call.lambda() - origin.lambda()).collect()
}

/// The same weights, seen from the next call.
pub(super) fn one_call_older(weights: &[f64]) -> Vec<f64> {
    [&[0.0], weights].concat()
}

/// `a x + b y`, where the shorter list goes on with zeros.
pub(super) fn sum(a: f64, x: &[f64], b: f64, y: &[f64]) -> Vec<f64> {
    let at = |list: &[f64], i: usize| list.get(i).copied().unwrap_or(0.0);
    (0..x.len().max(y.len())).map(|i| a * at(x, i) + b * at(y, i)).collect()
}

/// `phi_k(z) = sum_j z^j/(j + k)!`, which is `(phi_{k-1}(z) - 1/(k-1)!)/z` (Hochbruck & Ostermann 2010, section
/// 2). Near 0 that difference would lose its digits.
fn phi(k: usize, z: f64) -> f64 {
    if z.abs() < 1.0 {
        let mut term = 1.0 / factorial(k);
        let mut sum = term;
        for j in 1..20 {
            term *= z / (j + k) as f64;
            sum += term;
        }
        return sum;
    }
    match k {
        0 => z.exp(),
        1 => z.exp_m1() / z,
        _ => (phi(k - 1, z) - 1.0 / factorial(k - 1)) / z,
    }
}

fn factorial(k: usize) -> f64 {
    (1..=k).map(|i| i as f64).product()
}

/// The rows from noise level 4 over 2 and 1 to the picture: h is ln 2 in all steps but the last.
#[cfg(test)]
pub(super) fn rows_of_halving_noise(solver: &dyn crate::Solver) -> Vec<Row> {
    use crate::{Convention, NoiseSchedule, Settings};
    let schedule = NoiseSchedule::of_noise_levels(1.0, 4.0, 3).expect("rising noise levels");
    let settings = Settings::new(Convention::Exact, crate::solvers::SigmaHat, 3);
    let path = crate::Path::new(&schedule, &settings).expect("three levels");
    solver.rows(&path).expect("rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [(Predicted, Equation); 4] = [
        (Predicted::X0, Equation::Ode),
        (Predicted::Eps, Equation::Ode),
        (Predicted::X0, Equation::Sde),
        (Predicted::Eps, Equation::Sde),
    ];

    fn levels() -> (Level, Level) {
        (Level::at_noise_level(0.0, 2.0), Level::at_noise_level(0.0, 0.5))
    }

    /// `phi_1(1) = e - 1`, `phi_2(1) = e - 2`, `phi_3(1) = e - 5/2`, on both sides of the change of formula
    /// (a step of 1e-9 moves them by at most e times that).
    #[test]
    fn phi_of_one() {
        let e = std::f64::consts::E;
        for (k, expected) in [(0, e), (1, e - 1.0), (2, e - 2.0), (3, e - 2.5)] {
            assert!((phi(k, 1.0) - expected).abs() < 1e-15);
            assert!((phi(k, 1.0 - 1e-9) - expected).abs() < 2.8e-9);
        }
    }

    /// By the midpoint rule with 20000 points, whose error is about 1e-9 here.
    #[test]
    fn moments_are_the_integrals() {
        let (from, to) = levels();
        for (predicted, equation) in FORMS {
            let step = Exponential::new(predicted, equation, from, to);
            for k in 0..4 {
                let n = 20_000;
                let sum: f64 = (0..n)
                    .map(|i| {
                        let share = (f64::from(i) + 0.5) / f64::from(n);
                        (step.growth * (share - 1.0)).exp() * (step.h * share).powi(k)
                    })
                    .sum();
                let integral = step.linear() * sum / f64::from(n);
                assert!((step.moment(k as usize) - integral).abs() < 1e-7, "{predicted:?} {equation:?} {k}");
            }
        }
    }

    /// A state whose prediction does not change keeps its marginal: `signal' x0 + noise' eps`, and with noise the
    /// variance adds up to that of `noise'`.
    #[test]
    fn constant_predictions() {
        let (from, to) = levels();
        let x0 = Exponential::new(Predicted::X0, Equation::Sde, from, to);
        assert!((x0.c_x * from.signal() + x0.constant - to.signal()).abs() < 1e-15);
        let variance = (x0.c_x * from.noise()).powi(2) + x0.sigma.powi(2);
        assert!((variance - to.noise().powi(2)).abs() < 1e-15);
        let eps = Exponential::new(Predicted::Eps, Equation::Ode, from, to);
        assert!((eps.c_x * from.signal() - to.signal()).abs() < 1e-15);
        assert!((eps.c_x * from.noise() + eps.constant - to.noise()).abs() < 1e-15);
    }

    /// The end of a step to the picture is the predicted x0, whatever is predicted.
    #[test]
    fn the_last_step_ends_at_x0() {
        let from = Level::at_noise_level(0.0, 0.75);
        for (predicted, equation) in FORMS {
            let step = Exponential::new(predicted, equation, from, Level::CLEAN);
            let expected = if predicted == Predicted::X0 { (0.0, 1.0) } else { (1.25, -0.75) };
            assert_eq!((step.c_x, step.constant, step.sigma), (expected.0, expected.1, 0.0));
        }
    }

    #[test]
    fn sums_of_unequal_lists() {
        assert_eq!(sum(2.0, &[1.0, 2.0], -1.0, &[0.0, 1.0, 5.0]), [2.0, 3.0, -5.0]);
    }

    /// Simpson's rule, from the moments of 1 on [0, 2].
    #[test]
    fn quadrature_of_a_parabola() {
        let weights = quadrature(&[0.0, 1.0, 2.0], &[2.0, 2.0, 8.0 / 3.0]);
        for (weight, expected) in weights.into_iter().zip([1.0 / 3.0, 4.0 / 3.0, 1.0 / 3.0]) {
            assert!((weight - expected).abs() < 1e-15);
        }
    }
}
