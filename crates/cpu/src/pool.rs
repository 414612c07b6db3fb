//! Windows of pixels that become one pixel, and all pixels that do.

use ddim_graph::{Pool, Pooling};

use crate::isa::Isa;
use crate::lanes::{Lanes, with_isa};
use crate::layout::Layout;
use crate::norm::{Power, sum_line};

/// The pixels of a window along one axis, of `side` there are.
fn window(pool: &Pool, at: usize, side: usize) -> std::ops::Range<usize> {
    let first = at * pool.stride;
    first.saturating_sub(pool.border)..side.min(first + pool.side - pool.border)
}

/// One picture without a border, into the inside of another.
pub(crate) fn pool(isa: Isa, pool: &Pool, (x, from): (&[f32], &Layout), (out, to): (&mut [f32], &Layout)) {
    to.clear_border(out);
    for (y, out) in to.lines_mut(out).enumerate() {
        let rows = window(pool, y, from.height);
        pool_line(isa, &x[rows.start * from.line()..rows.end * from.line()], from, pool, out);
    }
}

with_isa! {
    /// One line of what comes out, from the lines that its windows meet.
    fn pool_line(x: &[f32], from: &Layout, pool: &Pool, out: &mut [f32]) = pool_line_body
}

#[inline(always)]
fn pool_line_body<L: Lanes>(x: &[f32], from: &Layout, pool: &Pool, out: &mut [f32]) {
    let (channels, line) = (from.channels, from.line());
    for (at, out) in out.chunks_exact_mut(channels).enumerate() {
        let columns = window(pool, at, from.width);
        let share = 1.0 / (columns.len() * (x.len() / line)) as f32;
        for first in (0..channels).step_by(L::WIDTH) {
            let count = (channels - first).min(L::WIDTH);
            let begin = L::splat(if pool.by == Pooling::Maximum { f32::NEG_INFINITY } else { 0.0 });
            let mut total = begin;
            for line in x.chunks_exact(line) {
                for pixel in line[columns.start * channels..columns.end * channels].chunks_exact(channels) {
                    // SAFETY: a pixel has `channels` values, of which `count` are behind `first`.
                    let x = unsafe {
                        let from = pixel.as_ptr().add(first);
                        if count == L::WIDTH { L::load(from) } else { L::load_some(from, count) }
                    };
                    total = if pool.by == Pooling::Maximum { x.max(total) } else { total.add(x) };
                }
            }
            if pool.by == Pooling::Mean {
                total = total.mul(L::splat(share));
            }
            // SAFETY: as above.
            unsafe {
                let to = out.as_mut_ptr().add(first);
                if count == L::WIDTH { total.store(to) } else { total.store_some(to, count) }
            }
        }
    }
}

/// The gradient of [`pool`]: adds to that of one picture `x` what that of the windows says. That of a maximum goes
/// to the first pixel that has it.
pub(crate) fn pool_back(
    pool: &Pool,
    (x, from): (&[f32], &Layout),
    (d_out, to): (&[f32], &Layout),
    d_x: &mut [f32],
) {
    let channels = from.channels;
    for (place, d_out) in d_out.chunks_exact(channels).take(to.pixels()).enumerate() {
        let rows = window(pool, place / to.width, from.height);
        let columns = window(pool, place % to.width, from.width);
        let pixels = rows.flat_map(|y| columns.clone().map(move |x| (y * from.width + x) * channels));
        let share = 1.0 / pixels.clone().count() as f32;
        for (channel, d) in d_out.iter().enumerate() {
            match pool.by {
                Pooling::Mean => pixels.clone().for_each(|pixel| d_x[pixel + channel] += share * d),
                Pooling::Maximum => {
                    let larger = |a: usize, b: usize| if x[b + channel] > x[a + channel] { b } else { a };
                    let largest = pixels.clone().reduce(larger).expect("a window holds a pixel");
                    d_x[largest + channel] += d;
                }
            }
        }
    }
}

/// The mean over all pixels of one picture. Lines are added up in f32, their sums in f64.
pub(crate) fn mean(isa: Isa, x: &[f32], from: &Layout, out: &mut [f32]) {
    let padded = from.channels.next_multiple_of(16);
    let (zeros, mut sums, mut totals) = (vec![0.0; padded], vec![0.0; padded], vec![0.0f64; from.channels]);
    for line in x.chunks_exact(from.line()).take(from.height) {
        sum_line(isa, line, from.channels, &zeros, Power::One, &mut sums);
        totals.iter_mut().zip(&sums).for_each(|(total, sum)| *total += f64::from(*sum));
    }
    out.iter_mut().zip(totals).for_each(|(out, total)| *out = (total / from.pixels() as f64) as f32);
}
