//! A GPU, and how to open it.

use ddim_tensor::Device;

use crate::Error;

/// What kind of device an [`Adapter`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterKind {
    /// A graphics card.
    Discrete,
    /// A GPU in the processor.
    Integrated,
    /// A GPU lent by a virtual machine.
    Virtual,
    /// A processor that emulates a GPU, such as llvmpipe.
    Software,
    /// A device that does not say.
    Unknown,
}

/// A GPU, or something that calls itself one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// The graphics API it was found on, such as "vulkan".
    pub api: String,
    /// Its driver.
    pub driver: String,
    /// Its place among the adapters of that API.
    pub index: usize,
    /// Its place among the adapters of its kind on that API.
    pub index_of_kind: usize,
    /// What it can do besides f32 arithmetic.
    pub abilities: Abilities,
}

/// What an [`Adapter`] can do besides f32 arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Arithmetic in f16.
    pub f16: bool,
    /// Arithmetic in bf16: not by shaders in WGSL. Of those in SPIR-V (feature `spirv`) it is known once the
    /// adapter is open; [`Model::with_precision`](crate::Model::with_precision) asks.
    pub bf16: Option<bool>,
    /// Exchange of values within a group of threads.
    pub subgroups: bool,
    /// Products of small matrices in one instruction, as tensor cores do them.
    pub cooperative_matrices: bool,
    /// Bytes that a tensor may have.
    pub largest_buffer: u64,
}

impl Adapter {
    /// Whether it is a GPU made of hardware.
    pub fn is_hardware(&self) -> bool {
        matches!(self.kind, AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual)
    }

    /// Opens it, or gives it once more.
    ///
    /// Kernels are tuned when they are first used: within seconds on hardware, but for minutes a shape on a
    /// software device. So that kind asks burn's runtime, which holds one configuration a process, for as little
    /// tuning as it offers, unless an adapter was opened before or `CUBECL_AUTOTUNE_LEVEL` is set.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] if the driver refuses, or if burn's runtime has opened it before without this function.
    pub fn open(&self) -> Result<Device, Error> {
        #[cfg(feature = "wgpu")]
        let opened = super::runtime::open(self).map(Device::from);
        #[cfg(not(feature = "wgpu"))]
        let opened = Err("this program was built without the feature wgpu".to_owned());
        opened.map_err(|reason| Error::Adapter { adapter: format!("{} ({})", self.name, self.api), reason })
    }
}
