//! The gradient of a normalisation and of the nonlinearity behind it.

use ddim_graph::Norm;

use crate::lanes::{Lanes, with_isa};
use crate::layout::Layout;
use crate::norm::{Affine, Moments};

/// 1 / deviation and - mean / deviation of each channel: x times the one plus the other is standardised.
pub(super) fn standardising(moments: &[Moments], channels: usize) -> [Vec<f32>; 2] {
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
pub(super) fn share(
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
    if let Some(modulation) = norm.modulation {
        let row = &mut modulations[modulation.index()][picture * 2 * channels..][..2 * channels];
        for channel in 0..channels {
            row[channel] += affine.gamma[channel] * by_scale[channel] + affine.beta[channel] * by_shift[channel];
            row[channels + channel] += by_shift[channel];
        }
    }
}

/// dx = a dz + b x + c for each channel: the gradient of a normalisation (Ioffe and Szegedy 2015,
/// arXiv:1502.03167, section 3, over a group instead of a batch).
pub(super) fn coefficients(
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
    /// out = a d + b x + c for each channel, added to what is there where `add` says so.
    pub(super) fn mix(inputs: [&[f32]; 2], by: &[Vec<f32>; 3], channels: usize, add: bool, out: &mut [f32])
        = mix_body
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
