//! Keeps the copies in this folder: each kernel in WebGPU's shading language, as burn's compiler writes it and
//! wgpu hands it to a driver.
//!
//! No device is needed. `DDIM_WGSL=overwrite cargo test --release --workspace --lib -- wgsl` writes them anew.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn_cubecl::cubecl::ir::features::{Features, TypeUsage};
use burn_cubecl::cubecl::ir::{DeviceIdentity, FloatKind, HardwareProperties, MemoryDeviceProperties, UIntKind};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::profile::TimingMethod;
use burn_cubecl::cubecl::std::FastDivmod;
use burn_cubecl::cubecl::wgpu::{WgslCompiler, wgpu::naga};
use burn_cubecl::cubecl::{Compiler, CubeKernel, WgpuCompilationOptions};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::common::fold::UNITS;
use crate::group_norm::kernel::group_norm_kernel::GroupNormKernel;
use crate::softmax::kernel::{ROW_UNITS, softmax_kernel::SoftmaxKernel};
use crate::step::kernel::{Coefficients, CoefficientsLaunch, step_kernel::StepKernel};
use crate::winograd::kernel::{Part, PartLaunch, input_kernel::InputKernel, output_kernel::OutputKernel};

#[test]
fn step() {
    let (settings, device, target) = launch(UNITS);
    let (pixel, coefficients) = arguments(&settings, &device, |launcher| {
        let coefficients = CoefficientsLaunch::new(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        (FastDivmod::<usize>::register(1, launcher), Coefficients::register(coefficients, launcher))
    });
    let [x, out, added, next, x0, sums] = tensors();
    let has_added = true;
    let kernel = StepKernel::new(
        settings,
        device,
        target,
        x,
        out,
        added,
        next,
        x0,
        sums,
        pixel,
        (),
        coefficients,
        has_added,
    );
    assert_is_current("step", "step/kernel.rs", "with something added", &kernel);
}

#[test]
fn group_norm_in_32_bits() {
    group_norm("group_norm_f32", "f32, with something added, SiLU behind it", FloatKind::F32);
}

#[test]
fn group_norm_in_16_bits() {
    group_norm("group_norm_f16", "f16, with something added, SiLU behind it", FloatKind::F16);
}

fn group_norm(name: &str, variant: &str, kind: FloatKind) {
    let (settings, device, target) = launch(UNITS);
    let [x, added, weight, bias, out] = tensors();
    let dtype = ElemType::Float(kind);
    let kernel = GroupNormKernel::new(
        settings,
        device,
        target,
        x,
        added,
        weight,
        bias,
        out,
        (),
        (),
        (),
        (),
        (),
        true,
        true,
        dtype,
    );
    assert_is_current(name, "group_norm/kernel.rs", variant, &kernel);
}

#[test]
fn softmax() {
    let (settings, device, target) = launch(ROW_UNITS);
    let [scores, out] = tensors();
    let kernel = SoftmaxKernel::new(settings, device, target, scores, out, (), ElemType::Float(FloatKind::F32));
    assert_is_current("softmax_f32", "softmax/kernel.rs", "f32", &kernel);
}

#[test]
fn winograd_before_the_products() {
    let (settings, device, target) = launch(UNITS);
    let part = part(&settings, &device);
    let [x, places] = tensors();
    let doubled = true;
    let kernel = InputKernel::new(settings, device, target, x, places, part, doubled);
    assert_is_current("winograd_input", "winograd/kernel.rs", "of a picture that is doubled", &kernel);
}

#[test]
fn winograd_behind_the_products() {
    let (settings, device, target) = launch(UNITS);
    let part = part(&settings, &device);
    let [products, bias, added, out] = tensors();
    let has_added = true;
    let kernel = OutputKernel::new(settings, device, target, products, bias, added, out, part, has_added);
    assert_is_current("winograd_output", "winograd/kernel.rs", "with something added", &kernel);
}

fn part(settings: &KernelSettings, device: &DeviceProperties) -> <Part as LaunchArg>::CompilationArg {
    arguments(settings, device, |launcher| Part::register(PartLaunch::new(1, 1, 1, 0, 0, 0, 0), launcher))
}

/// What a kernel is compiled for: so many units a cube, places counted in 32 bits, and a device that has f16 and
/// 64-bit integers.
fn launch(units: usize) -> (KernelSettings, Arc<DeviceProperties>, Arc<TargetProperties>) {
    let dim = CubeDim::new_1d(units as u32);
    let settings = KernelSettings::new(dim.into(), ExecutionMode::Checked, AddressType::U32);
    (settings, Arc::new(device()), Arc::default())
}

/// The least that WebGPU asks of a device, of what matters here.
fn device() -> DeviceProperties {
    let hardware = HardwareProperties {
        load_width: 128,
        vector_register_count: None,
        plane_size_min: 4,
        plane_size_max: 128,
        max_bindings: 8,
        max_shared_memory_size: 16384,
        max_cube_count: (65535, 65535, 65535),
        max_units_per_cube: 256,
        max_cube_dim: (256, 256, 64),
        num_streaming_multiprocessors: None,
        num_cpu_cores: None,
        last_level_cache_size: None,
        num_tensor_cores: None,
        min_tensor_cores_dim: None,
        max_vector_size: 4,
        cube_mma_reserved_shared_memory: 0,
    };
    let memory = MemoryDeviceProperties::new(128 << 20, 256);
    let identity = DeviceIdentity::default();
    let mut device = DeviceProperties::new(Features::default(), memory, hardware, TimingMethod::System, identity);
    device.register_address_type(AddressType::U32);
    for float in [FloatKind::F16, FloatKind::F32] {
        device.register_type_usage(ElemType::Float(float), TypeUsage::all());
    }
    for integer in [UIntKind::U32, UIntKind::U64] {
        device.register_type_usage(ElemType::UInt(integer), TypeUsage::all());
    }
    device
}

/// What a launch with these arguments would tell the compiler of them; nothing is launched.
fn arguments<A>(
    settings: &KernelSettings,
    device: &DeviceProperties,
    register: impl FnOnce(&mut KernelLauncher) -> A,
) -> A {
    let mut launcher = KernelLauncher::new(settings.clone());
    launcher.with_scope(|scope| scope.device_properties(device));
    let arguments = register(&mut launcher);
    launcher.discard();
    arguments
}

/// Tensors, each in memory of its own.
fn tensors<const N: usize>() -> [TensorCompilationArg; N] {
    let meta = TensorMetaCompilationArg { len: (), rank: () };
    let buffer = BufferCompilationArg { inplace: None };
    std::array::from_fn(|_| TensorCompilationArg { meta: meta.clone(), buffer: buffer.clone() })
}

/// Compiles the kernel, has naga validate what came out, and compares it with the copy.
fn assert_is_current(name: &str, source: &str, variant: &str, kernel: &dyn CubeKernel) {
    let options = WgpuCompilationOptions { supports_u64: true, ..Default::default() };
    let shader = WgslCompiler.compile(kernel.define(), &options).unwrap_or_else(|error| panic!("{error}"));
    let text = format!(
        "// Generated, not to be edited: what burn's compiler makes of shaders/{source} ({variant})\n\
         // for wgpu, in the versions of Cargo.lock. shaders/wgsl/tests.rs writes it and compares it.\n\n{}",
        laid_out(&shader.to_string())
    );
    let module =
        naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(&text)));
    let capabilities = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_INT64;
    let validated = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    validated.unwrap_or_else(|error| panic!("{}", error.emit_to_string(&text)));

    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("wgsl").join(name).with_extension("wgsl");
    if std::env::var("DDIM_WGSL").as_deref() == Ok("overwrite") {
        fs::write(&copy, &text).expect("a file to write");
    }
    let kept = fs::read_to_string(&copy).unwrap_or_default();
    assert!(
        kept == text,
        "{} is not what is compiled now. DDIM_WGSL=overwrite writes it anew: read what changed before you keep it",
        copy.display()
    );
}

/// The text for a reader: indented, without empty lines, and without the number that cubecl puts behind the name
/// of an entry point.
fn laid_out(shader: &str) -> String {
    let mut depth = 0usize;
    let mut text = String::new();
    for line in shader.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (opened, closed) = (line.matches('{').count(), line.matches('}').count());
        let indent = if line.starts_with('}') { depth.saturating_sub(1) } else { depth };
        text += &format!("{:1$}{2}\n", "", 4 * indent, without_number(line));
        depth = (depth + opened).saturating_sub(closed);
    }
    text
}

fn without_number(line: &str) -> String {
    match line.split_once('(') {
        Some((head, rest)) if head.starts_with("fn ") => {
            let name = head.rsplit_once('_').map_or(head, |(name, _)| name);
            format!("{name}({rest}")
        }
        _ => line.to_owned(),
    }
}
