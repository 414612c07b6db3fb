//! How much memory there is left for this process.

use std::fs;

/// Bytes that can still be taken, as far as the system says: what is free or can be freed, and what the limits of the
/// process (`ulimit -v`) leave. None where it does not say.
pub(crate) fn available() -> Option<u64> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (system, process) = (read("/proc/meminfo"), read("/proc/self/status"));
    left(&system, &process, &read("/proc/self/limits"))
}

/// The same from the texts of Linux.
fn left(system: &str, process: &str, limits: &str) -> Option<u64> {
    let free = kibibytes(system, "MemAvailable:").map(|free| free + kibibytes(system, "SwapFree:").unwrap_or(0));
    let under = |limit: &str, taken: &str| {
        let limit: u64 =
            limits.lines().find_map(|line| line.strip_prefix(limit))?.split_whitespace().next()?.parse().ok()?;
        Some(limit.saturating_sub(kibibytes(process, taken)?))
    };
    let limited = [under("Max address space", "VmSize:"), under("Max data size", "VmData:")];
    limited.into_iter().chain([free]).flatten().min()
}

/// `MemAvailable:  1024 kB` -> 1048576
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_free_and_what_is_allowed() {
        let system = "MemTotal: 9 kB\nMemAvailable:    4096 kB\nSwapFree: 1024 kB\n";
        let process = "VmSize:\t    1000 kB\nVmData:\t 500 kB\n";
        let limits = |space: &str, data: &str| {
            format!(
                "Limit  Soft Limit  Hard Limit  Units\nMax data size   {data}  unlimited  bytes\nMax address space  {space}  unlimited  bytes\n"
            )
        };
        assert_eq!(left(system, process, &limits("unlimited", "unlimited")), Some(5 << 20));
        assert_eq!(left(system, process, &limits("2048000", "unlimited")), Some(1_024_000));
        assert_eq!(left(system, process, &limits("2048000", "600000")), Some(88_000));
        assert_eq!(left(system, process, &limits("1", "unlimited")), Some(0));
        assert_eq!(left("", "", ""), None);
    }
}
