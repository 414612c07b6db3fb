//! The network with its weights as kernels for GPUs read them.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use ddim_kernels::{convolve_on_gpu, transformed_for_gpu};

use crate::conditioning::Conditioning;
use crate::resample::double;
use crate::{Precision, UNet2D};

/// A [`UNet2D`] with its weights laid out and transformed for a GPU: the same numbers up to rounding, in less time.
///
/// Made by [`UNet2D::prepare`]. It holds a copy of the weights: a network that is trained on has to be prepared anew.
#[derive(Clone, Debug)]
pub struct PreparedUNet {
    unet: UNet2D,
    transformed: Transformed,
}

/// The 3x3 convolutions that are products of matrices, by the identity of their weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transformed(HashMap<ParamId, Tensor<3>>);

impl UNet2D {
    /// Lays out and transforms the weights, on whatever device they are. In f32 a part of them takes five times the memory.
    ///
    /// A network to draw with: automatic differentiation does not find its weights.
    pub fn prepare(self, precision: Precision) -> PreparedUNet {
        let unet = self.with_precision(precision).map(&mut ChannelsInnermost);
        let mut transform = Transform::default();
        unet.visit(&mut transform);
        PreparedUNet { unet, transformed: transform.found }
    }
}

impl PreparedUNet {
    /// The network that it was made from, its weights laid out as here.
    pub fn unet(&self) -> &UNet2D {
        &self.unet
    }

    /// As [`UNet2D::forward`].
    ///
    /// # Panics
    /// As [`UNet2D::forward`].
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.unet.run(x, conditioning, &self.transformed, None)
    }

    /// As [`UNet2D::forward_traced`].
    ///
    /// # Panics
    /// As [`UNet2D::forward`].
    pub fn forward_traced(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        trace: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        self.unet.run_traced(x, conditioning, &self.transformed, trace)
    }
}

impl Transformed {
    /// A 3x3 convolution that keeps the size.
    pub(crate) fn convolve(&self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        self.on_gpu(conv, &x, false).unwrap_or_else(|| conv.forward(x))
    }

    /// Doubles the resolution, then convolves.
    pub(crate) fn convolve_doubled(&self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        self.on_gpu(conv, &x, true).unwrap_or_else(|| conv.forward(double(x)))
    }

    fn on_gpu(&self, conv: &Conv2d, x: &Tensor<4>, doubled: bool) -> Option<Tensor<4>> {
        let kernel = self.0.get(&conv.weight.id)?;
        convolve_on_gpu(x, kernel, &conv.bias.as_ref()?.val(), doubled)
    }
}

/// Looks for convolutions that can be transformed.
#[derive(Default)]
struct Transform {
    found: Transformed,
    /// The names of the modules around a weight, the outermost first.
    path: Vec<String>,
}

impl ModuleVisitor for Transform {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, weight: &Param<Tensor<D>>) {
        // Those that halve the resolution, `downsamplers.0.conv`, are convolved otherwise, and would only take memory.
        let halves = ["downsamplers", "conv"].iter().all(|part| self.path.iter().any(|name| name == part));
        if D != 4 || halves {
            return;
        }
        let dims: [usize; 4] = std::array::from_fn(|i| weight.val().dims()[i]);
        if let Some(kernel) = transformed_for_gpu(&weight.val().reshape(dims)) {
            self.found.0.insert(weight.id, kernel);
        }
    }
}

/// Weights of convolutions in any other order are laid out anew at each call.
struct ChannelsInnermost;

impl ModuleMapper for ChannelsInnermost {
    fn map_float<const D: usize>(&mut self, weight: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D < 3 {
            return weight;
        }
        weight.map(|weight| {
            // Without the type it would become the device's usual one, f32.
            let (device, dtype) = (weight.device(), weight.dtype());
            let innermost = weight.movedim(1, D - 1).into_data();
            Tensor::<D>::from_data(innermost, (&device, dtype)).movedim(D - 1, 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::{Labels, UNet2DConfig};

    /// A network with resampling and attention, and a call of it.
    fn network(channels: &str, device: &Device) -> (UNet2D, Tensor<4>) {
        let json = format!(
            r#"{{ "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": {channels},
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 4 }}"#
        );
        let unet = UNet2DConfig::from_json(&json).expect("it is understood").init(device).expect("a network");
        (unet, Tensor::random([2, 1, 8, 8], Distribution::Normal(0.0, 1.0), device))
    }

    #[test]
    fn a_prepared_network_is_the_same_where_there_is_no_gpu() {
        let (unet, x) = network("[8, 16]", &Device::flex());
        let conditioning = unet.condition(&[3.0], &Labels::None, &x.device());
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let plain = unet.clone().with_precision(precision);
            let expected = plain.forward(x.clone(), &conditioning).into_data();
            let prepared = unet.clone().prepare(precision);
            assert_eq!(prepared.unet.dtype(), plain.dtype());
            prepared.forward(x.clone(), &conditioning).into_data().assert_eq(&expected, true);
        }
    }

    /// On a software Vulkan device, where there is one.
    #[cfg(feature = "wgpu")]
    #[test]
    fn a_prepared_network_is_the_same_on_a_gpu() {
        use burn::tensor::{DeviceKind, Tolerance, wgpu::WgpuBackend};
        let options = Device::wgpu_options().device_kind(DeviceKind::Cpu).graphics_api(WgpuBackend::Vulkan);
        let Ok(device) = options.init() else {
            assert_ne!(std::env::var("DDIM_EXPECT_GPU").as_deref(), Ok("1"), "no software Vulkan device was found");
            return;
        };
        let (unet, x) = network("[32, 64]", &Device::flex());
        let conditioning = unet.condition(&[3.0], &Labels::None, &x.device());
        let expected = unet.forward(x.clone(), &conditioning).into_data();
        let (unet, x) = (unet.to_device(&device), x.to_device(&device));
        let conditioning = unet.condition(&[3.0], &Labels::None, &device);
        // Two in each of eight residual blocks and one that doubles; none in 16 bits.
        for (precision, transformed, tolerance) in [(Precision::F32, 17, 1e-5), (Precision::F16, 0, 1e-2)] {
            let prepared = unet.clone().prepare(precision);
            assert_eq!(prepared.transformed.0.len(), transformed, "{precision}");
            let found = prepared.forward(x.clone(), &conditioning).into_data();
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(tolerance));
        }
    }
}
