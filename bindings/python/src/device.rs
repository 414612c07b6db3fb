//! Devices by name, and how much memory there is.

use ddim::{Device, device};
use pyo3::prelude::*;

use crate::errors::raised;
use crate::threads;

/// The devices that models can be on: "cpu", and an "API:number" for each GPU that wgpu finds.
///
/// >>> import ddim
/// >>> ddim.devices()[0]
/// 'cpu'
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<Vec<String>> {
    threads::quick(py, || device::names(&device::adapters()))
}

/// The device of that name.
///
/// # Errors
/// ValueError for a name that none has, RuntimeError where it cannot be opened.
pub(crate) fn of(name: &str) -> PyResult<Device> {
    device::named(name).map_err(raised)
}

/// Bytes that can still be taken, as far as Linux says.
pub(crate) fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
