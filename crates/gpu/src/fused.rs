//! Which layers are done as one.

use ddim_graph::{Border, Conv, Graph, Modulation, Operation, Resample, Value, Watched};

/// What a layer takes over from others, where nobody else reads what these write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fused {
    /// For each layer.
    pub(crate) layers: Vec<Taken>,
}

/// What becomes of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Nothing is done: the layer behind does it.
    pub(crate) is_absorbed: bool,
    /// A convolution reads this, at half the resolution, in place of what it is written with.
    pub(crate) doubled: Option<Value>,
    /// A convolution leaves its shift to the normalisation behind it.
    pub(crate) leaves_shift: bool,
    /// What a normalisation adds first.
    pub(crate) added: Option<Modulation>,
}

impl Fused {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut layers = vec![Taken::default(); graph.layers().len()];
        let readers = graph.readers();
        let is_seen = |value: Value| graph.points().iter().any(|point| point.watched == Watched::Value(value));
        // Value k is what layer k writes.
        let alone = |value: Value| readers[value.index()] == 1 && !is_seen(value);
        for (k, layer) in graph.layers().iter().enumerate() {
            match &layer.operation {
                Operation::Convolve(conv)
                    if keeps_the_size(conv) && conv.residual != Some(conv.x) && alone(conv.x) =>
                {
                    let before = conv.x.index();
                    if let Operation::Resample { x, by: Resample::Double } = graph.layers()[before].operation {
                        layers[k].doubled = Some(x);
                        layers[before].is_absorbed = true;
                    }
                }
                Operation::Normalize(norm) if alone(norm.x) => {
                    let before = norm.x.index();
                    if let Operation::Convolve(Conv { shift: Some(shift), scale: 1.0, residual: None, .. }) =
                        &graph.layers()[before].operation
                    {
                        layers[k].added = Some(*shift);
                        layers[before].leaves_shift = true;
                    }
                }
                _ => {}
            }
        }
        Fused { layers }
    }

    /// The last layer that reads each value, when what is absorbed is read by the layer that absorbs it.
    pub(crate) fn last_reads(&self, graph: &Graph) -> Vec<Option<usize>> {
        let mut last = graph.last_reads();
        for (k, taken) in self.layers.iter().enumerate() {
            if let Some(value) = taken.doubled {
                last[value.index()] = last[value.index()].max(Some(k));
            }
        }
        last
    }
}

/// Whether it is a 3x3 convolution from which a picture comes as large as it was.
pub(crate) fn keeps_the_size(conv: &Conv) -> bool {
    conv.kernel == [3, 3] && conv.stride == 1 && conv.border == Border::even(1) && conv.parts.len() == 1
}

#[cfg(test)]
mod tests {
    use ddim_graph::{Activation, Asked, Builder, Convolution, Initial};

    use super::*;

    /// A convolution of what was doubled, its residual if any, and what else is done with the doubled picture.
    fn doubled(convolution: Convolution, also: impl FnOnce(&mut Builder, Value, Value)) -> (Graph, usize) {
        let mut builder = Builder::new();
        let x = builder.input(4);
        let large = builder.resample(x, Resample::Double);
        also(&mut builder, x, large);
        let out = builder.convolve(large, convolution);
        (builder.finish(out), out.index())
    }

    fn same() -> Convolution {
        Convolution::new("conv", 4).kernel(3).border(Border::even(1))
    }

    #[test]
    fn a_doubling_joins_the_convolution_that_alone_reads_it() {
        let (graph, conv) = doubled(same(), |_, _, _| {});
        let fused = Fused::new(&graph);
        assert!(fused.layers[1].is_absorbed && fused.layers[conv].doubled.is_some());
        // The small picture is read where the doubling is done.
        assert_eq!(fused.last_reads(&graph)[0], Some(conv));
    }

    #[test]
    fn a_doubling_that_others_see_or_that_does_not_fit_stays() {
        let read_twice = |builder: &mut Builder, _: Value, large: Value| {
            builder.convolve(large, Convolution::new("other", 1));
        };
        let seen = |builder: &mut Builder, _: Value, large: Value| builder.observe("seen", large);
        let cases = [
            doubled(same(), read_twice),
            doubled(same(), seen),
            doubled(Convolution::new("conv", 4).kernel(5).border(Border::even(2)), |_, _, _| {}),
            doubled(Convolution::new("conv", 4).kernel(3).border(Border::even(1)).stride(2), |_, _, _| {}),
            doubled(Convolution::new("conv", 4), |_, _, _| {}),
        ];
        for (case, (graph, conv)) in cases.iter().enumerate() {
            let fused = Fused::new(graph);
            assert!(!fused.layers[1].is_absorbed && fused.layers[*conv].doubled.is_none(), "case {case}");
        }
    }

    #[test]
    fn what_is_doubled_may_be_read_once_more_behind_it() {
        let mut builder = Builder::new();
        let x = builder.input(4);
        let large = builder.resample(x, Resample::Double);
        let large = builder.convolve(large, same());
        let small = builder.resample(large, Resample::Halve);
        let out = builder.join(small, x);
        let graph = builder.finish(out);
        assert_eq!(Fused::new(&graph).last_reads(&graph)[0], Some(out.index()));
    }

    /// A shift in front of a normalisation, with these changes.
    fn shifted(change: impl FnOnce(Convolution, Value) -> Convolution, observe: bool) -> Fused {
        let mut builder = Builder::new();
        let x = builder.input(4);
        let table = builder.parameter("table", &[2, 4], Initial::Zeros);
        let row = builder.lookup(Asked::Class, table);
        let shift = builder.modulation(row);
        let h = builder.convolve(x, change(same().shift(Some(shift)), x));
        if observe {
            builder.observe("seen", h);
        }
        let out = builder.normalize(h, "norm", 2, 1e-5, None, Activation::Silu);
        Fused::new(&builder.finish(out))
    }

    #[test]
    fn a_shift_is_left_to_the_normalisation_that_alone_reads_the_sum() {
        let fused = shifted(|convolution, _| convolution, false);
        assert!(fused.layers[1].leaves_shift && fused.layers[2].added.is_some());
        let kept = [
            shifted(|convolution, _| convolution, true),
            shifted(|convolution, _| convolution.scale(0.5), false),
            shifted(|convolution, x| convolution.residual(x), false),
        ];
        for (case, fused) in kept.iter().enumerate() {
            assert!(!fused.layers[1].leaves_shift && fused.layers[2].added.is_none(), "case {case}");
        }
    }
}
