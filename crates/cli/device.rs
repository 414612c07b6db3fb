//! Which device computes, and in which numbers.

use std::thread;

use anyhow::bail;
use burn::tensor::Device;
use clap::ValueEnum;
use ddim::device::{self, Adapter};

/// What `--device` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceChoice {
    /// A GPU where there is one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// A GPU, through whatever this system offers
    Wgpu,
    /// A GPU through Vulkan
    Vulkan,
    /// A GPU through Metal
    Metal,
    /// A GPU through WebGPU shaders
    Webgpu,
}

/// What `--precision` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32 bits
    F32,
    /// 16 bits, values up to 65504: GPUs that have it
    F16,
    /// 16 bits, three digits: the CPU, and GPUs that have it
    Bf16,
}

impl Precision {
    /// The name typed.
    pub(crate) fn name(self) -> &'static str {
        ddim::unet::Precision::from(self).name()
    }
}

impl From<Precision> for ddim::unet::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// The CPU's name in records.
pub(crate) const CPU: &str = "cpu";

/// A device to compute on.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The device.
    pub(crate) device: Device,
    /// Its name in records: `cpu`, or the name of the GPU.
    pub(crate) name: String,
    /// The same for people.
    pub(crate) description: String,
}

/// Picks the device.
///
/// # Errors
/// When a GPU was asked for and there is none; never for `auto`.
pub(crate) fn choose(choice: DeviceChoice) -> anyhow::Result<Chosen> {
    match choice {
        DeviceChoice::Cpu => Ok(cpu()),
        DeviceChoice::Auto => {
            Ok(device::adapters().iter().find(|found| found.is_hardware()).map_or_else(cpu, gpu))
        }
        DeviceChoice::Wgpu | DeviceChoice::Webgpu => asked_for(choice, |_| true),
        DeviceChoice::Vulkan => asked_for(choice, |found| found.api == "vulkan"),
        DeviceChoice::Metal => asked_for(choice, |found| found.api == "metal"),
    }
}

/// The CPU, in words.
pub(crate) fn cpu_description() -> String {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    format!("CPU (flex), {threads} {}", if threads == 1 { "thread" } else { "threads" })
}

/// The first GPU that fits, one made of hardware if possible: who asks for it may have a software one.
fn asked_for(choice: DeviceChoice, fits: impl Fn(&Adapter) -> bool) -> anyhow::Result<Chosen> {
    let found: Vec<Adapter> = device::adapters().into_iter().filter(fits).collect();
    let Some(adapter) = found.iter().find(|adapter| adapter.is_hardware()).or(found.first()) else {
        let name = choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        bail!(
            "--device {name}: there is no such device here; `ddim devices` lists what there is, auto and cpu always work"
        );
    };
    Ok(gpu(adapter))
}

fn cpu() -> Chosen {
    Chosen { device: device::cpu(), name: CPU.to_owned(), description: cpu_description() }
}

fn gpu(adapter: &Adapter) -> Chosen {
    Chosen {
        device: open(adapter),
        name: adapter.name.clone(),
        description: format!("{} ({})", adapter.name, adapter.api),
    }
}

#[cfg(feature = "wgpu")]
fn open(adapter: &Adapter) -> Device {
    adapter.open()
}

#[cfg(not(feature = "wgpu"))]
fn open(_: &Adapter) -> Device {
    unreachable!("a build without the feature wgpu finds no adapters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_always_works() {
        assert_eq!(choose(DeviceChoice::Cpu).expect("always there").name, "cpu");
    }
}
