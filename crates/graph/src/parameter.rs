//! What is learned.

/// A parameter of a graph: its place in [`Graph::parameters`](crate::Graph::parameters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parameter(pub usize);

/// Name and shape of a parameter, as PyTorch has them.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterInfo {
    /// Parts separated by dots: `down_blocks.0.resnets.1.conv1.weight`.
    pub name: String,
    /// `[out, in, height, width]` for a convolution, `[out, in]` for a linear layer, `[channels]` for a bias or a
    /// normalisation, `[rows, width]` for a table.
    pub shape: Vec<usize>,
    /// How its numbers begin before training.
    pub initial: Initial,
    /// Whether training changes it.
    pub trained: bool,
}

/// How the numbers of a parameter begin: PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Independent, each value between `-bound` and `bound` as likely.
    Uniform {
        /// The inverse root of how many inputs each output adds up.
        bound: f64,
    },
    /// Independent and normal around 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
}

impl ParameterInfo {
    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Initial {
    /// Of weights and biases where each output adds up so many inputs (PyTorch's `reset_parameters`).
    pub(crate) fn of_inputs(inputs: usize) -> Self {
        Initial::Uniform { bound: (inputs as f64).sqrt().recip() }
    }
}
