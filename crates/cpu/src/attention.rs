//! Attention over the pixels of one picture (Vaswani et al. 2017, arXiv:1706.03762, Eq. 1).

use crate::lanes::{Isa, Lanes, with_isa};
use crate::product::{Packed, Product, Split, product};
use crate::tile::{Finish, Left, Rows, Runs};

/// Memory that attention works in, kept from call to call.
#[derive(Default)]
pub(crate) struct Room {
    keys: Packed,
    values: Packed,
    weights: Vec<f32>,
}

/// softmax(q k^T / sqrt(width)) v for each head of `width` channels: `qkv` is \[pixels, 3 * heads * width\], with all
/// heads of q first; `out` is \[pixels, heads * width\].
pub(crate) fn attend(
    isa: Isa,
    split: Split,
    qkv: &[f32],
    [heads, width]: [usize; 2],
    room: &mut Room,
    out: &mut [f32],
) {
    let inner = heads * width;
    let pixels = out.len() / inner;
    let pitch = 3 * inner;
    room.weights.resize(pixels * pixels, 0.0);
    let scale = (width as f32).sqrt().recip();
    for head in 0..heads {
        let at = |part: usize| part * inner + head * width;
        room.keys.fill(isa, [width, pixels], |place, pixel| qkv[pixel * pitch + at(1) + place]);
        room.values.fill(isa, [pixels, width], |pixel, column| qkv[pixel * pitch + at(2) + column]);
        let left = |values, pitch, len| Left { values, rows: Rows::matrix(pitch), runs: Runs::one(len), step: 1 };
        let queries = left(&qkv[at(0)..], pitch, width);
        let scaled = Finish { scale, ..Finish::plain() };
        let scores = Product { left: queries, right: &room.keys, finish: scaled, rows: pixels };
        product(isa, split, &scores, &mut room.weights, pixels);
        softmax(isa, &mut room.weights, pixels);
        let weights = left(&room.weights, pixels, pixels);
        let mixed = Product { left: weights, right: &room.values, finish: Finish::plain(), rows: pixels };
        product(isa, split, &mixed, &mut out[head * width..], inner);
    }
}

with_isa! {
    /// e^x / sum e^x of each row of this length.
    pub(crate) fn softmax(rows: &mut [f32], len: usize) = softmax_body
}

#[inline(always)]
fn softmax_body<L: Lanes>(rows: &mut [f32], len: usize) {
    for row in rows.chunks_exact_mut(len) {
        let largest = row.iter().fold(f32::NEG_INFINITY, |a, b| if a > *b { a } else { *b });
        let mut total = L::zero();
        for part in row.chunks_mut(L::WIDTH) {
            let (at, count) = (part.as_mut_ptr(), part.len());
            // SAFETY: the part holds `count` values.
            unsafe {
                let e = L::load_some(at, count).sub(L::splat(largest)).exp();
                e.store_some(at, count);
                total = total.add(if count == L::WIDTH { e } else { L::load_some(at, count) });
            }
        }
        let inverse = total.sum().recip();
        for x in row {
            *x *= inverse;
        }
    }
}
