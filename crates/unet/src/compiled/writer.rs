//! A network written down as a tape, layer by layer.

use burn::module::{Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::Tensor;
use ddim_cpu::{
    Activation as After, Conv, Halo, Modulation as Given, Norm, Order, Parameter, Part, Resample, Tape, Value,
};

use super::values;
use crate::UNet2D;
use crate::attention::Attention;
use crate::blocks::{DownBlock, MidBlock, UpBlock};
use crate::options::TimeScaleShift;
use crate::resample::{Resampler, Resolution};
use crate::resnet::ResnetBlock;

/// Writes layers down, in the order in which they run.
pub(super) struct Writer {
    activation: After,
    pub(super) tape: Tape,
    /// Read one by one, so that a large network is not copied as a whole.
    pub(super) weights: Vec<Box<dyn Fn() -> Vec<f32>>>,
    pub(super) ids: Vec<ParamId>,
    modulations: usize,
    /// The layer with which each block begins, under its name in a diffusers file.
    pub(super) blocks: Vec<(String, usize)>,
}

impl Writer {
    pub(super) fn new(activation: After) -> Self {
        Writer {
            activation,
            tape: Tape::default(),
            weights: Vec::new(),
            ids: Vec::new(),
            modulations: 0,
            blocks: Vec::new(),
        }
    }

    /// What is written from here on belongs to this block.
    fn block(&mut self, name: impl Into<String>) {
        self.blocks.push((name.into(), self.tape.len()));
    }

    fn parameter<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) -> Parameter {
        let tensor = parameter.val();
        self.weights.push(Box::new(move || values(tensor.clone())));
        self.ids.push(parameter.id);
        Parameter(self.ids.len() - 1)
    }

    /// The next residual block's numbers, in the order of [`Conditioning`].
    fn modulation(&mut self) -> Given {
        self.modulations += 1;
        Given(self.modulations - 1)
    }

    fn norm(
        &mut self,
        x: Value,
        norm: &GroupNorm,
        activation: After,
        modulation: Option<Given>,
        halo: Halo,
    ) -> Value {
        let (Some(gamma), Some(beta)) = (&norm.gamma, &norm.beta) else {
            unreachable!("every group normalisation here is made with weight and bias")
        };
        let norm = Norm {
            groups: norm.num_groups,
            eps: norm.epsilon,
            gamma: self.parameter(gamma),
            beta: self.parameter(beta),
            modulation,
            activation,
        };
        self.tape.norm(x, norm, halo)
    }

    fn conv2d(&mut self, conv: &Conv2d) -> Conv {
        let [to, from, kernel, _] = conv.weight.dims();
        let bias = conv.bias.as_ref().map(|bias| self.parameter(bias));
        let part = Part { to, weight: self.parameter(&conv.weight), order: Order::OutIn, bias };
        Conv { kernel, stride: conv.stride[0], from, parts: vec![part] }
    }

    /// Linear layers at each pixel, their outputs one after the other.
    fn linear(&mut self, layers: &[&Linear]) -> Conv {
        let from = layers[0].weight.dims()[0];
        let part = |layer: &&Linear| {
            let bias = layer.bias.as_ref().map(|bias| self.parameter(bias));
            let weight = self.parameter(&layer.weight);
            Part { to: layer.weight.dims()[1], weight, order: Order::InOut, bias }
        };
        let parts = layers.iter().map(part).collect();
        Conv { kernel: 1, stride: 1, from, parts }
    }

    /// A convolution of what has its border already.
    fn conv(&mut self, x: Value, conv: &Conv2d) -> Value {
        let conv = self.conv2d(conv);
        self.tape.conv(x, conv, None, None, 1.0)
    }
}

/// A part of the network that can write itself down.
trait Write {
    fn write(&self, x: Value, writer: &mut Writer) -> Value;
}

impl UNet2D {
    pub(super) fn write(&self, writer: &mut Writer) {
        let config = self.config();
        writer.block("conv_in");
        let (scale, shift) = if config.center_input_sample { (2.0, -1.0) } else { (1.0, 0.0) };
        let x = writer.tape.input(config.in_channels, scale, shift);
        let x = writer.tape.spread(x, Resample::Keep, Halo::ONE);
        let mut x = writer.conv(x, &self.conv_in);
        let mut skips = vec![x];
        for (i, block) in self.down_blocks.iter().enumerate() {
            writer.block(format!("down_blocks.{i}"));
            x = block.write(x, &mut skips, writer);
        }
        if let Some(block) = &self.mid_block {
            writer.block("mid_block");
            x = block.write(x, writer);
        }
        for (i, block) in self.up_blocks.iter().enumerate() {
            writer.block(format!("up_blocks.{i}"));
            x = block.write(x, &mut skips, writer);
        }
        writer.block("conv_out");
        let x = writer.norm(x, &self.conv_norm_out, After::Silu, None, Halo::ONE);
        writer.conv(x, &self.conv_out);
    }
}

impl DownBlock {
    fn write(&self, mut x: Value, skips: &mut Vec<Value>, writer: &mut Writer) -> Value {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = resnet.write(x, writer);
            if let Some(attention) = self.attentions.get(layer) {
                x = attention.write(x, writer);
            }
            skips.push(x);
        }
        for downsampler in &self.downsamplers {
            x = downsampler.write(x, writer);
            skips.push(x);
        }
        x
    }
}

impl Write for MidBlock {
    fn write(&self, mut x: Value, writer: &mut Writer) -> Value {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = resnet.write(x, writer);
            if let Some(attention) = self.attentions.get(layer) {
                x = attention.write(x, writer);
            }
        }
        x
    }
}

impl UpBlock {
    fn write(&self, mut x: Value, skips: &mut Vec<Value>, writer: &mut Writer) -> Value {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the way up takes as many features as the way down kept");
            x = writer.tape.join(x, skip);
            x = resnet.write(x, writer);
            if let Some(attention) = self.attentions.get(layer) {
                x = attention.write(x, writer);
            }
        }
        for upsampler in &self.upsamplers {
            x = upsampler.write(x, writer);
        }
        x
    }
}

impl Write for Resampler {
    fn write(&self, x: Value, writer: &mut Writer) -> Value {
        match self {
            Resampler::Down(down) => {
                let halo = down.halo();
                let x = writer.tape.spread(x, Resample::Keep, halo);
                writer.conv(x, &down.conv)
            }
            Resampler::Up(up) => {
                let x = writer.tape.spread(x, Resample::Double, Halo::ONE);
                writer.conv(x, &up.conv)
            }
            Resampler::Resnet(resnet) => resnet.write(x, writer),
        }
    }
}

impl Write for ResnetBlock {
    fn write(&self, x: Value, writer: &mut Writer) -> Value {
        let (activation, modulation) = (writer.activation, writer.modulation());
        let resample = match self.shape.resolution {
            Resolution::Same => None,
            Resolution::Halved => Some(Resample::Halve),
            Resolution::Doubled => Some(Resample::Double),
        };
        let (first, second) = match self.time {
            TimeScaleShift::Default => (Some(modulation), None),
            TimeScaleShift::ScaleShift => (None, Some(modulation)),
        };
        let (h, x) = match resample {
            None => (writer.norm(x, &self.norm1, activation, None, Halo::ONE), x),
            Some(resample) => {
                let h = writer.norm(x, &self.norm1, activation, None, Halo::NONE);
                (writer.tape.spread(h, resample, Halo::ONE), writer.tape.spread(x, resample, Halo::NONE))
            }
        };
        let conv = writer.conv2d(&self.conv1);
        let h = writer.tape.conv(h, conv, first, None, 1.0);
        let h = writer.norm(h, &self.norm2, activation, second, Halo::ONE);
        let x = match &self.conv_shortcut {
            Some(conv) => writer.conv(x, conv),
            None => x,
        };
        let conv = writer.conv2d(&self.conv2);
        writer.tape.conv(h, conv, None, Some(x), self.shape.divisor.recip() as f32)
    }
}

impl Write for Attention {
    fn write(&self, x: Value, writer: &mut Writer) -> Value {
        let normed = match &self.group_norm {
            Some(norm) => writer.norm(x, norm, After::Identity, None, Halo::NONE),
            None => x,
        };
        let qkv = writer.linear(&[&self.to_q, &self.to_k, &self.to_v]);
        let qkv = writer.tape.conv(normed, qkv, None, None, 1.0);
        let attended = writer.tape.attend(qkv, self.shape.heads(), self.shape.head_width);
        let out = writer.linear(&[&self.to_out[0]]);
        writer.tape.conv(attended, out, None, Some(x), self.shape.divisor.recip() as f32)
    }
}
