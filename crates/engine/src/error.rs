//! What an engine refuses.

use ddim_cpu::Unsupported;
use ddim_graph::Precision;

/// Why a network cannot run on a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph has a layer that the processor's engine lacks.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The device does not compute in it.
    #[error("the device does not compute in {0}")]
    Precision(Precision),
}
