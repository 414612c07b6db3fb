//! A tape with weights, ready to run.

use std::sync::Mutex;

use rayon::prelude::*;

use crate::lanes::Isa;
use crate::plan::{Keep, Plan};
use crate::product::{Packed, Split};
use crate::run::{Memory, Run};
use crate::tape::{Conv, Parameter, Tape, Work};
use crate::winograd::Transformed;

/// A network on this processor.
pub struct Network {
    pub(crate) tape: Tape,
    pub(crate) isa: Isa,
    convolution: Convolution,
    /// Vectors that layers read as they are: biases and the affine parts of normalisations.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// For each layer that is a convolution.
    pub(crate) weights: Vec<Packed>,
    /// The same for those that are done by Winograd's algorithm.
    pub(crate) kernels: Vec<Transformed>,
    rooms: Mutex<Vec<Memory>>,
}

/// Numbers from times and labels, one row for all pictures or one for each.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Row after row.
    pub values: &'a [f32],
    /// How many rows.
    pub rows: usize,
}

/// How 3x3 convolutions that keep the size are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convolution {
    /// By Winograd's algorithm where there is enough work for it: a quarter of the multiplications, with 1.6 times the
    /// rounding error.
    #[default]
    Winograd,
    /// Every product is added up.
    Direct,
}

/// Pictures that one thread takes through the network together: weights of the deep layers are read once for all.
const TOGETHER: usize = 8;

impl Network {
    /// Packs the weights of a tape; `parameters` are in the order that the tape numbers them in.
    ///
    /// # Panics
    /// Parameters of other sizes than the tape says.
    pub fn new(tape: Tape, parameters: &[&[f32]], isa: Isa, convolution: Convolution) -> Self {
        let weights = vec![Packed::default(); tape.layers.len()];
        let kernels = vec![Transformed::default(); tape.layers.len()];
        let rooms = Mutex::default();
        let mut network = Network { tape, isa, convolution, vectors: Vec::new(), weights, kernels, rooms };
        network.load(parameters);
        network
    }

    /// Other weights for the same tape.
    ///
    /// # Panics
    /// Parameters of other sizes than the tape says.
    pub fn load(&mut self, parameters: &[&[f32]]) {
        let (isa, by_winograd) = (self.isa, self.convolution == Convolution::Winograd);
        self.vectors = self.tape.layers.iter().map(|layer| vectors(&layer.work, parameters)).collect();
        let packed = self.weights.par_iter_mut().zip(&mut self.kernels);
        packed.zip(&self.tape.layers).for_each(|((packed, kernel), layer)| {
            if let Work::Conv { conv, .. } = &layer.work {
                pack(isa, conv, parameters, packed);
                if by_winograd && conv.kernel == 3 && conv.stride == 1 && conv.from >= 8 && conv.to() >= 8 {
                    transform(isa, conv, parameters, kernel);
                }
            }
        });
    }

    /// Takes `x`, \[n, c, h, w\], through the network.
    ///
    /// # Panics
    /// Values that are not of the shape; modulations of other widths than the tape says.
    pub fn forward(&self, x: &[f32], [n, c, h, w]: [usize; 4], modulations: &[Rows]) -> Vec<f32> {
        let last = self.tape.values.len() - 1;
        let threads = rayon::current_num_threads();
        let chunks = threads * n.div_ceil(threads * TOGETHER).max(1);
        let each = n.div_ceil(chunks).max(1);
        let split = if n < threads { Split::Threads } else { Split::Never };
        let plan = |pictures| Plan::new(&self.tape, pictures, [h, w], Keep::WhileRead);
        let full = plan(each.min(n.max(1)));
        let layout = full.layouts[last];
        let out_len = layout.channels * layout.pixels();
        let mut out = vec![0.0; n * out_len];
        let work = |(k, (x, out)): (usize, (&[f32], &mut [f32]))| {
            let pictures = out.len() / out_len;
            let short;
            let plan = if pictures == full.pictures {
                &full
            } else {
                short = plan(pictures);
                &short
            };
            let mut memory = self.rooms.lock().ok().and_then(|mut rooms| rooms.pop()).unwrap_or_default();
            let run = Run { network: self, plan, split, first: k * each, modulations };
            run.forward(x, &mut memory, out);
            if let Ok(mut rooms) = self.rooms.lock() {
                rooms.push(memory);
            }
        };
        let pieces = x.chunks(each * c * h * w).zip(out.chunks_mut(each * out_len)).enumerate();
        if chunks == 1 || n == 1 {
            pieces.for_each(work)
        } else {
            pieces.collect::<Vec<_>>().into_par_iter().for_each(work)
        }
        out
    }
}

fn transform(isa: Isa, conv: &Conv, parameters: &[&[f32]], kernel: &mut Transformed) {
    let columns: Vec<_> = conv.parts.iter().flat_map(|part| (0..part.to).map(move |k| (part, k))).collect();
    kernel.fill(isa, [conv.from, conv.to()], |out, input, tap| {
        let (part, column) = columns[out];
        parameters[part.weight.0][part.at(column, input, tap, conv.from, 9)]
    });
}

fn pack(isa: Isa, conv: &Conv, parameters: &[&[f32]], packed: &mut Packed) {
    let taps = conv.kernel * conv.kernel;
    let mut columns = Vec::with_capacity(conv.to());
    for part in &conv.parts {
        let weight = parameters[part.weight.0];
        assert_eq!(weight.len(), part.to * conv.places(), "weights of a convolution");
        columns.extend((0..part.to).map(|column| (part, weight, column)));
    }
    packed.fill(isa, [conv.places(), columns.len()], |place, column| {
        let (part, weight, column) = columns[column];
        let (tap, channel) = (place / conv.from, place % conv.from);
        weight[part.at(column, channel, tap, conv.from, taps)]
    });
}

/// The vectors of a layer: bias, padded for whole vectors, or gamma and beta.
fn vectors(work: &Work, parameters: &[&[f32]]) -> Vec<f32> {
    let get = |parameter: Parameter| parameters[parameter.0];
    match work {
        Work::Norm { norm, .. } => [get(norm.gamma), get(norm.beta)].concat(),
        Work::Conv { conv, .. } => {
            let mut bias = Vec::with_capacity(conv.to().next_multiple_of(16));
            for part in &conv.parts {
                match part.bias {
                    Some(parameter) => bias.extend_from_slice(get(parameter)),
                    None => bias.resize(bias.len() + part.to, 0.0),
                }
            }
            assert_eq!(bias.len(), conv.to(), "biases of a convolution");
            bias.resize(bias.len().next_multiple_of(16), 0.0);
            bias
        }
        Work::Input { .. } | Work::Spread { .. } | Work::Join { .. } | Work::Attend { .. } => Vec::new(),
    }
}
