//! What a graph may have that this engine cannot run.

use ddim_graph::{Border, Conv, Graph, Operation};
use thiserror::Error;

/// A layer that this engine cannot run: another engine may.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsupported {
    /// Some outputs would see nothing but the border.
    #[error(
        "the processor cannot compute {name}: its border of {} pixels is as wide as its kernel of {}x{}",
        border.top.max(border.left).max(border.bottom).max(border.right), kernel[0], kernel[1]
    )]
    WideBorder {
        /// The weights of the convolution.
        name: String,
        /// What it has around its pictures.
        border: Border,
        /// Its height and width.
        kernel: [usize; 2],
    },
}

/// Looks for what cannot be run.
///
/// # Errors
/// The first layer that cannot.
pub fn check(graph: &Graph) -> Result<(), Unsupported> {
    let mut convolutions = graph.layers().iter().filter_map(|layer| match &layer.operation {
        Operation::Convolve(conv) => Some(conv),
        _ => None,
    });
    convolutions.try_for_each(|conv| check_convolution(graph, conv))
}

fn check_convolution(graph: &Graph, conv: &Conv) -> Result<(), Unsupported> {
    let Conv { kernel, border, .. } = *conv;
    let wide = border.top.max(border.bottom) >= kernel[0] || border.left.max(border.right) >= kernel[1];
    if wide {
        let name = graph.parameter(conv.parts[0].weight).name.clone();
        return Err(Unsupported::WideBorder { name, border, kernel });
    }
    Ok(())
}
