//! What the tests of this crate share.

#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod plain;

use std::borrow::Cow;
use std::sync::Arc;

use ddim_cpu::{Convolution, Graph, Isa, Network, Parameter, Precision, Rows};
use ddim_graph::{Activation, Border, Builder, Convolution as Layer, Modulation, Pooling, Resample, Value};
use plain::{Pictures, Plain};

/// Numbers in (-1, 1) that look random and are the same on every machine.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 23) as f32) - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Every function of single values.
pub(crate) const ACTIVATIONS: [Activation; 8] = [
    Activation::Identity,
    Activation::Silu,
    Activation::Mish,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Tanh,
];

/// Each instruction set with each of some.
pub(crate) fn each_isa<T: Copy, const N: usize>(some: [T; N]) -> impl Iterator<Item = (Isa, T)> {
    Isa::available().into_iter().flat_map(move |isa| some.map(|one| (isa, one)))
}

/// The same numbers in f64.
pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

/// How far two results are apart at most; infinitely where one is not a number.
pub(crate) fn farthest(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let off = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs();
    a.iter().zip(b).map(off).fold(0.0, |most, off| if off.is_nan() { f64::INFINITY } else { most.max(off) })
}

/// A graph with weights and some pictures to take through it, each with rows of its own.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) graph: Arc<Graph>,
    pub(crate) parameters: Vec<Vec<f32>>,
    pub(crate) modulations: Vec<Vec<f32>>,
    pub(crate) x: Vec<f32>,
    pub(crate) shape: [usize; 4],
}

/// A row that layers take, of numbers that the test chooses.
pub(crate) fn given(builder: &mut Builder, width: usize) -> Modulation {
    let row = builder.given(width);
    builder.modulation(row)
}

/// A 3x3 convolution that keeps the size.
pub(crate) fn conv3(name: &str, to: usize) -> Layer {
    Layer::new(name, to).kernel(3).border(Border::even(1))
}

impl Case {
    /// With weights of this size, and `n` pictures of `[h, w]`.
    pub(crate) fn new(graph: Graph, weights: f32, n: usize, [h, w]: [usize; 2]) -> Self {
        let sizes = (10..).zip(graph.parameters());
        let parameters =
            sizes.map(|(seed, info)| numbers(info.len(), seed).iter().map(|x| weights * x).collect()).collect();
        let widths = (90..).zip(graph.modulations());
        let modulations = widths.map(|(seed, row)| numbers(n * graph.row_width(*row), seed)).collect();
        let shape = [n, graph.input_channels(), h, w];
        let x = numbers(shape.iter().product(), 1);
        Case { graph: Arc::new(graph), parameters, modulations, x, shape }
    }

    pub(crate) fn size(&self) -> [usize; 2] {
        [self.shape[2], self.shape[3]]
    }

    pub(crate) fn network(&self, isa: Isa, convolution: Convolution, precision: Precision) -> Network {
        let weight = |k: Parameter| Cow::from(&self.parameters[k.0]);
        Network::new(self.graph.clone(), weight, isa, convolution, precision, self.size()).expect("supported")
    }

    pub(crate) fn rows(&self) -> Vec<Rows<'_>> {
        self.modulations.iter().map(|values| Rows { values, rows: self.shape[0] }).collect()
    }

    pub(crate) fn forward(&self, network: &Network) -> Vec<f32> {
        network.forward(&self.x, self.shape, &self.rows())
    }

    /// The same with the pictures of a range alone.
    pub(crate) fn some(&self, range: std::ops::Range<usize>) -> Self {
        let [n, c, h, w] = self.shape;
        let cut = |values: &Vec<f32>| {
            let each = values.len() / n;
            values[range.start * each..range.end * each].to_vec()
        };
        let modulations = self.modulations.iter().map(cut).collect();
        Case { x: cut(&self.x), modulations, shape: [range.len(), c, h, w], ..self.clone() }
    }

    /// The definition's values, and what is before each activation.
    pub(crate) fn plain(&self) -> (Vec<Pictures>, Vec<Option<Pictures>>) {
        self.plain_with(None)
    }

    /// The same with this in place of one value.
    pub(crate) fn plain_with(&self, known: Option<(Value, &Pictures)>) -> (Vec<Pictures>, Vec<Option<Pictures>>) {
        let wide_all = |all: &[Vec<f32>]| all.iter().map(|values| wide(values)).collect::<Vec<_>>();
        let (parameters, modulations) = (wide_all(&self.parameters), wide_all(&self.modulations));
        let plain = Plain { graph: &self.graph, parameters: &parameters, modulations: &modulations };
        plain.run_with(&Pictures { shape: self.shape, values: wide(&self.x) }, known)
    }

    /// The definition's result.
    pub(crate) fn expected(&self) -> Vec<f64> {
        self.plain().0.pop().expect("a layer").values
    }
}

/// Convolutions, a normalisation and attention, with channels that nothing divides; fit for a single pixel.
pub(crate) fn odd() -> Graph {
    let mut graph = Builder::new();
    let x = graph.scaled_input(3, 2.0, -1.0);
    let first = graph.convolve(x, conv3("first", 13));
    let modulation = given(&mut graph, 26);
    let x = graph.normalize(first, "norm", 13, 1e-5, Some(modulation), Activation::Silu);
    let shift = given(&mut graph, 13);
    let x = graph.convolve(x, conv3("second", 13).shift(Some(shift)).residual(first).scale(0.7));
    let y = graph.normalize(x, "attention_norm", 1, 1e-5, None, Activation::Identity);
    let y = attention(&mut graph, y, [3, 5]);
    let y = graph.convolve(y, Layer::linear([("wide".to_string(), 37)]));
    let y = graph.convolve(y, conv3("third", 11));
    let y = graph.convolve(y, conv3("last", 3).stride(2));
    graph.finish(y)
}

/// Attention of `heads` heads of `width` channels.
pub(crate) fn attention(graph: &mut Builder, x: Value, [heads, width]: [usize; 2]) -> Value {
    let parts = ["q", "k", "v"].map(|name| (name.to_string(), heads * width));
    let qkv = graph.convolve(x, Layer::linear(parts));
    graph.attend(qkv, heads, width)
}

/// A block of a transformer over patches of `side` pixels, of heads of `width` channels: every kind of layer that
/// it has.
pub(crate) fn transformer(side: usize, [heads, width]: [usize; 2]) -> Graph {
    let mut graph = Builder::new();
    let inner = heads * width;
    let x = graph.input(3);
    let x = graph.convolve(x, Layer::new("patches", inner).kernel(side).stride(side));
    let x = graph.add_positions(x, [3, 2]);
    let modulation = given(&mut graph, 2 * inner);
    let y = graph.normalize_pixels(x, 1e-6, Some(modulation));
    let y = attention(&mut graph, y, [heads, width]);
    let y = graph.convolve(y, Layer::linear([("out".to_string(), inner)]));
    let by = given(&mut graph, inner);
    let x = graph.gate(y, by, x);
    let y = graph.normalize_pixels(x, 1e-2, None);
    let y = graph.convolve(y, Layer::linear([("wide".to_string(), inner + 3)]));
    let y = graph.apply(y, Activation::GeluTanh);
    let y = graph.convolve(y, Layer::linear([("back".to_string(), inner)]));
    let by = given(&mut graph, inner);
    let x = graph.gate(y, by, x);
    let by = given(&mut graph, inner);
    let x = graph.gate(x, by, x);
    let x = graph.convolve(x, Layer::linear([("pixels".to_string(), side * side * 2)]));
    let x = graph.resample(x, Resample::Unpatch(side));
    graph.finish(x)
}

/// Every kind of layer, with skips and values that are read in several ways.
pub(crate) fn everything() -> Graph {
    let mut graph = Builder::new();
    let input = graph.scaled_input(3, 2.0, -1.0);
    let first = graph.convolve(input, conv3("first", 6));
    let x = graph.normalize(first, "norm1", 2, 1e-5, None, Activation::Mish);
    let shift = given(&mut graph, 6);
    let x = graph.convolve(x, conv3("conv1", 6).shift(Some(shift)).residual(first).scale(0.7));
    let down = graph.convolve(x, Layer::new("down", 8).kernel(3).stride(2).border(Border::behind(1)));
    let other = graph.convolve(x, conv3("other", 8).stride(2));
    let joined = graph.join(down, other);
    let modulation = given(&mut graph, 32);
    let y = graph.normalize(joined, "norm2", 4, 1e-5, Some(modulation), Activation::Gelu);
    let y = attention(&mut graph, y, [2, 4]);
    let y = graph.convolve(y, Layer::linear([("out".to_string(), 16)]));
    let by = given(&mut graph, 1);
    let y = graph.multiply(y, by);
    let half = graph.resample(y, Resample::Halve);
    let y = graph.resample(half, Resample::Double);
    let y = graph.convolve(y, conv3("up", 5));
    let pooled = graph.pool(y, Pooling::Maximum, [3, 1, 1]);
    let y = graph.sum(y, pooled);
    let y = graph.apply(y, Activation::Silu);
    let y = graph.resample(y, Resample::Double);
    let y = graph.join(y, x);
    let y = graph.join(y, input);
    let y = graph.normalize(y, "norm3", 1, 1e-5, None, Activation::Relu);
    let sides = Border { top: 0, left: 2, bottom: 0, right: 1 };
    let flat = graph.convolve(y, Layer::new("flat", 4).rectangle([1, 4]).border(sides));
    let y = graph.convolve(y, conv3("last", 4).residual(flat));
    let y = graph.normalize(y, "norm4", 2, 1e-5, None, Activation::Silu);
    let by = given(&mut graph, 1);
    let y = graph.multiply(y, by);
    graph.finish(y)
}
