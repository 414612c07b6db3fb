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

/// How the numbers of a parameter begin.
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
    /// Of weights of a layer behind which negative values vanish, and where each output adds up so many inputs:
    /// twice their inverse number keeps the spread of values (He et al. 2015, *Delving Deep into Rectifiers*, Eq.
    /// 10).
    pub fn rectified(inputs: usize) -> Self {
        Initial::Normal { deviation: (2.0 / inputs as f64).sqrt() }
    }

    /// So many numbers, from random ones that the caller fills in: `uniforms` from 0 to 1, `normals` of a standard
    /// deviation of 1. One of the two is called at most, once.
    ///
    /// ```
    /// use ddim_graph::Initial;
    /// let none = |_: &mut [f32]| unreachable!();
    /// let numbers = Initial::Normal { deviation: 3.0 }.numbers(2, none, |normals| normals.fill(0.5));
    /// assert_eq!(numbers, [1.5, 1.5]);
    /// ```
    pub fn numbers(
        self,
        len: usize,
        uniforms: impl FnOnce(&mut [f32]),
        normals: impl FnOnce(&mut [f32]),
    ) -> Vec<f32> {
        let mut values = vec![0.0; len];
        match self {
            Initial::Zeros => {}
            Initial::Ones => values.fill(1.0),
            Initial::Uniform { bound } => {
                uniforms(&mut values);
                values.iter_mut().for_each(|u| *u = ((2.0 * f64::from(*u) - 1.0) * bound) as f32);
            }
            Initial::Normal { deviation } => {
                normals(&mut values);
                values.iter_mut().for_each(|z| *z = (f64::from(*z) * deviation) as f32);
            }
        }
        values
    }

    /// Of weights and biases where each output adds up so many inputs (PyTorch's `reset_parameters`).
    pub(crate) fn of_inputs(inputs: usize) -> Self {
        Initial::Uniform { bound: (inputs as f64).sqrt().recip() }
    }
}
