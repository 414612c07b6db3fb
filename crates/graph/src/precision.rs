//! Numbers of 16 bits inside a network.

use std::fmt;

/// What a network computes in. Its input and its output are f32 with each of them, and so are embeddings of times
/// and labels, the statistics of normalisations and softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    F32,
    /// 16 bits, 11 of them significant, nothing above 65504.
    F16,
    /// 16 bits, 8 of them significant, as large and as small as f32.
    Bf16,
}

impl Precision {
    /// Its name: `f32`, `f16`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
