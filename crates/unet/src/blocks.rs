//! The blocks of the way down, the middle and the way up.

use crate::UNet2DConfig;
use crate::attention::{Attention, AttentionShape};
use crate::options::{DownBlockType, ResampleType, TimeScaleShift, UpBlockType};
use crate::pass::Pass;
use crate::resample::{Resampler, Resolution};
use crate::resnet::{ResnetBlock, ResnetShape};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::fmt::Arguments;

/// One resolution on the way down: weights `down_blocks.i`.
#[derive(Module, Debug)]
pub(crate) struct DownBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    /// One behind each residual block, or none at all.
    pub(crate) attentions: Vec<Attention>,
    /// One, or none at the coarsest resolution.
    pub(crate) downsamplers: Vec<Resampler>,
}

/// The middle: weights `mid_block`.
#[derive(Module, Debug)]
pub(crate) struct MidBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    /// One between the two residual blocks, or none.
    pub(crate) attentions: Vec<Attention>,
}

/// One resolution on the way up: weights `up_blocks.i`.
#[derive(Module, Debug)]
pub(crate) struct UpBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    /// One behind each residual block, or none at all.
    pub(crate) attentions: Vec<Attention>,
    /// One, or none at the finest resolution.
    pub(crate) upsamplers: Vec<Resampler>,
}

impl DownBlock {
    /// The block of level `level`, 0 being the finest.
    pub(crate) fn new(level: usize, config: &UNet2DConfig, device: &Device) -> Self {
        let kind = config.down_block_types[level];
        let from = config.block_out_channels[level.saturating_sub(1)];
        let to = config.block_out_channels[level];
        let resnet = |layer| {
            let shape = ResnetShape::new(if layer == 0 { from } else { to }, to);
            ResnetBlock::new(shape, config, device)
        };
        let attentions = if kind == DownBlockType::Attention { config.layers_per_block } else { 0 };
        let downsampler = || match (kind, config.downsample_type) {
            (DownBlockType::Plain, _) | (DownBlockType::Attention, ResampleType::Conv) => {
                Resampler::down(to, config, device)
            }
            (DownBlockType::Resnet, _) | (DownBlockType::Attention, ResampleType::Resnet) => {
                Resampler::resnet(to, Resolution::Halved, config, device)
            }
        };
        DownBlock {
            resnets: (0..config.layers_per_block).map(resnet).collect(),
            attentions: (0..attentions).map(|_| Attention::new(outer_attention(to, config), device)).collect(),
            downsamplers: (level + 1 < config.block_out_channels.len()).then(downsampler).into_iter().collect(),
        }
    }

    pub(crate) fn forward(&self, mut x: Tensor<4>, name: Arguments, pass: &mut Pass) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = residual(resnet, x, format_args!("{name}.resnets.{layer}"), pass);
            if let Some(attention) = self.attentions.get(layer) {
                x = attend(attention, x, format_args!("{name}.attentions.{layer}"), pass);
            }
            pass.keep(&x);
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x, pass);
            pass.report(format_args!("{name}.downsamplers.0"), &x);
            pass.keep(&x);
        }
        pass.report(name, &x);
        x
    }

    /// The residual blocks, in the order of the forward pass.
    pub(crate) fn residuals(&self) -> impl Iterator<Item = &ResnetBlock> {
        self.resnets.iter().chain(self.downsamplers.iter().filter_map(Resampler::residual))
    }
}

impl MidBlock {
    pub(crate) fn new(config: &UNet2DConfig, device: &Device) -> Self {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        let divisor = config.mid_block_scale_factor;
        let resnet = || {
            let shape = ResnetShape { divisor, ..ResnetShape::new(channels, channels) };
            ResnetBlock::new(shape, config, device)
        };
        let groups = match (config.attn_norm_num_groups, config.resnet_time_scale_shift) {
            (Some(groups), _) => Some(groups),
            (None, TimeScaleShift::Default) => Some(config.norm_num_groups),
            (None, TimeScaleShift::ScaleShift) => None,
        };
        let attention = AttentionShape { groups, divisor, ..outer_attention(channels, config) };
        MidBlock {
            resnets: vec![resnet(), resnet()],
            attentions: config.add_attention.then(|| Attention::new(attention, device)).into_iter().collect(),
        }
    }

    pub(crate) fn forward(&self, mut x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = residual(resnet, x, format_args!("mid_block.resnets.{layer}"), pass);
            if let Some(attention) = self.attentions.get(layer) {
                x = attend(attention, x, format_args!("mid_block.attentions.{layer}"), pass);
            }
        }
        pass.report(format_args!("mid_block"), &x);
        x
    }

    /// The residual blocks, in the order of the forward pass.
    pub(crate) fn residuals(&self) -> impl Iterator<Item = &ResnetBlock> {
        self.resnets.iter()
    }
}

impl UpBlock {
    /// The `index`-th block on the way up, 0 being the coarsest.
    pub(crate) fn new(index: usize, config: &UNet2DConfig, device: &Device) -> Self {
        let kind = config.up_block_types[index];
        let level = config.block_out_channels.len() - 1 - index;
        let to = config.block_out_channels[level];
        let below = *config.block_out_channels.get(level + 1).unwrap_or(&to);
        let above = config.block_out_channels[level.saturating_sub(1)];
        let last = config.layers_per_block;
        // The way down kept, at this resolution, the block's own outputs and, first of all, what came from above.
        let resnet = |layer| {
            let features = if layer == 0 { below } else { to };
            let kept = if layer == last { above } else { to };
            ResnetBlock::new(ResnetShape::new(features + kept, to), config, device)
        };
        let attentions = if kind == UpBlockType::Attention { last + 1 } else { 0 };
        let upsampler = || match (kind, config.upsample_type) {
            (UpBlockType::Plain, _) | (UpBlockType::Attention, ResampleType::Conv) => Resampler::up(to, device),
            (UpBlockType::Resnet, _) | (UpBlockType::Attention, ResampleType::Resnet) => {
                Resampler::resnet(to, Resolution::Doubled, config, device)
            }
        };
        UpBlock {
            resnets: (0..=last).map(resnet).collect(),
            attentions: (0..attentions).map(|_| Attention::new(outer_attention(to, config), device)).collect(),
            upsamplers: (level > 0).then(upsampler).into_iter().collect(),
        }
    }

    pub(crate) fn forward(&self, mut x: Tensor<4>, name: Arguments, pass: &mut Pass) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = residual(resnet, pass.join(x), format_args!("{name}.resnets.{layer}"), pass);
            if let Some(attention) = self.attentions.get(layer) {
                x = attend(attention, x, format_args!("{name}.attentions.{layer}"), pass);
            }
        }
        for upsampler in &self.upsamplers {
            x = upsampler.forward(x, pass);
            pass.report(format_args!("{name}.upsamplers.0"), &x);
        }
        pass.report(name, &x);
        x
    }

    /// The residual blocks, in the order of the forward pass.
    pub(crate) fn residuals(&self) -> impl Iterator<Item = &ResnetBlock> {
        self.resnets.iter().chain(self.upsamplers.iter().filter_map(Resampler::residual))
    }
}

fn residual(resnet: &ResnetBlock, x: Tensor<4>, name: Arguments, pass: &mut Pass) -> Tensor<4> {
    let x = resnet.forward(x, pass);
    pass.report(name, &x);
    x
}

fn attend(attention: &Attention, x: Tensor<4>, name: Arguments, pass: &mut Pass) -> Tensor<4> {
    let x = attention.forward(x, pass);
    pass.report(name, &x);
    x
}

/// The attention of a block outside the middle.
fn outer_attention(channels: usize, config: &UNet2DConfig) -> AttentionShape {
    AttentionShape {
        channels,
        head_width: config.attention_head_dim.unwrap_or(channels),
        groups: Some(config.norm_num_groups),
        eps: config.norm_eps,
        divisor: 1.0,
    }
}
