//! A tape with weights, ready to run.

use std::sync::Mutex;

use rayon::prelude::*;

use crate::attention::{Room, attend};
use crate::lanes::Isa;
use crate::norm::{Affine, moments, normalize};
use crate::plan::{Keep, Plan};
use crate::product::{Packed, Product, Split, product};
use crate::spread::{channels_first, channels_last, join, spread};
use crate::tape::{Conv, Layer, Modulation, Norm, Parameter, Tape, Value, Work};
use crate::tile::{self, Finish, Left, Runs, Start};
use crate::winograd::{self, Transformed};

/// A network on this processor.
pub struct Network {
    pub(crate) tape: Tape,
    pub(crate) isa: Isa,
    convolution: Convolution,
    /// Vectors that layers read as they are: biases and the affine parts of normalisations.
    vectors: Vec<Vec<f32>>,
    /// For each layer that is a convolution.
    pub(crate) weights: Vec<Packed>,
    /// The same for those that are done by Winograd's algorithm.
    kernels: Vec<Transformed>,
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

/// What one thread works in.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) values: Vec<f32>,
    room: Room,
    tiles: winograd::Room,
    start: Vec<f32>,
}

/// Pictures that one thread takes through the network together: weights of the deep layers are read once for all.
const TOGETHER: usize = 8;

/// Pixels from which on a 3x3 convolution is done by Winograd's algorithm: with fewer there are more weights than work.
const MANY: usize = 36;

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

/// What one layer took in [`Network::profile`].
#[derive(Clone, Debug)]
pub struct Cost {
    /// What the layer is.
    pub kind: &'static str,
    /// Height, width and channels of what it writes.
    pub shape: [usize; 3],
    /// Multiplications and additions in matrix products, twice their number.
    pub flops: f64,
    /// The fastest of all repeats.
    pub seconds: f64,
}

impl Network {
    /// Times each layer for `n` pictures of zeros on this thread, the fastest of `repeats` runs.
    pub fn profile(&self, [n, c, h, w]: [usize; 4], modulations: &[Rows], repeats: usize) -> Vec<Cost> {
        let plan = Plan::new(&self.tape, n, [h, w], Keep::WhileRead);
        let run = Run { network: self, plan: &plan, split: Split::Never, first: 0, modulations };
        let mut memory = Memory::default();
        memory.values.resize(plan.len, 0.0);
        let x = vec![0.5; n * c * h * w];
        let mut costs: Vec<Cost> = self.tape.layers.iter().map(|layer| plan.cost(layer)).collect();
        for _ in 0..repeats {
            for (k, (layer, cost)) in self.tape.layers.iter().zip(&mut costs).enumerate() {
                let start = std::time::Instant::now();
                run.layer(k, layer, &x, &mut memory);
                cost.seconds = cost.seconds.min(start.elapsed().as_secs_f64());
            }
        }
        costs
    }
}

impl Plan {
    fn cost(&self, layer: &Layer) -> Cost {
        let out = &self.layouts[layer.output.0];
        let pixels = (self.pictures * out.pixels()) as f64;
        let (kind, flops) = match &layer.work {
            Work::Input { .. } => ("input", 0.0),
            Work::Spread { .. } => ("spread", 0.0),
            Work::Join { .. } => ("join", 0.0),
            Work::Norm { .. } => ("norm", 0.0),
            Work::Conv { conv, .. } => {
                let kind = if conv.kernel == 1 { "linear" } else { "conv" };
                (kind, 2.0 * pixels * (conv.places() * conv.to()) as f64)
            }
            Work::Attend { heads, width, .. } => ("attend", 4.0 * pixels * (out.pixels() * heads * width) as f64),
        };
        Cost { kind, shape: [out.height, out.width, out.channels], flops, seconds: f64::MAX }
    }
}

/// One chunk of pictures on its way.
pub(crate) struct Run<'a> {
    pub(crate) network: &'a Network,
    pub(crate) plan: &'a Plan,
    pub(crate) split: Split,
    /// The number of the chunk's first picture.
    pub(crate) first: usize,
    pub(crate) modulations: &'a [Rows<'a>],
}

impl Run<'_> {
    pub(crate) fn forward(&self, x: &[f32], memory: &mut Memory, out: &mut [f32]) {
        memory.values.resize(self.plan.len.max(memory.values.len()), 0.0);
        for (k, layer) in self.network.tape.layers.iter().enumerate() {
            self.layer(k, layer, x, memory);
        }
        let last = self.plan.layouts.len() - 1;
        let layout = &self.plan.layouts[last];
        let values = &memory.values[self.plan.range(last)];
        let len = layout.channels * layout.pixels();
        for (out, values) in out.chunks_exact_mut(len).zip(values.chunks(layout.len())) {
            channels_first(&values[..len], layout.channels, 1.0, out);
        }
    }

    fn layer(&self, k: usize, layer: &Layer, input: &[f32], memory: &mut Memory) {
        let Memory { values, room, tiles, start } = memory;
        let (to, pictures) = (&self.plan.layouts[layer.output.0], self.plan.pictures);
        let (out, rest) = apart(values, self.plan, layer.output);
        let isa = self.network.isa;
        let of = |value: &Value| (rest.get(*value), &self.plan.layouts[value.0]);
        let each = |out: &mut [f32], f: &mut dyn FnMut(usize, &mut [f32])| {
            out.chunks_mut(to.len()).take(pictures).enumerate().for_each(|(n, out)| f(n, out));
        };
        match &layer.work {
            Work::Input { scale, shift } => each(out, &mut |n, out| {
                let len = to.channels * to.pixels();
                channels_last(&input[n * len..][..len], to.channels, (*scale, *shift), out);
            }),
            Work::Spread { x, resample } => {
                let (x, from) = of(x);
                each(out, &mut |n, out| spread(*resample, (&x[n * from.len()..], from), (out, to)));
            }
            Work::Join { a, b } => {
                let ((a, from_a), (b, from_b)) = (of(a), of(b));
                let all = pictures * to.pixels();
                let (a, b) = (&a[..all * from_a.channels], &b[..all * from_b.channels]);
                join((a, from_a.channels), (b, from_b.channels), &mut out[..all * to.channels]);
            }
            Work::Norm { x, norm } => {
                let (x, from) = of(x);
                each(out, &mut |n, out| {
                    let x = &x[n * from.len()..][..from.len()];
                    let moments = moments(isa, x, from, norm.groups, norm.eps);
                    let affine = self.affine(k, norm, n, from.channels);
                    normalize(isa, self.split, (x, from), &moments, affine, norm.activation, (out, to));
                });
            }
            Work::Conv { x, conv, shift, residual, scale } => {
                let (x, from) = of(x);
                let residual = residual.map(|value| rest.get(value));
                let starts = self.starts(k, to.channels, *shift, start);
                let finish = Finish { start: starts, residual, scale: *scale };
                let kernel = &self.network.kernels[k];
                if kernel.is_there() && to.pixels() >= MANY {
                    let (x, out) = ((x, from), (out, to));
                    winograd::convolve(isa, self.split, x, kernel, finish, pictures, tiles, out);
                    return;
                }
                let left = left(x, from, conv, to.height, to.width);
                let work = Product { left, right: &self.network.weights[k], finish, rows: pictures * to.pixels() };
                product(isa, self.split, &work, out, to.channels);
            }
            Work::Attend { qkv, heads, width } => {
                let (qkv, from) = of(qkv);
                each(out, &mut |n, out| {
                    let qkv = &qkv[n * from.len()..][..from.len()];
                    attend(isa, self.split, qkv, [*heads, *width], room, &mut out[..to.len()]);
                });
            }
        }
    }

    pub(crate) fn affine(&self, layer: usize, norm: &Norm, n: usize, channels: usize) -> Affine<'_> {
        let (gamma, beta) = self.network.vectors[layer].split_at(channels);
        let modulation = norm.modulation.map(|modulation| self.row(modulation, n).split_at(channels));
        Affine { gamma, beta, modulation }
    }

    /// What sums begin with: the bias, and the shift of each picture.
    fn starts<'b>(
        &'b self,
        layer: usize,
        channels: usize,
        shift: Option<Modulation>,
        start: &'b mut Vec<f32>,
    ) -> Start<'b> {
        let bias = &self.network.vectors[layer];
        let Some(shift) = shift else { return Start::Rows { values: bias, pitch: 0 } };
        let pitch = bias.len();
        start.clear();
        for n in 0..self.plan.pictures {
            let row = self.row(shift, n);
            start.extend(bias[..channels].iter().zip(row).map(|(bias, shift)| bias + shift));
            start.resize((n + 1) * pitch, 0.0);
        }
        Start::Rows { values: start, pitch }
    }

    /// The modulation of picture `n` of the chunk.
    fn row(&self, modulation: Modulation, n: usize) -> &[f32] {
        let Rows { values, rows } = self.modulations[modulation.0];
        let width = values.len() / rows;
        let row = if rows == 1 { 0 } else { self.first + n };
        &values[row * width..][..width]
    }
}

/// The value that is written, and all others.
fn apart<'a>(values: &'a mut [f32], plan: &'a Plan, output: Value) -> (&'a mut [f32], Rest<'a>) {
    let range = plan.range(output.0);
    let (before, rest) = values.split_at_mut(range.start);
    let (out, behind) = rest.split_at_mut(range.len());
    (out, Rest { plan, before, behind, end: range.end })
}

/// The values that are not written.
struct Rest<'a> {
    plan: &'a Plan,
    before: &'a [f32],
    behind: &'a [f32],
    end: usize,
}

impl<'a> Rest<'a> {
    fn get(&self, value: Value) -> &'a [f32] {
        let range = self.plan.range(value.0);
        if range.start >= self.end {
            &self.behind[range.start - self.end..range.end - self.end]
        } else {
            &self.before[range]
        }
    }
}

/// A picture as the left matrix of a convolution: a run is a row of the kernel.
pub(crate) fn left<'a>(
    x: &'a [f32],
    from: &crate::layout::Layout,
    conv: &Conv,
    height: usize,
    width: usize,
) -> Left<'a> {
    let pitch = from.pitch();
    Left {
        values: x,
        rows: tile::Rows {
            height,
            width,
            picture: from.len(),
            line: conv.stride * pitch,
            pixel: conv.stride * from.channels,
        },
        runs: Runs { count: conv.kernel, pitch, len: conv.kernel * from.channels },
        step: 1,
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
