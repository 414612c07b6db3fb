//! Where every value of a tape lies in memory, for pictures of one size.

use std::cmp::Reverse;

use crate::layout::{Halo, Layout};
use crate::tape::{Tape, Value, Work};

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
    /// # Panics
    /// Pictures that do not go through the layers.
    pub(crate) fn new(tape: &Tape, pictures: usize, size: [usize; 2], keep: Keep) -> Self {
        let layouts = layouts(tape, size).unwrap_or_else(|misfit| panic!("{misfit}"));
        let sizes: Vec<usize> = layouts.iter().map(|layout| Self::room(layout, pictures)).collect();
        let (starts, len) = match keep {
            Keep::WhileRead => share(&sizes, &last_reads(tape)),
            Keep::All => one_behind_the_other(&sizes),
        };
        Plan { pictures, layouts, starts, len }
    }

    /// The same values without their halos, one behind the other.
    pub(crate) fn without_halos(&self) -> Self {
        let bare = |layout: &Layout| Layout { halo: Halo::NONE, ..*layout };
        let layouts: Vec<Layout> = self.layouts.iter().map(bare).collect();
        let sizes: Vec<usize> = layouts.iter().map(|layout| Self::room(layout, self.pictures)).collect();
        let (starts, len) = one_behind_the_other(&sizes);
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

/// The layout of every value, for pictures of this size; an error where they do not go through the layers.
pub(crate) fn layouts(tape: &Tape, size: [usize; 2]) -> Result<Vec<Layout>, String> {
    let mut layouts: Vec<Layout> = Vec::with_capacity(tape.values.len());
    for layer in &tape.layers {
        let of = |value: &Value| [layouts[value.0].height, layouts[value.0].width];
        let [height, width] = match &layer.work {
            Work::Input { .. } => size,
            Work::Spread { x, resample } => resample.size(of(x)),
            Work::Join { a: x, .. } | Work::Norm { x, .. } | Work::Attend { qkv: x, .. } => of(x),
            Work::Conv { x, conv, .. } => {
                let Layout { halo, .. } = layouts[x.0];
                let steps = |side: usize| (side + halo.before + halo.after).checked_sub(conv.kernel);
                of(x).map(|side| steps(side).map_or(0, |steps| steps / conv.stride + 1))
            }
        };
        let [h, w] = size;
        if height == 0 || width == 0 {
            return Err(format!("pictures of {h}x{w} are too small for the network: halved to nothing"));
        }
        let other = match &layer.work {
            Work::Join { b, .. } => of(b),
            Work::Conv { residual: Some(residual), .. } => of(residual),
            _ => [height, width],
        };
        if other != [height, width] {
            let [other, across] = other;
            let what = format!("{height}x{width} pixels meet {other}x{across}");
            return Err(format!("pictures of {h}x{w} cannot be halved as often as the network does: {what}"));
        }
        let (channels, halo) = tape.values[layer.output.0];
        layouts.push(Layout { channels, height, width, halo });
    }
    Ok(layouts)
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

/// Where values begin, and what all of them take.
fn one_behind_the_other(sizes: &[usize]) -> (Vec<usize>, usize) {
    let mut len = 0;
    let starts = sizes.iter().map(|size| {
        len += size;
        len - size
    });
    (starts.collect(), len)
}

/// The same where value k lives from layer k to layer `last[k]`. Those that live longest are placed first, each as far
/// in front as no other is at any time of its life; short lives fit above them. For the DDPM network for CIFAR-10 that
/// takes no more than what lives at one time.
fn share(sizes: &[usize], last: &[usize]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|value| Reverse((last[*value].min(sizes.len()) - value, sizes[*value])));
    let mut starts = vec![0; sizes.len()];
    // By where they begin.
    let mut placed: Vec<usize> = Vec::with_capacity(sizes.len());
    for value in order {
        let meets = |other: &&usize| **other <= last[value] && value <= last[**other];
        let mut start = 0;
        for other in placed.iter().filter(meets) {
            if start + sizes[value] <= starts[*other] {
                break;
            }
            start = start.max(starts[*other] + sizes[*other]);
        }
        starts[value] = start;
        placed.insert(placed.partition_point(|other| starts[*other] <= start), value);
    }
    let len = (0..sizes.len()).map(|value| starts[value] + sizes[value]).max();
    (starts, len.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_live_at_one_time_are_apart() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % n) as usize
        };
        for count in 1..60 {
            let sizes: Vec<usize> = (0..count).map(|_| 16 * (1 + below(40))).collect();
            let last: Vec<usize> =
                (0..count).map(|k| if below(9) == 0 { usize::MAX } else { k + below(9) }).collect();
            let (starts, len) = share(&sizes, &last);
            let end = |k: usize| starts[k] + sizes[k];
            for (a, b) in (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))) {
                assert!(last[a] < b || end(a) <= starts[b] || end(b) <= starts[a], "{a} and {b} of {count}");
            }
            assert_eq!(len, (0..count).map(end).max().expect("a value"));
        }
    }

    #[test]
    fn skips_lie_below_what_comes_and_goes() {
        // Three values that the way up reads, last one first, and between them one that the next layer reads.
        let (sizes, last) = ([30, 100, 20, 50, 10, 20, 60, 10], [7, 2, 6, 4, 5, 6, 7, usize::MAX]);
        let alive = |k: usize| (0..=k).filter(|value| k <= last[*value]).map(|value| sizes[value]).sum::<usize>();
        assert_eq!(share(&sizes, &last).1, (0..8).map(alive).max().expect("a layer"));
    }
}
