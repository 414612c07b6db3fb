//! A call that takes what an earlier one has kept in place of the layers that lead to it.

use ddim_graph::Cut;

use crate::network::{Network, Rows};
use crate::run::{Memory, Run};
use crate::spread::channels_last;
use crate::tape::{Tape, Value};

/// What an earlier call has kept where a graph is cut.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The place.
    pub cut: &'a Cut,
    /// What [`Network::observe`] saw there, \[n, c, h, w\].
    pub values: &'a [f32],
}

/// The same for the layers of the tape.
pub(crate) struct Given<'a> {
    /// The layer that would have written it.
    layer: usize,
    /// Of each layer whether it runs.
    needed: Vec<bool>,
    values: &'a [f32],
}

/// What some pictures of a batch are given.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    given: &'a Given<'a>,
    values: &'a [f32],
}

impl Network {
    /// What the network says about `x`, \[n, c, h, w\], with this in place of what leads to it: the layers that
    /// nothing else needs are left out. With what the same call would have computed there the result is that of
    /// [`forward`](Self::forward), bit for bit.
    ///
    /// # Panics
    /// As [`forward`](Self::forward); a cut of another graph, or values that are not those of `n` such pictures.
    pub fn forward_behind(&self, x: &[f32], shape: [usize; 4], modulations: &[Rows], kept: Kept) -> Vec<f32> {
        assert_eq!(kept.cut.needed().len(), self.graph.layers().len(), "a cut of another graph");
        let layer = self.tape.places[kept.cut.value().index()];
        let given = Given { layer: layer.0, needed: self.tape.needed_behind(layer), values: kept.values };
        self.through(x, shape, modulations, &[], Some(&given)).output
    }
}

impl<'a> Given<'a> {
    /// That of `count` pictures from the `first` on, of `n` in all.
    pub(crate) fn part(&'a self, first: usize, count: usize, n: usize) -> Part<'a> {
        let each = self.values.len() / n;
        Part { given: self, values: &self.values[first * each..][..count * each] }
    }

    /// The layer that would have written it: it writes the value of its number.
    pub(crate) fn layer(&self) -> usize {
        self.layer
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl Part<'_> {
    /// Whether this layer has nothing to do: its result is known, and then lies where it would have put it, or
    /// nobody needs it.
    pub(crate) fn replaces(&self, layer: usize, run: &Run, memory: &mut Memory) -> bool {
        if layer != self.given.layer {
            return !self.given.needed[layer];
        }
        let layout = &run.plan.layouts[layer];
        let pictures = &mut memory.values[run.plan.range(layer)];
        let len = layout.channels * layout.pixels();
        for (out, values) in pictures.chunks_mut(len).zip(self.values.chunks_exact(len)) {
            // Nothing but -0 leaves every number as it is, -0 too.
            channels_last(values, layout.channels, (1.0, -0.0), out);
        }
        layout.set_apart(run.plan.pictures, pictures);
        pictures.chunks_mut(layout.len()).take(run.plan.pictures).for_each(|picture| layout.clear_border(picture));
        true
    }
}

impl Tape {
    /// The layers that the result needs where this value is known: backwards from the end.
    fn needed_behind(&self, known: Value) -> Vec<bool> {
        let mut needed = vec![false; self.layers.len()];
        let mut wanted = vec![false; self.values.len()];
        wanted[self.result.0] = true;
        for (k, layer) in self.layers.iter().enumerate().rev() {
            if wanted[layer.output.0] && layer.output != known {
                needed[k] = true;
                layer.work.reads().for_each(|value| wanted[value.0] = true);
            }
        }
        needed
    }
}

#[cfg(test)]
mod tests {
    use ddim_graph::{Border, Builder, Convolution as Layer};

    use super::*;
    use crate::plan::Keep;
    use crate::product::Split;
    use crate::{Convolution, Isa, Precision};

    /// Results do not show it: what nobody reads may be computed all the same.
    #[test]
    fn layers_that_nothing_needs_do_not_run() {
        let conv = |name: &str| Layer::new(name, 8).kernel(3).border(Border::even(1));
        let mut builder = Builder::new();
        let x = builder.input(3);
        let outer = builder.convolve(x, conv("outer"));
        let first = builder.convolve(outer, conv("first"));
        let inner = builder.convolve(first, conv("inner"));
        builder.observe("inner", inner);
        let both = builder.join(inner, outer);
        let out = builder.convolve(both, conv("out"));
        let graph = std::sync::Arc::new(builder.finish(out));
        let weights = |parameter| vec![0.1; graph.parameter(parameter).len()].into();
        let (isa, size) = (Isa::Portable, [4, 4]);
        let network = Network::new(graph.clone(), weights, isa, Convolution::Direct, Precision::F32, size);
        let (network, cut) = (network.expect("it is supported"), graph.cut("inner").expect("a cut"));
        let layer = network.tape.places[cut.value().index()];
        let values = [0.5; 8 * 16];
        let given = Given { layer: layer.0, needed: network.tape.needed_behind(layer), values: &values };
        let (plan, part) = (network.plan(1, size, Keep::WhileRead), given.part(0, 1, 1));
        let run = Run { network: &network, plan: &plan, split: Split::Never, first: 0, modulations: &[] };
        let mut memory = run.memory();
        let run_of = |k: &usize| !part.replaces(*k, &run, &mut memory);
        let ran: Vec<usize> = (0..network.tape.layers.len()).filter(run_of).collect();
        let of: Vec<usize> = ran.iter().map(|k| network.tape.layers[*k].part_of).collect();
        assert!(!of.contains(&first.index()) && !of.contains(&inner.index()), "{of:?}");
        assert!([x, outer, both, out].iter().all(|value| of.contains(&value.index())), "{of:?}");
    }
}
