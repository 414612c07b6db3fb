//! What the numbers were measured with.

use std::{env, fs, thread};

use ddim_schedule::quoted;
use serde_json::{Value, json};

/// The version of burn that computes on GPUs.
pub(super) const BURN: &str = "0.22.1";

/// The machine, in words that stay the same from run to run.
pub(super) fn machine() -> Value {
    json!({
        "processor": processor(),
        "threads": thread::available_parallelism().map_or(1, usize::from),
        "system": format!("{} {}", env::consts::OS, env::consts::ARCH),
    })
}

/// Versions of the program and of what computes in it.
pub(super) fn program() -> String {
    let version = env!("CARGO_PKG_VERSION");
    if cfg!(feature = "wgpu") { format!("ddim {version}, burn {BURN}") } else { format!("ddim {version}") }
}

/// What was typed, ready to be typed again.
pub(super) fn command() -> String {
    let words = env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("ddim".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.trim().strip_prefix(':'));
    name.map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burn_is_the_one_that_is_pinned() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"={BURN}\"")), "{BURN}");
    }
}
