//! What burn's wgpu runtime is asked for. It belongs to the whole process: it takes one configuration, and opens
//! each adapter once.

#[cfg(feature = "persistence")]
use std::path::Path;
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "persistence")]
use burn::cubecl::config::cache::CacheConfig;
use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLevel};
#[cfg(feature = "persistence")]
use burn::cubecl::records::RecordLevel;
use burn::tensor::wgpu::{WgpuBackend, WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind};

#[cfg(feature = "persistence")]
use super::kernels::{self, DamagedKernels};
use super::{Abilities, Adapter, AdapterKind};

/// The graphics APIs that are tried, in this order.
const APIS: [(WgpuBackend, wgpu::Backend); 3] = [
    (WgpuBackend::Metal, wgpu::Backend::Metal),
    (WgpuBackend::Vulkan, wgpu::Backend::Vulkan),
    (WgpuBackend::Dx12, wgpu::Backend::Dx12),
];

/// What the runtime will be asked for when the first adapter is opened.
static CONFIGURATION: Mutex<Option<CubeClRuntimeConfig>> = Mutex::new(None);

/// What was opened.
static OPENED: Mutex<Vec<(Adapter, Device)>> = Mutex::new(Vec::new());

/// Keeps what is found out about kernels in a file in this folder, which need not be there, and looks for it
/// there: which of several is the fastest, and, with the feature `spirv`, their machine code. That holds for the
/// whole process, from the first adapter that it opens; later calls change nothing. The file is written by a
/// thread, which looks for news once a second, and by [`wait_for_all`](super::wait_for_all); processes may share
/// it.
///
/// Without this call nothing is kept. A folder that cannot be written costs nothing but the time to tune anew.
///
/// # Errors
///
/// When there is such a file and it is damaged. Kernels are then tuned anew, and kept all the same.
#[cfg(feature = "persistence")]
pub fn keep_kernels_in(folder: &Path) -> Result<(), DamagedKernels> {
    configure(|config| {
        config.environment.path = CacheConfig::Directory(folder.to_owned());
        // How they were found belongs in burn's own store.
        config.environment.records.level = RecordLevel::Off;
        config.compilation.cache = true;
    });
    kernels::keep_in(folder)
}

/// All of all APIs.
pub(super) fn adapters() -> Vec<Adapter> {
    APIS.iter().flat_map(|&(_, backend)| adapters_on(backend)).collect()
}

fn adapters_on(backend: wgpu::Backend) -> Vec<Adapter> {
    let instance = instance(backend);
    let mut adapters: Vec<Adapter> = Vec::new();
    for (index, found) in ready(instance.enumerate_adapters(backend.into())).iter().enumerate() {
        let info = found.get_info();
        let kind = AdapterKind::from(info.device_type);
        adapters.push(Adapter {
            name: info.name,
            kind,
            api: backend.to_str().to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info),
            index,
            index_of_kind: adapters.iter().filter(|other| other.kind == kind).count(),
            abilities: found.into(),
        });
    }
    adapters
}

fn instance(backend: wgpu::Backend) -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// Whether it has to be opened with smaller buffers than it offers. SwiftShader offers all the memory it has as
/// one buffer; burn's runtime, which measures a device's memory with two of the largest before it tunes, finds
/// none.
fn is_cramped(name: &str) -> bool {
    cfg!(not(feature = "spirv")) && name.starts_with("SwiftShader")
}

/// Bytes that a tensor may have.
fn largest_buffer(adapter: &wgpu::Adapter) -> u64 {
    let limits = adapter.limits();
    let offered = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
    if is_cramped(&adapter.get_info().name) { offered / 8 } else { offered }
}

/// The value of a future that needs no waiting, as wgpu's are outside browsers.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("wgpu answers at once outside browsers"),
    }
}

/// Opens an adapter, or gives it once more; else what the driver said.
pub(super) fn open(adapter: &Adapter) -> Result<Device, String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = opened.iter().find(|(other, _)| other == adapter) {
        return Ok(device.clone());
    }
    configure(|config| {
        let asked_for = std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_some();
        if adapter.kind == AdapterKind::Software && !asked_for {
            config.autotune.level = AutotuneLevel::Minimal;
        }
        // The first is the one that is taken.
        CubeClRuntimeConfig::try_set(config.clone());
    });
    let device = if is_cramped(&adapter.name) { in_small_buffers(adapter)? } else { as_it_is(adapter)? };
    #[cfg(feature = "persistence")]
    kernels::begin(adapter);
    opened.push((adapter.clone(), device.clone()));
    Ok(device)
}

fn as_it_is(adapter: &Adapter) -> Result<Device, String> {
    let options = Device::wgpu_options().device_kind(kind(adapter)?).graphics_api(api(adapter));
    options.init().map_err(|error| error.to_string())
}

/// With buffers of [`Abilities::largest_buffer`] at most.
fn in_small_buffers(adapter: &Adapter) -> Result<Device, String> {
    let backend = APIS.iter().map(|(_, backend)| *backend).find(|backend| backend.to_str() == adapter.api);
    let backend = backend.unwrap_or(wgpu::Backend::Vulkan);
    let instance = instance(backend);
    let mut found = ready(instance.enumerate_adapters(backend.into())).into_iter();
    let found = found.nth(adapter.index).ok_or("it is gone")?;
    let largest = adapter.abilities.largest_buffer;
    let unwanted = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask();
    let (gpu, queue) = ready(found.request_device(&wgpu::DeviceDescriptor {
        required_features: found.features().difference(unwanted),
        required_limits: wgpu::Limits {
            max_buffer_size: largest,
            max_storage_buffer_binding_size: largest,
            ..found.limits()
        },
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..wgpu::DeviceDescriptor::default()
    }))
    .map_err(|error| error.to_string())?;
    let setup = WgpuSetup { instance, adapter: found, device: gpu, queue, backend };
    Device::wgpu_options().setup(setup).init().map_err(|error| error.to_string())
}

/// Waits until all that were opened have done what they were asked for, and keeps what was found out about
/// kernels.
pub(super) fn wait_for_all() {
    let devices: Vec<Device> = {
        let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        opened.iter().map(|(_, device)| device.clone()).collect()
    };
    for device in devices {
        // A device that fails has nothing more to do.
        let _ = device.sync();
    }
    #[cfg(feature = "persistence")]
    kernels::keep_now();
}

/// The adapter that was opened as this device.
pub(super) fn adapter_of(device: &Device) -> Option<Adapter> {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.iter().find(|(_, other)| other == device).map(|(adapter, _)| adapter.clone())
}

/// Changes the configuration, which begins with what files and environment say to burn.
fn configure(change: impl FnOnce(&mut CubeClRuntimeConfig)) {
    let mut config = CONFIGURATION.lock().unwrap_or_else(PoisonError::into_inner);
    change(config.get_or_insert_with(|| CubeClRuntimeConfig::from_current_dir().override_from_env()));
}

/// What burn finds it by.
fn kind(adapter: &Adapter) -> Result<DeviceKind, String> {
    let place = adapter.index_of_kind;
    match adapter.kind {
        AdapterKind::Discrete => Ok(DeviceKind::DiscreteGpu(place)),
        AdapterKind::Integrated => Ok(DeviceKind::IntegratedGpu(place)),
        AdapterKind::Virtual => Ok(DeviceKind::VirtualGpu(place)),
        AdapterKind::Software if place == 0 => Ok(DeviceKind::Cpu),
        AdapterKind::Software => Err("burn opens only the first software device of an API".to_owned()),
        AdapterKind::Unknown => {
            Err("it does not say what kind of device it is, and burn finds devices by that".to_owned())
        }
    }
}

/// The API that was named is the one that is taken; a named Metal would need shaders in Metal's own language.
fn api(adapter: &Adapter) -> WgpuBackend {
    let named = APIS.iter().find(|(_, backend)| backend.to_str() == adapter.api).map(|(api, _)| *api);
    named.filter(|api| *api != WgpuBackend::Metal).unwrap_or(WgpuBackend::Auto)
}

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

impl From<&wgpu::Adapter> for Abilities {
    fn from(adapter: &wgpu::Adapter) -> Self {
        let features = adapter.features();
        Self {
            f16: features.contains(wgpu::Features::SHADER_F16),
            bf16: if cfg!(feature = "spirv") { None } else { Some(false) },
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            cooperative_matrices: features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
            largest_buffer: largest_buffer(adapter),
        }
    }
}
