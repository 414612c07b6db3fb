//! What the kernels' tests share. Those on a GPU need a Vulkan device, software ones included: where there is none
//! they pass without a word, unless `DDIM_EXPECT_GPU=1` is in the environment.

use burn::tensor::{Device, Tensor, TensorData};

/// What f32 leaves after a handful of operations on values of some tens, whose last bit is 2e-6 to 4e-6.
pub(crate) const OF_TENS: f32 = 3e-5;

/// Values of mean 0.3 and standard deviation 2, none above 7.3, the same in every run.
pub(crate) fn random(seed: u64, shape: [usize; 4]) -> Tensor<4> {
    let uniform = |number: u64| {
        let mixed = (number ^ number >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 40) as f32 / (1u64 << 24) as f32
    };
    // Four uniform numbers have a variance of a third.
    let value = |k: usize| (0..4).map(|i| uniform(seed << 40 | (4 * k + i + 1) as u64) - 0.5).sum::<f32>();
    let values: Vec<f32> = (0..shape.iter().product()).map(|k| 0.3 + 2.0 * 3f32.sqrt() * value(k)).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

pub(crate) fn values(x: Tensor<4>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_to_vec().expect("floats")
}

pub(crate) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len());
    // Not `f32::max`, to which a NaN is nothing.
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).max_by(f32::total_cmp).unwrap_or(0.0);
    assert!(off <= tolerance, "{what}: off by {off}");
}

#[cfg(feature = "wgpu")]
pub(crate) use on_gpu::{gpu, layouts, traced};

#[cfg(feature = "wgpu")]
mod on_gpu {
    use std::sync::OnceLock;

    use burn::tensor::wgpu::WgpuBackend;
    use burn::tensor::{Device, DeviceKind, Tensor};

    use super::random;
    use crate::common::memory::memory_of;

    /// A software device, which CI has, else whatever there is; opened once.
    pub(crate) fn gpu() -> Option<Device> {
        static FOUND: OnceLock<Option<Device>> = OnceLock::new();
        let open = |kind| Device::wgpu_options().device_kind(kind).graphics_api(WgpuBackend::Vulkan).init().ok();
        let kinds = [DeviceKind::Cpu, DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0)];
        let found = FOUND.get_or_init(|| kinds.into_iter().find_map(open)).clone();
        let expected = std::env::var("DDIM_EXPECT_GPU").as_deref() == Ok("1");
        assert!(found.is_some() || !expected, "no Vulkan device was found");
        found
    }

    /// The same pictures on a device as they are, with channels innermost, and as a part of larger ones, with
    /// other values before each.
    pub(crate) fn layouts(x: &Tensor<4>, device: &Device) -> [Tensor<4>; 3] {
        let [n, channels, height, width] = x.dims();
        let there = x.clone().to_device(device);
        let innermost = x.clone().permute([0, 2, 3, 1]).to_device(device).permute([0, 3, 1, 2]);
        let inside = [1..n + 1, 1..channels + 1, 0..height, 0..width];
        let larger = random(9, [n + 1, channels + 2, height, width]).to_device(device);
        let part = larger.slice_assign(inside.clone(), there.clone()).slice(inside);
        if (height * width * size_of::<f32>()).is_multiple_of(256) {
            let memory = memory_of(&part).expect("on a GPU");
            assert_eq!(memory.meta.strides()[0], (channels + 2) * height * width, "a copy of the part");
        }
        [there, innermost, part]
    }

    /// The same tensor in a graph of automatic differentiation, where no kernel takes it.
    pub(crate) fn traced(x: &Tensor<4>) -> Tensor<4> {
        Tensor::from_data(x.to_data(), &x.device().autodiff())
    }
}
