//! A network as a list of layers, each naming the values that it reads and the one that it writes.

use crate::layout::Halo;
use crate::norm::Activation;
use crate::spread::Resample;

/// What a layer reads or writes: a picture at some resolution, with some channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// A parameter of the network: its place in the list that the weights are given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parameter(pub usize);

/// Numbers from the time and label of a picture: their place in the list given with the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Modulation(pub usize);

/// A network's layers in the order in which they run.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub(crate) layers: Vec<Layer>,
    /// Channels and halo of each value.
    pub(crate) values: Vec<(usize, Halo)>,
}

/// One step of the tape.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) work: Work,
    pub(crate) output: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// The picture, each value times `scale` plus `shift`.
    Input {
        scale: f32,
        shift: f32,
    },
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
        shift: Option<Modulation>,
        residual: Option<Value>,
        scale: f32,
    },
    Attend {
        qkv: Value,
        heads: usize,
        width: usize,
    },
}

/// A group normalisation with what follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Groups of channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// A weight a channel.
    pub gamma: Parameter,
    /// A bias a channel.
    pub beta: Parameter,
    /// Scale and shift of what comes out, the scale first: `2 * channels` numbers a picture.
    pub modulation: Option<Modulation>,
    /// What follows.
    pub activation: Activation,
}

/// A convolution; one with a kernel of 1 is a matrix product at each pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Input channels.
    pub from: usize,
    /// Output channels come from these weights, one after the other.
    pub parts: Vec<Part>,
}

/// Weights of some output channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// How many channels.
    pub to: usize,
    /// The weights.
    pub weight: Parameter,
    /// How they lie.
    pub order: Order,
    /// A number a channel.
    pub bias: Option<Parameter>,
}

/// How weights lie in a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// \[out, in, height, width\].
    OutIn,
    /// \[in, out\], for a kernel of 1.
    InOut,
}

impl Conv {
    /// Output channels.
    pub fn to(&self) -> usize {
        self.parts.iter().map(|part| part.to).sum()
    }

    /// Whether Winograd's algorithm can do it, and has channels enough to be worth its while.
    pub(crate) fn is_plain(&self) -> bool {
        self.kernel == 3 && self.stride == 1 && self.from >= 8 && self.to() >= 8
    }

    /// Kernel, place by place, times input channels.
    pub(crate) fn places(&self) -> usize {
        self.kernel * self.kernel * self.from
    }
}

impl Part {
    /// Where the weight of input `channel` at `tap` for output `column` of this part lies.
    pub(crate) fn at(&self, column: usize, channel: usize, tap: usize, from: usize, taps: usize) -> usize {
        match self.order {
            Order::OutIn => (column * from + channel) * taps + tap,
            Order::InOut => channel * self.to + column,
        }
    }
}

impl Tape {
    /// How many layers it has.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The picture that the network is given, `scale x + shift`.
    pub fn input(&mut self, channels: usize, scale: f32, shift: f32) -> Value {
        self.push(Work::Input { scale, shift }, channels, Halo::NONE)
    }

    /// A copy with a border, at another resolution.
    pub fn spread(&mut self, x: Value, resample: Resample, halo: Halo) -> Value {
        self.push(Work::Spread { x, resample }, self.channels(x), halo)
    }

    /// The channels of `a`, then those of `b`.
    ///
    /// # Panics
    /// Values with a border.
    pub fn join(&mut self, a: Value, b: Value) -> Value {
        self.check_bare(&[a, b]);
        self.push(Work::Join { a, b }, self.channels(a) + self.channels(b), Halo::NONE)
    }

    /// A group normalisation, with a border for what follows.
    ///
    /// # Panics
    /// A value with a border; groups that do not divide its channels.
    pub fn norm(&mut self, x: Value, norm: Norm, halo: Halo) -> Value {
        self.check_bare(&[x]);
        let channels = self.channels(x);
        let divides = norm.groups > 0 && channels.is_multiple_of(norm.groups);
        assert!(divides, "{} groups of {channels} channels", norm.groups);
        self.push(Work::Norm { x, norm }, self.channels(x), halo)
    }

    /// `(convolution + bias + shift + residual) * scale`; `x` has the border that the kernel reaches into.
    ///
    /// # Panics
    /// A value with other channels than the convolution takes; a residual with a border or other channels than it
    /// gives; a stride other than 1 and 2.
    pub fn conv(
        &mut self,
        x: Value,
        conv: Conv,
        shift: Option<Modulation>,
        residual: Option<Value>,
        scale: f32,
    ) -> Value {
        let to = conv.to();
        assert_eq!(self.channels(x), conv.from, "channels of a value and of its convolution");
        assert!(
            conv.kernel > 0 && matches!(conv.stride, 1 | 2),
            "a kernel of {}, a stride of {}",
            conv.kernel,
            conv.stride
        );
        if let Some(residual) = residual {
            self.check_bare(&[residual]);
            assert_eq!(self.channels(residual), to, "channels of a residual and of its sum");
        }
        self.push(Work::Conv { x, conv, shift, residual, scale }, to, Halo::NONE)
    }

    /// Attention over all pixels; `qkv` has three times `heads * width` channels.
    ///
    /// # Panics
    /// A value with a border or another number of channels.
    pub fn attend(&mut self, qkv: Value, heads: usize, width: usize) -> Value {
        self.check_bare(&[qkv]);
        assert_eq!(self.channels(qkv), 3 * heads * width, "channels of queries, keys and values");
        self.push(Work::Attend { qkv, heads, width }, heads * width, Halo::NONE)
    }

    /// Channels of a value.
    pub fn channels(&self, value: Value) -> usize {
        self.values[value.0].0
    }

    /// How many parameters there are: one more than the largest number.
    pub fn parameters(&self) -> usize {
        let largest = |layer: &Layer| match &layer.work {
            Work::Norm { norm, .. } => norm.gamma.max(norm.beta).0 + 1,
            Work::Conv { conv, .. } => {
                let of = |part: &Part| part.bias.map_or(part.weight, |bias| bias.max(part.weight)).0 + 1;
                conv.parts.iter().map(of).max().unwrap_or(0)
            }
            _ => 0,
        };
        self.layers.iter().map(largest).max().unwrap_or(0)
    }

    fn check_bare(&self, values: &[Value]) {
        assert!(values.iter().all(|value| self.values[value.0].1 == Halo::NONE), "a value without a border");
    }

    fn push(&mut self, work: Work, channels: usize, halo: Halo) -> Value {
        let output = Value(self.values.len());
        self.values.push((channels, halo));
        self.layers.push(Layer { work, output });
        output
    }
}

impl Work {
    /// The values that the layer reads, each once.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Value> {
        let (first, second) = match self {
            Work::Input { .. } => (None, None),
            Work::Spread { x, .. } | Work::Norm { x, .. } => (Some(*x), None),
            Work::Join { a, b } => (Some(*a), Some(*b)),
            Work::Conv { x, residual, .. } => (Some(*x), *residual),
            Work::Attend { qkv, .. } => (Some(*qkv), None),
        };
        first.into_iter().chain(second.filter(|second| Some(*second) != first))
    }
}
