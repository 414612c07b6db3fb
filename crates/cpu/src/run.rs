//! Some pictures on their way through the layers.

use crate::attention::{Room, attend};
use crate::network::{Network, Rows};
use crate::norm::{Affine, moments, normalize};
use crate::plan::Plan;
use crate::product::{Product, Split, product};
use crate::spread::{channels_first, channels_last, join, spread};
use crate::tape::{Conv, Layer, Modulation, Norm, Value, Work};
use crate::tile::{self, Finish, Left, Runs, Start};
use crate::winograd;

/// What one thread works in.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) values: Vec<f32>,
    room: Room,
    tiles: winograd::Room,
    start: Vec<f32>,
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

    pub(crate) fn layer(&self, k: usize, layer: &Layer, input: &[f32], memory: &mut Memory) {
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
                if kernel.is_there() {
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
