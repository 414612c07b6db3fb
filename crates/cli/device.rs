//! Which device computes, and in which numbers.

use std::thread;

use anyhow::bail;
use burn::tensor::Device;
use clap::ValueEnum;

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
    /// 16 bits, short range
    F16,
    /// 16 bits, short fraction
    Bf16,
}

impl Precision {
    /// The name typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Refuses the precisions that nothing computes in yet.
    ///
    /// # Errors
    /// For everything but f32.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        match self {
            Self::F32 => Ok(()),
            Self::F16 | Self::Bf16 => {
                bail!("--precision {}: this version computes in f32 only; leave the option out", self.name())
            }
        }
    }
}
