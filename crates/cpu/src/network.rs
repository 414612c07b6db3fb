//! A graph with weights, ready to run.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock};

use ddim_graph::{Graph, Parameter};
use rayon::prelude::*;

use crate::conditioning::RowWeights;
use crate::gradient::Back;
use crate::isa::Isa;
use crate::kept::Given;
use crate::kernel::{Kernel, Weights};
use crate::pixel::Positions;
use crate::plan::{Keep, Plan, layouts};
use crate::product::{Packed, Split};
use crate::run::{Memory, Run};
use crate::tape::{Layer, Tape, Value, Work, suits_winograd};
use crate::trace::Point;
use crate::unsupported::{Unsupported, check};
use crate::winograd::Transformed;

/// A network on this processor.
pub struct Network {
    pub(crate) graph: Arc<Graph>,
    pub(crate) tape: Tape,
    pub(crate) isa: Isa,
    pub(crate) convolution: Convolution,
    pub(crate) precision: Precision,
    /// Vectors that layers read as they are: biases and the affine parts of normalisations.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// For each layer that is a convolution.
    pub(crate) kernels: Vec<Option<Kernel>>,
    /// For each row of the conditioning.
    pub(crate) rows: Vec<RowWeights>,
    /// What the way back needs of the weights, from its first time on.
    pub(crate) back: OnceLock<Back>,
    pub(crate) positions: Positions,
    rooms: Mutex<Vec<Memory>>,
}

/// Numbers from times and labels, one row for all pictures or one for each: what layers take as one of
/// [`Graph::modulations`].
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Row after row.
    pub values: &'a [f32],
    /// How many rows.
    pub rows: usize,
}

/// What [`Network::observe`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// As [`Network::forward`].
    pub output: Vec<f32>,
    /// Of the output, \[n, c, h, w\].
    pub shape: [usize; 4],
    /// The values at each point, and their shape \[n, c, h, w\].
    pub points: Vec<(Vec<f32>, [usize; 4])>,
}

/// How 3x3 convolutions are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convolution {
    /// By Winograd's algorithm where there is enough work for it: a quarter of the multiplications, with 1.6 times
    /// the rounding error.
    #[default]
    Winograd,
    /// Every product is added up.
    Direct,
}

/// What the products of a network are made of. All else is f32: sums, what lies between layers, normalisations,
/// softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Numbers of 32 bits.
    #[default]
    F32,
    /// Both factors are rounded to bf16, numbers of 16 bits off by 2^-8 of themselves at most, and products are
    /// added up in f32: a result is off by about 1 %, or half of that with [`Convolution::Direct`] (MATH.md
    /// section 34). Weights take half the memory.
    ///
    /// A processor with a fast instruction for it ([`Isa::bf16`]) draws 1.6 times as fast. Every other can do it
    /// too, if need be one product after the other: as exactly, in up to twice the time of f32. For drawing
    /// only: there is no way back.
    Bf16,
}

/// Pictures that one thread takes through the network together: weights of the deep layers are read once for all.
/// Eight gain nothing more (DDPM's network for CIFAR-10, 16 pictures on two threads), and each takes 5 MB.
const TOGETHER: usize = 4;

impl Network {
    /// Packs the weights of a graph: `parameter` gives each in turn, some of them more than once. `size`, height
    /// and width, is that of most pictures: what suits them is chosen; others can be had all the same.
    ///
    /// # Errors
    /// A graph with a layer that this engine cannot run.
    ///
    /// # Panics
    /// Parameters of other sizes than the graph says; instructions that the processor has not.
    pub fn new<'a>(
        graph: impl Into<Arc<Graph>>,
        parameter: impl Fn(Parameter) -> Cow<'a, [f32]>,
        isa: Isa,
        convolution: Convolution,
        precision: Precision,
        size: [usize; 2],
    ) -> Result<Self, Unsupported> {
        assert!(Isa::available().contains(&isa), "{isa:?}: this processor has {:?}", Isa::available());
        let graph = graph.into();
        check(&graph)?;
        let tape = Tape::new(&graph);
        let kernels = kernels(&graph, &tape, convolution, precision, size);
        let (vectors, rows) = (Vec::new(), Vec::new());
        let (back, positions, rooms) = (OnceLock::new(), Positions::default(), Mutex::default());
        let mut network =
            Network { graph, tape, isa, convolution, precision, vectors, kernels, rows, back, positions, rooms };
        network.load(parameter);
        Ok(network)
    }

    /// Other weights for the same graph.
    ///
    /// # Panics
    /// Parameters of other sizes than the graph says.
    pub fn load<'a>(&mut self, parameter: impl Fn(Parameter) -> Cow<'a, [f32]>) {
        let parameter = |place: Parameter| {
            let (values, info) = (parameter(place), self.graph.parameter(place));
            assert_eq!(
                values.len(),
                info.len(),
                "numbers of the parameter {} of shape {:?}",
                info.name,
                info.shape
            );
            values
        };
        self.back.take();
        self.rows = self.graph.rows().iter().map(|row| RowWeights::new(self.isa, row, &parameter)).collect();
        self.vectors = self.tape.layers.iter().map(|layer| vectors(&layer.work, &parameter)).collect();
        for (kernel, layer) in self.kernels.iter_mut().zip(&self.tape.layers) {
            let (Some(kernel), Work::Conv { conv, .. }) = (kernel, &layer.work) else { continue };
            let parts: Vec<Cow<[f32]>> = conv.parts.iter().map(|part| parameter(part.weight)).collect();
            match kernel {
                Kernel::Floats(weights) => weights.fill(self.isa, conv, &parts),
                Kernel::Pairs(weights) => weights.fill(self.isa, conv, &parts),
            }
        }
    }

    /// Takes `x`, \[n, c, h, w\], through the network.
    ///
    /// Pictures do not touch each other: one with a value that is not finite comes out as NaN where that value
    /// reaches, which is nearly everywhere behind the first normalisation, and all others as they would without
    /// it.
    ///
    /// # Panics
    /// Values that are not of the shape; modulations of other widths or another number than the graph says;
    /// pictures that [`Graph::sizes`] refuses.
    pub fn forward(&self, x: &[f32], shape: [usize; 4], modulations: &[Rows]) -> Vec<f32> {
        self.observe(x, shape, modulations, &[]).output
    }

    /// As [`forward`](Self::forward), with the same bits, and what can be seen at the graph's points of these
    /// names.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a name that is not a point of the graph, or that of a row.
    pub fn observe(&self, x: &[f32], shape: [usize; 4], modulations: &[Rows], points: &[&str]) -> Seen {
        self.through(x, shape, modulations, points, None)
    }

    /// The same with what is given of it.
    pub(crate) fn through(
        &self,
        x: &[f32],
        [n, c, h, w]: [usize; 4],
        modulations: &[Rows],
        points: &[&str],
        given: Option<&Given>,
    ) -> Seen {
        self.check(x, [n, c, h, w], modulations);
        let points = self.points_named(points);
        if n == 0 {
            let nothing = [0, c, h, w];
            return Seen { output: Vec::new(), shape: nothing, points: vec![(Vec::new(), nothing); points.len()] };
        }
        let threads = rayon::current_num_threads();
        let (chunks, each) = chunks(n, threads);
        let split = if n < threads { Split::Threads } else { Split::Never };
        let plan = |pictures| self.plan(pictures, [h, w], Keep::WhileRead);
        let full = plan(each.min(n.max(1)));
        let shape = |value: usize| {
            let layout = &full.layouts[value];
            [n, layout.channels, layout.height, layout.width]
        };
        let room = |value: usize| (vec![0.0; shape(value).iter().product()], shape(value));
        if let Some(given) = given {
            assert_eq!(given.len(), shape(given.layer()).iter().product(), "values kept for {n} pictures");
        }
        let (mut output, result) = room(self.tape.result.0);
        let mut seen: Vec<(Vec<f32>, [usize; 4])> = points.iter().map(|point| room(point.layer)).collect();
        let work = |(k, (x, out, mut seen)): (usize, Piece)| {
            let pictures = x.len() / (c * h * w);
            let short;
            let plan = if pictures == full.pictures {
                &full
            } else {
                short = plan(pictures);
                &short
            };
            let mut memory = self.rooms.lock().ok().and_then(|mut rooms| rooms.pop()).unwrap_or_default();
            let run = Run { network: self, plan, split, first: k * each, modulations };
            let given = given.map(|given| given.part(k * each, pictures, n));
            run.observe(x, &mut memory, out, &mut seen, given);
            if let Ok(mut rooms) = self.rooms.lock() {
                rooms.push(memory);
            }
        };
        let lens = points.iter().map(|point| each * shape(point.layer)[1..].iter().product::<usize>());
        let mut parts: Vec<_> =
            seen.iter_mut().zip(lens).map(|((values, _), len)| values.chunks_mut(len)).collect();
        let piece = |(x, out)| {
            let parts =
                points.iter().zip(&mut parts).map(|(point, parts)| (*point, parts.next().unwrap_or_default()));
            (x, out, parts.collect())
        };
        let out_each = output.len() / n * each;
        let pieces = x.chunks(each * c * h * w).zip(output.chunks_mut(out_each)).map(piece).enumerate();
        if chunks == 1 || n == 1 {
            pieces.for_each(work)
        } else {
            pieces.collect::<Vec<_>>().into_par_iter().for_each(work)
        }
        Seen { output, shape: result, points: seen }
    }
}

/// Some pictures, where what comes out goes, and where that does which is seen on the way.
type Piece<'a> = (&'a [f32], &'a mut [f32], Vec<(Point<'a>, &'a mut [f32])>);

impl Network {
    /// Bytes that [`forward`](Self::forward) takes at once for `n` pictures of this height and width, besides its
    /// weights and the pictures themselves: what comes out, and the values of the pictures on their way. None for
    /// pictures that it cannot take.
    pub fn memory(&self, [n, h, w]: [usize; 3]) -> Option<u64> {
        let layouts = layouts(&self.graph, &self.tape, [h, w]).ok()?;
        let out = layouts[self.tape.result.0];
        let out = out.channels * out.pixels();
        let threads = rayon::current_num_threads();
        let (_, each) = chunks(n, threads);
        let on_their_way = self.plan(each, [h, w], Keep::WhileRead).len;
        let at_once = threads.min(n.div_ceil(each));
        let values = (out as u64).saturating_mul(n as u64).saturating_add((on_their_way as u64) * at_once as u64);
        Some(values.saturating_mul(size_of::<f32>() as u64))
    }

    /// The graph that it runs.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// # Panics
    /// Pictures that do not go through the layers.
    pub(crate) fn plan(&self, pictures: usize, size: [usize; 2], keep: Keep) -> Plan {
        Plan::new(&self.graph, &self.tape, pictures, size, keep)
    }

    /// Panics unless these are pictures and modulations that the graph can take.
    pub(crate) fn check(&self, x: &[f32], [n, c, h, w]: [usize; 4], modulations: &[Rows]) {
        let values = [n, c, h, w].into_iter().try_fold(1usize, usize::checked_mul);
        assert_eq!(values, Some(x.len()), "values of {n} pictures of {c}x{h}x{w}");
        assert!(c > 0 && h > 0 && w > 0, "pictures of {c}x{h}x{w}: no side may be 0");
        assert_eq!(c, self.graph.input_channels(), "channels of the pictures and of the network");
        let taken = self.graph.modulations();
        assert_eq!(modulations.len(), taken.len(), "modulations of the network");
        for (k, (Rows { values, rows }, row)) in modulations.iter().zip(taken).enumerate() {
            assert!(*rows == 1 || *rows == n, "{rows} rows of modulation {k} for {n} pictures");
            let width = self.graph.row_width(*row);
            assert_eq!(Some(values.len()), width.checked_mul(*rows), "numbers of modulation {k}");
        }
    }
}

/// Into how many chunks `n` pictures are cut for so many threads, and how many pictures a chunk has.
fn chunks(n: usize, threads: usize) -> (usize, usize) {
    let chunks = threads * n.div_ceil(threads * TOGETHER).max(1);
    (chunks, n.div_ceil(chunks).max(1))
}

/// For each convolution weights that are not filled yet: for Winograd's algorithm where there are more pixels than
/// a few. With fewer there is little to compute, and four times the weights to read.
fn kernels(
    graph: &Graph,
    tape: &Tape,
    convolution: Convolution,
    precision: Precision,
    size: [usize; 2],
) -> Vec<Option<Kernel>> {
    const MANY: usize = 36;
    let layouts = layouts(graph, tape, size);
    let many = |value: Value| layouts.as_ref().is_ok_and(|layouts| layouts[value.0].pixels() >= MANY);
    let kernel = |layer: &Layer| {
        let Work::Conv { conv, .. } = &layer.work else { return None };
        let suited = suits_winograd(conv) && many(layer.output);
        let by_winograd = convolution == Convolution::Winograd && suited;
        Some(match (precision, by_winograd) {
            (Precision::F32, true) => Kernel::Floats(Weights::Winograd(Transformed::default())),
            (Precision::F32, false) => Kernel::Floats(Weights::Direct(Packed::default())),
            (Precision::Bf16, true) => Kernel::Pairs(Weights::Winograd(Transformed::default())),
            (Precision::Bf16, false) => Kernel::Pairs(Weights::Direct(Packed::default())),
        })
    };
    tape.layers.iter().map(kernel).collect()
}

/// The vectors of a layer: bias, padded for whole vectors, or weight and bias of a normalisation.
fn vectors<'a>(work: &Work, parameter: &impl Fn(Parameter) -> Cow<'a, [f32]>) -> Vec<f32> {
    match work {
        Work::Norm { norm, .. } => [parameter(norm.weight), parameter(norm.bias)].concat(),
        Work::Conv { conv, .. } => {
            let mut bias = Vec::with_capacity(conv.to().next_multiple_of(16));
            for part in &conv.parts {
                match part.bias {
                    Some(place) => bias.extend_from_slice(&parameter(place)),
                    None => bias.resize(bias.len() + part.to, 0.0),
                }
            }
            bias.resize(bias.len().next_multiple_of(16), 0.0);
            bias
        }
        _ => Vec::new(),
    }
}
