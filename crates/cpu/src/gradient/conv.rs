//! A convolution on the way back: what a batch says about its bias, its weights and its input.

use ddim_graph::{Border, Conv};

use super::Sums;
use super::way::{BackRoom, Way, accumulate};
use crate::block::{self, Finish, Left, Runs, Start};
use crate::kernel::left;
use crate::layout::Layout;
use crate::norm;
use crate::product::{Product, Split, product, product_of_rows};
use crate::run::Memory;
use crate::spread::{self, Resample};
use crate::tape::{Value, Work};

impl Way<'_> {
    pub(super) fn bias(&self, k: usize, conv: &Conv, output: Value, room: &BackRoom, sums: &mut Sums) {
        let to = conv.to();
        let d_out = &room.slopes[self.slopes.range(output.0)];
        let pixels = self.slopes.layouts[output.0].pixels();
        let zeros = vec![0.0; to.next_multiple_of(16)];
        let mut total = zeros.clone();
        for (n, picture) in d_out.chunks_exact(pixels * to).take(self.pictures()).enumerate() {
            norm::sum_line(self.run.network.isa, picture, to, &zeros, norm::Power::One, &mut total);
            accumulate(&total[..to], &mut sums.layers[k][conv.inputs() * to..]);
            if let Some(shift) = conv.shift {
                accumulate(&total[..to], &mut sums.modulations[shift.index()][(self.run.first + n) * to..][..to]);
            }
        }
    }

    /// The gradient of the weights: the transpose of the left matrix times the gradient of the output.
    pub(super) fn weights(
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
        let [lines, row] = [conv.kernel[0], conv.kernel[1] * conv.from];
        for n in 0..self.pictures() {
            let left = Left {
                values: &x[n * from.len()..],
                rows: block::Rows {
                    height: lines,
                    width: row,
                    picture: lines * from.pitch(),
                    line: from.pitch(),
                    pixel: 1,
                },
                runs: Runs { count: to.height, pitch: conv.stride * from.pitch(), len: to.width },
                step: conv.stride * from.channels,
            };
            let finish = Finish { start: Start::Result, ..Finish::plain() };
            let right = (&d_out[n * to.len()..], to.channels, to.channels);
            product_of_rows(self.run.network.isa, left, right, finish, conv.inputs(), &mut sums.layers[k]);
        }
    }

    /// The gradient of the input: a convolution of the gradient of the output.
    pub(super) fn inputs(&self, k: usize, x: Value, conv: &Conv, output: Value, room: &mut BackRoom) {
        if !self.wanted.input() && self.is_input_only(x) {
            return;
        }
        let isa = self.run.network.isa;
        let pictures = self.pictures();
        let (from, to) = (self.slopes.layouts[output.0], self.slopes.layouts[x.0]);
        let wide = widened(conv, &from, &to);
        let mut spread_out = std::mem::take(&mut room.spread);
        if wide != from {
            spread_out.resize((pictures * wide.len() + 64).max(spread_out.len()), 0.0);
            let resample = if conv.stride > 1 { Resample::Dilate(conv.stride) } else { Resample::Keep };
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
            left: left(values, &wide, &back, [to.height, to.width]),
            right: &self.back.weights[k],
            finish: Finish { start, ..Finish::plain() },
            rows: pictures * to.pixels(),
        };
        product(isa, Split::Never, &work, d_x, to.channels);
        room.spread = spread_out;
    }

    /// Whether a value is the input picture, perhaps in another form.
    fn is_input_only(&self, x: Value) -> bool {
        match &self.run.network.tape.layers[x.0].work {
            Work::Input { .. } => true,
            Work::Spread { x, .. } => self.is_input_only(*x),
            _ => false,
        }
    }
}

/// How the gradient of a convolution's output has to lie so that the turned convolution gives that of the input:
/// its pixels as far apart as the outputs were, in a border in which every input finds the outputs that saw it.
fn widened(conv: &Conv, from: &Layout, to: &Layout) -> Layout {
    let Conv { kernel: [down, across], stride, border, .. } = *conv;
    let apart = |side: usize| (side - 1) * stride + 1;
    let (height, width) = (apart(from.height), apart(from.width));
    let (top, left) = (down - 1 - border.top, across - 1 - border.left);
    let (bottom, right) = (to.height + down - 1 - top - height, to.width + across - 1 - left - width);
    Layout { channels: from.channels, height, width, border: Border { top, left, bottom, right } }
}
