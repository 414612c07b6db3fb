//! How much memory there is left for this process.

use std::fs;
use std::path::Path;

/// Where Linux shows control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that can still be taken, as far as the system says: what is free or can be freed, and what the limits of the
/// process (`ulimit -v`) and of its container leave. None where it does not say.
pub(crate) fn available() -> Option<u64> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (system, process) = (read("/proc/meminfo"), read("/proc/self/status"));
    let of_process = left(&system, &process, &read("/proc/self/limits"));
    let of_groups = left_of_groups(Path::new(GROUPS), &read("/proc/self/cgroup"));
    of_process.into_iter().chain(of_groups).min()
}

/// Files of a control group: its limit, what it holds, and what of that is kept of files and can be dropped.
struct GroupFiles {
    limit: &'static str,
    held: &'static str,
    droppable: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    held: "memory.usage_in_bytes",
    droppable: "total_inactive_file ",
};
const VERSION_2: GroupFiles =
    GroupFiles { limit: "memory.max", held: "memory.current", droppable: "inactive_file " };

/// The least that the control groups of a process leave it, from the text that names them: a group has the limits of those
/// above it too. In a container the names may be those outside of it, and its own group is what lies at the top.
fn left_of_groups(root: &Path, named: &str) -> Option<u64> {
    let groups = named.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (folder, files) = match controllers {
            "" => (root.to_owned(), VERSION_2),
            _ if controllers.split(',').any(|name| name == "memory") => (root.join("memory"), VERSION_1),
            _ => return None,
        };
        let path = Path::new(path.trim_start_matches('/'));
        path.ancestors().filter_map(|above| left_of_group(&folder.join(above), &files)).min()
    });
    groups.min()
}

fn left_of_group(folder: &Path, files: &GroupFiles) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let limit = number(files.limit)?;
    let statistics = read("memory.stat").unwrap_or_default();
    let droppable = statistics.lines().find_map(|line| line.strip_prefix(files.droppable)?.trim().parse().ok());
    let held = number(files.held).unwrap_or(0).saturating_sub(droppable.unwrap_or(0));
    Some(limit.saturating_sub(held))
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

/// What stands behind a name, in bytes: `MemAvailable:  1024 kB` -> 1048576
pub(crate) fn kibibytes(text: &str, name: &str) -> Option<u64> {
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
        assert_eq!(kibibytes("VmPeak:\t 9 kB\nVmHWM:\t   1024 kB\n", "VmHWM:"), Some(1 << 20));
    }

    #[test]
    fn a_container_has_what_the_least_of_its_groups_leaves() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
            fs::write(file, text).expect("writable");
        };
        let left = |named: &str| left_of_groups(root.path(), named);
        assert_eq!(left("0::/a/b\n"), None, "nothing is said");
        write("a/memory.max", "1000\n");
        write("a/memory.current", "700\n");
        write("a/memory.stat", "anon 500\ninactive_file 200\nactive_file 0\n");
        write("a/b/memory.max", "max\n");
        assert_eq!(left("0::/a/b\n"), Some(500));
        write("a/b/memory.max", "100\n");
        assert_eq!(left("0::/a/b\n"), Some(100));
        assert_eq!(left("0::/elsewhere\n"), None);
        // The older version beside it, in a container that sees its own group at the top.
        write("memory/memory.limit_in_bytes", "3000\n");
        write("memory/memory.usage_in_bytes", "2999\n");
        write("memory/memory.stat", "total_inactive_file 40\n");
        assert_eq!(left("4:cpu,memory:/docker/0123\n0::/\n"), Some(41));
        assert_eq!(left("4:cpu:/docker/0123\n"), None);
    }
}
