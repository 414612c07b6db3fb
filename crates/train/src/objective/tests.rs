use super::*;
use crate::diffusion::{Beginning, Diffusion, initialised};
use crate::optimizer::norm;
use crate::run::Task;
use crate::testing::{pictures, recipe};
use ddim_sampler::{Noise, PictureNoise};
use serde_json::json;

/// Mean and standard error.
fn summary(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (square / (n - 1.0) / n).sqrt())
}

fn value(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

/// Hyvarinen's theorem with Vincent's constant, on data N(0.3, 0.5^2) and the scores `-(x - center)/variance`,
/// right and wrong ones, at three noise levels and for every kind of prediction: the losses differ by 1, the mean
/// square of the noise. 64 batches of 2048 values; within five standard errors (a wrong alarm for one seed in
/// 10^6, and the seed is fixed), and 1e-4 for f32: sums of values divided by the step of 1/64.
#[test]
fn the_two_objectives_differ_by_a_constant_for_every_linear_score() {
    let (device, shape) = (Device::flex(), [8, 1, 16, 16]);
    for alpha_bar in [0.99, 0.5, 0.02] {
        let q = Marginal::new(alpha_bar);
        for (center, variance) in [(0.3 * q.signal, 0.25 * alpha_bar + 1.0 - alpha_bar), (0.0, 1.0), (-1.0, 3.0)] {
            for prediction in [Prediction::Epsilon, Prediction::X0, Prediction::V] {
                let from = prediction.coefficients(alpha_bar);
                let network = |x: Tensor<4>| {
                    let eps = (x.clone() - center) * (q.noise / variance);
                    (eps - x * from.eps_from_x) / from.eps_from_out
                };
                let loss = |objective, x: &Tensor<4>, target: Tensor<4>| {
                    value(Loss { objective, prediction }.of(network, x.clone(), target, &[alpha_bar; 8]))
                };
                let difference = |batch: u64| {
                    let draw = |stream: u64| PictureNoise::new(10 * batch + stream, 0..8).initial(shape, &device);
                    let signs = PictureNoise::new(10 * batch, 0..8).signs(1, shape, &device);
                    let eps = draw(1);
                    let x = (draw(2) * 0.5 + 0.3) * q.signal + eps.clone() * q.noise;
                    // The loss in the network's own units is that in eps divided by the square of its weight.
                    let target = (eps - x.clone() * from.eps_from_x) / from.eps_from_out;
                    let weight = from.eps_from_out * from.eps_from_out;
                    weight * loss(Objective::Denoising, &x, target) - loss(Objective::Implicit, &x, signs)
                };
                let (mean, error) = summary(&(0..64).map(difference).collect::<Vec<_>>());
                let case = format!("alpha_bar {alpha_bar}, center {center}, variance {variance}, {prediction}");
                assert!((mean - 1.0).abs() < 5.0 * error + 1e-4, "{case}: {mean} +- {error}");
            }
        }
    }
}

/// eps = tanh(x / noise), as curved as a score gets at that noise: `tanh^2 - 2 sech^2` exactly. Taylor's series
/// says that the differences miss it by at most STEP^2 (max |f f''| + max |f'''|/3) = STEP^2 (0.77 + 2/3); 1e-5 is
/// for f32.
#[test]
fn the_bias_of_the_difference_is_of_second_order() {
    let (device, alpha_bar) = (Device::flex(), 0.9);
    let noise = Marginal::new(alpha_bar).noise;
    let loss = Loss { objective: Objective::Implicit, prediction: Prediction::Epsilon };
    for i in -20..=20 {
        let (u, sign) = (f64::from(i) / 8.0, if i % 2 == 0 { 1.0 } else { -1.0 });
        let x = Tensor::<4>::full([1, 1, 2, 2], u * noise, &device);
        let signs = Tensor::<4>::full([1, 1, 2, 2], sign, &device);
        let found = value(loss.of(|x| (x / noise).tanh(), x, signs, &[alpha_bar]));
        let exact = u.tanh().powi(2) - 2.0 / u.cosh().powi(2);
        assert!((found - exact).abs() < STEP * STEP * (0.77 + 2.0 / 3.0) + 1e-5, "{u}: {found}, not {exact}");
    }
}

/// A network, at its first weights and at others: losses that differ by 1, and gradients that agree on average.
#[test]
fn a_network_has_the_same_two_losses_and_gradients() {
    let (set, device) = (pictures(6), Device::flex());
    let mean_of = |objective: &str, scale: f32| {
        let recipe = recipe(&json!({ "objective": objective, "batch_size": 32, "shards": 1 }));
        let (unet, weights) = initialised(&recipe).expect("fine");
        let weights: Vec<f32> = weights.iter().map(|weight| weight * scale).collect();
        let mut task = Diffusion::new(&recipe, &set, &Beginning::Random, &device, unet).expect("a thread");
        let results: Vec<_> = (1..=100).map(|step| task.gradient(step, &weights)).collect();
        let losses: Vec<f64> = results.iter().map(|(loss, _)| *loss).collect();
        let mut gradient = vec![0.0; weights.len()];
        results.iter().for_each(|(_, part)| gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p / 100.0));
        (losses, gradient)
    };
    for scale in [1.0, 1.5] {
        let (denoising, wanted) = mean_of("denoising", scale);
        let (implicit, found) = mean_of("implicit", scale);
        let differences: Vec<f64> = denoising.iter().zip(&implicit).map(|(a, b)| a - b).collect();
        let (mean, error) = summary(&differences);
        // Five standard errors, and the second-order bias of the differences.
        assert!((mean - 1.0).abs() < 5.0 * error + 1e-3, "{mean} +- {error}");
        let product: f64 = wanted.iter().zip(&found).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let cosine = product / norm(&wanted) / norm(&found);
        assert!(cosine > 0.99, "{cosine}");
    }
}

#[test]
fn an_unknown_objective_is_refused() {
    assert_eq!("implicit".parse::<Objective>().expect("known"), Objective::Implicit);
    let error = "explicit".parse::<Objective>().expect_err("unknown").to_string();
    assert_eq!(error, "objective is explicit; it must be denoising or implicit");
}
