//! Halving and doubling the resolution.

use crate::UNet2DConfig;
use crate::pass::Pass;
use crate::resnet::{ResnetBlock, ResnetShape};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::module::{avg_pool2d, interpolate};
use burn::tensor::ops::{AvgPoolOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use ddim_cpu::Halo;

/// What ends a block on the way down or up; weights `downsamplers.0` and `upsamplers.0`.
#[derive(Module, Debug)]
pub(crate) enum Resampler {
    Down(Downsample),
    Up(Upsample),
    Resnet(ResnetBlock),
}

/// A convolution of stride 2.
#[derive(Module, Debug)]
pub(crate) struct Downsample {
    pub(crate) conv: Conv2d,
}

/// Nearest-neighbour doubling, then a convolution.
#[derive(Module, Debug)]
pub(crate) struct Upsample {
    pub(crate) conv: Conv2d,
}

/// Whether a residual block changes the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    Same,
    Halved,
    Doubled,
}

impl Resolution {
    /// \[n, c, h, w\] at the new resolution: means of 2x2 pixels, or each pixel four times.
    pub(crate) fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Resolution::Same => x,
            Resolution::Halved => avg_pool2d(x, AvgPoolOptions::new([2, 2])),
            Resolution::Doubled => double(x),
        }
    }
}

impl Downsample {
    /// The border that its convolution is padded with.
    pub(crate) fn halo(&self) -> Halo {
        match self.conv.padding {
            PaddingConfig2d::Explicit(before, _, after, _) => Halo { before, after },
            PaddingConfig2d::Same | PaddingConfig2d::Valid => Halo::NONE,
        }
    }
}

impl Resampler {
    pub(crate) fn down(channels: usize, config: &UNet2DConfig, device: &Device) -> Self {
        // Padding 0 stands for one row below and one column to the right, the (0, 1, 0, 1) of the DDPM code.
        let padding = match config.downsample_padding {
            0 => PaddingConfig2d::Explicit(0, 0, 1, 1),
            sides => PaddingConfig2d::Explicit(sides, sides, sides, sides),
        };
        let conv = Conv2dConfig::new([channels, channels], [3, 3]).with_stride([2, 2]).with_padding(padding);
        Self::Down(Downsample { conv: conv.init(device) })
    }

    pub(crate) fn up(channels: usize, device: &Device) -> Self {
        Self::Up(Upsample { conv: conv3x3(channels, channels, device) })
    }

    pub(crate) fn resnet(channels: usize, resolution: Resolution, config: &UNet2DConfig, device: &Device) -> Self {
        let shape = ResnetShape { resolution, ..ResnetShape::new(channels, channels) };
        Self::Resnet(ResnetBlock::new(shape, config, device))
    }

    pub(crate) fn forward(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        match self {
            Self::Down(down) => down.conv.forward(x),
            Self::Up(up) => pass.convolve_doubled(&up.conv, x),
            Self::Resnet(resnet) => resnet.forward(x, pass),
        }
    }

    /// The convolution behind a doubling, where that is all.
    pub(crate) fn doubling(&self) -> Option<&Conv2d> {
        match self {
            Self::Up(up) => Some(&up.conv),
            Self::Down(_) | Self::Resnet(_) => None,
        }
    }

    /// The residual block inside, where there is one.
    pub(crate) fn residual(&self) -> Option<&ResnetBlock> {
        match self {
            Self::Down(_) | Self::Up(_) => None,
            Self::Resnet(resnet) => Some(resnet),
        }
    }
}

/// A 3x3 convolution that keeps the size.
pub(crate) fn conv3x3(from: usize, to: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
}

/// Each pixel four times: \[n, c, h, w\] to \[n, c, 2h, 2w\].
pub(crate) fn double(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]))
}
