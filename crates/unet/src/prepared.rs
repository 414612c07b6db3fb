//! The network with its weights as kernels for GPUs read them.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use ddim_shaders::Kernels;

use crate::attention::Attention;
use crate::conditioning::Conditioning;
use crate::resample::Resampler;
use crate::{Precision, UNet2D};

/// A [`UNet2D`] with its weights laid out, joined and transformed for a GPU: the same numbers up to rounding, in less time.
///
/// Made by [`UNet2D::prepare`]. It holds a copy of the weights: a network that is trained on has to be prepared anew.
#[derive(Clone, Debug)]
pub struct PreparedUNet {
    unet: UNet2D,
    prepared: Prepared,
}

/// What was made of the weights, by their identity.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Of each 3x3 convolution that keeps or doubles the resolution.
    kernels: HashMap<ParamId, Kernels>,
    /// Of each attention, under the weight of q: q, k and v in one product.
    projections: HashMap<ParamId, Linear>,
}

impl UNet2D {
    /// Lays out, joins and transforms the weights, on whatever device they are. In f32 a part of them takes five times the memory, and
    /// those of attention are held twice.
    ///
    /// A network to draw with: automatic differentiation does not find its weights.
    pub fn prepare(self, precision: Precision) -> PreparedUNet {
        let unet = self.with_precision(precision).map(&mut ChannelsInnermost);
        let doubled = unet.up_blocks.iter().flat_map(|block| &block.upsamplers).filter_map(Resampler::doubling);
        let convolutions = unet.residuals().flat_map(|block| [&block.conv1, &block.conv2]).chain(doubled);
        let kernels = |conv: &Conv2d| {
            let bias = conv.bias.as_ref().map(Param::val);
            (conv.weight.id, Kernels::prepared(conv.weight.val(), bias))
        };
        let joined = |attention: &Attention| (attention.to_q.weight.id, attention.projection());
        let prepared = Prepared {
            kernels: convolutions.map(kernels).collect(),
            projections: unet.attentions().map(joined).collect(),
        };
        PreparedUNet { unet, prepared }
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
        self.unet.run(x, conditioning, Some(&self.prepared), None)
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
        self.unet.run_traced(x, conditioning, Some(&self.prepared), trace)
    }
}

impl Prepared {
    /// The kernels of a 3x3 convolution.
    pub(crate) fn kernels(&self, conv: &Conv2d) -> &Kernels {
        self.kernels.get(&conv.weight.id).expect("every 3x3 convolution that a pass asks for was prepared")
    }

    /// What [`Attention::projection`] is.
    pub(crate) fn projection(&self, attention: &Attention) -> Option<&Linear> {
        self.projections.get(&attention.to_q.weight.id)
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
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;
    use crate::{Labels, UNet2DConfig};

    /// A network with resampling and attention, and a call of it.
    fn network(channels: &str, head_width: usize, device: &Device) -> (UNet2D, Tensor<4>) {
        let json = format!(
            r#"{{ "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": {channels},
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": {head_width} }}"#
        );
        device.seed(0);
        let unet = UNet2DConfig::from_json(&json).expect("it is understood").init(device).expect("a network");
        (unet, Tensor::random([2, 1, 8, 8], Distribution::Normal(0.0, 1.0), device))
    }

    #[test]
    fn a_prepared_network_is_the_same_where_there_is_no_gpu() {
        // Heads of width 4, by whose root 2 weights are divided without rounding.
        let (unet, x) = network("[8, 16]", 4, &Device::flex());
        let conditioning = unet.condition(&[3.0], &Labels::None, &x.device());
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let plain = unet.clone().with_precision(precision);
            let expected = plain.forward(x.clone(), &conditioning).into_data();
            let prepared = unet.clone().prepare(precision);
            assert_eq!(prepared.unet.dtype(), plain.dtype());
            prepared.forward(x.clone(), &conditioning).into_data().assert_eq(&expected, true);
        }
    }

    /// On a software Vulkan device, else on whatever there is; where there is nothing it passes, unless `DDIM_EXPECT_GPU=1` is set.
    #[cfg(feature = "wgpu")]
    #[test]
    fn a_prepared_network_is_the_same_on_a_gpu() {
        use burn::tensor::{DeviceKind, wgpu::WgpuBackend};
        let open = |kind| Device::wgpu_options().device_kind(kind).graphics_api(WgpuBackend::Vulkan).init().ok();
        let kinds = [DeviceKind::Cpu, DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0)];
        let Some(device) = kinds.into_iter().find_map(open) else {
            assert_ne!(std::env::var("DDIM_EXPECT_GPU").as_deref(), Ok("1"), "no Vulkan device was found");
            return;
        };
        let (unet, x) = network("[32, 64]", 8, &Device::flex());
        let conditioning = unet.condition(&[3.0], &Labels::None, &x.device());
        let expected = unet.forward(x.clone(), &conditioning).into_data();
        let (unet, x) = (unet.to_device(&device), x.to_device(&device));
        let conditioning = unet.condition(&[3.0], &Labels::None, &device);
        // Where burn's convolutions are not faster: two in each of eight residual blocks and one that doubles; none in 16 bits.
        let bias = Some(Tensor::zeros([32], &device));
        let transforms = Kernels::prepared(Tensor::zeros([32, 32, 3, 3], &device), bias).are_transformed();
        // Outputs near 1, after some thirty layers each of which rounds by 6e-8 of its largest value in f32, by 5e-4 in f16.
        for (precision, transformed, tolerance) in
            [(Precision::F32, if transforms { 17 } else { 0 }, 1e-5), (Precision::F16, 0, 2e-2)]
        {
            let prepared = unet.clone().prepare(precision);
            let kernels = prepared.prepared.kernels.values();
            assert_eq!(kernels.filter(|kernels| kernels.are_transformed()).count(), transformed, "{precision}");
            let found = prepared.forward(x.clone(), &conditioning).into_data();
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(tolerance));
        }
    }

    /// On the CPU, where no kernel is asked: through weights that are laid out and joined.
    #[test]
    fn its_slope_is_that_of_the_plain_network() {
        let (unet, x) = network("[8, 16]", 8, &Device::flex());
        let conditioning = unet.condition(&[3.0], &Labels::None, &x.device());
        let prepared = unet.clone().prepare(Precision::F32);
        let slope = |forward: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let x = x.clone().autodiff().require_grad();
            let gradients = forward(x.clone()).square().sum().backward();
            x.grad(&gradients).expect("it depends on x").into_data()
        };
        let expected = slope(&|x| unet.forward(x, &conditioning));
        slope(&|x| prepared.forward(x, &conditioning)).assert_approx_eq::<f32>(&expected, Tolerance::default());
    }
}
