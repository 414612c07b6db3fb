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
pub(crate) struct Transformed {
    kernels: HashMap<ParamId, Tensor<3>>,
    /// The names of the modules around a weight, the outermost first.
    path: Vec<String>,
}

impl UNet2D {
    /// Lays out and transforms the weights, on whatever device they are. In f32 a part of them takes five times the memory.
    pub fn prepare(self, precision: Precision) -> PreparedUNet {
        let unet = self.with_precision(precision).map(&mut ChannelsInnermost);
        let mut transformed = Transformed::default();
        unet.visit(&mut transformed);
        PreparedUNet { unet, transformed }
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
        let kernel = self.kernels.get(&conv.weight.id)?;
        convolve_on_gpu(x, kernel, &conv.bias.as_ref()?.val(), doubled)
    }
}

impl ModuleVisitor for Transformed {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, weight: &Param<Tensor<D>>) {
        // Convolutions that halve the resolution are `downsamplers.0.conv`; those of residual blocks have other names.
        let halves =
            self.path.iter().any(|name| name == "downsamplers") && self.path.iter().any(|name| name == "conv");
        if D != 4 || halves {
            return;
        }
        let dims: [usize; 4] = std::array::from_fn(|i| weight.val().dims()[i]);
        if let Some(kernel) = transformed_for_gpu(&weight.val().reshape(dims)) {
            self.kernels.insert(weight.id, kernel);
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
            let device = weight.device();
            let innermost = weight.movedim(1, D - 1).into_data();
            Tensor::<D>::from_data(innermost, &device).movedim(D - 1, 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::{Labels, UNet2DConfig};

    #[test]
    fn a_prepared_network_is_the_same_where_there_is_no_gpu() {
        let json = r#"{ "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 16],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 4 }"#;
        let device = Device::flex();
        let unet = UNet2DConfig::from_json(json).expect("it is understood").init(&device).expect("a network");
        let x = Tensor::<4>::random([2, 1, 8, 8], Distribution::Normal(0.0, 1.0), &device);
        let conditioning = unet.condition(&[3.0], &Labels::None, &device);
        let expected = unet.forward(x.clone(), &conditioning).into_data();
        let prepared = unet.prepare(Precision::F32);
        assert_eq!(prepared.unet.conv_in.weight.val().dims(), [8, 1, 3, 3]);
        prepared.forward(x, &conditioning).into_data().assert_eq(&expected, true);
    }
}
