//! One door to the engines: a graph with weights, made ready for a device.
//!
//! On this processor `ddim-cpu` runs it; with the feature `gpu`, `ddim-gpu` does on tensors of burn. An [`Engine`]
//! answers the same questions either way, and the answers differ by rounding.

mod conditioning;
mod engine;
mod error;

pub use conditioning::Conditioning;
pub use ddim_cpu::{Bf16, Cost};
pub use ddim_graph::Precision;
pub use engine::{Engine, EngineOptions, Observed, Shared, Way};
pub use error::EngineError;

/// What [`Precision::Bf16`] is worth on this processor.
pub fn bf16_on_processor() -> Bf16 {
    ddim_cpu::Isa::detect().bf16()
}
