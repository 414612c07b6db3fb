//! What a graph says about itself.

use crate::{Conv, Graph, Layer, Operation, Pool, SizeError};

impl Graph {
    /// How many numbers all parameters are.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|parameter| parameter.len()).sum()
    }

    /// Multiplications of numbers with weights or with each other that one picture takes, those of convolutions
    /// and attention alone.
    ///
    /// # Errors
    /// A size that does not go through the layers.
    pub fn multiplications(&self, size: [usize; 2]) -> Result<u64, SizeError> {
        Ok(self.multiplications_of_layers(size)?.into_iter().sum())
    }

    /// The same of each layer.
    pub(crate) fn multiplications_of_layers(&self, size: [usize; 2]) -> Result<Vec<u64>, SizeError> {
        let sizes = self.sizes(size)?;
        let of = |layer: &Layer| {
            let pixels: u64 = sizes[layer.output.index()].iter().map(|side| *side as u64).product();
            match &layer.operation {
                Operation::Convolve(conv) => pixels * (conv.inputs() * conv.to()) as u64,
                Operation::Attend { heads, width, .. } => 2 * pixels * pixels * (heads * width) as u64,
                _ => 0,
            }
        };
        Ok(self.layers().iter().map(of).collect())
    }

    /// Numbers of the largest value for one picture, or of the scores of an attention, heads times pixels squared.
    ///
    /// # Errors
    /// A size that does not go through the layers.
    pub fn largest_value(&self, size: [usize; 2]) -> Result<usize, SizeError> {
        let sizes = self.sizes(size)?;
        let of = |layer: &Layer| {
            let [height, width] = sizes[layer.output.index()];
            let pixels = height.saturating_mul(width);
            let scores = match layer.operation {
                Operation::Attend { heads, .. } => heads.saturating_mul(pixels).saturating_mul(pixels),
                _ => 0,
            };
            scores.max(pixels.saturating_mul(self.channels(layer.output)))
        };
        Ok(self.layers().iter().map(of).max().unwrap_or(0))
    }

    /// Height and width of the part of a picture that one pixel of the result depends on; none where that is all
    /// of it, as behind a normalisation, a mean or attention.
    pub fn receptive_field(&self) -> Option<[usize; 2]> {
        // Of each value: pixels of the input that one of its pixels sees, and from one of its pixels to the next,
        // the latter over a power of two where pixels were doubled.
        let mut seen: Vec<([f64; 2], f64)> = Vec::with_capacity(self.values());
        for layer in self.layers() {
            let first = layer.operation.reads().next().map_or(([1.0; 2], 1.0), |value| seen[value.index()]);
            let (mut field, step) = match &layer.operation {
                Operation::Normalize(_) | Operation::Attend { .. } | Operation::Mean { .. } => return None,
                Operation::Resample { by: crate::Resample::Double, .. } => (first.0, first.1 / 2.0),
                Operation::Resample { by: crate::Resample::Unpatch(side), .. } => {
                    (first.0, first.1 / *side as f64)
                }
                Operation::Resample { by: crate::Resample::Halve, .. } => {
                    (first.0.map(|side| side + first.1), 2.0 * first.1)
                }
                Operation::Convolve(Conv { kernel, stride, .. }) => windowed(first, *kernel, *stride),
                Operation::Pool(Pool { side, stride, .. }) => windowed(first, [*side; 2], *stride),
                _ => first,
            };
            for value in layer.operation.reads().skip(1) {
                let other = seen[value.index()].0;
                field = [field[0].max(other[0]), field[1].max(other[1])];
            }
            seen.push((field, step));
        }
        seen.last().map(|(field, _)| field.map(|side| side.ceil() as usize))
    }
}

/// What a pixel sees, and how far the next one is, behind windows of this height and width.
fn windowed((field, step): ([f64; 2], f64), window: [usize; 2], stride: usize) -> ([f64; 2], f64) {
    let side = |axis: usize| field[axis] + (window[axis] - 1) as f64 * step;
    ([side(0), side(1)], step * stride as f64)
}

impl Conv {
    /// Numbers that one output adds up.
    pub fn inputs(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.from
    }
}
