//! A network written down once: a list of operations that any engine can run.
//!
//! A [`Graph`] has two parts. Its *layers* take pictures to pictures: convolutions, normalisations, attention and
//! what lies between them. Its *conditioning* takes times and labels to rows of numbers, which layers add or
//! multiply with; it needs no picture, so an engine computes it once for many calls. Parameters have the names and
//! shapes that they have in PyTorch's files. An architecture is one function from its configuration to a graph,
//! made with a [`Builder`]:
//!
//! ```
//! use ddim_graph::{Activation, Border, Builder, Convolution};
//!
//! let mut builder = Builder::new();
//! let x = builder.input(3);
//! let h = builder.convolve(x, Convolution::new("conv_in", 16).kernel(3).border(Border::even(1)));
//! let h = builder.normalize(h, "norm", 4, 1e-5, None, Activation::Silu);
//! let h = builder.convolve(h, Convolution::new("conv_out", 3).kernel(3).border(Border::even(1)).residual(x));
//! let graph = builder.finish(h);
//!
//! assert_eq!(graph.parameters()[0].name, "conv_in.weight");
//! assert_eq!(graph.parameters()[0].shape, [16, 3, 3, 3]);
//! assert_eq!(graph.sizes([8, 6]).unwrap().last(), Some(&[8, 6]));
//! ```
//!
//! The crate knows shapes and names: no engine, no weight, no diffusion.

mod builder;
mod conditioning;
mod convolution;
mod cut;
mod describe;
mod graph;
mod labels;
mod operation;
mod parameter;
mod positions;
mod precision;
mod size;

pub use builder::Builder;
pub use conditioning::{Asked, Modulation, Row, RowOperation};
pub use convolution::Convolution;
pub use cut::{Cut, CutError};
pub use graph::{Graph, Point, Times, Watched};
pub use labels::{Labels, check_rows, logarithmic_waves, waves, whole_times};
pub use operation::{
    Activation, Border, Conv, Layer, Norm, Operation, Part, PixelNorm, Pool, Pooling, Resample, Value,
};
pub use parameter::{Initial, Parameter, ParameterInfo};
pub use positions::positions;
pub use precision::Precision;
pub use size::SizeError;
