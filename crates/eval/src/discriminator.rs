//! Functions that learn to tell two sets of pictures apart.

use burn::tensor::activation::leaky_relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use ddim_sampler::fill_normals;

pub(crate) mod training;

/// A function from inputs `[n, c, h, w]` to scores, with weights that can be trained: positive scores say that an
/// input is of the first set, negative ones that it is of the second.
pub trait Discriminator {
    /// Its weights.
    fn weights(&self) -> Vec<Weight>;

    /// One score for each input, `[n]`, made of operations that automatic differentiation can follow. The weights
    /// are in the order of [`weights`](Self::weights).
    fn scores(&self, x: Tensor<4>, weights: &[Tensor<4>]) -> Tensor<1>;
}

/// A tensor of weights as training finds it: independent normal numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// Its shape.
    pub shape: [usize; 4],
    /// Standard deviation of its numbers; 0 for zeros.
    pub deviation: f64,
}

impl Weight {
    /// All zeros.
    pub fn zeros(shape: [usize; 4]) -> Self {
        Self { shape, deviation: 0.0 }
    }

    /// Of a layer behind which negative values vanish, for which twice the inverse number of inputs keeps the
    /// spread of values (He et al. 2015, *Delving Deep into Rectifiers*, Eq. 10). `shape` is
    /// `[out, in, height, width]`.
    pub fn rectified(shape: [usize; 4]) -> Self {
        let inputs = shape[1..].iter().product::<usize>() as f64;
        Self { shape, deviation: (2.0 / inputs).sqrt() }
    }

    /// The numbers of this stream of a seed.
    pub(crate) fn draw(&self, seed: u64, run: u64, stream: u32, device: &Device) -> Tensor<4> {
        let mut values = vec![0.0; self.shape.iter().product()];
        fill_normals(seed, run, stream, &mut values);
        Tensor::from_data(TensorData::new(values, self.shape), device) * self.deviation
    }
}

/// A small convolutional network for pictures: three times a 3x3 convolution that halves the sides, and one linear
/// layer, which starts at 0, so that the untrained score is 0 for every picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvNet {
    /// `[channels, height, width]` of a picture.
    pub shape: [usize; 3],
    /// Channels behind the first convolution; each of the other two has twice as many as the one before.
    pub width: usize,
}

impl ConvNet {
    /// What is left of a negative value behind a convolution.
    const SLOPE: f64 = 0.1;

    /// Of 16 channels behind the first convolution.
    pub fn new(shape: [usize; 3]) -> Self {
        Self { shape, width: 16 }
    }
}

impl Discriminator for ConvNet {
    fn weights(&self) -> Vec<Weight> {
        let ([mut channels, mut height, mut width], mut weights) = (self.shape, Vec::new());
        for out in [self.width, 2 * self.width, 4 * self.width] {
            weights.extend([Weight::rectified([out, channels, 3, 3]), Weight::zeros([out, 1, 1, 1])]);
            (channels, height, width) = (out, height.div_ceil(2), width.div_ceil(2));
        }
        weights.extend([Weight::zeros([1, channels, height, width]), Weight::zeros([1, 1, 1, 1])]);
        weights
    }

    fn scores(&self, x: Tensor<4>, weights: &[Tensor<4>]) -> Tensor<1> {
        let n = x.dims()[0];
        let (convolutions, head) = weights.split_at(weights.len() - 2);
        let layer = |x: Tensor<4>, weights: &[Tensor<4>], stride: usize, padding: usize| {
            let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
            conv2d(x, weights[0].clone(), Some(weights[1].clone().reshape([-1])), options)
        };
        let x =
            convolutions.chunks_exact(2).fold(x, |x, weights| leaky_relu(layer(x, weights, 2, 1), Self::SLOPE));
        layer(x, head, 1, 0).reshape([n])
    }
}
