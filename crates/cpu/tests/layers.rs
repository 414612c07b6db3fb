//! Every layer against its definition, written down as plainly as it goes, for every instruction set at hand.

mod common;

use std::borrow::Cow;

use common::numbers;
use ddim_cpu::{
    Activation, Conv, Convolution, Halo, Isa, Modulation, Network, Norm, Order, Parameter, Part, Precision,
    Resample, Rows, Tape,
};

fn farthest(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

struct Case {
    n: usize,
    size: [usize; 2],
    from: usize,
    to: usize,
    kernel: usize,
    stride: usize,
    halo: Halo,
}

/// (sum + bias + shift + residual) * scale, straight from the definition.
fn convolved(case: &Case, x: &[f32], weight: &[f32], bias: &[f32], shift: &[f32]) -> Vec<f64> {
    let Case { n, size: [h, w], from, to, kernel, stride, halo } = *case;
    let side = |s: usize| (s + halo.before + halo.after - kernel) / stride + 1;
    let (oh, ow) = (side(h), side(w));
    let mut out = Vec::new();
    for k in 0..n {
        for o in 0..to {
            for (y, z) in (0..oh).flat_map(|y| (0..ow).map(move |z| (y, z))) {
                let mut sum = f64::from(bias[o]) + f64::from(shift[k * to + o]);
                for (i, ky, kx) in
                    (0..from).flat_map(|i| (0..kernel * kernel).map(move |t| (i, t / kernel, t % kernel)))
                {
                    let (iy, ix) = (y * stride + ky, z * stride + kx);
                    let inside = (halo.before..halo.before + h).contains(&iy)
                        && (halo.before..halo.before + w).contains(&ix);
                    if inside {
                        let at = ((k * from + i) * h + iy - halo.before) * w + ix - halo.before;
                        sum += f64::from(x[at]) * f64::from(weight[((o * from + i) * kernel + ky) * kernel + kx]);
                    }
                }
                out.push(sum * 0.5);
            }
        }
    }
    out
}

#[test]
fn convolutions_on_odd_sizes() {
    let one = Halo::ONE;
    let case = |n, size, from, to, kernel, stride, halo| Case { n, size, from, to, kernel, stride, halo };
    let cases = [
        case(1, [1, 1], 1, 1, 3, 1, one),
        case(3, [5, 7], 3, 5, 3, 1, one),
        case(17, [4, 4], 8, 33, 3, 1, one),
        case(2, [8, 6], 7, 17, 3, 2, one),
        case(2, [8, 6], 7, 70, 3, 2, Halo { before: 0, after: 1 }),
        case(5, [3, 5], 19, 50, 1, 1, Halo::NONE),
        case(1, [28, 28], 16, 16, 3, 1, one),
        case(1, [32, 32], 20, 48, 3, 1, one),
        case(3, [7, 7], 70, 50, 3, 1, one),
        case(2, [6, 13], 8, 9, 3, 1, one),
    ];
    for isa in Isa::available() {
        for case in &cases {
            let (kernel, places) = (case.kernel, case.kernel * case.kernel * case.from);
            let x = numbers(case.n * case.from * case.size[0] * case.size[1], 1);
            let (weight, bias) = (numbers(places * case.to, 2), numbers(case.to, 3));
            let shift = numbers(case.n * case.to, 4);
            let mut tape = Tape::default();
            let input = tape.input(case.from, 1.0, 0.0);
            let spread = tape.spread(input, Resample::Keep, case.halo);
            let part = Part { to: case.to, weight: Parameter(0), order: Order::OutIn, bias: Some(Parameter(1)) };
            let conv = Conv { kernel, stride: case.stride, from: case.from, parts: vec![part] };
            tape.conv(spread, conv, Some(Modulation(0)), None, 0.5);
            let network = Network::new(
                tape,
                |k| Cow::from([&weight, &bias][k.0]),
                isa,
                Convolution::Winograd,
                Precision::F32,
                case.size,
            );
            let shape = [case.n, case.from, case.size[0], case.size[1]];
            let out = network.forward(&x, shape, &[Rows { values: &shift, rows: case.n }]);
            let expected = convolved(case, &x, &weight, &bias, &shift);
            // A sum of k products of numbers below 1 in f32 is off by less than k^(1/2) 2^-24 times its size k^(1/2),
            // twice that where products are rounded before they are added or Winograd's algorithm adds them.
            let tolerance = places.max(8) as f64 * 12e-8;
            let off = farthest(&out, &expected);
            assert!(off < tolerance, "{isa:?} {:?} {}->{}: {off} over {tolerance}", case.size, case.from, case.to);
        }
    }
}

#[test]
fn normalisation() {
    for isa in Isa::available() {
        for (n, channels, groups, h, w) in
            [(2, 6, 3, 5, 7), (1, 64, 8, 7, 7), (3, 33, 11, 1, 1), (2, 16, 8, 28, 28)]
        {
            let x: Vec<f32> = numbers(n * channels * h * w, 5).iter().map(|x| 3.0 * x + 10.0).collect();
            let (gamma, beta) = (numbers(channels, 6), numbers(channels, 7));
            let modulation = numbers(n * 2 * channels, 8);
            let mut tape = Tape::default();
            let input = tape.input(channels, 1.0, 0.0);
            let norm = Norm {
                groups,
                eps: 1e-5,
                gamma: Parameter(0),
                beta: Parameter(1),
                modulation: Some(Modulation(0)),
                activation: Activation::Silu,
            };
            tape.norm(input, norm, Halo::NONE);
            let network = Network::new(
                tape,
                |k| Cow::from([&gamma, &beta][k.0]),
                isa,
                Convolution::Direct,
                Precision::F32,
                [8, 4],
            );
            let out = network.forward(&x, [n, channels, h, w], &[Rows { values: &modulation, rows: n }]);

            let (each, mut expected) = (channels / groups, Vec::new());
            for (g, group) in x.chunks_exact(each * h * w).enumerate() {
                let values: Vec<f64> = group.iter().map(|x| f64::from(*x)).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
                for (k, x) in values.iter().enumerate() {
                    let (picture, channel) = (g / groups, g % groups * each + k / (h * w));
                    let m =
                        |part: usize| f64::from(modulation[picture * 2 * channels + part * channels + channel]);
                    let y = (x - mean) / (variance + 1e-5).sqrt();
                    let y = m(0) * (y * f64::from(gamma[channel]) + f64::from(beta[channel])) + m(1);
                    expected.push(y / (1.0 + (-y).exp()));
                }
            }
            // A value of 13 has an error of 1e-6 in f32, divided by a deviation of 1.7; a 1x1 picture with one channel
            // more than once in its group has the same.
            let off = farthest(&out, &expected);
            assert!(off < 1e-5, "{isa:?} {channels} in {groups}, {h}x{w}: {off}");
        }
    }
}
