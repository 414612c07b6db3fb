//! Attention over the pixels of one picture (Vaswani et al. 2017, arXiv:1706.03762, Eq. 1).

use crate::block::{Finish, Left, Rows, Runs, Start};
use crate::cell::Cell;
use crate::isa::Isa;
use crate::lanes::{Lanes, with_isa};
use crate::product::{Packed, Product, Split, product};

/// Memory that attention works in, kept from call to call.
#[derive(Default)]
pub(crate) struct Room<C> {
    keys: Packed<C>,
    values: Packed<C>,
    weights: Vec<f32>,
    /// A left matrix in cells: the queries, then the weights.
    cells: Vec<C>,
}

/// How many scores are in memory at once, about: a megabyte, which stays near a core. All scores of a picture of
/// 128x128 latents would take a gigabyte for each head.
const SCORES: usize = 1 << 18;

/// Queries are taken by so many, a multiple of the rows that a product takes together.
const QUERIES: usize = 48;

/// softmax(q k^T / sqrt(width)) v for each head of `width` channels: `qkv` is \[pixels, 3 * heads * width\], with
/// all heads of q first; `out` is \[pixels, heads * width\]. Some queries at a time: how many changes no bit.
pub(crate) fn attend<C: Cell>(
    isa: Isa,
    split: Split,
    qkv: &[f32],
    sizes: [usize; 2],
    room: &mut Room<C>,
    out: &mut [f32],
) {
    let pixels = out.len() / (sizes[0] * sizes[1]);
    let at_once = (SCORES / pixels).max(1).next_multiple_of(QUERIES).min(pixels);
    attend_in_parts(isa, split, qkv, sizes, at_once, room, out);
}

fn attend_in_parts<C: Cell>(
    isa: Isa,
    split: Split,
    qkv: &[f32],
    [heads, width]: [usize; 2],
    at_once: usize,
    room: &mut Room<C>,
    out: &mut [f32],
) {
    let inner = heads * width;
    let pixels = out.len() / inner;
    let pitch = 3 * inner;
    let Room { keys, values, weights, cells } = room;
    weights.resize(at_once * pixels, 0.0);
    let scale = (width as f32).sqrt().recip();
    for head in 0..heads {
        let at = |part: usize| part * inner + head * width;
        keys.fill(isa, [width, pixels], |place, pixel| qkv[pixel * pitch + at(1) + place]);
        values.fill_rows(isa, [pixels, width], |pixel| &qkv[pixel * pitch + at(2)..]);
        for first in (0..pixels).step_by(at_once) {
            let rows = at_once.min(pixels - first);
            let weights = &mut weights[..rows * pixels];
            let (queries, apart) = C::rows(isa, &qkv[first * pitch + at(0)..], rows, pitch, width, cells);
            let finish = Finish { scale, ..Finish::plain() };
            let scores = Product { left: plain(queries, apart, keys.places), right: keys, finish, rows };
            product(isa, split, &scores, weights, pixels);
            softmax(isa, weights, pixels);
            let (shares, apart) = C::rows(isa, weights, rows, pixels, pixels, cells);
            let finish = Finish::plain();
            let mixed = Product { left: plain(shares, apart, values.places), right: values, finish, rows };
            product(isa, split, &mixed, &mut out[first * inner + head * width..], inner);
        }
    }
}

/// A matrix of rows `pitch` apart.
fn plain<C>(values: &[C], pitch: usize, len: usize) -> Left<'_, C> {
    Left { values, rows: Rows::matrix(pitch), runs: Runs::one(len), step: 1 }
}

/// The transpose of a square matrix.
fn turned(values: &[f32], side: usize) -> Left<'_> {
    Left { values, rows: Rows::matrix(1), runs: Runs::one(side), step: side }
}

/// One picture on its way back through attention.
pub(crate) struct Slopes<'a> {
    pub(crate) qkv: &'a [f32],
    pub(crate) d_out: &'a [f32],
    pub(crate) pixels: usize,
    pub(crate) heads: usize,
    pub(crate) width: usize,
}

/// Adds the gradient of q, k and v. With P = softmax(S), S = s q k^T, s = 1 / sqrt(width) and out = P v:
/// dv = P^T dout, dP = dout v^T, dS = P (dP - rowsum(dP P)), dq = s dS k, dk = s dS^T q.
pub(crate) fn slopes(isa: Isa, one: &Slopes, scratch: &mut Vec<f32>, packed: &mut Packed, d_qkv: &mut [f32]) {
    let square = one.pixels * one.pixels;
    scratch.resize((2 * square).max(scratch.len()), 0.0);
    let (weights, d_scores) = scratch[..2 * square].split_at_mut(square);
    (0..one.heads).for_each(|head| one.head(isa, head, [weights, d_scores], packed, d_qkv));
}

impl Slopes<'_> {
    /// What one head adds, in two squares of pixels.
    fn head(
        &self,
        isa: Isa,
        head: usize,
        [weights, d_scores]: [&mut [f32]; 2],
        packed: &mut Packed,
        d_qkv: &mut [f32],
    ) {
        let Slopes { qkv, d_out, pixels, heads, width } = *self;
        let inner = heads * width;
        let pitch = 3 * inner;
        let at = |part: usize| part * inner + head * width;
        let of = |part: usize| &qkv[at(part)..];
        let d_head = &d_out[head * width..];
        let scale = (width as f32).sqrt().recip();
        let (simply, added) = (Finish::plain(), Finish { start: Start::Result, ..Finish::plain() });
        let run = |left: Left<'_>, right: &Packed, finish: Finish<'_>, out: &mut [f32], pitch: usize| {
            product(isa, Split::Never, &Product { left, right, finish, rows: pixels }, out, pitch);
        };

        packed.fill(isa, [width, pixels], |place, pixel| of(1)[pixel * pitch + place]);
        run(plain(of(0), pitch, width), packed, Finish { scale, ..simply }, weights, pixels);
        softmax(isa, weights, pixels);

        packed.fill(isa, [pixels, width], |pixel, column| d_head[pixel * inner + column]);
        run(turned(weights, pixels), packed, added, &mut d_qkv[at(2)..], pitch);

        packed.fill(isa, [width, pixels], |place, pixel| of(2)[pixel * pitch + place]);
        run(plain(d_head, inner, width), packed, simply, d_scores, pixels);
        for (d, p) in d_scores.chunks_exact_mut(pixels).zip(weights.chunks_exact(pixels)) {
            let mean: f32 = d.iter().zip(p).map(|(d, p)| d * p).sum();
            d.iter_mut().zip(p).for_each(|(d, p)| *d = scale * p * (*d - mean));
        }
        packed.fill(isa, [pixels, width], |pixel, column| of(1)[pixel * pitch + column]);
        run(plain(d_scores, pixels, pixels), packed, added, &mut d_qkv[at(0)..], pitch);
        packed.fill(isa, [pixels, width], |pixel, column| of(0)[pixel * pitch + column]);
        run(turned(d_scores, pixels), packed, added, &mut d_qkv[at(1)..], pitch);
    }
}

with_isa! {
    /// e^x / sum e^x of each row of this length.
    pub(crate) fn softmax(rows: &mut [f32], len: usize) = softmax_body
}

#[inline(always)]
fn softmax_body<L: Lanes>(rows: &mut [f32], len: usize) {
    for row in rows.chunks_exact_mut(len) {
        let largest = L::splat(largest::<L>(row));
        let mut total = L::zero();
        let mut parts = row.chunks_exact_mut(L::WIDTH);
        for part in &mut parts {
            // SAFETY: the part is a whole vector.
            unsafe {
                let e = L::load(part.as_ptr()).sub(largest).exp();
                e.store(part.as_mut_ptr());
                total = total.add(e);
            }
        }
        let rest = parts.into_remainder();
        let (at, count) = (rest.as_mut_ptr(), rest.len());
        // SAFETY: `count` values are left.
        unsafe {
            L::load_some(at, count).sub(largest).exp().store_some(at, count);
            total = total.add(L::load_some(at, count));
        }
        let inverse = L::splat(total.sum().recip());
        for part in row.chunks_mut(L::WIDTH) {
            let (at, count) = (part.as_mut_ptr(), part.len());
            // SAFETY: the part has `count` values.
            unsafe { L::load_some(at, count).mul(inverse).store_some(at, count) };
        }
    }
}

/// The largest value.
#[inline(always)]
fn largest<L: Lanes>(row: &[f32]) -> f32 {
    let mut largest = L::splat(f32::NEG_INFINITY);
    let parts = row.chunks_exact(L::WIDTH);
    let rest = parts.remainder();
    for part in parts {
        // SAFETY: the part is a whole vector.
        largest = unsafe { largest.max(L::load(part.as_ptr())) };
    }
    let mut all = [f32::NEG_INFINITY; 16];
    // SAFETY: no vector has more than 16 floats.
    unsafe { largest.store(all.as_mut_ptr()) };
    all.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| if a > *b { a } else { *b })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from -1 to 1 that repeat nowhere.
    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    /// One output by its definition, in f64.
    fn defined(qkv: &[f32], [heads, width]: [usize; 2], pixels: usize, pixel: usize, channel: usize) -> f64 {
        let (inner, head) = (heads * width, channel / width);
        let at = |pixel: usize, part: usize, place: usize| {
            f64::from(qkv[pixel * 3 * inner + part * inner + head * width + place])
        };
        let score = |key: usize| -> f64 {
            let product: f64 = (0..width).map(|place| at(pixel, 0, place) * at(key, 1, place)).sum();
            (product / (width as f64).sqrt()).exp()
        };
        let scores: Vec<f64> = (0..pixels).map(score).collect();
        let mixed: f64 = (0..pixels).map(|key| scores[key] * at(key, 2, channel % width)).sum();
        mixed / scores.iter().sum::<f64>()
    }

    /// More queries than are taken at once, by a number that no tile divides.
    #[test]
    fn queries_that_are_taken_one_part_after_another_give_what_the_definition_says() {
        let (pixels, sizes) = (1031, [2, 5]);
        assert!(pixels * pixels > 2 * SCORES, "several parts");
        let qkv = numbers(pixels * 3 * 10, 7);
        let mut out = vec![0.0; pixels * 10];
        let isa = Isa::detect();
        attend::<f32>(isa, Split::Never, &qkv, sizes, &mut Room::default(), &mut out);
        for at_once in [1, 7, 500, pixels] {
            let mut other = vec![0.0; out.len()];
            attend_in_parts::<f32>(isa, Split::Never, &qkv, sizes, at_once, &mut Room::default(), &mut other);
            assert!(out == other, "{at_once} queries at once");
        }
        for (pixel, channel) in [(0, 0), (1, 9), (239, 3), (240, 4), (500, 5), (1029, 7), (1030, 9)] {
            let (found, right) =
                (f64::from(out[pixel * 10 + channel]), defined(&qkv, sizes, pixels, pixel, channel));
            // A thousand terms of f32, each rounded once.
            assert!((found - right).abs() < 2e-6, "pixel {pixel}, channel {channel}: {found}, {right} is right");
        }
    }
}
