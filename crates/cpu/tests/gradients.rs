//! The way back against differences of the definition.

mod common;

use common::plain::{Pictures, Plain};
use common::{ACTIVATIONS, Case, conv3, everything, given, numbers, transformer, wide};
use ddim_cpu::{Convolution, Gradients, Isa, Network, Precision, Wanted};
use ddim_graph::{Activation, Border, Builder, Convolution as Layer, Graph, Pooling, Resample};

/// All that a result depends on, in f64.
#[derive(Clone)]
struct Point {
    parameters: Vec<Vec<f64>>,
    modulations: Vec<Vec<f64>>,
    x: Vec<f64>,
}

impl Point {
    fn of(case: &Case) -> Self {
        let all = |all: &[Vec<f32>]| all.iter().map(|values| wide(values)).collect();
        Point { parameters: all(&case.parameters), modulations: all(&case.modulations), x: wide(&case.x) }
    }

    /// sum(out * weights).
    fn value(&self, case: &Case, weights: &[f32]) -> f64 {
        let Point { parameters, modulations, x } = self;
        let plain = Plain { graph: &case.graph, parameters, modulations };
        let out = plain.result(&Pictures { shape: case.shape, values: x.clone() });
        out.iter().zip(weights).map(|(a, b)| a * f64::from(*b)).sum()
    }

    /// The numbers of what is asked for.
    fn numbers(&mut self, of: Of) -> &mut Vec<f64> {
        match of {
            Of::Parameter(k) => &mut self.parameters[k],
            Of::Modulation(k) => &mut self.modulations[k],
            Of::Input => &mut self.x,
        }
    }
}

/// What a gradient is by.
#[derive(Clone, Copy, Debug)]
enum Of {
    Parameter(usize),
    Modulation(usize),
    Input,
}

/// (f(a + h u) - f(a - h u)) / 2h along a direction u for each thing that the result depends on: f64 leaves 1e-16
/// / h of rounding and h^2 of a cube, 1e-10 of both.
fn differences(case: &Case, weights: &[f32]) -> Vec<(Of, Vec<f32>, f64)> {
    let point = Point::of(case);
    let parameters = (0..case.parameters.len()).map(Of::Parameter);
    let all = parameters.chain((0..case.modulations.len()).map(Of::Modulation)).chain([Of::Input]);
    let of = |(seed, of): (u64, Of)| {
        let along = numbers(point.clone().numbers(of).len(), seed);
        let at = |h: f64| {
            let mut moved = point.clone();
            moved.numbers(of).iter_mut().zip(&along).for_each(|(x, u)| *x += h * f64::from(*u));
            moved.value(case, weights)
        };
        let h = 1e-5;
        let slope = (at(h) - at(-h)) / (2.0 * h);
        (of, along, slope)
    };
    (1000..).zip(all).map(of).collect()
}

fn result_len(case: &Case) -> usize {
    let [h, w] = *case.graph.sizes(case.size()).expect("a size").last().expect("a layer");
    case.shape[0] * case.graph.output_channels() * h * w
}

fn gradients(case: &Case, network: &Network, wanted: Wanted, weights: &[f32]) -> Gradients {
    let each = weights.len() / case.shape[0];
    network.gradients(&case.x, case.shape, &case.rows(), wanted, |first, out, slope| {
        slope.copy_from_slice(&weights[first * each..][..out.len()]);
    })
}

fn check(graph: Graph, n: usize, size: [usize; 2]) {
    let case = Case::new(graph, 0.5, n, size);
    let weights = numbers(result_len(&case), 2);
    let differences = differences(&case, &weights);
    for isa in Isa::available() {
        let network = case.network(isa, Convolution::Direct, Precision::F32);
        assert!(network.trains());
        let gradients = gradients(&case, &network, Wanted::All, &weights);
        for (of, along, difference) in &differences {
            let gradient = match *of {
                Of::Parameter(k) => &gradients.parameters[k],
                Of::Modulation(k) => &gradients.modulations[k],
                Of::Input => &gradients.input,
            };
            assert_eq!(gradient.len(), along.len(), "{of:?}");
            let slope: f64 = wide(gradient).iter().zip(wide(along)).map(|(g, u)| g * u).sum();
            let size = wide(gradient).iter().map(|g| g * g).sum::<f64>().sqrt();
            let off = (slope - difference).abs();
            // Ten layers of sums in f32, each with some 1e-6 of its size.
            assert!(off < 3e-5 * size.max(1.0), "{isa:?} {of:?}: {slope} and {difference}, of {size}");
        }
    }
}

#[test]
fn gradients_are_slopes() {
    check(everything(), 3, [8, 4]);
}

#[test]
fn gradients_of_a_transformer_are_slopes() {
    check(transformer(2, [2, 6]), 3, [6, 4]);
    check(transformer(1, [1, 20]), 2, [2, 3]);
}

/// What is read more than once, in an order that writes its slope first by each of them.
#[test]
fn slopes_of_gates_and_pixels_add_up() {
    let mut builder = Builder::new();
    let x = builder.input(3);
    let x = builder.convolve(x, Layer::new("in", 20));
    let modulation = given(&mut builder, 40);
    let y = builder.normalize_pixels(x, 1e-3, Some(modulation));
    let by = given(&mut builder, 20);
    let y = builder.gate(x, by, y);
    let z = builder.normalize_pixels(y, 1e-3, None);
    let by = given(&mut builder, 20);
    let z = builder.gate(y, by, z);
    let z = builder.add_positions(z, [2, 2]);
    let z = builder.sum(z, y);
    let z = builder.resample(z, Resample::Unpatch(2));
    let out = builder.sum(z, z);
    check(builder.finish(out), 3, [2, 3]);
}

#[test]
fn convolutions_of_all_sorts() {
    let uneven = Border { top: 0, left: 2, bottom: 1, right: 0 };
    for (size, kernel, stride, border) in [
        ([5, 4], [1, 1], 2, Border::NONE),
        ([6, 5], [3, 3], 2, Border::even(1)),
        ([6, 7], [3, 3], 2, Border::behind(1)),
        ([5, 9], [1, 7], 1, Border { left: 3, right: 3, ..Border::NONE }),
        ([9, 5], [7, 1], 1, Border { top: 3, bottom: 3, ..Border::NONE }),
        ([9, 11], [2, 3], 3, uneven),
        ([9, 8], [3, 3], 1, Border::NONE),
    ] {
        let mut builder = Builder::new();
        let x = builder.scaled_input(3, 0.5, 1.0);
        let x = builder.convolve(x, conv3("in", 4));
        let conv = Layer::new("conv", 5).rectangle(kernel).stride(stride).border(border);
        let x = builder.convolve(x, conv);
        check(builder.finish(x), 3, size);
    }
}

#[test]
fn every_activation() {
    for activation in ACTIVATIONS {
        let mut builder = Builder::new();
        let x = builder.input(5);
        // Spread wide by the weights, to where functions are flat.
        let x = builder.convolve(x, conv3("in", 18));
        let x = builder.normalize(x, "norm", 3, 1e-5, None, activation);
        let x = builder.convolve(x, conv3("out", 2));
        check(builder.finish(x), 2, [5, 6]);
    }
}

#[test]
fn pools_means_functions_and_sums() {
    for (by, window) in [
        (Pooling::Maximum, [3, 2, 0]),
        (Pooling::Mean, [3, 1, 1]),
        (Pooling::Maximum, [2, 1, 1]),
        (Pooling::Mean, [2, 2, 0]),
    ] {
        let mut builder = Builder::new();
        let x = builder.input(3);
        let x = builder.convolve(x, conv3("in", 9));
        // One max(x, 0) that the convolution does, into a border, and one by itself.
        let x = builder.apply(x, Activation::Relu);
        let y = builder.convolve(x, conv3("next", 9));
        let y = builder.sum(x, y);
        let y = builder.pool(y, by, window);
        let y = builder.apply(y, Activation::Relu);
        let z = builder.convolve(y, conv3("z", 5));
        let z = builder.apply(z, Activation::Gelu);
        let yz = builder.join(y, z);
        let yzy = builder.join(yz, y);
        let mean = builder.mean(yzy);
        let twice = builder.sum(mean, mean);
        let out = builder.convolve(twice, Layer::linear([("out".to_owned(), 3)]));
        check(builder.finish(out), 3, [5, 6]);
    }
}

#[test]
fn what_is_wanted_alone_is_the_same() {
    let case = Case::new(everything(), 0.5, 5, [8, 4]);
    let weights = numbers(result_len(&case), 2);
    for isa in Isa::available() {
        let network = case.network(isa, Convolution::Direct, Precision::F32);
        let all = gradients(&case, &network, Wanted::All, &weights);
        let by_weights = gradients(&case, &network, Wanted::Weights, &weights);
        assert_eq!(by_weights, Gradients { input: Vec::new(), ..all.clone() });
        let by_input = gradients(&case, &network, Wanted::Input, &weights);
        assert_eq!(by_input, Gradients { input: all.input, parameters: Vec::new(), modulations: Vec::new() });
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let back = pool.install(|| network.pull_back(&case.x, case.shape, &case.rows(), &weights));
            assert_eq!(back.input, by_input.input);
            assert_eq!(back.output, case.forward(&network));
        }
    }
}

/// A network with dropout.
fn dropping() -> Case {
    let mut builder = Builder::new();
    let x = builder.input(3);
    let x = builder.normalize(x, "norm", 1, 1e-5, None, Activation::Silu);
    let x = builder.dropout(x, 0.1);
    let x = builder.convolve(x, conv3("conv", 3));
    Case::new(builder.finish(x), 1.0, 2, [4, 4])
}

#[test]
#[should_panic(expected = "the way back for training does not know dropout")]
fn dropout_does_not_train() {
    let case = dropping();
    let network = case.network(Isa::detect(), Convolution::Direct, Precision::F32);
    assert!(!network.trains());
    gradients(&case, &network, Wanted::Weights, &[1.0; 96]);
}

#[test]
fn dropout_does_not_matter_to_a_likelihood() {
    let case = dropping();
    let network = case.network(Isa::detect(), Convolution::Direct, Precision::F32);
    let weights = numbers(96, 2);
    let back = network.pull_back(&case.x, case.shape, &case.rows(), &weights);
    let (_, along, difference) = differences(&case, &weights).pop().expect("the input");
    let slope: f64 = wide(&back.input).iter().zip(wide(&along)).map(|(g, u)| g * u).sum();
    assert!((slope - difference).abs() < 1e-4, "{slope} and {difference}");
}
