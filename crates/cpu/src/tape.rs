//! A network as this engine runs it: its layers, and for each value the border that lies around it in memory.

use ddim_graph::{Border, Conv, Modulation, Norm};

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
    Join {
        a: Value,
        b: Value,
    },
    Norm {
        x: Value,
        norm: Norm,
    },
    Conv {
        x: Value,
        conv: Conv,
        residual: Option<Value>,
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
}

/// Whether Winograd's algorithm can do a convolution, and has channels enough to be worth its while.
pub(crate) fn suits_winograd(conv: &Conv) -> bool {
    let plain = conv.kernel == [3, 3] && conv.stride == 1 && conv.border == Border::even(1);
    plain && conv.from >= 8 && conv.to() >= 8
}

impl Tape {
    /// Channels of a value.
    pub(crate) fn channels(&self, value: Value) -> usize {
        self.values[value.0].channels
    }
}

impl Work {
    /// The values that the layer reads, each once.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Value> {
        let (first, second) = match self {
            Work::Input { .. } => (None, None),
            Work::Spread { x, .. } | Work::Norm { x, .. } | Work::Multiply { x, .. } => (Some(*x), None),
            Work::Join { a, b } => (Some(*a), Some(*b)),
            Work::Conv { x, residual, .. } => (Some(*x), *residual),
            Work::Attend { qkv, .. } => (Some(*qkv), None),
        };
        first.into_iter().chain(second.filter(|second| Some(*second) != first))
    }
}
