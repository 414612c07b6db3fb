//! Where every value of a tape lies in memory, for pictures of one size.

use std::cmp::Reverse;

use ddim_graph::{Border, Graph, SizeError};

use crate::layout::Layout;
use crate::tape::{Form, Tape};

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
    pub(crate) fn new(graph: &Graph, tape: &Tape, pictures: usize, size: [usize; 2], keep: Keep) -> Self {
        let layouts = layouts(graph, tape, size).unwrap_or_else(|misfit| panic!("{misfit}"));
        let sizes: Vec<usize> = layouts.iter().map(|layout| Self::room(layout, pictures)).collect();
        let (starts, len) = match keep {
            Keep::WhileRead => share(&sizes, &last_reads(tape)),
            Keep::All => one_behind_the_other(&sizes),
        };
        Plan { pictures, layouts, starts, len }
    }

    /// The same values without their borders, one behind the other.
    pub(crate) fn without_borders(&self) -> Self {
        let bare = |layout: &Layout| Layout { border: Border::NONE, ..*layout };
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
pub(crate) fn layouts(graph: &Graph, tape: &Tape, size: [usize; 2]) -> Result<Vec<Layout>, SizeError> {
    let sizes = graph.sizes(size)?;
    let layout = |form: &Form| {
        let [height, width] = sizes[form.of.index()];
        Layout { channels: form.channels, height, width, border: form.border }
    };
    Ok(tape.values.iter().map(layout).collect())
}

/// The last layer that reads each value; the result, and what nobody reads, is never given away.
fn last_reads(tape: &Tape) -> Vec<usize> {
    let mut last = vec![usize::MAX; tape.values.len()];
    for (k, layer) in tape.layers.iter().enumerate() {
        for value in layer.work.reads() {
            last[value.0] = k;
        }
    }
    last[tape.result.0] = usize::MAX;
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

/// The same where value k lives from layer k to layer `last[k]`. Those that live longest are placed first, each as
/// far in front as no other is at any time of its life; short lives fit above them. For the DDPM network for
/// CIFAR-10 that takes no more than what lives at one time.
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
