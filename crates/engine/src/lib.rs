//! One door to the engines: a graph with weights, made ready for a device.
//!
//! In host memory `ddim-cpu` runs it, without tensors; everywhere else `ddim-gpu` does. An [`Engine`] answers the
//! same questions either way, and the answers differ by rounding.

mod conditioning;
mod engine;

pub use conditioning::Conditioning;
pub use ddim_cpu::Cost;
pub use ddim_gpu::Precision;
pub use engine::{Engine, Observed, Shared, Way};
