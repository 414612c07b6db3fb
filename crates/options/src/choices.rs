//! Options that are a choice between named things, in more than one network.

use serde::{Deserialize, Serialize};

/// The nonlinearity inside of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// x sigmoid(x), also called swish.
    #[serde(alias = "swish")]
    Silu,
    /// x tanh(ln(1 + exp x)).
    Mish,
    /// x Phi(x), with the exact normal distribution function.
    Gelu,
    /// max(x, 0).
    Relu,
}

impl From<Activation> for ddim_graph::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Silu => Self::Silu,
            Activation::Mish => Self::Mish,
            Activation::Gelu => Self::Gelu,
            Activation::Relu => Self::Relu,
        }
    }
}

/// Height and width that a network was trained on; it takes any other size that its levels allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SampleSize {
    /// A square of this side.
    Square(usize),
    /// Height and width.
    Rectangle([usize; 2]),
}

impl SampleSize {
    /// Of height and width.
    pub fn of(sides: [usize; 2]) -> Self {
        if sides[0] == sides[1] { SampleSize::Square(sides[0]) } else { SampleSize::Rectangle(sides) }
    }

    /// Height and width.
    pub fn height_width(self) -> [usize; 2] {
        match self {
            SampleSize::Square(side) => [side, side],
            SampleSize::Rectangle(sides) => sides,
        }
    }
}
