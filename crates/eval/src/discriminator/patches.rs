//! A network with a score for each patch of a picture.

use ddim_graph::{Activation, Border, Builder, Convolution, Graph, Initial};

/// A network that gives a score to each of overlapping patches, as adversaries of autoencoders are (Isola et al.
/// 2017, arXiv:1611.07004, section 3.2; its layers as in VQGAN): 4x4 convolutions, `layers` that halve the sides
/// and two that do not, to `width` channels and then up to twice, four and eight times as many. A group
/// normalisation stands where others normalise over a batch: there a picture's score depends on the pictures
/// beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Channels behind the first convolution.
    pub width: usize,
    /// How often the sides are halved.
    pub layers: usize,
    /// Groups of channels that are normalised together; none for no normalisation.
    pub norm_num_groups: Option<usize>,
}

/// Pixels of a kernel each way.
const KERNEL: usize = 4;
/// What is left of a negative value behind a convolution.
const SLOPE: f32 = 0.2;
/// The most that channels grow to.
const WIDEST: usize = 8;
/// Added to a variance.
const EPSILON: f64 = 1e-5;
/// The spread of the first weights of the last layer (Radford et al. 2016, arXiv:1511.06434, section 4), which
/// makes the first scores small.
const LAST: Initial = Initial::Normal { deviation: 0.02 };

impl Patches {
    /// The network for pictures of so many channels. Its parameters are called as in VQGAN: `main.0.weight` and
    /// so on.
    ///
    /// # Panics
    /// A width that `norm_num_groups` does not divide.
    pub fn graph(&self, channels: usize) -> Graph {
        let mut builder = Builder::new();
        let mut x = builder.input(channels);
        let (mut from, mut index) = (channels, 0);
        for layer in 0..=self.layers {
            let to = self.width * WIDEST.min(1 << layer.min(3));
            let normalised = self.norm_num_groups.filter(|_| layer > 0);
            let conv = self.convolution(index, to, layer);
            let conv = conv.begins(Initial::rectified(KERNEL * KERNEL * from), Initial::Zeros);
            x = builder.convolve(x, if normalised.is_some() { conv.without_bias() } else { conv });
            let activation = Activation::LeakyRelu { slope: SLOPE };
            x = match normalised {
                Some(groups) => {
                    builder.normalize(x, &format!("main.{}", index + 1), groups, EPSILON, None, activation)
                }
                None => builder.apply(x, activation),
            };
            index += if layer > 0 { 3 } else { 2 };
            from = to;
        }
        let score = self.convolution(index, 1, self.layers + 1).begins(LAST, Initial::Zeros);
        let score = builder.convolve(x, score);
        builder.finish(score)
    }

    fn convolution(&self, index: usize, to: usize, layer: usize) -> Convolution {
        let conv = Convolution::new(format!("main.{index}"), to);
        conv.kernel(KERNEL).stride(self.stride(layer)).border(Border::even(1))
    }

    fn stride(&self, layer: usize) -> usize {
        if layer < self.layers { 2 } else { 1 }
    }

    /// Height and width of the map of scores of such pictures; none where they are too small.
    pub fn scores(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let steps = |side: usize, layer: usize| {
            (side + 2).checked_sub(KERNEL).map_or(0, |rest| rest / self.stride(layer) + 1)
        };
        let [height, width] = size.map(|side| (0..self.layers + 2).fold(side, steps));
        (height > 0 && width > 0).then_some([height, width])
    }

    /// Pixels each way that a score depends on.
    pub fn receptive_field(&self) -> usize {
        (0..self.layers + 2).rev().fold(1, |field, layer| (field - 1) * self.stride(layer) + KERNEL)
    }
}
