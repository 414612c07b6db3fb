//! Times and labels on the processor: against the definition, and back against differences of it.

mod common;

use std::sync::Arc;

use common::plain::{self, Pictures, Plain};
use common::{Case, farthest, numbers, wide};
use ddim_cpu::{Conditioning, Convolution, Isa, Labels, Network, Precision, Wanted};
use ddim_graph::{Activation, Asked, Builder, Convolution as Layer, Graph, Initial, Row, Watched};

/// Times, of which one is asked twice.
const TIMES: [f64; 5] = [999.0, 1.0, 37.0, 37.0, 500.0];

fn two_layers(graph: &mut Builder, row: Row, name: &str, activation: Activation) -> Row {
    let row = graph.linear(row, &format!("{name}.linear_1"), 19);
    let row = graph.activate(row, activation);
    let row = graph.linear(row, &format!("{name}.linear_2"), 19);
    graph.observe_row(name, row);
    row
}

/// Layers that take a shift, a scale with a shift, and a number.
fn layers(mut graph: Builder, row: Row, activation: Activation, by: Option<Row>) -> Graph {
    let x = graph.input(2);
    let row = graph.activate(row, activation);
    let shift = graph.linear(row, "shift", 4);
    let shift = graph.modulation(shift);
    let x = graph.convolve(x, Layer::new("conv", 4).shift(Some(shift)));
    let both = graph.linear(row, "both", 8);
    let both = graph.one_plus(both, 4);
    let both = graph.modulation(both);
    let mut x = graph.normalize(x, "norm", 2, 1e-5, Some(both), Activation::Silu);
    if let Some(by) = by {
        let by = graph.modulation(by);
        x = graph.multiply(x, by);
    }
    graph.finish(x)
}

/// Sines and cosines of times, and a table of classes.
fn positional(cosines_first: bool) -> Graph {
    let mut graph = Builder::new();
    let row = graph.waves(Asked::Time, vec![1.0, 0.3, 0.01], 7, cosines_first);
    graph.observe_row("time_proj", row);
    let time = two_layers(&mut graph, row, "time_embedding", Activation::Silu);
    let table = graph.parameter("class_embedding.weight", &[5, 19], Initial::Zeros);
    let class = graph.lookup(Asked::Class, table);
    let row = graph.add(time, class);
    layers(graph, row, Activation::Silu, None)
}

/// Sines and cosines of logarithms of times, and of numbers as labels; the result is divided by the time.
fn fourier() -> Graph {
    let mut graph = Builder::new();
    let weights = graph.constant("time_proj.weight", &[3], Initial::Zeros);
    let row = graph.logarithmic_waves(Asked::Time, weights);
    let time = two_layers(&mut graph, row, "time_embedding", Activation::Mish);
    let label = graph.waves(Asked::Number, vec![0.7], 2, true);
    let label = two_layers(&mut graph, label, "class_embedding", Activation::Mish);
    let row = graph.add(time, label);
    let inverse = graph.inverse_time();
    layers(graph, row, Activation::Mish, Some(inverse))
}

/// A table of times, and vectors as labels.
fn learned() -> Graph {
    let mut graph = Builder::new();
    let table = graph.parameter("time_proj.weight", &[1000, 6], Initial::Zeros);
    let row = graph.lookup(Asked::Time, table);
    let time = two_layers(&mut graph, row, "time_embedding", Activation::Gelu);
    let given = graph.given(19);
    let row = graph.add(time, given);
    layers(graph, row, Activation::Gelu, None)
}

/// Scale, shift and gate of pixels, taken from one row in another order, and some of it twice.
fn adaptive() -> Graph {
    let mut graph = Builder::new();
    let row = graph.waves(Asked::Time, vec![1.0, 0.3, 0.01], 7, true);
    let time = two_layers(&mut graph, row, "time_embedding", Activation::Silu);
    let table = graph.parameter("class_embedding.weight", &[5, 19], Initial::Zeros);
    let class = graph.lookup(Asked::Class, table);
    let row = graph.add(time, class);
    let all = graph.linear(row, "all", 12);
    let x = graph.input(2);
    let x = graph.convolve(x, Layer::new("conv", 4));
    let both = graph.take(all, vec![4..8, 0..4]);
    let both = graph.one_plus(both, 4);
    let both = graph.modulation(both);
    let y = graph.normalize_pixels(x, 1e-2, Some(both));
    let gate = graph.take(all, vec![8..12]);
    let gate = graph.modulation(gate);
    let x = graph.gate(y, gate, x);
    let some = graph.take(all, vec![3..5, 11..12, 4..5]);
    let some = graph.modulation(some);
    let x = graph.gate(x, some, x);
    graph.finish(x)
}

/// Each graph with labels for the five times.
fn cases() -> Vec<(Graph, Labels<'static>)> {
    let vectors: &'static [f32] = numbers(5 * 19, 77).leak();
    vec![
        (positional(true), Labels::Index(&[4, 0, 2, 2, 1])),
        (positional(false), Labels::Index(&[3])),
        (adaptive(), Labels::Index(&[4, 0, 2, 2, 1])),
        (fourier(), Labels::Value(&[0.5, -2.0, 7.0, 1.0, 0.0])),
        (learned(), Labels::Embedding { values: vectors, width: 19 }),
    ]
}

fn network(graph: &Arc<Graph>, parameters: &[Vec<f32>], isa: Isa) -> Network {
    let weight = |k: ddim_cpu::Parameter| parameters[k.0].clone().into();
    Network::new(graph.clone(), weight, isa, Convolution::Direct, Precision::F32, [3, 4]).expect("supported")
}

/// The label of one row.
fn label<'a>(labels: &Labels<'a>, row: usize) -> Labels<'a> {
    match *labels {
        Labels::None => Labels::None,
        Labels::Index(all) => Labels::Index(&all[row % all.len()..][..1]),
        Labels::Value(all) => Labels::Value(&all[row % all.len()..][..1]),
        Labels::Embedding { values, width } => {
            Labels::Embedding { values: &values[row * width % values.len()..][..width], width }
        }
    }
}

#[test]
fn rows_are_what_the_definition_says() {
    for (graph, labels) in cases() {
        let case = Case::new(graph, 0.5, 5, [3, 4]);
        let parameters: Vec<Vec<f64>> = case.parameters.iter().map(|values| wide(values)).collect();
        let expected = plain::rows(&case.graph, &parameters, &TIMES, &labels);
        for isa in Isa::available() {
            let conditioning = network(&case.graph, &case.parameters, isa).condition(&TIMES, &labels);
            assert_eq!(conditioning.len(), 5);
            let modulations = conditioning.modulations();
            let taken = case.graph.modulations().iter().map(|row| row.index()).zip(&modulations);
            let points = case.graph.points().iter().filter_map(|point| match point.watched {
                Watched::Row(row) => Some((point.name.as_str(), row.index())),
                _ => None,
            });
            let observed: Vec<_> = conditioning.observed().collect();
            let seen = points.zip(&observed).map(|((name, row), (named, rows))| {
                assert_eq!(name, *named);
                (row, rows)
            });
            let mut count = 0;
            for (row, rows) in taken.chain(seen) {
                assert_eq!((rows.rows, rows.values.len()), (5, expected[row].len()));
                let off = farthest(rows.values, &expected[row]);
                assert!(off < 3e-6, "{isa:?} row {row}: {off}");
                count += 1;
            }
            assert_eq!(count, modulations.len() + observed.len());
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_company() {
    for (graph, labels) in cases() {
        let case = Case::new(graph, 0.5, 5, [3, 4]);
        for isa in Isa::available() {
            let network = network(&case.graph, &case.parameters, isa);
            let all = network.condition(&TIMES, &labels);
            let alone: Vec<Conditioning> =
                (0..5).map(|k| network.condition(&TIMES[k..=k], &label(&labels, k))).collect();
            assert_eq!(Conditioning::cat(&alone), all, "{isa:?}");
            assert_eq!(all.rows(1..2), alone[1]);
            assert_eq!(all.select(&[4, 0, 4]), Conditioning::cat(&[4, 0, 4].map(|k| alone[k].clone())));
            let many: Vec<f64> = (0..200).map(|k| TIMES[k % 5]).collect();
            let first = label(&labels, 0);
            let threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
            let long = threads.install(|| network.condition(&many, &first));
            assert_eq!(long.select(&[195]), alone[0], "{isa:?}: one label for all");
        }
    }
}

#[test]
fn one_time_holds_for_all_labels() {
    let case = Case::new(positional(true), 0.5, 5, [3, 4]);
    let network = network(&case.graph, &case.parameters, Isa::detect());
    let one = network.condition(&[7.0], &Labels::Index(&[1, 3]));
    assert_eq!(one, network.condition(&[7.0, 7.0], &Labels::Index(&[1, 3])));
    assert!(!one.is_empty());
}

#[test]
#[should_panic(expected = "class label 5 is outside the table of this network, which has 5 rows: 0 to 4")]
fn a_label_outside_its_table_is_refused() {
    let case = Case::new(positional(true), 0.5, 5, [3, 4]);
    network(&case.graph, &case.parameters, Isa::detect()).condition(&[7.0], &Labels::Index(&[5]));
}

/// sum(out * weights) of the definition.
fn value(case: &Case, parameters: &[Vec<f64>], labels: &Labels, weights: &[f32]) -> f64 {
    let rows = plain::rows(&case.graph, parameters, &TIMES, labels);
    let modulations: Vec<Vec<f64>> =
        case.graph.modulations().iter().map(|row| rows[row.index()].clone()).collect();
    let plain = Plain { graph: &case.graph, parameters, modulations: &modulations };
    let out = plain.result(&Pictures { shape: case.shape, values: wide(&case.x) });
    out.iter().zip(weights).map(|(a, b)| a * f64::from(*b)).sum()
}

#[test]
fn the_way_back_gives_slopes() {
    for (graph, labels) in cases() {
        let case = Case::new(graph, 0.5, 5, [3, 4]);
        let weights = numbers(5 * 4 * 12, 3);
        let parameters: Vec<Vec<f64>> = case.parameters.iter().map(|values| wide(values)).collect();
        for isa in Isa::available() {
            let network = network(&case.graph, &case.parameters, isa);
            let conditioning = network.condition(&TIMES, &labels);
            let mut gradients = network.gradients(
                &case.x,
                case.shape,
                &conditioning.modulations(),
                Wanted::Weights,
                |first, out, slope| slope.copy_from_slice(&weights[first * 48..][..out.len()]),
            );
            network.condition_gradients(&TIMES, &labels, &mut gradients);
            for (k, info) in case.graph.parameters().iter().enumerate() {
                let gradient = wide(&gradients.parameters[k]);
                assert_eq!(gradient.len(), info.len());
                if !info.trained {
                    assert!(gradient.iter().all(|g| *g == 0.0), "{} is left as it is", info.name);
                    continue;
                }
                let along = numbers(info.len(), 1000 + k as u64);
                let at = |h: f64| {
                    let mut moved = parameters.clone();
                    moved[k].iter_mut().zip(&along).for_each(|(x, u)| *x += h * f64::from(*u));
                    value(&case, &moved, &labels, &weights)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                let slope: f64 = gradient.iter().zip(wide(&along)).map(|(g, u)| g * u).sum();
                let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
                let off = (slope - difference).abs();
                assert!(off < 1e-5 * size.max(1.0), "{isa:?} {}: {slope} and {difference}, of {size}", info.name);
            }
        }
    }
}

#[test]
fn other_weights_are_those_that_count() {
    let case = Case::new(positional(true), 0.5, 5, [3, 4]);
    let other = Case::new(positional(true), 0.25, 5, [3, 4]);
    let labels = Labels::Index(&[1]);
    let mut changed = network(&case.graph, &case.parameters, Isa::detect());
    let conditioning = changed.condition(&TIMES, &labels);
    let slope = |_: usize, _: &[f32], slope: &mut [f32]| slope.fill(1.0);
    changed.gradients(&case.x, case.shape, &conditioning.modulations(), Wanted::All, slope);
    changed.load(|k| other.parameters[k.0].clone().into());
    let fresh = network(&case.graph, &other.parameters, Isa::detect());
    assert_eq!(changed.condition(&TIMES, &labels), fresh.condition(&TIMES, &labels));
    let of = |network: &Network| {
        network.gradients(&case.x, case.shape, &conditioning.modulations(), Wanted::All, slope)
    };
    assert_eq!(of(&changed), of(&fresh));
}
