//! A network as this engine runs it: its layers, and for each value the border that lies around it in memory.

use ddim_graph::{Activation, Border, Conv, Modulation, Norm, PixelNorm, Pool};

use crate::spread::Resample;

/// What a layer reads or writes: a picture at some resolution, with some channels and a border of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) usize);

/// Layers in the order in which they run.
#[derive(Clone, Debug)]
pub(crate) struct Tape {
    pub(crate) layers: Vec<Layer>,
    pub(crate) values: Vec<Form>,
    /// What comes out.
    pub(crate) result: Value,
    /// Where each value of the graph is, without a border or with that of all its readers.
    pub(crate) places: Vec<Value>,
}

/// What a value is in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) channels: usize,
    pub(crate) border: Border,
    /// The value of the graph that it is: that has a size.
    pub(crate) of: ddim_graph::Value,
}

/// One step of the tape.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) work: Work,
    pub(crate) output: Value,
    /// The layer of the graph that it is a part of.
    pub(crate) part_of: usize,
}

/// What a layer does. Where the graph's own operations are named, the values are those beside them, not those in
/// them.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// The picture, each value times `scale` plus `shift`.
    Input {
        scale: f32,
        shift: f32,
    },
    /// A copy at another resolution, or with a border.
    Spread {
        x: Value,
        resample: Resample,
    },
    /// The channels of all of them, one after the other.
    Join {
        parts: Vec<Value>,
    },
    Norm {
        x: Value,
        norm: Norm,
    },
    NormPixels {
        x: Value,
        norm: PixelNorm,
    },
    Conv {
        x: Value,
        conv: Conv,
        residual: Option<Value>,
        last: Last,
    },
    Attend {
        qkv: Value,
        heads: usize,
        width: usize,
    },
    /// Each picture times a number of its own.
    Multiply {
        x: Value,
        by: Modulation,
    },
    /// `residual + by x`.
    Gate {
        x: Value,
        by: Modulation,
        residual: Value,
    },
    /// What tells pixels apart is added.
    Positions {
        x: Value,
        base: [usize; 2],
    },
    Pool {
        x: Value,
        pool: Pool,
    },
    /// The mean over all pixels.
    Mean {
        x: Value,
    },
    Activate {
        x: Value,
        activation: Activation,
    },
    Add {
        a: Value,
        b: Value,
    },
}

/// What a convolution does with its sums at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Nothing.
    Nothing,
    /// What is below 0 becomes 0.
    Rectify,
}

impl Last {
    /// The least that comes out.
    pub(crate) fn least(self) -> f32 {
        match self {
            Last::Nothing => f32::NEG_INFINITY,
            Last::Rectify => 0.0,
        }
    }
}

/// Whether Winograd's algorithm can do a convolution, and has channels enough to be worth its while.
pub(crate) fn suits_winograd(conv: &Conv) -> bool {
    conv.kernel == [3, 3] && conv.stride == 1 && conv.from >= 8 && conv.to() >= 8
}

impl Tape {
    /// Channels of a value.
    pub(crate) fn channels(&self, value: Value) -> usize {
        self.values[value.0].channels
    }
}

impl Work {
    /// The values that the layer reads, some perhaps twice.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Value> {
        let some: Vec<Value> = match self {
            Work::Input { .. } => Vec::new(),
            Work::Spread { x, .. }
            | Work::Norm { x, .. }
            | Work::NormPixels { x, .. }
            | Work::Positions { x, .. }
            | Work::Multiply { x, .. }
            | Work::Pool { x, .. }
            | Work::Mean { x }
            | Work::Activate { x, .. } => vec![*x],
            Work::Join { parts } => parts.clone(),
            Work::Conv { x, residual, .. } => std::iter::once(*x).chain(*residual).collect(),
            Work::Attend { qkv, .. } => vec![*qkv],
            Work::Add { a, b } => vec![*a, *b],
            Work::Gate { x, residual, .. } => vec![*x, *residual],
        };
        some.into_iter()
    }
}
