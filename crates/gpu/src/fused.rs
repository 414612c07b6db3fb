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
