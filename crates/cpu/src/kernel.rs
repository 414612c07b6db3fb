//! The weights of one convolution, as the algorithm and the precision that suit it read them.

use std::borrow::Cow;

use ddim_graph::Conv;

use crate::block::{self, Finish, Left, Runs};
use crate::cell::{Cell, Pair};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::product::{Packed, Product, Split, product};
use crate::winograd::{self, Transformed};

/// The weights of a convolution.
pub(crate) enum Kernel {
    Floats(Weights<f32>),
    Pairs(Weights<Pair>),
}

/// Weights that lie in cells.
pub(crate) enum Weights<C> {
    Direct(Packed<C>),
    Winograd(Transformed<C>),
}

/// Pictures that a convolution reads, each with its border, and the layout of what it writes.
#[derive(Clone, Copy)]
pub(crate) struct Pictures<'a> {
    pub(crate) count: usize,
    pub(crate) x: &'a [f32],
    pub(crate) from: &'a Layout,
    pub(crate) to: &'a Layout,
}

/// What a convolution works in.
#[derive(Default)]
pub(crate) struct Room<C> {
    tiles: winograd::Room<C>,
    /// Pictures in cells.
    cells: Vec<C>,
}

impl<C: Cell> Weights<C> {
    /// Packs the weights of a convolution, one slice a part, into the memory that is there.
    ///
    /// # Panics
    /// Weights of another size than the parts say.
    pub(crate) fn fill(&mut self, isa: Isa, conv: &Conv, parts: &[Cow<[f32]>]) {
        let weights = Columns::new(conv, parts);
        match self {
            Weights::Winograd(transformed) => {
                transformed.fill(isa, [conv.from, conv.to()], |out, input, tap| weights.at(out, input, tap));
            }
            Weights::Direct(packed) => {
                // A pixel is a whole number of cells.
                let from = conv.from.next_multiple_of(C::TERMS);
                let places = conv.kernel[0] * conv.kernel[1] * from;
                packed.fill(isa, [places, conv.to()], |place, out| match place % from {
                    input if input < conv.from => weights.at(out, input, place / from),
                    _ => 0.0,
                });
            }
        }
    }

    /// The convolution of pictures into the inside of `out`. What is in its border afterwards is not said.
    pub(crate) fn convolve(
        &self,
        isa: Isa,
        split: Split,
        (conv, pictures): (&Conv, Pictures),
        finish: Finish,
        room: &mut Room<C>,
        out: &mut [f32],
    ) {
        match self {
            Weights::Winograd(transformed) => {
                winograd::convolve(isa, split, pictures, transformed, finish, &mut room.tiles, out);
            }
            Weights::Direct(packed) => {
                let Pictures { count, x, from, to } = pictures;
                let pixels = count * from.len() / from.channels;
                let (values, channels) = C::rows(isa, x, pixels, from.channels, from.channels, &mut room.cells);
                let left = left(values, &Layout { channels, ..*from }, conv, [to.height, to.width]);
                let work = Product { left, right: packed, finish, rows: count * to.pixels() };
                product(isa, split, &work, out, to.channels);
                to.set_apart(count, out);
            }
        }
    }
}

/// A picture as the left matrix of a convolution: a run is a row of the kernel. Channels of the layout count
/// cells.
pub(crate) fn left<'a, C>(x: &'a [C], from: &Layout, conv: &Conv, [height, width]: [usize; 2]) -> Left<'a, C> {
    let pitch = from.pitch();
    Left {
        values: x,
        rows: block::Rows {
            height,
            width,
            picture: from.len(),
            line: conv.stride * pitch,
            pixel: conv.stride * from.channels,
        },
        runs: Runs { count: conv.kernel[0], pitch, len: conv.kernel[1] * from.channels },
        step: 1,
    }
}

/// The weights of a convolution, of whatever parts.
struct Columns<'a> {
    /// \[in, height, width\] for each output channel.
    columns: Vec<&'a [f32]>,
    /// Height times width.
    taps: usize,
}

impl<'a> Columns<'a> {
    fn new(conv: &'a Conv, parts: &'a [Cow<[f32]>]) -> Self {
        let mut columns = Vec::with_capacity(conv.to());
        for (part, weight) in conv.parts.iter().zip(parts) {
            assert_eq!(weight.len(), part.to * conv.inputs(), "weights of a convolution");
            columns.extend(weight.chunks_exact(conv.inputs()));
        }
        Columns { columns, taps: conv.kernel[0] * conv.kernel[1] }
    }

    fn at(&self, out: usize, input: usize, tap: usize) -> f32 {
        self.columns[out][input * self.taps + tap]
    }
}
