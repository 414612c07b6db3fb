//! The way back through layers of tokens.

use ddim_graph::{Modulation, PixelNorm};

use super::Sums;
use super::way::{BackRoom, Way, accumulate};
use crate::lanes::{Lanes, with_isa};
use crate::norm::Moments;
use crate::pixel::pixel_moments;
use crate::run::Memory;
use crate::tape::Value;

impl Way<'_> {
    pub(super) fn norm_pixels(
        &self,
        x: Value,
        norm: &PixelNorm,
        output: Value,
        (memory, room, sums): (&Memory, &mut BackRoom, &mut Sums),
    ) {
        let (layout, values) = (self.slopes.layouts[x.0], &memory.values[self.run.plan.range(x.0)]);
        let (isa, channels, pictures) = (self.run.network.isa, layout.channels, self.pictures());
        let (d_out, d_x, written) = self.two(output, x, room);
        if !written {
            d_x[..pictures * layout.len()].fill(0.0);
        }
        let ones = vec![1.0; channels];
        let pairs = d_out.chunks_exact(layout.len()).zip(d_x.chunks_exact_mut(layout.len())).take(pictures);
        for (n, (d_out, d_x)) in pairs.enumerate() {
            let x = &values[n * layout.len()..][..layout.len()];
            let scale = norm.modulation.map_or(&ones[..], |modulation| &self.run.row(modulation, n)[..channels]);
            let mut totals = vec![0.0; 2 * channels];
            let (by_scale, by_shift) = totals.split_at_mut(channels);
            normalize_back(isa, [x, d_out, scale], norm.epsilon, [by_scale, by_shift], d_x);
            if let (Some(modulation), true) = (norm.modulation, self.wanted.weights()) {
                let row = &mut sums.modulations[modulation.index()][(self.run.first + n) * 2 * channels..];
                accumulate(&totals, row);
            }
        }
    }

    /// Of what a picture is multiplied by, and of the picture; that of what is added is the slope itself.
    pub(super) fn gate(
        &self,
        x: Value,
        by: Modulation,
        output: Value,
        (memory, room, sums): (&Memory, &mut BackRoom, &mut Sums),
    ) {
        let (layout, values) = (self.slopes.layouts[x.0], &memory.values[self.run.plan.range(x.0)]);
        let (isa, channels, pictures) = (self.run.network.isa, layout.channels, self.pictures());
        let (d_out, d_x, written) = self.two(output, x, room);
        if !written {
            d_x[..pictures * layout.len()].fill(0.0);
        }
        let pairs = d_out.chunks_exact(layout.len()).zip(d_x.chunks_exact_mut(layout.len())).take(pictures);
        for (n, (d_out, d_x)) in pairs.enumerate() {
            let x = &values[n * layout.len()..][..layout.len()];
            let mut total = vec![0.0; channels];
            gate_back(isa, [x, d_out, self.run.row(by, n)], &mut total, d_x);
            if self.wanted.weights() {
                accumulate(&total, &mut sums.modulations[by.index()][(self.run.first + n) * channels..]);
            }
        }
    }
}

with_isa! {
    /// Of z = scale y + shift with y = (x - mean) / deviation of each pixel: adds the gradient of x, and up those
    /// of scale, dz y, and shift, dz. With g = scale dz that of x is (g - mean(g) - y mean(g y)) / deviation.
    fn normalize_back(inputs: [&[f32]; 3], epsilon: f64, totals: [&mut [f32]; 2], d_x: &mut [f32])
        = normalize_back_body
}

#[inline(always)]
fn normalize_back_body<L: Lanes>(
    [x, d, scale]: [&[f32]; 3],
    epsilon: f64,
    [by_scale, by_shift]: [&mut [f32]; 2],
    d_x: &mut [f32],
) {
    let channels = scale.len();
    assert!(by_scale.len() == channels && by_shift.len() == channels, "totals of {channels} channels");
    let pixels = x.chunks_exact(channels).zip(d.chunks_exact(channels));
    for ((x, d), d_x) in pixels.zip(d_x.chunks_exact_mut(channels)) {
        let Moments { mean, inverse_std } = pixel_moments::<L>(x, epsilon);
        let (mean, inverse) = (L::splat(mean), L::splat(inverse_std));
        let (mut sum, mut sum_y) = (L::zero(), L::zero());
        for first in (0..channels).step_by(L::WIDTH) {
            let count = channels - first;
            // SAFETY: all have `channels` values, of which `count` are behind `first`. What is behind the last is
            // 0 in d, and so in all sums.
            unsafe {
                let at = |values: &[f32]| L::load_some_of(values.as_ptr().add(first), count);
                let (y, d) = (at(x).sub(mean).mul(inverse), at(d));
                at(by_scale).add_product(d, y).store_some_of(by_scale.as_mut_ptr().add(first), count);
                at(by_shift).add(d).store_some_of(by_shift.as_mut_ptr().add(first), count);
                let g = at(scale).mul(d);
                (sum, sum_y) = (sum.add(g), sum_y.add_product(g, y));
            }
        }
        let (mean_g, mean_gy) = (sum.sum() / channels as f32, sum_y.sum() / channels as f32);
        for first in (0..channels).step_by(L::WIDTH) {
            let count = channels - first;
            // SAFETY: as above.
            unsafe {
                let at = |values: &[f32]| L::load_some_of(values.as_ptr().add(first), count);
                let y = at(x).sub(mean).mul(inverse);
                let g = at(scale).mul(at(d)).sub(L::splat(mean_g)).sub(y.mul(L::splat(mean_gy)));
                at(d_x).add_product(inverse, g).store_some_of(d_x.as_mut_ptr().add(first), count);
            }
        }
    }
}

with_isa! {
    /// Of z = by x: adds the gradient of x, by dz, and up that of `by`, dz x.
    fn gate_back(inputs: [&[f32]; 3], total: &mut [f32], d_x: &mut [f32]) = gate_back_body
}

#[inline(always)]
fn gate_back_body<L: Lanes>([x, d, by]: [&[f32]; 3], total: &mut [f32], d_x: &mut [f32]) {
    let channels = by.len();
    assert!(total.len() == channels, "totals of {channels} channels");
    let pixels = x.chunks_exact(channels).zip(d.chunks_exact(channels));
    for ((x, d), d_x) in pixels.zip(d_x.chunks_exact_mut(channels)) {
        for first in (0..channels).step_by(L::WIDTH) {
            let count = channels - first;
            // SAFETY: all have `channels` values, of which `count` are behind `first`.
            unsafe {
                let at = |values: &[f32]| L::load_some_of(values.as_ptr().add(first), count);
                let d = at(d);
                at(total).add_product(d, at(x)).store_some_of(total.as_mut_ptr().add(first), count);
                at(d_x).add_product(at(by), d).store_some_of(d_x.as_mut_ptr().add(first), count);
            }
        }
    }
}
