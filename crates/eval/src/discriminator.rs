//! Networks that learn to tell two sets of pictures apart.

mod learner;
pub(crate) mod patches;
pub(crate) mod training;

use std::sync::Arc;

use ddim_graph::{Activation, Border, Builder, Convolution, Graph, Initial};

/// A network from inputs `[c, h, w]` to one score, whose weights can be trained on the processor: positive scores
/// say that an input is of the first set, negative ones that it is of the second.
#[derive(Clone, Debug)]
pub struct Discriminator {
    graph: Arc<Graph>,
    shape: [usize; 3],
}

/// What is left of a negative value behind a convolution.
const SLOPE: f32 = 0.1;

impl Discriminator {
    /// Channels behind the first convolution of [`convolutional`](Self::convolutional) that suit small pictures.
    pub const WIDTH: usize = 16;

    /// A graph that takes inputs of this shape to one number each. Its weights begin as it says
    /// ([`Initial`](ddim_graph::Initial)); where its last layer begins at 0, so do the scores.
    ///
    /// # Panics
    ///
    /// If the graph takes inputs of another shape, asks for times or labels, gives more than one number, or cannot
    /// be trained on the processor, as one with dropout.
    pub fn new(graph: impl Into<Arc<Graph>>, shape: [usize; 3]) -> Self {
        let (graph, [channels, height, width]) = (graph.into(), shape);
        assert_eq!(graph.input_channels(), channels, "channels of the inputs and of the graph");
        assert!(graph.modulations().is_empty(), "a discriminator is told neither times nor labels");
        let sizes = graph.sizes([height, width]).unwrap_or_else(|error| panic!("inputs of {shape:?}: {error}"));
        let out = (graph.output_channels(), sizes.last().copied());
        assert_eq!(out, (1, Some([1, 1])), "channels and size of a score, from inputs of {shape:?}");
        let discriminator = Self { graph, shape };
        // Finds out whether it can be trained.
        discriminator.at(&discriminator.first_weights(0, 0));
        discriminator
    }

    /// A small network for pictures of `[channels, height, width]`: three times a 3x3 convolution that halves the
    /// sides, to `width` channels, twice and four times as many, and one linear layer, which begins at 0, so that
    /// the untrained score is 0 for every picture.
    pub fn convolutional(shape: [usize; 3], width: usize) -> Self {
        let [mut channels, mut height, mut wide] = shape;
        let mut builder = Builder::new();
        let mut x = builder.input(channels);
        for (k, to) in [width, 2 * width, 4 * width].into_iter().enumerate() {
            let conv = Convolution::new(format!("stages.{k}"), to).kernel(3).stride(2).border(Border::even(1));
            x = builder.convolve(x, conv.begins(Initial::rectified(9 * channels), Initial::Zeros));
            x = builder.apply(x, Activation::LeakyRelu { slope: SLOPE });
            (channels, height, wide) = (to, height.div_ceil(2), wide.div_ceil(2));
        }
        let score = Convolution::new("score", 1).rectangle([height, wide]);
        let score = builder.convolve(x, score.begins(Initial::Zeros, Initial::Zeros));
        Self::new(builder.finish(score), shape)
    }
}
