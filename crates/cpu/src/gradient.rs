//! The way back: gradients of weights and modulations.

use crate::attention::{self, Room};
use crate::lanes::{Isa, Lanes, with_isa};
use crate::layout::{Halo, Layout};
use crate::network::{Memory, Network, Rows, Run, left};
use crate::norm::{self, Activation, Affine, Moments};
use crate::plan::{Keep, Plan};
use crate::product::{Packed, Product, Split, product, product_of_rows};
use crate::spread::{self, Resample, channels_last};
use crate::tape::{Conv, Layer, Modulation, Norm, Parameter, Value, Work};
use crate::tile::{self, Finish, Left, Runs, Start};

/// What a batch says about each number that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// As the parameters that [`Network::load`] was given.
    pub parameters: Vec<Vec<f32>>,
    /// As the modulations, a row a picture.
    pub modulations: Vec<Vec<f32>>,
}

/// Pictures that go forth and back together: few, so that what the way back needs is still in the cache.
const TOGETHER: usize = 2;

impl Network {
    /// Takes `x`, \[n, c, h, w\], through the network and back, on this thread.
    ///
    /// `slope` is told the number of the first picture of some, and their results \[k, c, h, w\]; it writes the gradient
    /// of the loss over them. Modulations have a row for each picture. Gradients are those of the sum over pictures.
    ///
    /// # Panics
    /// Values that are not of the shape; modulations of other widths than the tape says, or with another number of rows.
    pub fn gradients(
        &self,
        x: &[f32],
        [n, c, h, w]: [usize; 4],
        modulations: &[Rows],
        mut slope: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> Gradients {
        assert!(modulations.iter().all(|rows| rows.rows == n), "a row of each modulation for each picture");
        let back = Back::new(self);
        let mut sums = Sums::new(self, modulations);
        let (mut memory, mut room) = (Memory::default(), BackRoom::default());
        let mut plans: Option<(Plan, Plan)> = None;
        for first in (0..n).step_by(TOGETHER) {
            let pictures = TOGETHER.min(n - first);
            if plans.as_ref().is_none_or(|plans| plans.0.pictures != pictures) {
                let plan = Plan::new(&self.tape, pictures, [h, w], Keep::All);
                let slopes = plan.without_halos();
                plans = Some((plan, slopes));
            }
            let Some((plan, slopes)) = &plans else { unreachable!("made above") };
            let run = Run { network: self, plan, split: Split::Never, first, modulations };
            let last = &plan.layouts[plan.layouts.len() - 1];
            let len = last.channels * last.pixels();
            let mut out = vec![0.0; pictures * len];
            run.forward(&x[first * c * h * w..][..pictures * c * h * w], &mut memory, &mut out);
            let mut d_out = vec![0.0; out.len()];
            slope(first, &out, &mut d_out);
            let way = Way { back: &back, run: &run, slopes };
            way.back(&d_out, &mut memory, &mut room, &mut sums);
        }
        sums.finish(self)
    }
}

/// What the way back knows of a network.
struct Back {
    /// For each convolution, its weights with inputs and outputs exchanged and the kernel turned round.
    weights: Vec<Packed>,
}

/// Sums over pictures.
struct Sums {
    /// Of each layer: the right matrix of a convolution and then its bias, or gamma and beta.
    layers: Vec<Vec<f32>>,
    modulations: Vec<Vec<f32>>,
}

/// What the way back works in.
#[derive(Default)]
struct BackRoom {
    slopes: Vec<f32>,
    written: Vec<bool>,
    spread: Vec<f32>,
    attention: Vec<f32>,
    packed: [Packed; 3],
    room: Room,
}

impl Back {
    fn new(network: &Network) -> Self {
        let weights = network.tape.layers.iter().zip(&network.weights).map(|(layer, packed)| match &layer.work {
            Work::Conv { conv, .. } => turned(network.isa, conv, packed),
            _ => Packed::default(),
        });
        Back { weights: weights.collect() }
    }
}

/// \[kernel turned round * out, in\] from \[kernel * in, out\].
fn turned(isa: Isa, conv: &Conv, packed: &Packed) -> Packed {
    let (to, taps) = (conv.to(), conv.kernel * conv.kernel);
    let plain = packed.plain();
    Packed::new(isa, [taps * to, conv.from], |place, column| {
        let (tap, out) = (place / to, place % to);
        plain[((taps - 1 - tap) * conv.from + column) * to + out]
    })
}

impl Sums {
    fn new(network: &Network, modulations: &[Rows]) -> Self {
        let layer = |layer: &Layer| match &layer.work {
            Work::Norm { x, .. } => vec![0.0; 2 * network.tape.channels(*x)],
            // The last row is written a vector at a time.
            Work::Conv { conv, .. } => vec![0.0; (conv.places() + 1) * conv.to()],
            _ => Vec::new(),
        };
        Sums {
            layers: network.tape.layers.iter().map(layer).collect(),
            modulations: modulations.iter().map(|rows| vec![0.0; rows.values.len()]).collect(),
        }
    }

    /// From the order of the layers to that of the parameters.
    fn finish(self, network: &Network) -> Gradients {
        let count = network.tape.parameters();
        let mut parameters = vec![Vec::new(); count];
        for (layer, sums) in network.tape.layers.iter().zip(&self.layers) {
            match &layer.work {
                Work::Norm { norm, .. } => {
                    let (gamma, beta) = sums.split_at(sums.len() / 2);
                    add(&mut parameters[norm.gamma.0], gamma);
                    add(&mut parameters[norm.beta.0], beta);
                }
                Work::Conv { conv, .. } => unpack(conv, sums, &mut parameters),
                _ => {}
            }
        }
        Gradients { parameters, modulations: self.modulations }
    }
}

fn add(total: &mut Vec<f32>, part: &[f32]) {
    total.resize(part.len(), 0.0);
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

fn unpack(conv: &Conv, sums: &[f32], parameters: &mut [Vec<f32>]) {
    let (to, taps) = (conv.to(), conv.kernel * conv.kernel);
    let (weights, bias) = sums.split_at(conv.places() * to);
    let mut first = 0;
    for part in &conv.parts {
        let mut weight = vec![0.0; part.to * conv.places()];
        for (place, row) in weights.chunks_exact(to).enumerate() {
            let (tap, channel) = (place / conv.from, place % conv.from);
            for column in 0..part.to {
                weight[part.at(column, channel, tap, conv.from, taps)] = row[first + column];
            }
        }
        add(&mut parameters[part.weight.0], &weight);
        if let Some(Parameter(place)) = part.bias {
            add(&mut parameters[place], &bias[first..first + part.to]);
        }
        first += part.to;
    }
}

/// Some pictures on their way back.
struct Way<'a> {
    back: &'a Back,
    run: &'a Run<'a>,
    slopes: &'a Plan,
}

impl Way<'_> {
    fn back(&self, d_out: &[f32], memory: &mut Memory, room: &mut BackRoom, sums: &mut Sums) {
        let tape = &self.run.network.tape;
        room.slopes.resize(self.slopes.len.max(room.slopes.len()), 0.0);
        room.written.clear();
        room.written.resize(tape.values.len(), false);
        let last = tape.values.len() - 1;
        let layout = &self.slopes.layouts[last];
        let len = layout.channels * layout.pixels();
        let slopes = &mut room.slopes[self.slopes.range(last)];
        for (d_out, out) in d_out.chunks_exact(len).zip(slopes.chunks_mut(len)) {
            channels_last(d_out, layout.channels, (1.0, 0.0), out);
        }
        room.written[last] = true;
        for (k, layer) in tape.layers.iter().enumerate().rev() {
            self.layer(k, layer, memory, room, sums);
        }
    }

    fn layer(&self, k: usize, layer: &Layer, memory: &mut Memory, room: &mut BackRoom, sums: &mut Sums) {
        if !room.written[layer.output.0] {
            return;
        }
        match &layer.work {
            Work::Input { .. } => {}
            Work::Spread { x, resample } => self.spread(*x, *resample, layer.output, room),
            Work::Join { a, b } => self.join(*a, *b, layer.output, room),
            Work::Norm { x, norm } => self.norm(k, *x, norm, layer.output, (memory, room, sums)),
            Work::Conv { x, conv, shift, residual, scale } => {
                self.scale(layer.output, *scale, room);
                if let Some(residual) = residual {
                    self.pass(layer.output, *residual, room);
                }
                self.bias(k, conv, *shift, layer.output, room, sums);
                self.weights(k, *x, conv, layer.output, (memory, room, sums));
                self.inputs(k, *x, conv, layer.output, room);
            }
            Work::Attend { qkv, heads, width } => self.attend(*qkv, [*heads, *width], layer.output, memory, room),
        }
    }

    fn pictures(&self) -> usize {
        self.run.plan.pictures
    }

    /// The gradient of a layer's output, that of one of its inputs, and whether the latter holds something already.
    fn two<'b>(&self, output: Value, input: Value, room: &'b mut BackRoom) -> (&'b [f32], &'b mut [f32], bool) {
        let (from, to) = (self.slopes.range(output.0), self.slopes.range(input.0));
        // Values are laid out in the order of the layers: an input lies before the output.
        assert!(to.end <= from.start, "a layer reads what was written before");
        let (before, behind) = room.slopes.split_at_mut(from.start);
        let written = std::mem::replace(&mut room.written[input.0], true);
        (&behind[..from.len()], &mut before[to], written)
    }

    /// The gradient of `from` goes to `to` as it is.
    fn pass(&self, from: Value, to: Value, room: &mut BackRoom) {
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

    fn join(&self, a: Value, b: Value, output: Value, room: &mut BackRoom) {
        let channels = [a, b].map(|value| self.slopes.layouts[value.0].channels);
        let all = self.pictures() * self.slopes.layouts[output.0].pixels();
        for (part, value) in [a, b].into_iter().enumerate() {
            let (d_out, d_part, written) = self.two(output, value, room);
            let rows = d_out.chunks_exact(channels[0] + channels[1]).take(all);
            for (d_out, d_part) in rows.zip(d_part.chunks_exact_mut(channels[part])) {
                let d_out = &d_out[part * channels[0]..][..channels[part]];
                if written { accumulate(d_out, d_part) } else { d_part.copy_from_slice(d_out) }
            }
        }
    }

    fn bias(
        &self,
        k: usize,
        conv: &Conv,
        shift: Option<Modulation>,
        output: Value,
        room: &BackRoom,
        sums: &mut Sums,
    ) {
        let to = conv.to();
        let d_out = &room.slopes[self.slopes.range(output.0)];
        let pixels = self.slopes.layouts[output.0].pixels();
        let zeros = vec![0.0; to.next_multiple_of(16)];
        let mut total = zeros.clone();
        for (n, picture) in d_out.chunks_exact(pixels * to).take(self.pictures()).enumerate() {
            norm::sum_line(self.run.network.isa, picture, to, &zeros, norm::Power::One, &mut total);
            accumulate(&total[..to], &mut sums.layers[k][conv.places() * to..]);
            if let Some(Modulation(place)) = shift {
                accumulate(&total[..to], &mut sums.modulations[place][(self.run.first + n) * to..][..to]);
            }
        }
    }

    /// The gradient of the weights: the transpose of the left matrix times the gradient of the output.
    fn weights(
        &self,
        k: usize,
        x: Value,
        conv: &Conv,
        output: Value,
        (memory, room, sums): (&Memory, &BackRoom, &mut Sums),
    ) {
        let (from, to) = (&self.run.plan.layouts[x.0], &self.slopes.layouts[output.0]);
        let x = &memory.values[self.run.plan.range(x.0)];
        let d_out = &room.slopes[self.slopes.range(output.0)];
        let row = conv.kernel * conv.from;
        for n in 0..self.pictures() {
            let left = Left {
                values: &x[n * from.len()..],
                rows: tile::Rows {
                    height: conv.kernel,
                    width: row,
                    picture: conv.kernel * from.pitch(),
                    line: from.pitch(),
                    pixel: 1,
                },
                runs: Runs { count: to.height, pitch: conv.stride * from.pitch(), len: to.width },
                step: conv.stride * from.channels,
            };
            let finish = Finish { start: Start::Result, ..Finish::plain() };
            let right = (&d_out[n * to.len()..], to.channels, to.channels);
            product_of_rows(self.run.network.isa, left, right, finish, conv.places(), &mut sums.layers[k]);
        }
    }

    /// The gradient of the input: a convolution of the gradient of the output.
    fn inputs(&self, k: usize, x: Value, conv: &Conv, output: Value, room: &mut BackRoom) {
        if x.0 == 0 || self.reads_input_only(x) {
            return;
        }
        let isa = self.run.network.isa;
        let pictures = self.pictures();
        let (from, to) = (self.slopes.layouts[output.0], self.slopes.layouts[x.0]);
        let wide = widened(conv, &from, &to, self.run.plan.layouts[x.0].halo);
        let mut spread_out = std::mem::take(&mut room.spread);
        if wide != from {
            spread_out.resize((pictures * wide.len() + 64).max(spread_out.len()), 0.0);
            let resample = if conv.stride == 2 { Resample::Dilate } else { Resample::Keep };
            let d_out = &room.slopes[self.slopes.range(output.0)];
            for (d_out, out) in d_out.chunks(from.len()).zip(spread_out.chunks_mut(wide.len())).take(pictures) {
                spread::spread(resample, (d_out, &from), (out, &wide));
            }
        }
        let (d_out, d_x, written) = self.two(output, x, room);
        let values = if wide == from { d_out } else { &spread_out[..] };
        let back = Conv { stride: 1, from: wide.channels, ..conv.clone() };
        let start = if written { Start::Result } else { Start::Zero };
        let work = Product {
            left: left(values, &wide, &back, to.height, to.width),
            right: &self.back.weights[k],
            finish: Finish { start, ..Finish::plain() },
            rows: pictures * to.pixels(),
        };
        product(isa, Split::Never, &work, d_x, to.channels);
        room.spread = spread_out;
    }

    /// Whether a value is only the input picture in another form: nobody asks for its gradient.
    fn reads_input_only(&self, x: Value) -> bool {
        let layer = &self.run.network.tape.layers[x.0];
        matches!(&layer.work, Work::Spread { x, .. } if matches!(self.run.network.tape.layers[x.0].work, Work::Input { .. }))
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
            let moments = norm::moments(isa, x_n, &layout, norm.groups, norm.eps);
            let affine = self.run.affine(k, norm, n, layout.channels);
            let (scale, shift) = norm::scale_and_shift(&moments, affine, layout.channels);
            let standard = standardising(&moments, layout.channels);
            let range = self.slopes.range(output.0).start + n * layout.len();
            let d_out = &mut room.slopes[range..][..layout.len()];
            let mut totals = [vec![0.0; scale.len()], vec![0.0; scale.len()]];
            activation_slope(
                isa,
                x_n,
                d_out,
                layout.channels,
                norm.activation,
                [&scale, &shift],
                &standard,
                &mut totals,
            );
            let [by_shift, by_scale] = &totals;
            let picture = self.run.first + n;
            share(norm, affine, by_shift, by_scale, &mut sums.layers[k], &mut sums.modulations, picture);
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
        let mut inner_room = std::mem::take(&mut room.room);
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
            attention::slopes(isa, &one, &mut scratch, &mut packed, &mut inner_room, d_qkv);
        }
        room.attention = scratch;
        room.packed = packed;
        room.room = inner_room;
    }
}

fn accumulate(from: &[f32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// How the gradient of a convolution's output has to lie so that the turned convolution gives that of the input.
fn widened(conv: &Conv, from: &Layout, to: &Layout, halo: Halo) -> Layout {
    let [height, width] =
        if conv.stride == 2 { [2 * from.height, 2 * from.width] } else { [from.height, from.width] };
    let before = conv.kernel - 1 - halo.before;
    let after = to.height + conv.kernel - 1 - before - height;
    assert_eq!(to.width + conv.kernel - 1, before + after + width, "a border of one width on all sides");
    Layout { channels: from.channels, height, width, halo: Halo { before, after } }
}

/// 1 / deviation and - mean / deviation of each channel: x times the one plus the other is standardised.
fn standardising(moments: &[Moments], channels: usize) -> [Vec<f32>; 2] {
    let each = channels / moments.len();
    let mut both = [vec![0.0; channels.next_multiple_of(16)], vec![0.0; channels.next_multiple_of(16)]];
    for channel in 0..channels {
        let Moments { mean, inverse_std } = moments[channel / each];
        both[0][channel] = inverse_std;
        both[1][channel] = -mean * inverse_std;
    }
    both
}

/// Adds what one picture says about gamma, beta and modulation: z = m_scale (gamma y + beta) + m_shift, with
/// `by_shift` the sum of dz and `by_scale` that of dz y.
fn share(
    norm: &Norm,
    affine: Affine,
    by_shift: &[f32],
    by_scale: &[f32],
    sums: &mut [f32],
    modulations: &mut [Vec<f32>],
    picture: usize,
) {
    let channels = sums.len() / 2;
    let (d_gamma, d_beta) = sums.split_at_mut(channels);
    for channel in 0..channels {
        let outer = affine.modulation.map_or(1.0, |(scale, _)| scale[channel]);
        d_gamma[channel] += outer * by_scale[channel];
        d_beta[channel] += outer * by_shift[channel];
    }
    if let Some(Modulation(place)) = norm.modulation {
        let row = &mut modulations[place][picture * 2 * channels..][..2 * channels];
        for channel in 0..channels {
            row[channel] += affine.gamma[channel] * by_scale[channel] + affine.beta[channel] * by_shift[channel];
            row[channels + channel] += by_shift[channel];
        }
    }
}

/// dx = a dz + b x + c for each channel: the gradient of a normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167,
/// section 3, over a group instead of a batch).
fn coefficients(
    moments: &[Moments],
    affine: Affine,
    by_shift: &[f32],
    by_scale: &[f32],
    layout: &Layout,
) -> [Vec<f32>; 3] {
    let channels = layout.channels;
    let each = channels / moments.len();
    let count = (each * layout.pixels()) as f32;
    let weight =
        |channel: usize| affine.gamma[channel] * affine.modulation.map_or(1.0, |(scale, _)| scale[channel]);
    let mut all: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0.0; channels.next_multiple_of(16)]);
    for (group, Moments { mean, inverse_std }) in moments.iter().enumerate() {
        let members = group * each..(group + 1) * each;
        let sum = |by: &[f32]| members.clone().map(|channel| weight(channel) * by[channel]).sum::<f32>() / count;
        let (first, second) = (sum(by_shift), sum(by_scale));
        for channel in members.clone() {
            all[0][channel] = inverse_std * weight(channel);
            all[1][channel] = -inverse_std * inverse_std * second;
            all[2][channel] = -inverse_std * first + inverse_std * inverse_std * second * mean;
        }
    }
    all
}

with_isa! {
    /// Turns dy into dz = dy activation'(z), z = scale x + shift, and adds up dz and dz y of each channel, y being the
    /// standardised x.
    fn activation_slope(
        x: &[f32],
        d: &mut [f32],
        channels: usize,
        activation: Activation,
        to_z: [&[f32]; 2],
        to_y: &[Vec<f32>; 2],
        totals: &mut [Vec<f32>; 2],
    ) = activation_slope_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn activation_slope_body<L: Lanes>(
    x: &[f32],
    d: &mut [f32],
    channels: usize,
    activation: Activation,
    to_z: [&[f32]; 2],
    to_y: &[Vec<f32>; 2],
    totals: &mut [Vec<f32>; 2],
) {
    let padded = channels.next_multiple_of(16);
    assert!(to_z.iter().all(|v| v.len() >= padded) && to_y.iter().all(|v| v.len() >= padded));
    assert!(totals.iter().all(|v| v.len() >= padded));
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        // SAFETY: a pixel has `channels` values, of which `count` are behind `first`; the vectors are padded.
        unsafe {
            let at = |values: &[f32]| L::load(values.as_ptr().add(first));
            let (scale, shift, inverse, offset) = (at(to_z[0]), at(to_z[1]), at(&to_y[0]), at(&to_y[1]));
            let (mut by_shift, mut by_scale) = (L::zero(), L::zero());
            for (x, d) in x.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
                let (from, to) = (x.as_ptr().add(first), d.as_mut_ptr().add(first));
                let (x, dy) = if count == L::WIDTH {
                    (L::load(from), L::load(to))
                } else {
                    (L::load_some(from, count), L::load_some(to, count))
                };
                let z = shift.add_product(scale, x);
                let dz = match activation {
                    Activation::Identity => dy,
                    Activation::Silu => {
                        let one = L::splat(1.0);
                        let s = one.div(one.add(L::zero().sub(z).exp()));
                        // s (1 + z (1 - s))
                        dy.mul(s.mul(one.add_product(z, one.sub(s))))
                    }
                    // 1 where z is above 0: its sign, between 0 and 1.
                    Activation::Relu => {
                        let huge = L::splat(f32::MAX);
                        dy.mul(L::splat(1.0).min(L::zero().max(z).mul(huge).mul(huge)))
                    }
                };
                if count == L::WIDTH {
                    dz.store(to)
                } else {
                    dz.store_some(to, count)
                }
                by_shift = by_shift.add(dz);
                by_scale = by_scale.add_product(dz, offset.add_product(inverse, x));
            }
            by_shift.store(totals[0].as_mut_ptr().add(first));
            by_scale.store(totals[1].as_mut_ptr().add(first));
        }
    }
}

with_isa! {
    /// out = a d + b x + c for each channel, added to what is there where `add` says so.
    fn mix(inputs: [&[f32]; 2], by: &[Vec<f32>; 3], channels: usize, add: bool, out: &mut [f32]) = mix_body
}

#[inline(always)]
fn mix_body<L: Lanes>(inputs: [&[f32]; 2], by: &[Vec<f32>; 3], channels: usize, add: bool, out: &mut [f32]) {
    assert!(by.iter().all(|v| v.len() >= channels.next_multiple_of(16)));
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        // SAFETY: a pixel has `channels` values, of which `count` are behind `first`; the vectors are padded.
        unsafe {
            let at = |values: &[f32]| L::load(values.as_ptr().add(first));
            let (a, b, c) = (at(&by[0]), at(&by[1]), at(&by[2]));
            let pixels = inputs[0].chunks_exact(channels).zip(inputs[1].chunks_exact(channels));
            for ((d, x), out) in pixels.zip(out.chunks_exact_mut(channels)) {
                let (d, x, to) = (d.as_ptr().add(first), x.as_ptr().add(first), out.as_mut_ptr().add(first));
                let (d, x) = if count == L::WIDTH {
                    (L::load(d), L::load(x))
                } else {
                    (L::load_some(d, count), L::load_some(x, count))
                };
                let mut y = c.add_product(b, x).add_product(a, d);
                if add {
                    y = y.add(L::load_some(to, count));
                }
                if count == L::WIDTH { y.store(to) } else { y.store_some(to, count) }
            }
        }
    }
}
