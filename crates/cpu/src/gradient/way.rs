//! Some pictures on their way back, layer by layer.

use ddim_graph::{Activation, Modulation, Norm, Pool};

use super::norm::{coefficients, mix, share, standardising};
use super::{Back, Sums, Wanted};
use crate::activation::activation_slope;
use crate::attention;
use crate::norm;
use crate::plan::Plan;
use crate::pool::pool_back;
use crate::product::Packed;
use crate::run::{Memory, Run};
use crate::spread::{self, Resample, channels_first, channels_last};
use crate::tape::{Last, Layer, Value, Work};

/// Some pictures on their way back.
pub(super) struct Way<'a> {
    pub(super) back: &'a Back,
    pub(super) run: &'a Run<'a>,
    pub(super) slopes: &'a Plan,
    pub(super) wanted: Wanted,
}

/// What the way back works in.
#[derive(Default)]
pub(super) struct BackRoom {
    pub(super) slopes: Vec<f32>,
    written: Vec<bool>,
    pub(super) spread: Vec<f32>,
    attention: Vec<f32>,
    packed: Packed,
}

impl Way<'_> {
    /// From the gradient of what came out to that of what went in, if that is wanted.
    pub(super) fn back(
        &self,
        (d_out, d_in): (&[f32], &mut [f32]),
        memory: &mut Memory,
        room: &mut BackRoom,
        sums: &mut Sums,
    ) {
        let tape = &self.run.network.tape;
        room.slopes.resize(self.slopes.len.max(room.slopes.len()), 0.0);
        room.written.clear();
        room.written.resize(tape.values.len(), false);
        let result = tape.result.0;
        let layout = &self.slopes.layouts[result];
        let len = layout.channels * layout.pixels();
        let slopes = &mut room.slopes[self.slopes.range(result)];
        for (d_out, out) in d_out.chunks_exact(len).zip(slopes.chunks_mut(len)) {
            channels_last(d_out, layout.channels, (1.0, 0.0), out);
        }
        room.written[result] = true;
        for (k, layer) in tape.layers.iter().enumerate().rev() {
            self.layer(k, layer, memory, room, sums);
        }
        if self.wanted.input() {
            self.pictures_in(d_in, room);
        }
    }

    /// The gradient of the pictures that the network was given.
    fn pictures_in(&self, d_in: &mut [f32], room: &BackRoom) {
        let Work::Input { scale, .. } = &self.run.network.tape.layers[0].work else {
            unreachable!("the input is the first layer")
        };
        let layout = &self.slopes.layouts[0];
        if !room.written[0] {
            d_in.fill(0.0);
            return;
        }
        let slopes = room.slopes[self.slopes.range(0)].chunks_exact(layout.len());
        for (d_in, slopes) in d_in.chunks_exact_mut(layout.len()).zip(slopes) {
            channels_first(slopes, layout.channels, *scale, d_in);
        }
    }

    fn layer(&self, k: usize, layer: &Layer, memory: &mut Memory, room: &mut BackRoom, sums: &mut Sums) {
        if !room.written[layer.output.0] {
            return;
        }
        match &layer.work {
            Work::Input { .. } => {}
            Work::Spread { x, resample } => self.spread(*x, *resample, layer.output, room),
            Work::Join { parts } => self.join(parts, layer.output, room),
            Work::Norm { x, norm } => self.norm(k, *x, norm, layer.output, (memory, room, sums)),
            Work::Conv { x, conv, residual, last } => {
                if *last == Last::Rectify {
                    self.rectify(layer.output, memory, room);
                }
                self.scale(layer.output, conv.scale as f32, room);
                if let Some(residual) = residual {
                    self.pass(layer.output, *residual, room);
                }
                if self.wanted.weights() {
                    self.bias(k, conv, layer.output, room, sums);
                    self.weights(k, *x, conv, layer.output, (memory, room, sums));
                }
                self.inputs(k, *x, conv, layer.output, room);
            }
            Work::Attend { qkv, heads, width } => self.attend(*qkv, [*heads, *width], layer.output, memory, room),
            Work::NormPixels { x, norm } => self.norm_pixels(*x, norm, layer.output, (memory, room, sums)),
            Work::Gate { x, by, residual } => {
                self.pass(layer.output, *residual, room);
                self.gate(*x, *by, layer.output, (memory, room, sums));
            }
            Work::Positions { x, .. } => self.pass(layer.output, *x, room),
            Work::Multiply { x, by } => self.multiply(*x, *by, layer.output, (memory, room, sums)),
            Work::Pool { x, pool } => self.pool(*x, pool, layer.output, (memory, room)),
            Work::Mean { x } => self.mean(*x, layer.output, room),
            Work::Activate { x, activation } => self.activate(*x, *activation, layer.output, (memory, room)),
            Work::Add { a, b } => {
                self.pass(layer.output, *a, room);
                self.pass(layer.output, *b, room);
            }
        }
    }

    pub(super) fn pictures(&self) -> usize {
        self.run.plan.pictures
    }

    /// The gradient of a layer's output, that of one of its inputs, and whether the latter holds something
    /// already.
    pub(super) fn two<'b>(
        &self,
        output: Value,
        input: Value,
        room: &'b mut BackRoom,
    ) -> (&'b [f32], &'b mut [f32], bool) {
        let (from, to) = (self.slopes.range(output.0), self.slopes.range(input.0));
        // Values are laid out in the order of the layers: an input lies before the output.
        assert!(to.end <= from.start, "a layer reads what was written before");
        let (before, behind) = room.slopes.split_at_mut(from.start);
        let written = std::mem::replace(&mut room.written[input.0], true);
        (&behind[..from.len()], &mut before[to], written)
    }

    /// The gradient of `from` goes to `to` as it is.
    pub(super) fn pass(&self, from: Value, to: Value, room: &mut BackRoom) {
        let (from, to, written) = self.two(from, to, room);
        if written { accumulate(from, to) } else { to.copy_from_slice(from) }
    }

    fn scale(&self, output: Value, scale: f32, room: &mut BackRoom) {
        if scale != 1.0 {
            room.slopes[self.slopes.range(output.0)].iter_mut().for_each(|slope| *slope *= scale);
        }
    }

    fn spread(&self, x: Value, resample: Resample, output: Value, room: &mut BackRoom) {
        let (from, to) = (&self.slopes.layouts[output.0], &self.slopes.layouts[x.0]);
        let pictures = self.pictures();
        let (d_out, d_x, written) = self.two(output, x, room);
        if !written {
            d_x[..pictures * to.len()].fill(0.0);
        }
        for (d_out, d_x) in d_out.chunks(from.len()).zip(d_x.chunks_mut(to.len())).take(pictures) {
            spread::gather(resample, (d_out, from), (d_x, to));
        }
    }

    fn join(&self, parts: &[Value], output: Value, room: &mut BackRoom) {
        let layout = self.slopes.layouts[output.0];
        let all = self.pictures() * layout.pixels();
        let mut first = 0;
        for part in parts {
            let channels = self.slopes.layouts[part.0].channels;
            let (d_out, d_part, written) = self.two(output, *part, room);
            let rows = d_out.chunks_exact(layout.channels).take(all);
            for (d_out, d_part) in rows.zip(d_part.chunks_exact_mut(channels)) {
                let d_out = &d_out[first..first + channels];
                if written { accumulate(d_out, d_part) } else { d_part.copy_from_slice(d_out) }
            }
            first += channels;
        }
    }

    /// No slope where a convolution gave 0 in place of what is below.
    fn rectify(&self, output: Value, memory: &Memory, room: &mut BackRoom) {
        let (layout, bare) = (&self.run.plan.layouts[output.0], &self.slopes.layouts[output.0]);
        let values = memory.values[self.run.plan.range(output.0)].chunks(layout.len());
        let slopes = room.slopes[self.slopes.range(output.0)].chunks_mut(bare.len());
        for (values, slopes) in values.zip(slopes).take(self.pictures()) {
            for (values, slopes) in layout.lines(values).zip(bare.lines_mut(slopes)) {
                slopes.iter_mut().zip(values).filter(|(_, value)| **value <= 0.0).for_each(|(d, _)| *d = 0.0);
            }
        }
    }

    fn pool(&self, x: Value, pool: &Pool, output: Value, (memory, room): (&Memory, &mut BackRoom)) {
        let (from, to) = (self.slopes.layouts[x.0], self.slopes.layouts[output.0]);
        let values = &memory.values[self.run.plan.range(x.0)];
        let pictures = self.pictures();
        let (d_out, d_x, written) = self.two(output, x, room);
        if !written {
            d_x[..pictures * from.len()].fill(0.0);
        }
        for n in 0..pictures {
            let (x, d_x) = (&values[n * from.len()..], &mut d_x[n * from.len()..][..from.len()]);
            pool_back(pool, (x, &from), (&d_out[n * to.len()..], &to), d_x);
        }
    }

    fn mean(&self, x: Value, output: Value, room: &mut BackRoom) {
        let layout = self.slopes.layouts[x.0];
        let share = 1.0 / layout.pixels() as f32;
        let pictures = self.pictures();
        let (d_out, d_x, written) = self.two(output, x, room);
        let means = d_out.chunks_exact(layout.channels);
        for (means, d_x) in means.zip(d_x.chunks_exact_mut(layout.len())).take(pictures) {
            for (d_x, mean) in d_x.iter_mut().zip(means.iter().cycle()) {
                *d_x = share * mean + if written { *d_x } else { 0.0 };
            }
        }
    }

    fn activate(&self, x: Value, activation: Activation, output: Value, (memory, room): (&Memory, &mut BackRoom)) {
        let layout = self.slopes.layouts[x.0];
        let values = &memory.values[self.run.plan.range(x.0)];
        let padded = layout.channels.next_multiple_of(16);
        let (ones, zeros) = (vec![1.0; padded], vec![0.0; padded]);
        let (nothing, mut unused) = ([zeros.clone(), zeros.clone()], [zeros.clone(), zeros.clone()]);
        let len = self.pictures() * layout.len();
        let slopes = &mut room.slopes[self.slopes.range(output.0)][..len];
        let to_z = [&ones[..], &zeros[..]];
        let isa = self.run.network.isa;
        activation_slope(isa, &values[..len], slopes, layout.channels, activation, to_z, &nothing, &mut unused);
        self.pass(output, x, room);
    }

    /// Of a number that multiplies a picture: the sum of slopes times values.
    fn multiply(
        &self,
        x: Value,
        by: Modulation,
        output: Value,
        (memory, room, sums): (&Memory, &mut BackRoom, &mut Sums),
    ) {
        let (layout, values) = (self.slopes.layouts[x.0], &memory.values[self.run.plan.range(x.0)]);
        let pictures = self.pictures();
        let (d_out, d_x, written) = self.two(output, x, room);
        let lens = d_out.chunks_exact(layout.len()).zip(d_x.chunks_exact_mut(layout.len())).take(pictures);
        for (n, (d_out, d_x)) in lens.enumerate() {
            let values = &values[n * layout.len()..];
            if self.wanted.weights() {
                let sum: f64 = d_out.iter().zip(values).map(|(d, x)| f64::from(d * x)).sum();
                sums.modulations[by.index()][self.run.first + n] += sum as f32;
            }
            let times = self.run.row(by, n)[0];
            let pairs = d_x.iter_mut().zip(d_out);
            match written {
                true => pairs.for_each(|(d_x, d)| *d_x += times * d),
                false => pairs.for_each(|(d_x, d)| *d_x = times * d),
            }
        }
    }

    fn norm(
        &self,
        k: usize,
        x: Value,
        norm: &Norm,
        output: Value,
        (memory, room, sums): (&Memory, &mut BackRoom, &mut Sums),
    ) {
        let isa = self.run.network.isa;
        let layout = self.slopes.layouts[x.0];
        let values = &memory.values[self.run.plan.range(x.0)];
        let written = std::mem::replace(&mut room.written[x.0], true);
        for n in 0..self.pictures() {
            let x_n = &values[n * layout.len()..][..layout.len()];
            let moments = norm::moments(isa, x_n, &layout, norm.groups, norm.epsilon);
            let affine = self.run.affine(k, norm, n, layout.channels);
            let (scale, shift) = norm::scale_and_shift(&moments, affine, layout.channels);
            let standard = standardising(&moments, layout.channels);
            let range = self.slopes.range(output.0).start + n * layout.len();
            let d_out = &mut room.slopes[range..][..layout.len()];
            let mut totals = [vec![0.0; scale.len()], vec![0.0; scale.len()]];
            let to_z = [&scale[..], &shift[..]];
            activation_slope(isa, x_n, d_out, layout.channels, norm.activation, to_z, &standard, &mut totals);
            let [by_shift, by_scale] = &totals;
            if self.wanted.weights() {
                let picture = self.run.first + n;
                share(norm, affine, by_shift, by_scale, &mut sums.layers[k], &mut sums.modulations, picture);
            }
            let back = coefficients(&moments, affine, by_shift, by_scale, &layout);
            let (before, behind) = room.slopes.split_at_mut(self.slopes.range(output.0).start);
            let d_x = &mut before[self.slopes.range(x.0)][n * layout.len()..][..layout.len()];
            let d_z = &behind[n * layout.len()..][..layout.len()];
            mix(isa, [d_z, x_n], &back, layout.channels, written, d_x);
        }
    }

    fn attend(&self, qkv: Value, [heads, width]: [usize; 2], output: Value, memory: &Memory, room: &mut BackRoom) {
        let (isa, inner) = (self.run.network.isa, heads * width);
        let (from, to) = (self.slopes.layouts[output.0], self.slopes.layouts[qkv.0]);
        let values = &memory.values[self.run.plan.range(qkv.0)];
        let mut scratch = std::mem::take(&mut room.attention);
        let mut packed = std::mem::take(&mut room.packed);
        let pictures = self.pictures();
        let (d_out, d_qkv, written) = self.two(output, qkv, room);
        if !written {
            d_qkv[..pictures * to.len()].fill(0.0);
        }
        for n in 0..pictures {
            let one = attention::Slopes {
                qkv: &values[n * to.len()..][..to.len()],
                d_out: &d_out[n * from.len()..][..from.len()],
                pixels: from.pixels(),
                heads,
                width,
            };
            debug_assert_eq!(from.channels, inner);
            let d_qkv = &mut d_qkv[n * to.len()..];
            attention::slopes(isa, &one, &mut scratch, &mut packed, d_qkv);
        }
        room.attention = scratch;
        room.packed = packed;
    }
}

pub(super) fn accumulate(from: &[f32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
