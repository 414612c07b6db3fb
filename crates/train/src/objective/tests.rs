use super::*;
use crate::diffusion::{Beginning, Diffusion, initialised};
use crate::optimizer::norm;
use crate::run::Task;
use crate::testing::{pictures, recipe};
use ddim_sampler::{fill_normals, fill_signs};
use ddim_tensor::Device;
use serde_json::json;

/// Mean and standard error.
fn summary(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (square / (n - 1.0) / n).sqrt())
}

/// The mean over the values of pictures of `size` values, of a network that is a function of one value.
fn implicit(
    loss: Loss,
    network: &dyn Fn(f64) -> f64,
    x: &[f32],
    signs: &[f32],
    alpha_bar: f64,
    size: usize,
) -> f64 {
    let shift = STEP * Marginal::new(alpha_bar).noise;
    let side =
        |side: f64| -> Vec<f32> { x.iter().zip(signs).map(|(x, s)| x + (side * shift) as f32 * s).collect() };
    let x = [side(1.0), side(-1.0)];
    let out = x.each_ref().map(|x| x.iter().map(|x| network(f64::from(*x)) as f32).collect::<Vec<_>>());
    let of_picture = |k: usize| {
        let at = k * size..(k + 1) * size;
        let [x, out] = [&x, &out].map(|both| both.each_ref().map(|side| &side[at.clone()]));
        loss.implicit(&Pair { x, out, signs: &signs[at], alpha_bar })
    };
    (0..signs.len() / size).map(of_picture).sum::<f64>() / signs.len() as f64
}

/// Hyvarinen's theorem with Vincent's constant, on data N(0.3, 0.5^2) and the scores `-(x - center)/variance`,
/// right and wrong ones, at three noise levels and for every kind of prediction: the losses differ by 1, the mean
/// square of the noise. 64 batches of 2048 values; within five standard errors (a wrong alarm for one seed in
/// 10^6, and the seed is fixed), and 1e-4 for f32: sums of values divided by the step of 1/64.
#[test]
fn the_two_objectives_differ_by_a_constant_for_every_linear_score() {
    for alpha_bar in [0.99, 0.5, 0.02] {
        let q = Marginal::new(alpha_bar);
        for (center, variance) in [(0.3 * q.signal, 0.25 * alpha_bar + 1.0 - alpha_bar), (0.0, 1.0), (-1.0, 3.0)] {
            for prediction in [Prediction::Epsilon, Prediction::X0, Prediction::V] {
                let from = prediction.coefficients(alpha_bar);
                let network = |x: f64| {
                    let eps = (x - center) * (q.noise / variance);
                    (eps - x * from.eps_from_x) / from.eps_from_out
                };
                let loss = Loss { objective: Objective::Implicit, prediction };
                let difference = |batch: u64| {
                    let draw = |stream: u32| {
                        let mut values = vec![0.0; 2048];
                        fill_normals(batch, 0, stream, &mut values);
                        values
                    };
                    let (eps, x0, mut signs) = (draw(1), draw(2), vec![0.0; 2048]);
                    fill_signs(batch, 0, 3, &mut signs);
                    let noisy = |(x0, eps): (&f32, &f32)| {
                        ((f64::from(*x0) * 0.5 + 0.3) * q.signal + f64::from(*eps) * q.noise) as f32
                    };
                    let x: Vec<f32> = x0.iter().zip(&eps).map(noisy).collect();
                    // The loss in eps, whatever the network predicts.
                    let square = |(x, eps): (&f32, &f32)| {
                        let x = f64::from(*x);
                        (network(x) * from.eps_from_out + x * from.eps_from_x - f64::from(*eps)).powi(2)
                    };
                    let denoising = x.iter().zip(&eps).map(square).sum::<f64>() / 2048.0;
                    denoising - implicit(loss, &network, &x, &signs, alpha_bar, 256)
                };
                let (mean, error) = summary(&(0..64).map(difference).collect::<Vec<_>>());
                let case = format!("alpha_bar {alpha_bar}, center {center}, variance {variance}, {prediction}");
                assert!((mean - 1.0).abs() < 5.0 * error + 1e-4, "{case}: {mean} +- {error}");
            }
        }
    }
}

/// The slope is that of the loss: by the difference of two losses, 1e-3 apart in one output.
#[test]
fn the_slope_is_that_of_the_loss() {
    let loss = Loss { objective: Objective::Implicit, prediction: Prediction::V };
    let (x, signs, alpha_bar) = ([[0.3, -0.2], [0.1, 0.4]], [1.0, -1.0], 0.6);
    let at = |out: &[[f32; 2]; 2]| {
        loss.implicit(&Pair { x: [&x[0], &x[1]], out: [&out[0], &out[1]], signs: &signs, alpha_bar })
    };
    let out = [[0.5f32, -0.7], [0.2, 0.9]];
    for side in 0..2 {
        let mut slope = [0.0; 2];
        let pair = Pair { x: [&x[0], &x[1]], out: [&out[0], &out[1]], signs: &signs, alpha_bar };
        loss.implicit_slope(&pair, side, 1.0, &mut slope);
        for (k, slope) in slope.into_iter().enumerate() {
            let moved = |by: f32| {
                let mut out = out;
                out[side][k] += by;
                at(&out)
            };
            let expected = (moved(5e-4) - moved(-5e-4)) / 1e-3;
            assert!((f64::from(slope) - expected).abs() < 1e-3 * expected.abs(), "{slope} and {expected}");
        }
    }
}

/// eps = tanh(x / noise), as curved as a score gets at that noise: `tanh^2 - 2 sech^2` exactly. Taylor's series
/// says that the differences miss it by at most STEP^2 (max |f f''| + max |f'''|/3) = STEP^2 (0.77 + 2/3); 1e-5 is
/// for f32.
#[test]
fn the_bias_of_the_difference_is_of_second_order() {
    let alpha_bar = 0.9;
    let noise = Marginal::new(alpha_bar).noise;
    let loss = Loss { objective: Objective::Implicit, prediction: Prediction::Epsilon };
    for i in -20..=20 {
        let (u, sign) = (f64::from(i) / 8.0, if i % 2 == 0 { 1.0f32 } else { -1.0 });
        let x = [(u * noise) as f32; 4];
        let found = implicit(loss, &|x| (x / noise).tanh(), &x, &[sign; 4], alpha_bar, 4);
        let exact = u.tanh().powi(2) - 2.0 / u.cosh().powi(2);
        assert!((found - exact).abs() < STEP * STEP * (0.77 + 2.0 / 3.0) + 1e-5, "{u}: {found}, not {exact}");
    }
}

/// A network, at its first weights and at others: losses that differ by 1, and gradients that agree on average.
#[test]
fn a_network_has_the_same_two_losses_and_gradients() {
    let (set, device) = (pictures(6), Device::Cpu);
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
