//! The operations that take pictures to pictures.

use crate::{Graph, Modulation, Parameter};

/// What a layer reads or writes: pictures of some channels at some resolution. Tokens are the pixels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

impl Value {
    /// Its number: values are numbered in the order in which layers write them, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// One operation and the value that it writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What is done.
    pub operation: Operation,
    /// Where the result goes.
    pub output: Value,
}

/// What a layer does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The pictures that the network is given, each value times `scale` plus `shift`.
    Input {
        /// What they are multiplied by.
        scale: f64,
        /// What is added.
        shift: f64,
    },
    /// Another resolution.
    Resample {
        /// The picture.
        x: Value,
        /// What becomes of the resolution.
        by: Resample,
    },
    /// The channels of `a`, then those of `b`.
    Join {
        /// The first.
        a: Value,
        /// The second, of the same size.
        b: Value,
    },
    /// A group normalisation and what follows it.
    Normalize(Norm),
    /// A normalisation of each pixel by itself, with a scale and a shift that each picture has.
    NormalizePixels(PixelNorm),
    /// A convolution and the sums behind it.
    Convolve(Conv),
    /// softmax(q k^T / sqrt(width)) v over all pixels, for each head (Vaswani et al. 2017, arXiv:1706.03762, Eq.
    /// 1).
    Attend {
        /// All heads of q, then all of k, then all of v: `3 * heads * width` channels.
        qkv: Value,
        /// How many heads.
        heads: usize,
        /// Channels of a head.
        width: usize,
    },
    /// In training a share of the values becomes 0, and the others grow by as much; nothing otherwise.
    Dropout {
        /// The picture.
        x: Value,
        /// The share, from 0 to 1.
        rate: f64,
    },
    /// Each picture times a number of its own.
    Multiply {
        /// The picture.
        x: Value,
        /// One number a picture.
        by: Modulation,
    },
    /// `residual + by x`, with a number of its own for each channel of each picture.
    Gate {
        /// The picture.
        x: Value,
        /// A number a channel.
        by: Modulation,
        /// What is added, of the same shape.
        residual: Value,
    },
    /// What tells pixels apart is added: [`positions`](crate::positions).
    AddPositions {
        /// The picture.
        x: Value,
        /// Height and width at which pixels are one apart; pictures of other sizes are stretched to it.
        base: [usize; 2],
    },
    /// One pixel of each window of a picture.
    Pool(Pool),
    /// The mean over all pixels: a picture of one pixel.
    Mean {
        /// The picture.
        x: Value,
    },
    /// A function of each number.
    Activate {
        /// The picture.
        x: Value,
        /// The function.
        activation: Activation,
    },
    /// a + b.
    Add {
        /// a.
        a: Value,
        /// b, of the same shape.
        b: Value,
    },
}

/// What becomes of the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resample {
    /// Each pixel becomes four.
    Double,
    /// Four pixels become their mean; an odd row or column at the end is left out.
    Halve,
    /// The channels of each pixel become a square of so many pixels each way. Of `side * side * c` channels,
    /// number
    /// `(y * side + x) * c + k` becomes channel k of the pixel in row y and column x of the square.
    Unpatch(usize),
}

/// What becomes of the pixels of each window, channel by channel. Beyond the picture there are none: a mean at a
/// corner is that of the fewer pixels that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The picture.
    pub x: Value,
    /// What becomes of them.
    pub by: Pooling,
    /// Height and width of a window.
    pub side: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// How far windows reach beyond the picture on each side: half of their side at most.
    pub border: usize,
}

/// How many pixels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest of them.
    Maximum,
    /// Their mean.
    Mean,
}

/// A group normalisation (Wu and He 2018, arXiv:1803.08494, Eq. 1 to 3) with what follows it:
/// `activation((1 + scale) (weight (x - mean) / sqrt(variance + epsilon) + bias) + shift)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// The picture.
    pub x: Value,
    /// Groups of channels that share mean and variance.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// A weight a channel.
    pub weight: Parameter,
    /// A bias a channel.
    pub bias: Parameter,
    /// `1 + scale` of each channel, then `shift` of each: `2 * channels` numbers a picture.
    pub modulation: Option<Modulation>,
    /// What follows.
    pub activation: Activation,
}

/// A normalisation of each pixel over its channels (Ba et al. 2016, arXiv:1607.06450, Eq. 4, without weights):
/// `(1 + scale) (x - mean) / sqrt(variance + epsilon) + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelNorm {
    /// The picture.
    pub x: Value,
    /// Added to the variance.
    pub epsilon: f64,
    /// `1 + scale` of each channel, then `shift` of each: `2 * channels` numbers a picture.
    pub modulation: Option<Modulation>,
}

/// `scale * (convolution + bias + shift + residual)`. With a kernel of one pixel it is a linear layer over tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// The picture.
    pub x: Value,
    /// Its channels.
    pub from: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Zeros around the picture.
    pub border: Border,
    /// Output channels come from these weights, one after the other.
    pub parts: Vec<Part>,
    /// A number a channel of each picture, added to the convolution.
    pub shift: Option<Modulation>,
    /// A picture of the output's shape, added to the convolution.
    pub residual: Option<Value>,
    /// What the sum is multiplied by.
    pub scale: f64,
}

/// Weights of some output channels of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many channels.
    pub to: usize,
    /// `[to, in, height, width]`, or `[to, in]` for a linear layer.
    pub weight: Parameter,
    /// A number a channel.
    pub bias: Option<Parameter>,
}

/// Rows and columns of zeros around a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Border {
    /// Rows above.
    pub top: usize,
    /// Columns on the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the right.
    pub right: usize,
}

/// A function of each value by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// x.
    #[default]
    Identity,
    /// x sigmoid(x), also called swish.
    Silu,
    /// x tanh(ln(1 + exp x)).
    Mish,
    /// x Phi(x), with the exact normal distribution function.
    Gelu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which is close to [`Gelu`](Self::Gelu) (Hendrycks and
    /// Gimpel 2016, arXiv:1606.08415, section 2).
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// x above 0, and a share of it below.
    LeakyRelu {
        /// The share, usually between 0 and 1.
        slope: f32,
    },
    /// tanh x.
    Tanh,
}

impl Conv {
    /// Output channels.
    pub fn to(&self) -> usize {
        self.parts.iter().map(|part| part.to).sum()
    }

    /// Whether its weights are those of linear layers, `[out, in]`.
    pub fn is_linear(&self, graph: &Graph) -> bool {
        graph.parameter(self.parts[0].weight).shape.len() == 2
    }
}

impl Border {
    /// None at all.
    pub const NONE: Self = Border::even(0);

    /// So many pixels on each side.
    pub const fn even(pixels: usize) -> Self {
        Border { top: pixels, left: pixels, bottom: pixels, right: pixels }
    }

    /// So many pixels below and on the right.
    pub const fn behind(pixels: usize) -> Self {
        Border { top: 0, left: 0, bottom: pixels, right: pixels }
    }
}

impl Operation {
    /// The values that it reads, each once.
    pub fn reads(&self) -> impl Iterator<Item = Value> + use<> {
        let (first, second) = match self {
            Operation::Input { .. } => (None, None),
            Operation::Resample { x, .. } | Operation::Dropout { x, .. } | Operation::Multiply { x, .. } => {
                (Some(*x), None)
            }
            Operation::Mean { x } | Operation::Activate { x, .. } | Operation::Pool(Pool { x, .. }) => {
                (Some(*x), None)
            }
            Operation::NormalizePixels(PixelNorm { x, .. }) | Operation::AddPositions { x, .. } => {
                (Some(*x), None)
            }
            Operation::Gate { x, residual, .. } => (Some(*x), Some(*residual)),
            Operation::Join { a, b } | Operation::Add { a, b } => (Some(*a), Some(*b)),
            Operation::Normalize(norm) => (Some(norm.x), None),
            Operation::Convolve(conv) => (Some(conv.x), conv.residual),
            Operation::Attend { qkv, .. } => (Some(*qkv), None),
        };
        first.into_iter().chain(second.filter(|second| Some(*second) != first))
    }

    /// The row of numbers that it takes for each picture.
    pub fn modulation(&self) -> Option<Modulation> {
        match self {
            Operation::Normalize(norm) => norm.modulation,
            Operation::Convolve(conv) => conv.shift,
            Operation::NormalizePixels(norm) => norm.modulation,
            Operation::Multiply { by, .. } | Operation::Gate { by, .. } => Some(*by),
            _ => None,
        }
    }
}
