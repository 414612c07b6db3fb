//! Where every value of a tape lies in memory, for pictures of one size.

use crate::layout::{Halo, Layout};
use crate::tape::{Tape, Work};

/// Layouts and places of all values, for `pictures` pictures at once.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) pictures: usize,
    pub(crate) layouts: Vec<Layout>,
    /// Where each value begins.
    pub(crate) starts: Vec<usize>,
    /// Floats that all of it takes.
    pub(crate) len: usize,
}

/// How long values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Until the last layer has read them: their memory serves others then.
    WhileRead,
    /// All of them, for a way back.
    All,
}

/// Floats behind each value: a vector may be read beyond the last row of a matrix.
const SLACK: usize = 64;

impl Plan {
    pub(crate) fn new(tape: &Tape, pictures: usize, size: [usize; 2], keep: Keep) -> Self {
        let layouts = layouts(tape, size);
        let last = last_reads(tape);
        let mut free: Vec<(usize, usize)> = Vec::new();
        let (mut starts, mut len) = (vec![0; layouts.len()], 0);
        for (k, layer) in tape.layers.iter().enumerate() {
            let size = Self::room(&layouts[layer.output.0], pictures);
            starts[layer.output.0] = take(&mut free, size, &mut len);
            if keep == Keep::WhileRead {
                for value in layer.work.reads().filter(|value| last[value.0] == k) {
                    free.push((starts[value.0], Self::room(&layouts[value.0], pictures)));
                }
                merge(&mut free);
            }
        }
        Plan { pictures, layouts, starts, len }
    }

    /// The same values without their halos, one behind the other.
    pub(crate) fn without_halos(&self) -> Self {
        let bare = |layout: &Layout| Layout { halo: Halo::NONE, ..*layout };
        let layouts: Vec<Layout> = self.layouts.iter().map(bare).collect();
        let (mut starts, mut len) = (Vec::with_capacity(layouts.len()), 0);
        for layout in &layouts {
            starts.push(len);
            len += Self::room(layout, self.pictures);
        }
        Plan { pictures: self.pictures, layouts, starts, len }
    }

    fn room(layout: &Layout, pictures: usize) -> usize {
        let len = layout.len().checked_mul(pictures).expect("values of pictures that fit into memory");
        (len + SLACK).next_multiple_of(16)
    }

    /// Where a value lies.
    pub(crate) fn range(&self, value: usize) -> std::ops::Range<usize> {
        self.starts[value]..self.starts[value] + Self::room(&self.layouts[value], self.pictures)
    }
}

/// The layout of every value, for pictures of this size.
pub(crate) fn layouts(tape: &Tape, size: [usize; 2]) -> Vec<Layout> {
    let mut layouts: Vec<Layout> = Vec::with_capacity(tape.values.len());
    for layer in &tape.layers {
        let of = |value: &crate::tape::Value| [layouts[value.0].height, layouts[value.0].width];
        let [height, width] = match &layer.work {
            Work::Input { .. } => size,
            Work::Spread { x, resample } => resample.size(of(x)),
            Work::Join { a: x, .. } | Work::Norm { x, .. } | Work::Attend { qkv: x, .. } => of(x),
            Work::Conv { x, conv, .. } => {
                let Layout { halo, .. } = layouts[x.0];
                of(x).map(|side| {
                    let covered = (side + halo.before + halo.after).checked_sub(conv.kernel);
                    covered.expect("a picture, with its border, as large as the kernel") / conv.stride + 1
                })
            }
        };
        let (channels, halo) = tape.values[layer.output.0];
        layouts.push(Layout { channels, height, width, halo });
    }
    layouts
}

/// The last layer that reads each value; the last value is never given away.
fn last_reads(tape: &Tape) -> Vec<usize> {
    let mut last = vec![usize::MAX; tape.values.len()];
    for (k, layer) in tape.layers.iter().enumerate() {
        for value in layer.work.reads() {
            last[value.0] = k;
        }
    }
    last
}

/// The smallest free piece that is large enough, or new memory at the end.
fn take(free: &mut [(usize, usize)], size: usize, len: &mut usize) -> usize {
    let fitting = (0..free.len()).filter(|k| free[*k].1 >= size).min_by_key(|k| free[*k].1);
    let Some(k) = fitting else {
        *len += size;
        return *len - size;
    };
    let (start, room) = free[k];
    free[k] = (start + size, room - size);
    start
}

/// Joins free pieces that touch.
fn merge(free: &mut Vec<(usize, usize)>) {
    free.retain(|piece| piece.1 > 0);
    free.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::with_capacity(free.len());
    for (start, size) in free.drain(..) {
        match merged.last_mut() {
            Some(last) if last.0 + last.1 == start => last.1 += size,
            _ => merged.push((start, size)),
        }
    }
    *free = merged;
}
