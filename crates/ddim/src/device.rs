//! Devices to compute on.
//!
//! A library that embeds this one chooses its device itself and passes it on; these functions help to find
//! one. [`auto`] takes the first hardware GPU and otherwise the CPU, and never a software Vulkan device, which
//! is slower than the CPU it runs on.

#[cfg(feature = "wgpu")]
use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLevel};
use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::DeviceKind;
#[cfg(feature = "wgpu")]
use burn::tensor::wgpu::{WgpuBackend, wgpu};

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
    /// Its place among the adapters of its kind on that API.
    pub index: usize,
}

/// The CPU: burn's `flex` backend, on all threads of rayon's pool.
pub fn cpu() -> Device {
    Device::flex()
}

/// Whether a device is the CPU.
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// A hardware GPU where there is one, else the CPU. Never fails.
pub fn auto() -> Device {
    #[cfg(feature = "wgpu")]
    if let Some(adapter) = adapters().iter().find(|adapter| adapter.is_hardware()) {
        return adapter.open();
    }
    cpu()
}

/// The adapters that wgpu finds, API by API; none in a build without the feature `wgpu`.
#[cfg(not(feature = "wgpu"))]
pub fn adapters() -> Vec<Adapter> {
    Vec::new()
}

/// The adapters that wgpu finds, API by API; none in a build without the feature `wgpu`.
#[cfg(feature = "wgpu")]
pub fn adapters() -> Vec<Adapter> {
    APIS.iter().flat_map(|&(_, backend)| adapters_on(backend)).collect()
}

/// The graphics APIs that are tried, in this order.
#[cfg(feature = "wgpu")]
const APIS: [(WgpuBackend, wgpu::Backend); 3] = [
    (WgpuBackend::Metal, wgpu::Backend::Metal),
    (WgpuBackend::Vulkan, wgpu::Backend::Vulkan),
    (WgpuBackend::Dx12, wgpu::Backend::Dx12),
];

#[cfg(feature = "wgpu")]
fn adapters_on(backend: wgpu::Backend) -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = ready(instance.enumerate_adapters(backend.into()));
    let mut adapters: Vec<Adapter> = Vec::new();
    for info in found.iter().map(wgpu::Adapter::get_info) {
        let kind = AdapterKind::from(info.device_type);
        let index = adapters.iter().filter(|other| other.kind == kind).count();
        let (api, driver) = (backend.to_str().to_owned(), format!("{} {}", info.driver, info.driver_info));
        adapters.push(Adapter { name: info.name, kind, api, driver, index });
    }
    adapters
}

/// The value of a future that needs no waiting, as wgpu's are outside browsers.
#[cfg(feature = "wgpu")]
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("wgpu answers at once outside browsers"),
    }
}

impl Adapter {
    /// Whether it is a GPU made of hardware.
    pub fn is_hardware(&self) -> bool {
        matches!(self.kind, AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual)
    }

    /// Opens it.
    ///
    /// Kernels are tuned when they are first used: within seconds on hardware, but for minutes a shape on a
    /// software device. So that kind asks burn's runtime, which holds one configuration a process, for as little
    /// tuning as it offers, unless something was computed on a GPU before.
    #[cfg(feature = "wgpu")]
    pub fn open(&self) -> Device {
        if self.kind == AdapterKind::Software {
            let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
            config.autotune.level = AutotuneLevel::Minimal;
            CubeClRuntimeConfig::try_set(config);
        }
        let kind = match self.kind {
            AdapterKind::Discrete => DeviceKind::DiscreteGpu(self.index),
            AdapterKind::Integrated => DeviceKind::IntegratedGpu(self.index),
            AdapterKind::Virtual => DeviceKind::VirtualGpu(self.index),
            AdapterKind::Software => DeviceKind::Cpu,
            AdapterKind::Unknown => DeviceKind::DefaultDevice,
        };
        Device::wgpu(kind)
    }
}

#[cfg(feature = "wgpu")]
impl From<wgpu::DeviceType> for AdapterKind {
    fn from(kind: wgpu::DeviceType) -> Self {
        match kind {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Cpu => Self::Software,
            wgpu::DeviceType::Other => Self::Unknown,
        }
    }
}
