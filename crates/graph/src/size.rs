//! Which pictures go through a graph.

use thiserror::Error;

use crate::{Conv, Graph, Operation, Pool, Resample, Value};

/// Pictures that a network cannot take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SizeError {
    /// A layer leaves nothing of them.
    #[error("pictures of {height}x{width} are too small for the network: halved to nothing")]
    Vanishes {
        /// Rows of a picture.
        height: usize,
        /// Columns of a picture.
        width: usize,
    },
    /// Two ways through the network meet with different sizes.
    #[error(
        "pictures of {height}x{width} cannot be halved as often as the network does: \
         {}x{} pixels meet {}x{}", one[0], one[1], other[0], other[1]
    )]
    Meets {
        /// Rows of a picture.
        height: usize,
        /// Columns of a picture.
        width: usize,
        /// Height and width on one way.
        one: [usize; 2],
        /// Height and width on the other.
        other: [usize; 2],
    },
}

impl Graph {
    /// Height and width of every value, for pictures of this height and width.
    ///
    /// # Errors
    /// A size that does not go through the layers.
    pub fn sizes(&self, [height, width]: [usize; 2]) -> Result<Vec<[usize; 2]>, SizeError> {
        let mut sizes: Vec<[usize; 2]> = Vec::with_capacity(self.layers().len());
        for layer in self.layers() {
            let of = |value: Value| sizes[value.index()];
            let first = layer.operation.reads().next();
            let size = written(&layer.operation, first.map_or([height, width], of));
            if size.contains(&0) {
                return Err(SizeError::Vanishes { height, width });
            }
            let beside = match &layer.operation {
                Operation::Join { b, .. } | Operation::Add { b, .. } | Operation::Gate { residual: b, .. } => {
                    Some(*b)
                }
                Operation::Convolve(conv) => conv.residual,
                _ => None,
            };
            match beside.map(of) {
                Some(other) if other != size => {
                    return Err(SizeError::Meets { height, width, one: size, other });
                }
                _ => sizes.push(size),
            }
        }
        Ok(sizes)
    }
}

/// The size that an operation gives for that of what it reads first.
fn written(operation: &Operation, [height, width]: [usize; 2]) -> [usize; 2] {
    let steps =
        |side: usize, window: usize, stride: usize| side.checked_sub(window).map_or(0, |rest| rest / stride + 1);
    match operation {
        Operation::Resample { by: Resample::Double, .. } => [2 * height, 2 * width],
        Operation::Resample { by: Resample::Halve, .. } => [height / 2, width / 2],
        Operation::Resample { by: Resample::Unpatch(side), .. } => [side * height, side * width],
        Operation::Convolve(Conv { kernel, stride, border, .. }) => [
            steps(height + border.top + border.bottom, kernel[0], *stride),
            steps(width + border.left + border.right, kernel[1], *stride),
        ],
        Operation::Pool(Pool { side, stride, border, .. }) => {
            [height, width].map(|whole| if whole == 0 { 0 } else { steps(whole + 2 * border, *side, *stride) })
        }
        Operation::Mean { .. } => [height.min(1), width.min(1)],
        _ => [height, width],
    }
}
