//! Group normalisation and the nonlinearity behind it, in one pass over the picture once mean and variance are
//! known.

use ddim_graph::Activation;
use rayon::prelude::*;

use crate::activation::activate;
use crate::isa::Isa;
use crate::lanes::{Lanes, with_isa};
use crate::layout::Layout;
use crate::product::Split;

/// Mean and 1 / sqrt(variance + eps) of each group of each picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: f32,
    pub(crate) inverse_std: f32,
}

/// Mean and variance (Wu and He 2018, arXiv:1803.08494, Eq. 2) of each group of one picture \[h, w, c\].
///
/// A line of the picture is added up in f32, lines in f64: the result does not depend on threads, and rounding
/// does not grow with the height.
pub(crate) fn moments(isa: Isa, x: &[f32], layout: &Layout, groups: usize, eps: f64) -> Vec<Moments> {
    let (channels, lines) = (layout.channels, layout.height);
    let each = channels / groups;
    let count = (each * layout.width * lines) as f64;
    let mut line_sums = vec![0.0; channels.next_multiple_of(16)];
    let mut shift = vec![0.0; channels.next_multiple_of(16)];
    let mut totals = |shift: &[f32], power: Power| {
        let mut totals = vec![0.0f64; groups];
        for line in x.chunks_exact(layout.line()).take(lines) {
            sum_line(isa, line, channels, shift, power, &mut line_sums);
            for (total, sums) in totals.iter_mut().zip(line_sums[..channels].chunks_exact(each)) {
                *total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
            }
        }
        totals
    };
    let means: Vec<f64> = totals(&shift, Power::One).iter().map(|sum| sum / count).collect();
    for (channel, shift) in shift[..channels].iter_mut().enumerate() {
        *shift = means[channel / each] as f32;
    }
    let squares = totals(&shift, Power::Two);
    means
        .iter()
        .zip(squares)
        .map(|(mean, square)| Moments {
            mean: *mean as f32,
            inverse_std: (square / count + eps).sqrt().recip() as f32,
        })
        .collect()
}

/// Which power of the values is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    One,
    Two,
}

with_isa! {
    /// The sum over a line \[w, c\] of (x - shift)^power, for each channel.
    pub(crate) fn sum_line(line: &[f32], channels: usize, shift: &[f32], power: Power, sums: &mut [f32])
        = sum_line_body
}

#[inline(always)]
fn sum_line_body<L: Lanes>(line: &[f32], channels: usize, shift: &[f32], power: Power, sums: &mut [f32]) {
    assert!(sums.len() >= channels.next_multiple_of(16) && shift.len() >= channels.next_multiple_of(16));
    for first in (0..channels).step_by(L::WIDTH) {
        let count = channels - first;
        // SAFETY: a pixel has `channels` values, of which `count` are behind `first`; sums and shift are padded.
        unsafe {
            let shift = L::load(shift.as_ptr().add(first));
            let mut total = [L::zero(); 2];
            for (k, pixel) in line.chunks_exact(channels).enumerate() {
                let from = pixel.as_ptr().add(first);
                let x = if count >= L::WIDTH { L::load(from) } else { L::load_some(from, count) };
                let x = x.sub(shift);
                let total = &mut total[k % 2];
                *total = match power {
                    Power::One => total.add(x),
                    Power::Two => total.add_product(x, x),
                };
            }
            total[0].add(total[1]).store(sums.as_mut_ptr().add(first));
        }
    }
}

/// The affine part of a normalisation for one picture: `channels` values each, or none for 1 and 0.
#[derive(Clone, Copy)]
pub(crate) struct Affine<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
    /// Scale and shift of what comes out, from a time embedding.
    pub(crate) modulation: Option<(&'a [f32], &'a [f32])>,
}

/// y = activation(scale x + shift) for one picture, into the inside of `out`, with scale and shift of each channel
/// from moments and affine part.
pub(crate) fn normalize(
    isa: Isa,
    split: Split,
    (x, from): (&[f32], &Layout),
    moments: &[Moments],
    affine: Affine,
    activation: Activation,
    (out, to): (&mut [f32], &Layout),
) {
    let (scale, shift) = scale_and_shift(moments, affine, from.channels);
    to.clear_border(out);
    let lines = to.lines_mut(out).zip(x.chunks_exact(from.line()));
    let one = |(out, x): (&mut [f32], &[f32])| activate(isa, x, from.channels, &scale, &shift, activation, out);
    for_lines(split, x.len(), lines, one);
}

/// Does something to each line, on all threads if there are numbers enough.
pub(crate) fn for_lines<T: Send>(
    split: Split,
    len: usize,
    lines: impl Iterator<Item = T>,
    one: impl Fn(T) + Send + Sync,
) {
    match split {
        Split::Threads if len > 1 << 16 => lines.collect::<Vec<_>>().into_par_iter().for_each(one),
        _ => lines.for_each(one),
    }
}

/// scale x + shift = (gamma (x - mean) inverse_std + beta) m_scale + m_shift, for each channel, padded with zeros.
pub(crate) fn scale_and_shift(moments: &[Moments], affine: Affine, channels: usize) -> (Vec<f32>, Vec<f32>) {
    let each = channels / moments.len();
    let padded = channels.next_multiple_of(16);
    let (mut scale, mut shift) = (vec![0.0; padded], vec![0.0; padded]);
    for channel in 0..channels {
        let Moments { mean, inverse_std } = moments[channel / each];
        let (outer, add) = affine.modulation.map_or((1.0, 0.0), |(scale, shift)| (scale[channel], shift[channel]));
        let factor = affine.gamma[channel] * inverse_std;
        scale[channel] = outer * factor;
        shift[channel] = outer * (affine.beta[channel] - factor * mean) + add;
    }
    (scale, shift)
}
