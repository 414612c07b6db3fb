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

/// softmax(q k^T / sqrt(width)) v for each head of `width` channels: `qkv` is \[pixels, 3 * heads * width\], with
/// all heads of q first; `out` is \[pixels, heads * width\].
pub(crate) fn attend<C: Cell>(
    isa: Isa,
    split: Split,
    qkv: &[f32],
    [heads, width]: [usize; 2],
    room: &mut Room<C>,
    out: &mut [f32],
) {
    let inner = heads * width;
    let pixels = out.len() / inner;
    let pitch = 3 * inner;
    let Room { keys, values, weights, cells } = room;
    weights.resize(pixels * pixels, 0.0);
    let scale = (width as f32).sqrt().recip();
    for head in 0..heads {
        let at = |part: usize| part * inner + head * width;
        keys.fill(isa, [width, pixels], |place, pixel| qkv[pixel * pitch + at(1) + place]);
        values.fill_rows(isa, [pixels, width], |pixel| &qkv[pixel * pitch + at(2)..]);
        let (queries, apart) = C::rows(isa, &qkv[at(0)..], pixels, pitch, width, cells);
        let scaled = Finish { scale, ..Finish::plain() };
        let scores =
            Product { left: plain(queries, apart, keys.places), right: keys, finish: scaled, rows: pixels };
        product(isa, split, &scores, weights, pixels);
        softmax(isa, weights, pixels);
        let (shares, apart) = C::rows(isa, weights, pixels, pixels, pixels, cells);
        let finish = Finish::plain();
        let mixed = Product { left: plain(shares, apart, values.places), right: values, finish, rows: pixels };
        product(isa, split, &mixed, &mut out[head * width..], inner);
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
