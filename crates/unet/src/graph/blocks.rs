//! The blocks of the way down, the middle and the way up.

use ddim_graph::{Border, Convolution, Resample, Value};

use super::attention::Attention;
use super::resnet::Residual;
use super::{Writer, conv3x3};
use crate::options::{DownBlockType, ResampleType, TimeScaleShift, UpBlockType};

impl Writer<'_> {
    /// The block of level `level`, 0 being the finest.
    pub(super) fn down_block(&mut self, mut x: Value, level: usize) -> Value {
        let config = self.config;
        let (name, kind) = (format!("down_blocks.{level}"), config.down_block_types[level]);
        let to = config.block_out_channels[level];
        self.graph.block(&name);
        for layer in 0..config.layers_per_block {
            x = self.observed_residual(x, &format!("{name}.resnets.{layer}"), Residual::to(to));
            if kind == DownBlockType::Attention {
                x = self.observed_attention(x, &format!("{name}.attentions.{layer}"), Attention::outer(config));
            }
            self.skips.push(x);
        }
        if level + 1 < config.block_out_channels.len() {
            let name = format!("{name}.downsamplers.0");
            x = match (kind, config.downsample_type) {
                (DownBlockType::Plain, _) | (DownBlockType::Attention, ResampleType::Conv) => {
                    self.downsample(x, &name)
                }
                (DownBlockType::Resnet, _) | (DownBlockType::Attention, ResampleType::Resnet) => {
                    let halved = Residual { resample: Some(Resample::Halve), ..Residual::to(to) };
                    self.residual(x, &name, halved)
                }
            };
            self.graph.observe(name, x);
            self.skips.push(x);
        }
        self.graph.observe(name, x);
        x
    }

    pub(super) fn mid_block(&mut self, x: Value) -> Value {
        let config = self.config;
        let divisor = config.mid_block_scale_factor;
        let block = Residual { divisor, ..Residual::to(self.graph.channels(x)) };
        let groups = match (config.attn_norm_num_groups, config.resnet_time_scale_shift) {
            (Some(groups), _) => Some(groups),
            (None, TimeScaleShift::Default) => Some(config.norm_num_groups),
            (None, TimeScaleShift::ScaleShift) => None,
        };
        self.graph.block("mid_block");
        let mut x = self.observed_residual(x, "mid_block.resnets.0", block);
        if config.add_attention {
            x = self.observed_attention(x, "mid_block.attentions.0", Attention { groups, divisor });
        }
        let x = self.observed_residual(x, "mid_block.resnets.1", block);
        self.graph.observe("mid_block", x);
        x
    }

    /// The `index`-th block on the way up, 0 being the coarsest.
    pub(super) fn up_block(&mut self, mut x: Value, index: usize) -> Value {
        let config = self.config;
        let (name, kind) = (format!("up_blocks.{index}"), config.up_block_types[index]);
        let level = config.block_out_channels.len() - 1 - index;
        let to = config.block_out_channels[level];
        self.graph.block(&name);
        for layer in 0..=config.layers_per_block {
            let skip = self.skips.pop().expect("the way up takes as many features as the way down kept");
            x = self.graph.join(x, skip);
            x = self.observed_residual(x, &format!("{name}.resnets.{layer}"), Residual::to(to));
            if kind == UpBlockType::Attention {
                x = self.observed_attention(x, &format!("{name}.attentions.{layer}"), Attention::outer(config));
            }
        }
        if level > 0 {
            let name = format!("{name}.upsamplers.0");
            x = match (kind, config.upsample_type) {
                (UpBlockType::Plain, _) | (UpBlockType::Attention, ResampleType::Conv) => self.upsample(x, &name),
                (UpBlockType::Resnet, _) | (UpBlockType::Attention, ResampleType::Resnet) => {
                    let doubled = Residual { resample: Some(Resample::Double), ..Residual::to(to) };
                    self.residual(x, &name, doubled)
                }
            };
            self.graph.observe(name, x);
        }
        self.graph.observe(name, x);
        x
    }

    fn observed_residual(&mut self, x: Value, name: &str, block: Residual) -> Value {
        let x = self.residual(x, name, block);
        self.graph.observe(name, x);
        x
    }

    fn observed_attention(&mut self, x: Value, name: &str, attention: Attention) -> Value {
        let x = self.attention(x, name, attention);
        self.graph.observe(name, x);
        x
    }

    /// A convolution of stride 2.
    fn downsample(&mut self, x: Value, name: &str) -> Value {
        // Padding 0 stands for one row below and one column to the right, the (0, 1, 0, 1) of the DDPM code.
        let border = match self.config.downsample_padding {
            0 => Border::behind(1),
            sides => Border::even(sides),
        };
        let conv = Convolution::new(format!("{name}.conv"), self.graph.channels(x));
        self.graph.convolve(x, conv.kernel(3).stride(2).border(border))
    }

    /// Nearest-neighbour doubling, then a convolution.
    fn upsample(&mut self, x: Value, name: &str) -> Value {
        let x = self.graph.resample(x, Resample::Double);
        let channels = self.graph.channels(x);
        self.graph.convolve(x, conv3x3(format!("{name}.conv"), channels))
    }
}
