//! Weights as layers take them.

use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use ddim_graph::{Conv, Graph, Layer, Norm, Operation, Part, Value, Watched};
use ddim_shaders::Kernels;

use crate::fused::keeps_the_size;
use crate::network::Form;
use crate::precision::{cast, dtype};
use crate::weights::{Weight, Weights};

/// The weights of a layer.
#[derive(Clone, Debug)]
pub(crate) enum Ready {
    /// It has none.
    Nothing,
    /// Of a normalisation, \[1, channels, 1, 1\].
    Norm { weight: Tensor<4>, bias: Tensor<4> },
    /// A 3x3 convolution that keeps the size.
    Same(Kernels),
    /// Any other convolution.
    Conv { weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions<2> },
    /// Linear in each pixel, `[in, out]`.
    Linear { weight: Tensor<2>, bias: Option<Tensor<1>> },
    /// What attention divides q by, as far as its weights have not done it.
    Attend { root: f64 },
}

/// Makes them ready.
pub(crate) struct Making<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) weights: &'a Weights,
    pub(crate) form: Form,
}

impl Making<'_> {
    pub(crate) fn layer(&self, layer: &Layer) -> Ready {
        match &layer.operation {
            Operation::Normalize(norm) => self.norm(norm),
            Operation::Convolve(conv) => self.conv(conv, layer.output),
            Operation::Attend { qkv, width, .. } => {
                let divided = match &self.graph.layers()[qkv.index()].operation {
                    Operation::Convolve(conv) if conv.is_linear(self.graph) => {
                        root_of_scores(self.graph, conv, *qkv)
                    }
                    _ => 1.0,
                };
                Ready::Attend { root: (*width as f64).sqrt() / divided }
            }
            _ => Ready::Nothing,
        }
    }

    fn norm(&self, norm: &Norm) -> Ready {
        let shaped = |parameter| {
            let line = self.weights.line(parameter);
            let channels = line.dims()[0];
            line.reshape([1, channels, 1, 1])
        };
        Ready::Norm { weight: shaped(norm.weight), bias: shaped(norm.bias) }
    }

    fn conv(&self, conv: &Conv, output: Value) -> Ready {
        match self.weights.any(conv.parts[0].weight) {
            Weight::Line(_) => panic!("weights of a convolution are not a line"),
            Weight::Matrix(_) => self.linear(conv, output),
            Weight::Kernel(weight) => {
                assert_eq!(conv.parts.len(), 1, "a convolution of pixels in several parts");
                let weight = self.laid_out(self.rounded(weight));
                let bias = conv.parts[0].bias.map(|bias| self.rounded(self.weights.line(bias)));
                match (keeps_the_size(conv), self.form) {
                    (true, Form::Prepared(_)) => Ready::Same(Kernels::prepared(weight, bias)),
                    (true, _) => Ready::Same(Kernels::plain(weight, bias)),
                    (false, _) => Ready::Conv { weight, bias, options: options(conv) },
                }
            }
        }
    }

    /// All parts in one product. What attention divides scores by is in the weights of q, where no one else reads
    /// them: in f16 the product of q and k could overflow before.
    fn linear(&self, conv: &Conv, output: Value) -> Ready {
        let root = root_of_scores(self.graph, conv, output);
        let divided = |k: usize| if k == 0 { root } else { 1.0 };
        let weight = |(k, part): (usize, &Part)| over(self.weights.matrix(part.weight), divided(k));
        let weights: Vec<Tensor<2>> = conv.parts.iter().enumerate().map(weight).collect();
        let bias = |(k, part): (usize, &Part)| Some(over(self.weights.line(part.bias?), divided(k)));
        let biases: Option<Vec<Tensor<1>>> = conv.parts.iter().enumerate().map(bias).collect();
        Ready::Linear {
            weight: self.rounded(together(weights, 1)),
            bias: biases.map(|biases| self.rounded(together(biases, 0))),
        }
    }

    fn rounded<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        cast(x, dtype(self.form.precision()).into())
    }

    /// Weights of convolutions on a GPU in any other order than channels innermost are laid out anew at each call.
    fn laid_out(&self, weight: Tensor<4>) -> Tensor<4> {
        match self.form {
            Form::Prepared(_) => {
                // Without the type it would become the device's usual one, f32.
                let (device, dtype) = (weight.device(), weight.dtype());
                let innermost = weight.movedim(1, 3).into_data();
                Tensor::<4>::from_data(innermost, (&device, dtype)).movedim(3, 1)
            }
            Form::Plain(_) | Form::Trained => weight,
        }
    }
}

/// The root of the width of a head, where these linear layers are q, k and v of an attention and nothing else;
/// else 1.
pub(crate) fn root_of_scores(graph: &Graph, conv: &Conv, output: Value) -> f64 {
    let mut readers = graph.layers().iter().filter(|layer| layer.operation.reads().any(|value| value == output));
    let is_seen = graph.points().iter().any(|point| point.watched == Watched::Value(output));
    let is_plain = conv.shift.is_none() && conv.residual.is_none() && conv.scale == 1.0 && !is_seen;
    match (readers.next().map(|layer| &layer.operation), readers.next()) {
        (Some(Operation::Attend { heads, width, .. }), None)
            if is_plain && conv.parts.len() == 3 && conv.parts[0].to == heads * width =>
        {
            (*width as f64).sqrt()
        }
        _ => 1.0,
    }
}

fn options(conv: &Conv) -> ConvOptions<2> {
    let ddim_graph::Border { top, left, bottom, right } = conv.border;
    ConvOptions::new_with_padding([conv.stride; 2], [(top, bottom), (left, right)], [1, 1], 1)
}

fn over<const D: usize>(x: Tensor<D>, divisor: f64) -> Tensor<D> {
    if divisor == 1.0 { x } else { x / divisor }
}

fn together<const D: usize>(mut parts: Vec<Tensor<D>>, dim: usize) -> Tensor<D> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, dim) }
}
