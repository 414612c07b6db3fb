//! The way back against differences of the way forth, layer by layer and for a small UNet.

mod common;

use std::borrow::Cow;

use common::{Case, numbers};
use ddim_cpu::{Activation, Conv, Convolution, Halo, Isa, Network, Order, Part, Precision, Resample, Rows};

/// Every kind of layer once, with skips.
fn everything() -> Case {
    let mut case = Case::default();
    let input = case.tape.input(3, 2.0, -1.0);
    let x = case.tape.spread(input, Resample::Keep, Halo::ONE);
    let first = case.plain(x, 6, 3, 1, 1.0);
    let x = case.norm(first, 2, Activation::Silu, false, Halo::ONE);
    let conv = case.conv(x, 6, 3, 1);
    let shift = case.modulation(6);
    let x = case.tape.conv(x, conv, Some(shift), Some(first), 0.7);
    let down = case.tape.spread(x, Resample::Keep, Halo { before: 0, after: 1 });
    let down = case.plain(down, 8, 3, 2, 1.0);
    let other = case.tape.spread(x, Resample::Keep, Halo::ONE);
    let other = case.plain(other, 8, 3, 2, 1.0);
    let joined = case.tape.join(down, other);
    let y = case.norm(joined, 4, Activation::Identity, true, Halo::NONE);
    let weights = [(); 3].map(|()| (case.parameter(16 * 8), Some(case.parameter(8))));
    let parts = weights.map(|(weight, bias)| Part { to: 8, weight, order: Order::InOut, bias }).to_vec();
    let qkv = case.tape.conv(y, Conv { kernel: 1, stride: 1, from: 16, parts }, None, None, 1.0);
    let y = case.tape.attend(qkv, 2, 4);
    let y = case.plain(y, 16, 1, 1, 1.0);
    let half = case.tape.spread(y, Resample::Halve, Halo::NONE);
    let y = case.tape.spread(half, Resample::Double, Halo::ONE);
    let y = case.plain(y, 5, 3, 1, 1.0);
    let y = case.tape.spread(y, Resample::Double, Halo::NONE);
    let y = case.tape.join(y, x);
    let y = case.norm(y, 1, Activation::Relu, false, Halo::ONE);
    case.plain(y, 17, 3, 1, 1.0);
    case
}

/// sum(out * weights), in f64.
fn value(network: &Network, x: &[f32], shape: [usize; 4], modulations: &[Vec<f32>], weights: &[f32]) -> f64 {
    let rows: Vec<Rows> = modulations.iter().map(|values| Rows { values, rows: shape[0] }).collect();
    let out = network.forward(x, shape, &rows);
    out.iter().zip(weights).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn gradients_are_slopes() {
    let shape = [3, 3, 8, 4];
    let case = everything();
    let parameters: Vec<Vec<f32>> = (0..).zip(&case.sizes).map(|(k, n)| numbers(*n, 10 + k)).collect();
    let modulations: Vec<Vec<f32>> = (0..).zip(&case.widths).map(|(k, n)| numbers(3 * n, 90 + k)).collect();
    let x = numbers(shape.iter().product(), 1);
    let weights = numbers(3 * 17 * 8 * 4, 2);
    for isa in Isa::available() {
        let of = |parameters: &[Vec<f32>]| {
            Network::new(
                case.tape.clone(),
                |k| Cow::from(&parameters[k.0]),
                isa,
                Convolution::Direct,
                Precision::F32,
                [8, 4],
            )
        };
        let network = of(&parameters);
        let rows: Vec<Rows> = modulations.iter().map(|values| Rows { values, rows: 3 }).collect();
        let gradients = network.gradients(&x, shape, &rows, |first, out, slope| {
            slope.copy_from_slice(&weights[first * 17 * 32..][..out.len()]);
        });
        // Along each direction (f(a + h u) - f(a - h u)) / 2h. What h = 1/256 neglects are its square and the kinks of
        // the rectifier that lie between, each by a share h of a value; rounding of 1,632 outputs near 1 adds some
        // 1e-7 * 40 / 2h = 5e-4. A tenth of h shows the same slopes with less of the one and more of the other.
        let h = 1.0 / 256.0;
        let moved = |from: &[f32], along: &[f32], h: f32| -> Vec<f32> {
            from.iter().zip(along).map(|(a, u)| a + h * u).collect()
        };
        let check = |what: String, gradient: &[f32], along: &[f32], difference: f64| {
            let slope: f64 = gradient.iter().zip(along).map(|(g, u)| f64::from(*g) * f64::from(*u)).sum();
            let size = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let off = (slope - difference).abs();
            assert!(off < 0.005 * size.max(1.0), "{isa:?} {what}: {slope} and {difference}, of {size}");
        };
        for k in 0..parameters.len() {
            let along = numbers(parameters[k].len(), 1000 + k as u64);
            let at = |h: f32| {
                let mut changed = parameters.clone();
                changed[k] = moved(&parameters[k], &along, h);
                value(&of(&changed), &x, shape, &modulations, &weights)
            };
            let difference = (at(h) - at(-h)) / f64::from(2.0 * h);
            check(format!("parameter {k}"), &gradients.parameters[k], &along, difference);
        }
        for k in 0..modulations.len() {
            let along = numbers(modulations[k].len(), 2000 + k as u64);
            let at = |h: f32| {
                let mut changed = modulations.clone();
                changed[k] = moved(&modulations[k], &along, h);
                value(&network, &x, shape, &changed, &weights)
            };
            let difference = (at(h) - at(-h)) / f64::from(2.0 * h);
            check(format!("modulation {k}"), &gradients.modulations[k], &along, difference);
        }
    }
}
