//! The residual block (Ho et al. 2020, arXiv:2006.11239, appendix B, in diffusers' form).

use crate::UNet2DConfig;
use crate::conditioning::Modulation;
use crate::norm::{self, Normalization};
use crate::options::{Activation, TimeScaleShift};
use crate::pass::Pass;
use crate::resample::{Resolution, conv3x3};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, GroupNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// (shortcut(x) + conv2(act(norm2(conv1(act(norm1(x))), time)))) / divisor.
#[derive(Module, Debug)]
pub(crate) struct ResnetBlock {
    pub(crate) norm1: GroupNorm,
    pub(crate) conv1: Conv2d,
    time_emb_proj: Linear,
    pub(crate) norm2: GroupNorm,
    dropout: Dropout,
    pub(crate) conv2: Conv2d,
    pub(crate) conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    pub(crate) time: TimeScaleShift,
    #[module(skip)]
    pub(crate) shape: ResnetShape,
}

/// What differs between the residual blocks of one network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ResnetShape {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) resolution: Resolution,
    /// What the sum at the end is divided by.
    pub(crate) divisor: f64,
}

impl ResnetShape {
    /// From and to these channels, at one resolution.
    pub(crate) fn new(from: usize, to: usize) -> Self {
        ResnetShape { from, to, resolution: Resolution::Same, divisor: 1.0 }
    }
}

impl ResnetBlock {
    pub(crate) fn new(shape: ResnetShape, config: &UNet2DConfig, device: &Device) -> Self {
        let ResnetShape { from, to, .. } = shape;
        let time = config.resnet_time_scale_shift;
        let projected = match time {
            TimeScaleShift::Default => to,
            TimeScaleShift::ScaleShift => 2 * to,
        };
        let norm = |channels| norm::init(channels, config.norm_num_groups, config.norm_eps, device);
        ResnetBlock {
            norm1: norm(from),
            conv1: conv3x3(from, to, device),
            time_emb_proj: LinearConfig::new(config.time_embed_dim(), projected).init(device),
            norm2: norm(to),
            dropout: DropoutConfig::new(config.dropout).init(),
            conv2: conv3x3(to, to, device),
            conv_shortcut: (from != to).then(|| Conv2dConfig::new([from, to], [1, 1]).init(device)),
            activation: config.act_fn,
            time,
            shape,
        }
    }

    /// What this block makes of the embeddings \[rows, width\] of times and labels.
    pub(crate) fn modulation(&self, embedding: Tensor<2>) -> Modulation {
        let projected = self.time_emb_proj.forward(self.activation.apply(embedding));
        let [rows, width] = projected.dims();
        let projected = projected.reshape([rows, width, 1, 1]);
        match self.time {
            TimeScaleShift::Default => Modulation::Shift(projected),
            TimeScaleShift::ScaleShift => Modulation::ScaleShift {
                scale: projected.clone().slice_dim(1, 0..self.shape.to) + 1.0,
                shift: projected.slice_dim(1, self.shape.to..width),
            },
        }
    }

    /// \[n, from, h, w\] to \[n, to, h, w\], at the resolution of the block.
    pub(crate) fn forward(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let modulation = pass.modulation();
        let resolution = self.shape.resolution;
        let h = Normalization::of(&self.norm1).then(self.activation).apply(x.clone());
        let h = pass.convolve(&self.conv1, resolution.apply(h));
        let h = Normalization::of(&self.norm2).modulated(modulation).then(self.activation).apply(h);

        let x = resolution.apply(x);
        let x = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        divided(pass.convolve_onto(x, &self.conv2, self.dropout.forward(h)), self.shape.divisor)
    }
}

/// x / divisor, without a pass over the picture where that changes nothing.
pub(crate) fn divided(x: Tensor<4>, divisor: f64) -> Tensor<4> {
    if divisor == 1.0 { x } else { x / divisor }
}
