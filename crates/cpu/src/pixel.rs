//! Layers of tokens: a normalisation of each pixel over its channels, a gate in front of a sum, and what tells
//! pixels apart.

use std::sync::{Arc, Mutex};

use ddim_graph::positions;

use crate::lanes::{Lanes, with_isa};
use crate::norm::{Moments, Power};

with_isa! {
    /// (x - mean) / sqrt(variance + epsilon) of each pixel, times `scale` plus `shift` of each channel.
    pub(crate) fn normalize_pixels(
        x: &[f32],
        channels: usize,
        epsilon: f64,
        scale_shift: [&[f32]; 2],
        out: &mut [f32],
    )
        = normalize_pixels_body
}

#[inline(always)]
fn normalize_pixels_body<L: Lanes>(
    x: &[f32],
    channels: usize,
    epsilon: f64,
    [scale, shift]: [&[f32]; 2],
    out: &mut [f32],
) {
    assert!(scale.len() == channels && shift.len() == channels, "scale and shift of {channels} channels");
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        let Moments { mean, inverse_std } = pixel_moments::<L>(x, epsilon);
        let (mean, inverse) = (L::splat(mean), L::splat(inverse_std));
        for first in (0..channels).step_by(L::WIDTH) {
            let count = channels - first;
            // SAFETY: all four have `channels` values, of which `count` are behind `first`.
            unsafe {
                let at = |values: &[f32]| L::load_some_of(values.as_ptr().add(first), count);
                let y = at(x).sub(mean).mul(inverse);
                at(shift).add_product(at(scale), y).store_some_of(out.as_mut_ptr().add(first), count);
            }
        }
    }
}

/// Mean and 1 / sqrt(variance + epsilon) of one pixel.
#[inline(always)]
pub(crate) fn pixel_moments<L: Lanes>(x: &[f32], epsilon: f64) -> Moments {
    let count = x.len() as f64;
    let mean = (f64::from(total::<L>(x, 0.0, Power::One)) / count) as f32;
    let variance = f64::from(total::<L>(x, mean, Power::Two)) / count;
    Moments { mean, inverse_std: (variance + epsilon).sqrt().recip() as f32 }
}

/// The sum of (x - shift)^power over a pixel.
#[inline(always)]
fn total<L: Lanes>(x: &[f32], shift: f32, power: Power) -> f32 {
    let mut totals = [L::zero(); 2];
    let parts = x.chunks_exact(L::WIDTH);
    let rest = parts.remainder();
    for (k, part) in parts.enumerate() {
        // SAFETY: the part is a whole vector.
        let x = unsafe { L::load(part.as_ptr()) }.sub(L::splat(shift));
        let total = &mut totals[k % 2];
        *total = match power {
            Power::One => total.add(x),
            Power::Two => total.add_product(x, x),
        };
    }
    let mut sum = totals[0].add(totals[1]).sum();
    for x in rest {
        let x = x - shift;
        sum += match power {
            Power::One => x,
            Power::Two => x * x,
        };
    }
    sum
}

with_isa! {
    /// residual + by x of each pixel, channel by channel.
    pub(crate) fn gate(x: &[f32], by: &[f32], residual: &[f32], out: &mut [f32]) = gate_body
}

#[inline(always)]
fn gate_body<L: Lanes>(x: &[f32], by: &[f32], residual: &[f32], out: &mut [f32]) {
    let channels = by.len();
    let pixels = x.chunks_exact(channels).zip(residual.chunks_exact(channels));
    for ((x, residual), out) in pixels.zip(out.chunks_exact_mut(channels)) {
        for first in (0..channels).step_by(L::WIDTH) {
            let count = channels - first;
            // SAFETY: all four have `channels` values, of which `count` are behind `first`.
            unsafe {
                let at = |values: &[f32]| L::load_some_of(values.as_ptr().add(first), count);
                at(residual).add_product(at(by), at(x)).store_some_of(out.as_mut_ptr().add(first), count);
            }
        }
    }
}

/// What tells pixels apart, kept for the pictures that came last: nearly all have one size.
#[derive(Default)]
pub(crate) struct Positions(Mutex<Option<Kept>>);

/// Channels, size and base, and the table for them.
type Kept = ([usize; 5], Arc<Vec<f32>>);

impl Positions {
    /// Those of [`positions`](ddim_graph::positions).
    pub(crate) fn of(&self, channels: usize, [h, w]: [usize; 2], base: [usize; 2]) -> Arc<Vec<f32>> {
        let asked = [channels, h, w, base[0], base[1]];
        let make = || Arc::new(positions(channels, [h, w], base));
        let Ok(mut kept) = self.0.lock() else { return make() };
        match &*kept {
            Some((of, table)) if *of == asked => Arc::clone(table),
            _ => {
                let table = make();
                *kept = Some((asked, Arc::clone(&table)));
                table
            }
        }
    }
}
