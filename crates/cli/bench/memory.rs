//! The most memory that the process holds at a time.

use std::fs;

use crate::memory::kibibytes;

/// What Linux calls the mark.
const MARK: &str = "VmHWM:";

/// How memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// As Linux does: `VmHWM`, which can be set back to what is held now. A GPU's own memory is not in it.
    OfProcess,
    /// Not at all.
    NotMeasured,
}

/// A measurement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HighWater {
    /// Since its start.
    Watched,
    /// This system does not tell, or does not let the mark be set back.
    NotMeasured,
}

impl Memory {
    /// Starts to watch.
    pub(super) fn watch(self) -> HighWater {
        // 5 sets the mark back: proc(5).
        match self {
            Self::OfProcess if fs::write("/proc/self/clear_refs", "5").is_ok() => HighWater::Watched,
            _ => HighWater::NotMeasured,
        }
    }
}

impl HighWater {
    /// Bytes at most since the start; none where it is not measured.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Self::Watched => kibibytes(&fs::read_to_string("/proc/self/status").ok()?, MARK),
            Self::NotMeasured => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_measured_has_no_number() {
        assert_eq!(Memory::NotMeasured.watch().bytes(), None);
    }

    /// 64 MiB that are written to are in the peak, whatever else the process holds.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_allocation_shows() {
        let mark = Memory::OfProcess.watch();
        let large = std::hint::black_box(vec![1_u8; 64 << 20]);
        if let Some(bytes) = mark.bytes() {
            assert!(bytes >= 64 << 20, "{bytes}");
        }
        drop(large);
    }
}
