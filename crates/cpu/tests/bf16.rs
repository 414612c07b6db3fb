//! Products in bf16: against the definition, against those in f32, and against their twin in plain arithmetic.

mod common;

use common::{Case, conv3, each_isa, odd};
use ddim_cpu::{Convolution, Isa, Precision, Wanted};
use ddim_graph::Builder;

/// How far the nearest number in bf16, of 8 binary digits, may be from a number, relative to it.
const UNIT: f64 = 1.0 / 256.0;

/// The root of the mean square.
fn size(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x * x, count + 1));
    (sum / f64::from(count)).sqrt()
}

/// A 3x3 convolution from its definition: the sum of all products of each output, and that of their sizes.
fn convolved(x: &[f32], weight: &[f32], [n, from, to, h, w]: [usize; 5]) -> Vec<(f64, f64)> {
    let mut outputs = Vec::new();
    for (k, o) in (0..n).flat_map(|k| (0..to).map(move |o| (k, o))) {
        for (y, z) in (0..h).flat_map(|y| (0..w).map(move |z| (y, z))) {
            let mut sums = (0.0, 0.0);
            for (i, t) in (0..from).flat_map(|i| (0..9).map(move |t| (i, t))) {
                let (iy, ix) = (y + t / 3, z + t % 3);
                if (1..=h).contains(&iy) && (1..=w).contains(&ix) {
                    let x = x[((k * from + i) * h + iy - 1) * w + ix - 1];
                    let product = f64::from(x) * f64::from(weight[(o * from + i) * 9 + t]);
                    sums = (sums.0 + product, sums.1 + product.abs());
                }
            }
            outputs.push(sums);
        }
    }
    outputs
}

#[test]
fn a_convolution_against_its_definition() {
    for [n, from, to, h, w] in [[1, 1, 1, 1, 1], [17, 9, 7, 3, 5], [2, 35, 33, 9, 11], [1, 64, 48, 24, 20]] {
        let mut graph = Builder::new();
        let x = graph.input(from);
        let x = graph.convolve(x, conv3("conv", to));
        let mut case = Case::new(graph.finish(x), 1.0, n, [h, w]);
        case.parameters[1].fill(0.0);
        let expected = convolved(&case.x, &case.parameters[0], [n, from, to, h, w]);
        let usual = size(expected.iter().map(|(sum, _)| *sum));
        for (isa, convolution) in each_isa([Convolution::Direct, Convolution::Winograd]) {
            let out = case.forward(&case.network(isa, convolution, Precision::Bf16));
            let errors: Vec<f64> =
                out.iter().zip(&expected).map(|(out, (sum, _))| f64::from(*out) - sum).collect();
            let error = size(errors.iter().copied());
            // By MATH.md section 34: never more than a UNIT of each factor, sqrt(2/3) UNIT in root mean square.
            // Winograd's algorithm has 4.5 times that, from places all over a tile: a few thousand are within ten
            // times the usual.
            let winograd = convolution == Convolution::Winograd && h * w >= 36;
            let most = if winograd { 4.5 } else { 1.0 } * (2.0f64 / 3.0).sqrt() * UNIT * usual;
            let what = format!("{isa:?} {convolution:?} {from} to {to} at {h}x{w}");
            assert!(errors.len() < 500 || error < most, "{what}: {error} over {most}");
            for (one, (_, sizes)) in errors.iter().zip(&expected) {
                let most = if winograd { 10.0 * error } else { 2.01 * UNIT * sizes + 1e-6 };
                assert!(one.abs() < most, "{what}: {one} over {most}");
            }
        }
    }
}

#[test]
fn near_what_f32_says() {
    for (isa, shape) in each_isa([[1, 1], [5, 3], [9, 7]]) {
        let case = Case::new(odd(), 0.3, 17, shape);
        for convolution in [Convolution::Direct, Convolution::Winograd] {
            let [f32, bf16] = [Precision::F32, Precision::Bf16]
                .map(|precision| case.forward(&case.network(isa, convolution, precision)));
            let error = size(f32.iter().zip(&bf16).map(|(a, b)| f64::from(a - b)));
            let ratio = error / size(f32.iter().map(|x| f64::from(*x)));
            // Seven layers, attention counted as two, each with an error of sqrt(2/3) UNIT = 0.0032, three of them
            // 4.5 times that with Winograd's algorithm: 0.0084 and 0.026 where they add up as chance does.
            let most = if convolution == Convolution::Direct { 0.0084 } else { 0.026 };
            assert!(ratio < most && ratio > 1e-4, "{isa:?} {convolution:?} at {shape:?}: {ratio}");
        }
    }
}

#[test]
fn the_instruction_does_what_its_twin_does() {
    if !Isa::available().contains(&Isa::Avx512Bf16) {
        return;
    }
    for (n, shape) in [(1, [1, 1]), (17, [5, 3]), (3, [9, 7])] {
        let case = Case::new(odd(), 0.3, n, shape);
        for convolution in [Convolution::Direct, Convolution::Winograd] {
            let [one, other] = [Isa::Avx512Bf16, Isa::Avx512]
                .map(|isa| case.forward(&case.network(isa, convolution, Precision::Bf16)));
            assert!(one == other, "{convolution:?} at {shape:?}: bit for bit");
        }
    }
}

#[test]
#[should_panic(expected = "the way back needs the weights as they are")]
fn there_is_no_way_back() {
    let case = Case::new(odd(), 0.3, 1, [4, 4]);
    let network = case.network(Isa::detect(), Convolution::Direct, Precision::Bf16);
    assert!(!network.trains());
    network.gradients(&case.x, case.shape, &case.rows(), Wanted::Weights, |_, _, _| ());
}
