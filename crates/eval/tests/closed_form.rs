//! The likelihood against densities that are known, of data that are a mixture of two Gaussians
//! `N(m + a, r^2 I)` and `N(m - a, r^2 I)`; with `a = 0` it is one.

use std::ops::ControlFlow;

use ddim_eval::{EvalError, Grid, LogDensity, Trace, log_density};
use ddim_sampler::{Noise, PictureNoise};
use ddim_schedule::{Level, NoiseSchedule};
use ddim_tensor::{Device, Tensor};

const SHAPE: [usize; 3] = [2, 2, 3];
const DIMS: usize = 12;
const SPREAD: f64 = 0.5;
/// The noisiest level is so high that the mean of the data, which the standard normal there leaves out, changes a
/// log-density by a few 1e-6: its share of the state is 1e-6.
const NOISIEST: f64 = 1e6;
const CLEANEST: f64 = 0.02;

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

struct Mixture {
    mean: f64,
    /// Half the way between the two centres.
    half: Vec<f64>,
}

impl Mixture {
    fn gaussian() -> Self {
        Self { mean: 0.3, half: vec![0.0; DIMS] }
    }

    /// Centres in no special direction, so that the Jacobian has entries everywhere.
    fn of_two() -> Self {
        Self { mean: 0.1, half: (0..DIMS).map(|i| 0.4 * ((i + 1) as f64 * 1.7).sin()).collect() }
    }

    /// `v` of the best prediction: with `D = c^2 r^2 + s^2` and `x' = x - c m`,
    /// `E[x0 - m | x] = (c r^2 x' + s^2 a tanh(c a.x' / D)) / D`; and the transpose of its Jacobian times `slope`.
    fn velocity(&self, x: Tensor, level: Level, slope: Tensor) -> (Tensor, Tensor) {
        let shape = x.dims();
        let (c, s) = (level.signal(), level.noise());
        let d = c * c * SPREAD * SPREAD + s * s;
        let dot = |x: &[f64]| x.iter().zip(&self.half).map(|(x, a)| x * a).sum::<f64>();
        let (mut values, mut rows) = (Vec::new(), Vec::new());
        for (x, z) in numbers(x).chunks_exact(DIMS).zip(numbers(slope).chunks_exact(DIMS)) {
            let y: Vec<f64> = x.iter().map(|x| x - c * self.mean).collect();
            let (tanh, along) = ((c * dot(&y) / d).tanh(), dot(z));
            for i in 0..DIMS {
                let a = self.half[i];
                let x0 = (c * SPREAD * SPREAD * y[i] + s * s * a * tanh) / d + self.mean;
                let x0_row = (c * SPREAD * SPREAD * z[i] + s * s * a * (1.0 - tanh * tanh) * c / d * along) / d;
                values.push((x[i] * c / s - x0 * (c * c / s + s)) as f32);
                rows.push((z[i] * c / s - x0_row * (c * c / s + s)) as f32);
            }
        }
        (Tensor::new(values, shape), Tensor::new(rows, shape))
    }

    /// The logarithm of the density of pictures with the noise of the cleanest level.
    fn log_density(&self, x: &[f64]) -> f64 {
        let variance = SPREAD * SPREAD + CLEANEST * CLEANEST;
        let component = |sign: f64| {
            let square: f64 = x.iter().zip(&self.half).map(|(x, a)| (x - self.mean - sign * a).powi(2)).sum();
            -0.5 * square / variance - 0.5 * DIMS as f64 * (std::f64::consts::TAU * variance).ln()
        };
        let (one, other) = (component(1.0), component(-1.0));
        let larger = one.max(other);
        larger + ((one - larger).exp() / 2.0 + (other - larger).exp() / 2.0).ln()
    }

    fn found(&self, x0: Tensor, steps: usize, trace: Trace) -> LogDensity {
        let signs = PictureNoise::new(5, 0..x0.dims()[0] as u64);
        let found =
            log_density(|x, level, slope| self.velocity(x, level, slope), &grid(steps), x0, trace, &signs, go_on);
        found.expect("finite").expect("nobody stopped it")
    }

    fn expected(&self, x0: &Tensor) -> Vec<f64> {
        numbers(x0.clone()).chunks_exact(DIMS).map(|x| self.log_density(x)).collect()
    }
}

fn grid(steps: usize) -> Grid {
    let schedule = NoiseSchedule::of_noise_levels(CLEANEST, NOISIEST, 1000).expect("rising");
    Grid::new(&schedule, steps).expect("a grid")
}

/// Pictures that are likely, and others that are not.
fn pictures(n: usize) -> Tensor {
    let [c, h, w] = SHAPE;
    PictureNoise::new(1, 0..n as u64).initial([n, c, h, w], &Device::Cpu) * 0.8
}

fn numbers(x: Tensor) -> Vec<f64> {
    x.into_values().into_iter().map(f64::from).collect()
}

fn largest_error(found: &LogDensity, expected: &[f64]) -> f64 {
    found.estimates.iter().zip(expected).map(|(found, expected)| (found[0] - expected).abs()).fold(0.0, f64::max)
}

/// The exact trace gives the density up to the method (1e-3 / 8^4 by the order of the next test, whose coarse run
/// has an eighth of the steps) and the rounding of f32: 12 values of some 1e-7 in each of 256 calls.
#[test]
fn exact_traces_give_the_density() {
    let x0 = pictures(6);
    for mixture in [Mixture::gaussian(), Mixture::of_two()] {
        let found = mixture.found(x0.clone(), 64, Trace::Exact);
        let error = largest_error(&found, &mixture.expected(&x0));
        assert!(error < 5e-5, "{error}");
        assert_eq!((found.calls, found.dims), (4 * 64 * DIMS, DIMS));
    }
}

/// Runge and Kutta's method is of order 4: half the step, a sixteenth of the error. The slope of the logarithm is
/// held to within half an order, since these are not yet very many steps.
#[test]
fn the_error_falls_with_the_fourth_power_of_the_step() {
    let (x0, mixture) = (pictures(6), Mixture::of_two());
    let expected = mixture.expected(&x0);
    let error = |steps| largest_error(&mixture.found(x0.clone(), steps, Trace::Exact), &expected);
    let (coarse, fine) = (error(8), error(16));
    let order = (coarse / fine).log2();
    assert!((order - 4.0).abs() < 0.5, "errors {coarse} and {fine}: order {order}");
}

/// 400 times the same picture: the mean over all lies within four standard errors of the exact trace (a wrong
/// alarm for one seed in 16,000, and the seed is fixed), and the errors that probes report for themselves are
/// those seen between pictures, within 5 times 1/sqrt(2 400) of it.
#[test]
fn probes_are_right_on_average_and_know_their_error() {
    let mixture = Mixture::of_two();
    let one = pictures(1);
    let exact = mixture.found(one.clone(), 16, Trace::Exact).estimates[0][0];
    let n = 400;
    let found = mixture.found(one.select(&vec![0; n]), 16, Trace::Hutchinson { probes: 2 });
    assert_eq!(found.calls, 4 * 16 * 2);
    let all: Vec<f64> = found.estimates.iter().map(|estimates| (estimates[0] + estimates[1]) / 2.0).collect();
    let mean = all.iter().sum::<f64>() / n as f64;
    let between = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let error = (between / n as f64).sqrt();
    assert!(error > 1e-4, "signs of a Jacobian with entries everywhere must differ: {error}");
    assert!((mean - exact).abs() < 4.0 * error, "{mean} +- {error}, not {exact}");
    // The variance of a mean of two is a quarter of the square of their difference, on average.
    let within = found.estimates.iter().map(|estimates| (estimates[0] - estimates[1]).powi(2) / 4.0).sum::<f64>();
    let ratio = (within / n as f64 / between).sqrt();
    assert!((ratio - 1.0).abs() < 5.0 / (2.0 * n as f64).sqrt(), "{ratio}");
}

#[test]
fn a_picture_does_not_depend_on_its_batch() {
    let mixture = Mixture::of_two();
    let all = mixture.found(pictures(3), 4, Trace::Hutchinson { probes: 1 });
    let first = mixture.found(pictures(3).pictures(0..1), 4, Trace::Hutchinson { probes: 1 });
    assert_eq!(all.estimates[0], first.estimates[0]);
}

/// Told of every call, and stopped by any.
#[test]
fn it_can_be_stopped_at_every_network_call() {
    let (grid, mixture) = (grid(2), Mixture::gaussian());
    let trace = Trace::Hutchinson { probes: 3 };
    assert_eq!(grid.calls(trace, DIMS), 24);
    for last in [1, 5, 24, 25] {
        let mut calls = 0;
        let observe = || {
            calls += 1;
            if calls == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let signs = PictureNoise::new(0, 0..1);
        let velocity = |x: Tensor, level, slope| mixture.velocity(x, level, slope);
        let found = log_density(velocity, &grid, pictures(1), trace, &signs, observe).expect("finite");
        assert_eq!((found.is_some(), calls), (last == 25, last.min(24)));
    }
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    let signs = PictureNoise::new(0, 0..2);
    let logarithm = |x: Tensor, _, slope: Tensor| (x.clone().ln(), slope / x);
    let run = |x0, trace| log_density(logarithm, &grid(2), x0, trace, &signs, go_on);
    let x0 = pictures(2);
    assert_eq!(run(x0.clone(), Trace::Hutchinson { probes: 0 }), Err(EvalError::Probes));
    let error = run(x0, Trace::Exact).expect_err("logarithms of negative numbers").to_string();
    assert!(error.starts_with("the log-density of picture 0 of the batch is NaN"), "{error}");
    let schedule = NoiseSchedule::of_noise_levels(CLEANEST, NOISIEST, 1000).expect("rising");
    assert_eq!(Grid::new(&schedule, 0), Err(EvalError::Steps));
}
