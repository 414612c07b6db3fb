//! Devices to compute on.
//!
//! A library that embeds this one chooses its device itself and passes it on; these functions help to find
//! one. [`auto`] takes the first hardware GPU and otherwise the CPU, and never a software Vulkan device, which
//! is slower than the CPU it runs on.
//!
//! Kernels are compiled and tuned when they are first used. With the feature `persistence` what was found is kept
//! in a file and taken from there the next time: `keep_kernels_in` says where.

mod adapter;
#[cfg(feature = "persistence")]
mod kernels;
#[cfg(feature = "wgpu")]
mod runtime;

use ddim_tensor::Device;

use crate::Error;

pub use adapter::{Abilities, Adapter, AdapterKind};
#[cfg(feature = "persistence")]
pub use kernels::DamagedKernels;
#[cfg(feature = "persistence")]
pub use runtime::keep_kernels_in;

/// This processor, on all threads of rayon's pool.
pub fn cpu() -> Device {
    Device::Cpu
}

/// Whether a device is the CPU.
pub fn is_cpu(device: &Device) -> bool {
    device.is_cpu()
}

/// A hardware GPU where there is one that can be opened, else the CPU. Never fails.
pub fn auto() -> Device {
    preferred(&adapters()).and_then(|adapter| adapter.open().ok()).unwrap_or_else(cpu)
}

/// The device of that name: auto, cpu, wgpu, wgpu:1, vulkan, vulkan:1, and so on.
///
/// ```
/// assert!(ddim::device::named("cpu")?.is_cpu());
/// let error = ddim::device::named("abacus").unwrap_err();
/// assert!(error.to_string().starts_with("there is no device \"abacus\"; there are: auto, cpu"));
/// # Ok::<(), ddim::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::NoDevice`] for a name that none has, and [`Error::Adapter`] for one that cannot be opened.
pub fn named(name: &str) -> Result<Device, Error> {
    match name {
        "auto" => return Ok(auto()),
        "cpu" => return Ok(cpu()),
        _ => {}
    }
    let (api, number) = match name.split_once(':') {
        Some((api, number)) => (api, number.parse().ok()),
        None => (name, Some(0)),
    };
    let all = adapters();
    let of_api: Vec<&Adapter> = all.iter().filter(|adapter| api == "wgpu" || adapter.api == api).collect();
    match number.and_then(|number: usize| of_api.get(number)) {
        Some(adapter) => adapter.open(),
        None => Err(Error::NoDevice { name: name.to_owned(), known: names(&all) }),
    }
}

/// What [`named`] knows besides `auto`: cpu, and an `API:number` for each of these adapters.
pub fn names(adapters: &[Adapter]) -> Vec<String> {
    let numbered = adapters.iter().map(|adapter| format!("{}:{}", adapter.api, adapter.index));
    std::iter::once("cpu".to_owned()).chain(numbered).collect()
}

/// The first of these that is made of hardware: what [`auto`] takes.
pub fn preferred(adapters: &[Adapter]) -> Option<&Adapter> {
    adapters.iter().find(|adapter| adapter.is_hardware())
}

/// The adapters that wgpu finds, API by API; none in a build without the feature `wgpu`.
pub fn adapters() -> Vec<Adapter> {
    #[cfg(feature = "wgpu")]
    return runtime::adapters();
    #[cfg(not(feature = "wgpu"))]
    Vec::new()
}

/// Waits until every adapter that was opened here has done what it was asked for, whether or not that succeeded,
/// and keeps what was found out about kernels.
///
/// For the end of a program: one that ends while a driver still computes may crash in it.
pub fn wait_for_all() {
    #[cfg(feature = "wgpu")]
    runtime::wait_for_all();
}

/// Bytes that a tensor may have on a device; no limit is known of the CPU, and of what was opened elsewhere.
#[cfg(feature = "wgpu")]
pub(crate) fn largest_tensor(device: &Device) -> Option<u64> {
    match device {
        Device::Cpu => None,
        Device::Burn(device) => runtime::adapter_of(device).map(|adapter| adapter.abilities.largest_buffer),
    }
}

/// Bytes that a tensor may have on a device: no limit is known of the CPU.
#[cfg(not(feature = "wgpu"))]
pub(crate) fn largest_tensor(_: &Device) -> Option<u64> {
    None
}
