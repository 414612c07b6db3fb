//! A convolution as an architecture asks for it.

use crate::{Border, Initial, Modulation, Value};

/// A convolution that [`Builder::convolve`](crate::Builder::convolve) makes a layer of: a kernel of one pixel, a
/// stride of 1, no border, and a bias, with numbers that begin as PyTorch's: all of it unless told otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    pub(crate) parts: Vec<(String, usize)>,
    pub(crate) kernel: [usize; 2],
    pub(crate) linear: bool,
    pub(crate) stride: usize,
    pub(crate) border: Border,
    pub(crate) shift: Option<Modulation>,
    pub(crate) residual: Option<Value>,
    pub(crate) scale: f64,
    pub(crate) begins: Begins,
    pub(crate) biased: Biased,
}

/// Whether something is added to each output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Biased {
    Yes,
    No,
}

/// How the numbers of a convolution begin before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Begins {
    /// Weights and bias as PyTorch has them.
    Usually,
    /// As the architecture says.
    With { weight: Initial, bias: Initial },
}

impl Convolution {
    /// To so many channels, with the parameters `name.weight` and `name.bias`.
    pub fn new(name: impl Into<String>, to: usize) -> Self {
        Convolution {
            parts: vec![(name.into(), to)],
            kernel: [1, 1],
            linear: false,
            stride: 1,
            border: Border::NONE,
            shift: None,
            residual: None,
            scale: 1.0,
            begins: Begins::Usually,
            biased: Biased::Yes,
        }
    }

    /// Linear layers over tokens, their outputs side by side: weights are `[out, in]`, without a kernel.
    pub fn linear(parts: impl IntoIterator<Item = (String, usize)>) -> Self {
        Convolution { parts: parts.into_iter().collect(), linear: true, ..Self::new("", 0) }
    }

    /// A square kernel.
    #[must_use]
    pub fn kernel(self, side: usize) -> Self {
        Convolution { kernel: [side, side], ..self }
    }

    /// A kernel of this height and width.
    #[must_use]
    pub fn rectangle(self, kernel: [usize; 2]) -> Self {
        Convolution { kernel, ..self }
    }

    /// Pixels from one output to the next.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Convolution { stride, ..self }
    }

    /// Zeros around the picture.
    #[must_use]
    pub fn border(self, border: Border) -> Self {
        Convolution { border, ..self }
    }

    /// A number a channel of each picture is added.
    #[must_use]
    pub fn shift(self, shift: Option<Modulation>) -> Self {
        Convolution { shift, ..self }
    }

    /// A picture is added.
    #[must_use]
    pub fn residual(self, residual: Value) -> Self {
        Convolution { residual: Some(residual), ..self }
    }

    /// How weights and bias begin before training.
    #[must_use]
    pub fn begins(self, weight: Initial, bias: Initial) -> Self {
        Convolution { begins: Begins::With { weight, bias }, ..self }
    }

    /// Nothing is added to the channels: there is no parameter `name.bias`.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Convolution { biased: Biased::No, ..self }
    }

    /// What the sum is multiplied by.
    #[must_use]
    pub fn scale(self, scale: f64) -> Self {
        Convolution { scale, ..self }
    }
}
