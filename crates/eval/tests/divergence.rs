//! Divergences of Gaussians that differ by a shift: the likelihood ratio depends on the projection on the shift
//! alone, so that the divergence in `d` dimensions is that of `N(0, 1)` and `N(distance, 1)`, an integral over a
//! line.

#![expect(clippy::print_stdout, reason = "tests say how large the differences are that they allow")]

use std::ops::ControlFlow;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use ddim_eval::{
    ConvNet, Discriminator, Divergence, DivergenceEstimate, EvalError, Samples, Training, Weight, divergence,
};
use ddim_sampler::{Noise, PictureNoise};

/// Scores of a vector `[n, d, 1, 1]`: linear, or behind one layer of hidden values.
enum Vectors {
    Linear { dims: usize },
    Hidden { dims: usize, width: usize },
}

impl Discriminator for Vectors {
    fn weights(&self) -> Vec<Weight> {
        match *self {
            Self::Linear { dims } => vec![Weight::zeros([1, dims, 1, 1]), Weight::zeros([1, 1, 1, 1])],
            Self::Hidden { dims, width } => vec![
                Weight::rectified([width, dims, 1, 1]),
                Weight::rectified([width, 1, 1, 1]),
                Weight::zeros([1, width, 1, 1]),
                Weight::zeros([1, 1, 1, 1]),
            ],
        }
    }

    fn scores(&self, x: Tensor<4>, weights: &[Tensor<4>]) -> Tensor<1> {
        let layer = |x: Tensor<4>, w: &[Tensor<4>]| {
            let options = ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
            conv2d(x, w[0].clone(), Some(w[1].clone().reshape([-1])), options)
        };
        let n = x.dims()[0];
        match self {
            Self::Linear { .. } => layer(x, weights).reshape([n]),
            Self::Hidden { .. } => layer(layer(x, &weights[..2]).tanh(), &weights[2..]).reshape([n]),
        }
    }
}

/// `n` vectors of `dims` standard normal values, shifted by `distance` in no special direction.
fn gaussian(n: usize, dims: usize, distance: f64, seed: u64) -> Tensor<4> {
    let x = PictureNoise::new(seed, 0..n as u64).initial([n, dims, 1, 1], &Device::flex());
    let direction: Vec<f64> = (0..dims).map(|i| (1.0 + i as f64).sin()).collect();
    let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let shift: Vec<f32> = direction.iter().map(|d| (d / length * distance) as f32).collect();
    x + Tensor::<1>::from_floats(shift.as_slice(), &Device::flex()).reshape([1, dims, 1, 1])
}

/// The divergences of `N(0, 1)` and `N(distance, 1)`, by the trapezoidal rule: off by less than 1e-9.
fn expected(distance: f64) -> [f64; 3] {
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    let (points, reach) = (20_000, 10.0 + distance);
    let width = 2.0 * reach / f64::from(points);
    let mut sums = [0.0; 3];
    for i in 0..points {
        let x = distance / 2.0 - reach + width * (f64::from(i) + 0.5);
        let (p, q) = (density(x), density(x - distance));
        let middle = (p + q) / 2.0;
        sums[0] += 0.5 * (p - q).abs() * width;
        sums[1] += 0.5 * (p - q).powi(2) / (p + q) * width;
        sums[2] += 0.5 * (p * (p / middle).ln() + q * (q / middle).ln()) * width;
    }
    sums
}

fn estimate(
    which: Divergence,
    discriminator: &impl Discriminator,
    x: [&Tensor<4>; 2],
    folds: usize,
    seed: u64,
) -> DivergenceEstimate {
    let device = Device::flex();
    let select = |x: &Tensor<4>, indices: &[usize]| {
        let indices: Vec<i64> = indices.iter().map(|i| *i as i64).collect();
        x.clone().select(0, Tensor::from_data(indices.as_slice(), &device))
    };
    let batches = [0, 1].map(|k| move |indices: &[usize]| select(x[k], indices));
    let sets = [0, 1].map(|k| Samples { len: x[k].dims()[0], batch: &batches[k] });
    let training = Training { learning_rate: 1e-2, seed, ..Training::default() };
    let found = divergence(which, discriminator, sets, folds, &training, |_| ControlFlow::Continue(()));
    found.expect("enough samples").expect("nobody stopped it")
}

/// A lower bound on average, and close to it: the best score is linear in the vector, or a tanh of that. From
/// above it is missed by four standard errors of the held-out risk (a wrong alarm for one of 30,000 seeds), from
/// below also by what training leaves: some d/n = 0.003 of the logistic risk for a linear score (Wilks), and 0.02
/// are allowed.
#[test]
fn shifted_gaussians_are_as_far_apart_as_on_a_line() {
    let n = 3000;
    for (dims, distance) in [(1, 1.0), (8, 2.0), (8, 0.5)] {
        let (a, b) = (gaussian(n, dims, 0.0, 1), gaussian(n, dims, distance, 2));
        for (which, expected) in Divergence::ALL.into_iter().zip(expected(distance)) {
            let found = match which {
                Divergence::Triangular => estimate(which, &Vectors::Hidden { dims, width: 16 }, [&a, &b], 3, 5),
                _ => estimate(which, &Vectors::Linear { dims }, [&a, &b], 3, 5),
            };
            let (value, error) = (found.value.mean, found.value.standard_error.expect("many samples"));
            println!("{which:?} d {dims} shift {distance}: {value:.4} +- {error:.4}, exactly {expected:.4}");
            assert!(value < expected + 4.0 * error, "{which:?} {dims} {distance}: {value} > {expected}");
            assert!(value > expected - 4.0 * error - 0.02, "{which:?} {dims} {distance}: {value} < {expected}");
            assert!(found.interval[0] < value && value < found.interval[1]);
            // Losses of a bounded spread: below 1 for each of 6000 inputs, and twice that for the 0-1 loss.
            assert!(error < 2.0 / (2.0 * n as f64).sqrt(), "{error}");
        }
    }
}

/// Two halves of one distribution: nothing to learn, and what is found is 0 within five standard errors. The
/// logistic and the squared risk of a discriminator that has learned chance are above those of guessing, so that
/// the estimate is negative rather than positive.
#[test]
fn equal_sets_are_not_apart() {
    let (a, b) = (gaussian(600, 8, 0.0, 3), gaussian(700, 8, 0.0, 4));
    for which in Divergence::ALL {
        let found = estimate(which, &Vectors::Hidden { dims: 8, width: 16 }, [&a, &b], 2, 1);
        let error = found.value.standard_error.expect("many samples");
        println!("{which:?}: {:.4} +- {error:.4}", found.value.mean);
        assert!(found.value.mean.abs() < 5.0 * error + 0.02, "{found:?}");
    }
}

/// Pictures of noise, and of noise with a faint slope from left to right: the small network sees it. The same seed
/// gives the same bits.
#[test]
fn a_convolutional_network_tells_pictures_apart() {
    let device = Device::flex();
    let pictures = |seed: u64| PictureNoise::new(seed, 0..80).initial([80, 1, 9, 8], &device);
    let slope = Tensor::<1>::from_floats([-1.4, -1.0, -0.6, -0.2, 0.2, 0.6, 1.0, 1.4], &device);
    let (a, b) = (pictures(1), pictures(2) + slope.reshape([1, 1, 1, 8]));
    let of =
        |seed| estimate(Divergence::TotalVariation, &ConvNet { shape: [1, 9, 8], width: 4 }, [&a, &b], 2, seed);
    let found = of(0);
    assert!(found.interval[0] > 0.5, "{found:?}");
    assert_eq!(found, of(0));
    assert_ne!(found, of(1));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let x = gaussian(30, 1, 0.0, 0);
    let batch = |indices: &[usize]| x.clone().slice([0..indices.len()]);
    let run = |len: usize, folds: usize| {
        let samples = Samples { len, batch: &batch };
        let linear = Vectors::Linear { dims: 1 };
        let training = Training::default();
        divergence(Divergence::Triangular, &linear, [samples; 2], folds, &training, |_| ControlFlow::Break(()))
    };
    assert_eq!(run(19, 2), Err(EvalError::TooFewSamples { found: 19, needed: 20 }));
    assert_eq!(run(30, 1), Err(EvalError::Folds { folds: 1, most: 15 }));
    assert_eq!(run(30, 16), Err(EvalError::Folds { folds: 16, most: 15 }));
    assert_eq!(run(30, 2), Ok(None));
}
