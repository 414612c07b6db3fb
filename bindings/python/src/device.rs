//! Devices by name, and how much memory there is.

use ddim::device::{self, Adapter};
use ddim::{Device, device::adapters};
use pyo3::prelude::*;

use crate::errors::{raised, value};
use crate::threads;

/// The devices that models can be on: "cpu", and an "API:number" for each GPU that wgpu finds.
///
/// >>> import ddim
/// >>> ddim.devices()[0]
/// 'cpu'
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<Vec<String>> {
    let found = threads::quick(py, adapters)?;
    Ok(std::iter::once("cpu".to_owned()).chain(found.iter().map(named)).collect())
}

fn named(adapter: &Adapter) -> String {
    format!("{}:{}", adapter.api, adapter.index)
}

/// The device of that name: auto, cpu, wgpu, wgpu:1, vulkan, vulkan:1, ...
///
/// # Errors
/// ValueError for a name that is none and a device that is not there, RuntimeError where it cannot be opened.
pub(crate) fn of(name: &str) -> PyResult<Device> {
    match name {
        "auto" => return Ok(device::auto()),
        "cpu" => return Ok(device::cpu()),
        _ => {}
    }
    let (api, number) = match name.split_once(':') {
        Some((api, number)) => (api, number.parse().ok()),
        None => (name, Some(0)),
    };
    let all = adapters();
    let of_api: Vec<&Adapter> = match api {
        "wgpu" => all.iter().collect(),
        _ => all.iter().filter(|adapter| adapter.api == api).collect(),
    };
    match number.and_then(|number: usize| of_api.get(number)) {
        Some(adapter) => adapter.open().map_err(raised),
        None => {
            let known: Vec<String> = all.iter().map(named).collect();
            let gpus = if known.is_empty() { String::new() } else { format!(", {}", known.join(", ")) };
            Err(value(format!("there is no device {name:?}; there are: auto, cpu{gpus}")))
        }
    }
}

/// Bytes that can still be taken, as far as Linux says.
pub(crate) fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
