//! Some pictures on their way through the layers.

use ddim_graph::{Conv, Modulation, Norm, PixelNorm};

use crate::activation::activate;
use crate::attention::{self, attend};
use crate::block::{Finish, Start};
use crate::cell::Pair;
use crate::kept::Part;
use crate::kernel::{self, Kernel, Pictures};
use crate::layout::Layout;
use crate::network::{Network, Precision, Rows};
use crate::norm::{Affine, for_lines, moments, normalize};
use crate::pixel::{gate, normalize_pixels};
use crate::plan::Plan;
use crate::pool::mean;
use crate::product::Split;
use crate::spread::{channels_first, channels_last, join, multiply, spread};
use crate::tape::{Layer, Value, Work};
use crate::trace::Point;

/// What one thread works in.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) values: Vec<f32>,
    rooms: Rooms,
    start: Vec<f32>,
}

/// What products need, for each precision.
#[derive(Default)]
struct Rooms {
    floats: Room<f32>,
    pairs: Room<Pair>,
}

#[derive(Default)]
struct Room<C> {
    attention: attention::Room<C>,
    kernel: kernel::Room<C>,
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
    /// # Panics
    /// Pictures and results of other sizes than the plan says.
    pub(crate) fn forward(&self, x: &[f32], memory: &mut Memory, out: &mut [f32]) {
        self.observe(x, memory, out, &mut [], None);
    }

    /// The same, and what can be seen at each of some points goes beside it. What is given is not computed.
    pub(crate) fn observe(
        &self,
        x: &[f32],
        memory: &mut Memory,
        out: &mut [f32],
        points: &mut [(Point, &mut [f32])],
        given: Option<Part>,
    ) {
        memory.values.resize(self.plan.len.max(memory.values.len()), 0.0);
        for (k, layer) in self.network.tape.layers.iter().enumerate() {
            if given.is_some_and(|given| given.replaces(k, self, memory)) {
                continue;
            }
            self.layer(k, layer, x, memory);
            for (point, out) in points.iter_mut().filter(|(point, _)| point.layer == k) {
                out.copy_from_slice(&self.at(point, memory));
            }
        }
        self.result(memory, out);
    }

    /// Memory for one way through.
    pub(crate) fn memory(&self) -> Memory {
        Memory { values: vec![0.0; self.plan.len], ..Memory::default() }
    }

    /// What has come out, \[n, c, h, w\].
    pub(crate) fn result(&self, memory: &Memory, out: &mut [f32]) {
        let result = self.network.tape.result.0;
        let layout = &self.plan.layouts[result];
        let values = &memory.values[self.plan.range(result)];
        let len = layout.channels * layout.pixels();
        for (out, values) in out.chunks_exact_mut(len).zip(values.chunks(layout.len())) {
            channels_first(&values[..len], layout.channels, 1.0, out);
        }
    }

    pub(crate) fn layer(&self, k: usize, layer: &Layer, input: &[f32], memory: &mut Memory) {
        let Memory { values, rooms, start } = memory;
        let to = &self.plan.layouts[layer.output.0];
        let (out, rest) = apart(values, self.plan, layer.output);
        let of = |value: &Value| (rest.get(*value), &self.plan.layouts[value.0]);
        match &layer.work {
            Work::Input { scale, shift } => {
                let len = to.channels * to.pixels();
                for (n, out) in self.each(out, to) {
                    channels_last(&input[n * len..][..len], to.channels, (*scale, *shift), out);
                }
            }
            Work::Spread { x, resample } => {
                let (x, from) = of(x);
                self.each(out, to).for_each(|(n, out)| spread(*resample, (&x[n * from.len()..], from), (out, to)));
            }
            Work::Join { parts } => {
                let parts: Vec<_> = parts.iter().map(of).map(|(x, from)| (x, from.channels)).collect();
                join(&parts, &mut out[..self.plan.pictures * to.len()]);
            }
            Work::Norm { x, norm } => self.norm(k, norm, of(x), (out, to)),
            Work::Conv { x, conv, residual, last } => {
                let (x, from) = of(x);
                let residual = residual.map(|value| rest.get(value));
                let start = self.starts(k, to.channels, conv.shift, start);
                let finish = Finish { start, residual, scale: conv.scale as f32, least: last.least() };
                let pictures = Pictures { count: self.plan.pictures, x, from, to };
                self.conv(k, (conv, pictures), finish, rooms, out);
                self.each(out, to).for_each(|(_, out)| to.clear_border(out));
            }
            Work::Attend { qkv, heads, width } => self.attend([*heads, *width], of(qkv), rooms, (out, to)),
            Work::Multiply { x, by } => {
                let (x, len) = (of(x).0, to.len());
                self.each(out, to).for_each(|(n, out)| multiply(&x[n * len..][..len], self.row(*by, n)[0], out));
            }
            Work::NormPixels { x, norm } => self.norm_pixels(norm, of(x), (out, to)),
            Work::Gate { x, by, residual } => {
                let (isa, x, residual, len) = (self.network.isa, of(x).0, of(residual).0, to.len());
                for (n, out) in self.each(out, to) {
                    gate(isa, &x[n * len..][..len], self.row(*by, n), &residual[n * len..][..len], out);
                }
            }
            Work::Positions { x, base } => {
                let table = self.network.positions.of(to.channels, [to.height, to.width], *base);
                let x = of(x).0.chunks(to.len());
                for ((_, out), x) in self.each(out, to).zip(x) {
                    out.iter_mut().zip(x.iter().zip(&*table)).for_each(|(out, (x, place))| *out = x + place);
                }
            }
            Work::Pool { .. } | Work::Mean { .. } | Work::Activate { .. } | Work::Add { .. } => {
                self.simply(&layer.work, of, (out, to));
            }
        }
    }

    /// The layers that have neither weights nor rows.
    fn simply<'b>(
        &self,
        work: &Work,
        of: impl Fn(&Value) -> (&'b [f32], &'b Layout),
        (out, to): (&mut [f32], &Layout),
    ) {
        let isa = self.network.isa;
        match work {
            Work::Pool { x, pool } => {
                let (x, from) = of(x);
                self.each(out, to).for_each(|(n, out)| {
                    crate::pool::pool(isa, pool, (&x[n * from.len()..][..from.len()], from), (out, to));
                });
            }
            Work::Mean { x } => {
                let (x, from) = of(x);
                self.each(out, to).for_each(|(n, out)| mean(isa, &x[n * from.len()..][..from.len()], from, out));
            }
            Work::Activate { x, activation } => {
                let (x, from) = of(x);
                let padded = from.channels.next_multiple_of(16);
                let (ones, zeros) = (vec![1.0; padded], vec![0.0; padded]);
                for (n, out) in self.each(out, to) {
                    to.clear_border(out);
                    let lines = x[n * from.len()..].chunks_exact(from.line());
                    for (out, x) in to.lines_mut(out).zip(lines) {
                        activate(isa, x, from.channels, &ones, &zeros, *activation, out);
                    }
                }
            }
            Work::Add { a, b } => {
                let pairs = of(a).0.iter().zip(of(b).0);
                out.iter_mut().zip(pairs).for_each(|(out, (a, b))| *out = a + b);
            }
            other => unreachable!("{other:?} has weights or rows"),
        }
    }

    /// The pictures of a value that is written, with their numbers.
    fn each<'b>(&self, out: &'b mut [f32], to: &Layout) -> impl Iterator<Item = (usize, &'b mut [f32])> {
        out.chunks_mut(to.len()).take(self.plan.pictures).enumerate()
    }

    pub(crate) fn norm(
        &self,
        k: usize,
        norm: &Norm,
        (x, from): (&[f32], &Layout),
        (out, to): (&mut [f32], &Layout),
    ) {
        let isa = self.network.isa;
        for (n, out) in self.each(out, to) {
            let x = &x[n * from.len()..][..from.len()];
            let moments = moments(isa, x, from, norm.groups, norm.epsilon);
            let affine = self.affine(k, norm, n, from.channels);
            normalize(isa, self.split, (x, from), &moments, affine, norm.activation, (out, to));
        }
    }

    fn norm_pixels(&self, norm: &PixelNorm, (x, from): (&[f32], &Layout), (out, to): (&mut [f32], &Layout)) {
        let (isa, channels) = (self.network.isa, from.channels);
        let as_it_is = [1.0, 0.0].map(|value| vec![value; channels]).concat();
        for (n, out) in self.each(out, to) {
            let row = norm.modulation.map_or(&as_it_is[..], |modulation| self.row(modulation, n));
            let (scale, shift) = row.split_at(channels);
            let x = &x[n * from.len()..][..from.len()];
            let lines = x.chunks_exact(from.line()).zip(out.chunks_exact_mut(from.line()));
            for_lines(self.split, x.len(), lines, |(x, out)| {
                normalize_pixels(isa, x, channels, norm.epsilon, [scale, shift], out);
            });
        }
    }

    fn conv(&self, k: usize, work: (&Conv, Pictures), finish: Finish, rooms: &mut Rooms, out: &mut [f32]) {
        let (isa, split, Rooms { floats, pairs }) = (self.network.isa, self.split, rooms);
        match &self.network.kernels[k] {
            Some(Kernel::Floats(weights)) => weights.convolve(isa, split, work, finish, &mut floats.kernel, out),
            Some(Kernel::Pairs(weights)) => weights.convolve(isa, split, work, finish, &mut pairs.kernel, out),
            None => unreachable!("a convolution has weights"),
        }
    }

    fn attend(
        &self,
        sizes: [usize; 2],
        (qkv, from): (&[f32], &Layout),
        rooms: &mut Rooms,
        (out, to): (&mut [f32], &Layout),
    ) {
        let (isa, split, Rooms { floats, pairs }) = (self.network.isa, self.split, rooms);
        for (n, out) in self.each(out, to) {
            let (qkv, out) = (&qkv[n * from.len()..][..from.len()], &mut out[..to.len()]);
            match self.network.precision {
                Precision::F32 => attend(isa, split, qkv, sizes, &mut floats.attention, out),
                Precision::Bf16 => attend(isa, split, qkv, sizes, &mut pairs.attention, out),
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
    pub(crate) fn row(&self, modulation: Modulation, n: usize) -> &[f32] {
        let Rows { values, rows } = self.modulations[modulation.index()];
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
