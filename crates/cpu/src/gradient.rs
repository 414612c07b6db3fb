//! The way back: gradients of weights, modulations and pictures.

mod conv;
mod norm;
mod pixel;
mod way;

use ddim_graph::{Conv, Operation, Parameter};
use rayon::prelude::*;

use crate::isa::Isa;
use crate::kernel::{Kernel, Weights};
use crate::network::{Convolution, Network, Precision, Rows};
use crate::plan::{Keep, Plan};
use crate::product::{Packed, Split};
use crate::run::{Memory, Run};
use crate::tape::{Layer, Work};
use way::{BackRoom, Way};

/// What a batch says about each number that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// As the parameters of the graph; 0 for those of the conditioning, until
    /// [`Network::condition_gradients`] has added theirs. None where only the input's were wanted.
    pub parameters: Vec<Vec<f32>>,
    /// As the modulations, a row a picture. None where only the input's were wanted.
    pub modulations: Vec<Vec<f32>>,
    /// As the pictures; empty where it was not wanted.
    pub input: Vec<f32>,
}

/// What the way back is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The gradients of the parameters and of the modulations, as training wants them.
    Weights,
    /// That of the pictures alone, as a likelihood wants it: half the work.
    Input,
    /// All of them.
    All,
}

/// What [`Network::pull_back`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct PulledBack {
    /// As [`Network::forward`].
    pub output: Vec<f32>,
    /// The transpose of each picture's Jacobian times its slope, as the pictures lie.
    pub input: Vec<f32>,
}

/// Pictures that go forth and back together at most: few, so that what the way back needs is still in the cache.
const TOGETHER: usize = 2;

impl Network {
    /// Whether [`gradients`](Self::gradients) of weights can be had: of a network in f32 without Winograd's
    /// algorithm, and without dropout, which the way forth leaves out.
    pub fn trains(&self) -> bool {
        self.goes_back() && !self.drops()
    }

    /// Takes `x`, \[n, c, h, w\], through the network and back, on this thread.
    ///
    /// `slope` is told the number of the first picture of some, and their results \[k, c, h, w\]; it writes the
    /// gradient of the loss over them. Modulations have a row for each picture. Gradients are those of the sum
    /// over pictures.
    ///
    /// # Panics
    /// A network that was made for [`Convolution::Winograd`] or [`Precision::Bf16`]; one with dropout, unless only
    /// the input's gradient is wanted; values that are not of the shape; modulations of other widths than the
    /// graph says, or with another number of rows; pictures as in [`Network::forward`].
    pub fn gradients(
        &self,
        x: &[f32],
        shape: [usize; 4],
        modulations: &[Rows],
        wanted: Wanted,
        mut slope: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> Gradients {
        self.check_back(wanted);
        self.check(x, shape, modulations);
        let n = shape[0];
        assert!(modulations.iter().all(|rows| rows.rows == n), "a row of each modulation for each picture");
        let [_, c, h, w] = shape;
        let trip = Trip { network: self, size: [c, h, w], modulations, wanted };
        let mut sums = Sums::new(self, modulations, wanted);
        let mut input = vec![0.0; if wanted.input() { x.len() } else { 0 }];
        let mut room = TripRoom::default();
        let each = TOGETHER * c * h * w;
        for (k, x) in x.chunks(each).enumerate() {
            let d_x = input.chunks_mut(each).nth(k).unwrap_or_default();
            let first = k * TOGETHER;
            trip.go(first, x, d_x, (&mut room, &mut sums), |out, d_out| slope(first, out, d_out));
        }
        sums.finish(self, wanted, input)
    }

    /// Takes `x`, \[n, c, h, w\], through the network, and `slope`, as large as what comes out, back to the
    /// pictures: what a gradient of a sum of outputs times `slope` is. On all threads, each with some of the
    /// pictures.
    ///
    /// # Panics
    /// As [`gradients`](Self::gradients) of the input, but that one row of a modulation may hold for all pictures;
    /// a slope of another size than the result.
    pub fn pull_back(&self, x: &[f32], shape: [usize; 4], modulations: &[Rows], slope: &[f32]) -> PulledBack {
        self.check_back(Wanted::Input);
        self.check(x, shape, modulations);
        let [n, c, h, w] = shape;
        if n == 0 {
            return PulledBack { output: Vec::new(), input: Vec::new() };
        }
        let trip = Trip { network: self, size: [c, h, w], modulations, wanted: Wanted::Input };
        let last = self.plan(1, [h, w], Keep::WhileRead).layouts[self.tape.result.0];
        let result = last.channels * last.pixels();
        assert_eq!(slope.len(), n * result, "slopes of {n} results of {result} values");
        let (mut output, mut input) = (vec![0.0; n * result], vec![0.0; x.len()]);
        // No thread is idle while another has two.
        let together = n.div_ceil(rayon::current_num_threads()).min(TOGETHER);
        let (each, each_out) = (together * c * h * w, together * result);
        let there = x.par_chunks(each).zip(output.par_chunks_mut(each_out));
        let back = slope.par_chunks(each_out).zip(input.par_chunks_mut(each));
        there.zip(back).enumerate().for_each_init(TripRoom::default, |room, (k, ((x, out), (slope, d_x)))| {
            trip.go(k * together, x, d_x, (room, &mut Sums::none()), |results, d_out| {
                out.copy_from_slice(results);
                d_out.copy_from_slice(slope);
            });
        });
        PulledBack { output, input }
    }

    /// Whether there is a way back: for a network in f32 without Winograd's algorithm.
    pub fn goes_back(&self) -> bool {
        (self.convolution, self.precision) == (Convolution::Direct, Precision::F32)
    }

    fn drops(&self) -> bool {
        self.graph.layers().iter().any(|layer| matches!(layer.operation, Operation::Dropout { .. }))
    }

    fn check_back(&self, wanted: Wanted) {
        assert!(self.goes_back(), "the way back needs the weights as they are");
        assert!(!wanted.weights() || !self.drops(), "the way back for training does not know dropout");
    }
}

impl Wanted {
    fn weights(self) -> bool {
        self != Wanted::Input
    }

    fn input(self) -> bool {
        self != Wanted::Weights
    }
}

/// What all pictures of a batch have in common on their way forth and back.
struct Trip<'a> {
    network: &'a Network,
    /// Of a picture: channels, height, width.
    size: [usize; 3],
    modulations: &'a [Rows<'a>],
    wanted: Wanted,
}

/// What a trip needs, kept for the next.
#[derive(Default)]
struct TripRoom {
    memory: Memory,
    back: BackRoom,
    /// Where values and their slopes lie.
    plans: Option<(Plan, Plan)>,
}

impl Trip<'_> {
    /// Takes some pictures forth and back, the first of which has the number `first`.
    fn go(
        &self,
        first: usize,
        x: &[f32],
        d_x: &mut [f32],
        (room, sums): (&mut TripRoom, &mut Sums),
        slope: impl FnOnce(&[f32], &mut [f32]),
    ) {
        let Trip { network, size: [c, h, w], modulations, wanted } = *self;
        let TripRoom { memory, back, plans } = room;
        let pictures = x.len() / (c * h * w);
        let [plan, slopes] = match plans.take().filter(|(plan, _)| plan.pictures == pictures) {
            Some((plan, slopes)) => [plan, slopes],
            None => {
                let plan = network.plan(pictures, [h, w], Keep::All);
                let slopes = plan.without_borders();
                [plan, slopes]
            }
        };
        let run = Run { network, plan: &plan, split: Split::Never, first, modulations };
        let result = &plan.layouts[network.tape.result.0];
        let mut out = vec![0.0; pictures * result.channels * result.pixels()];
        run.forward(x, memory, &mut out);
        let mut d_out = vec![0.0; out.len()];
        slope(&out, &mut d_out);
        let weights = network.back.get_or_init(|| Back::new(network));
        let way = Way { back: weights, run: &run, slopes: &slopes, wanted };
        way.back((&d_out, d_x), memory, back, sums);
        *plans = Some((plan, slopes));
    }
}

/// What the way back knows of a network.
pub(crate) struct Back {
    /// For each convolution, its weights with inputs and outputs exchanged and the kernel turned round.
    weights: Vec<Packed>,
}

/// Sums over pictures.
struct Sums {
    /// Of each layer: the right matrix of a convolution and then its bias, or gamma and beta.
    layers: Vec<Vec<f32>>,
    modulations: Vec<Vec<f32>>,
}

impl Back {
    fn new(network: &Network) -> Self {
        let kernels = network.tape.layers.iter().zip(&network.kernels);
        let weights = kernels.map(|(layer, kernel)| match (&layer.work, kernel) {
            (Work::Conv { conv, .. }, Some(Kernel::Floats(Weights::Direct(packed)))) => {
                turned(network.isa, conv, packed)
            }
            _ => Packed::default(),
        });
        Back { weights: weights.collect() }
    }
}

/// \[kernel turned round * out, in\] from \[kernel * in, out\].
fn turned(isa: Isa, conv: &Conv, packed: &Packed) -> Packed {
    let (to, taps) = (conv.to(), conv.kernel[0] * conv.kernel[1]);
    let plain = packed.plain();
    Packed::new(isa, [taps * to, conv.from], |place, column| {
        let (tap, out) = (place / to, place % to);
        plain[((taps - 1 - tap) * conv.from + column) * to + out]
    })
}

impl Sums {
    fn new(network: &Network, modulations: &[Rows], wanted: Wanted) -> Self {
        if !wanted.weights() {
            return Self::none();
        }
        let layer = |layer: &Layer| match &layer.work {
            Work::Norm { x, .. } => vec![0.0; 2 * network.tape.channels(*x)],
            // The matrix, and the bias as its last row.
            Work::Conv { conv, .. } => vec![0.0; (conv.inputs() + 1) * conv.to()],
            _ => Vec::new(),
        };
        Sums {
            layers: network.tape.layers.iter().map(layer).collect(),
            modulations: modulations.iter().map(|rows| vec![0.0; rows.values.len()]).collect(),
        }
    }

    /// Where nobody wants them.
    fn none() -> Self {
        Sums { layers: Vec::new(), modulations: Vec::new() }
    }

    /// From the order of the layers to that of the parameters.
    fn finish(self, network: &Network, wanted: Wanted, input: Vec<f32>) -> Gradients {
        let Sums { layers, modulations } = self;
        if !wanted.weights() {
            return Gradients { parameters: Vec::new(), modulations, input };
        }
        let zeros = network.graph.parameters().iter().map(|info| vec![0.0; info.len()]);
        let mut parameters: Vec<Vec<f32>> = zeros.collect();
        for (layer, sums) in network.tape.layers.iter().zip(&layers) {
            match &layer.work {
                Work::Norm { norm, .. } => {
                    let (gamma, beta) = sums.split_at(sums.len() / 2);
                    add(&mut parameters[norm.weight.0], gamma);
                    add(&mut parameters[norm.bias.0], beta);
                }
                Work::Conv { conv, .. } => unpack(conv, sums, &mut parameters),
                _ => {}
            }
        }
        Gradients { parameters, modulations, input }
    }
}

/// Adds to what is there, to zeros where nothing is.
pub(crate) fn add(total: &mut Vec<f32>, part: &[f32]) {
    total.resize(part.len(), 0.0);
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

fn unpack(conv: &Conv, sums: &[f32], parameters: &mut [Vec<f32>]) {
    let (to, taps) = (conv.to(), conv.kernel[0] * conv.kernel[1]);
    let (weights, bias) = sums.split_at(conv.inputs() * to);
    let mut first = 0;
    for part in &conv.parts {
        let mut weight = vec![0.0; part.to * conv.inputs()];
        for (place, row) in weights.chunks_exact(to).enumerate() {
            let (tap, channel) = (place / conv.from, place % conv.from);
            for column in 0..part.to {
                weight[(column * conv.from + channel) * taps + tap] = row[first + column];
            }
        }
        add(&mut parameters[part.weight.0], &weight);
        if let Some(Parameter(place)) = part.bias {
            add(&mut parameters[place], &bias[first..first + part.to]);
        }
        first += part.to;
    }
}
