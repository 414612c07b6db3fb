//! The network compiled for this machine's processor.

use std::borrow::Cow;
use std::collections::HashMap;

use burn::module::{Param, ParamId};
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::{Tensor, TensorData};
use ddim_cpu::{
    Activation as After, Conv, Convolution, Halo, Isa, Modulation as Given, Network, Norm, Order, Parameter, Part,
    Resample, Rows, Tape, Value,
};

use crate::attention::Attention;
use crate::blocks::{DownBlock, MidBlock, UpBlock};
use crate::conditioning::{Conditioning, Modulation, OutputScale};
use crate::options::{Activation, SampleSize, TimeScaleShift};
use crate::resample::{Resampler, Resolution};
use crate::resnet::ResnetBlock;
use crate::{UNet2D, UNet2DConfig};

/// A [`UNet2D`] with its weights packed for this machine's processor: the same numbers up to rounding, several times
/// faster than the tensor operations that it is compiled from.
///
/// Made by [`UNet2D::compile`]. It holds a copy of the weights: a network that is trained on has to be compiled anew.
pub struct CompiledUNet {
    network: Network,
    config: UNet2DConfig,
    /// The network's own parameter of each of the tape's.
    ids: Vec<ParamId>,
}

/// What a batch says about the weights of a [`CompiledUNet`], and about the conditioning that it was given.
#[derive(Debug)]
pub struct CompiledGradients {
    /// By the identity of the network's parameters, in the order in which their values lie.
    pub weights: HashMap<ParamId, Vec<f32>>,
    /// A number without a value of its own: its gradient by whatever the conditioning was made from is that of the loss.
    pub conditioning: Tensor<1>,
}

/// The side of pictures where the configuration does not say.
const USUAL_SIZE: usize = 32;

impl UNet2D {
    /// Compiles the network for the processor, whatever device its weights are on.
    ///
    /// `None` where it has what only the tensor operations can do: dropout, or an activation other than SiLU and ReLU.
    pub fn compile(&self, convolution: Convolution) -> Option<CompiledUNet> {
        let config = self.config();
        let activation = match config.act_fn {
            Activation::Silu => After::Silu,
            Activation::Relu => After::Relu,
            Activation::Mish | Activation::Gelu => return None,
        };
        if config.dropout != 0.0 {
            return None;
        }
        let mut writer = Writer::new(activation);
        self.write(&mut writer);
        let weights = &writer.weights;
        let size = config.sample_size.map_or([USUAL_SIZE; 2], SampleSize::height_width);
        let weight = |k: Parameter| Cow::Owned(weights[k.0]());
        let network = Network::new(writer.tape, weight, Isa::detect(), convolution, size);
        Some(CompiledUNet { network, config: config.clone(), ids: writer.ids })
    }
}

impl CompiledUNet {
    /// As [`UNet2D::forward`]; the result is where `x` is.
    ///
    /// # Panics
    /// As [`UNet2D::forward`].
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.config.check_input(&x, conditioning);
        let (shape, device) = (x.dims(), x.device());
        let x = values(x);
        let modulations = modulations(conditioning);
        let rows: Vec<Rows> = modulations.iter().map(Numbers::rows).collect();
        let out = self.network.forward(&x, shape, &rows);
        let [n, _, h, w] = shape;
        let out = Tensor::from_data(TensorData::new(out, [n, self.config.out_channels, h, w]), &device);
        match &conditioning.output_scale {
            OutputScale::One => out,
            OutputScale::InverseTime(scale) => out * scale.clone(),
        }
    }
}

impl CompiledUNet {
    /// Other weights: `weight` gives those of each of the network's parameters, as they lie in its tensors.
    pub fn load<'a>(&mut self, weight: impl Fn(ParamId) -> &'a [f32]) {
        let ids = &self.ids;
        self.network.load(|k| Cow::Borrowed(weight(ids[k.0])));
    }

    /// Takes the pictures `x`, \[n, c, h, w\], forth and back, on this thread; the gradient is that of the sum over
    /// pictures.
    ///
    /// `slope` is told the number of the first picture of some, and what the network says about them; it writes the
    /// gradient of the loss over that. The conditioning has a row for each picture; where it is part of a graph of
    /// automatic differentiation, [`CompiledGradients::conditioning`] takes the way back up to its beginning.
    ///
    /// # Panics
    /// As [`UNet2D::forward`]; a network compiled for [`Convolution::Winograd`]; a conditioning with another number of rows; a network with a Fourier embedding, whose
    /// output is scaled.
    pub fn gradients(
        &self,
        x: &[f32],
        shape: [usize; 4],
        conditioning: &Conditioning,
        slope: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> CompiledGradients {
        assert!(matches!(conditioning.output_scale, OutputScale::One), "the way back starts at the last layer");
        let modulations = modulations(conditioning);
        let rows: Vec<Rows> = modulations.iter().map(Numbers::rows).collect();
        let gradients = self.network.gradients(x, shape, &rows, slope);
        let pairs = conditioning.modulations.iter().zip(gradients.modulations);
        let parts = pairs.map(|(modulation, gradient)| along(modulation, gradient));
        let conditioning = parts.reduce(|sum, part| sum + part).expect("a network has residual blocks");
        CompiledGradients { weights: self.ids.iter().copied().zip(gradients.parameters).collect(), conditioning }
    }

    /// What each layer takes for `n` pictures on one thread: the fastest of `repeats` runs.
    pub fn profile(&self, shape: [usize; 4], conditioning: &Conditioning, repeats: usize) -> Vec<ddim_cpu::Cost> {
        let modulations = modulations(conditioning);
        let rows: Vec<Rows> = modulations.iter().map(Numbers::rows).collect();
        self.network.profile(shape, &rows, repeats)
    }
}

impl std::fmt::Debug for CompiledUNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledUNet").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The sum of a modulation's numbers times those of its gradient.
fn along(modulation: &Modulation, gradient: Vec<f32>) -> Tensor<1> {
    let numbers = match modulation {
        Modulation::Shift(shift) => shift.clone(),
        Modulation::ScaleShift { scale, shift } => Tensor::cat(vec![scale.clone(), shift.clone()], 1),
    };
    let gradient = TensorData::new(gradient, numbers.shape());
    (numbers.clone() * Tensor::from_data(gradient, &numbers.device())).sum()
}

/// The numbers of a modulation, row after row: shifts, or scales and then shifts.
struct Numbers {
    values: Vec<f32>,
    rows: usize,
}

impl Numbers {
    fn rows(&self) -> Rows<'_> {
        Rows { values: &self.values, rows: self.rows }
    }
}

fn modulations(conditioning: &Conditioning) -> Vec<Numbers> {
    let numbers = |modulation: &Modulation| match modulation {
        Modulation::Shift(shift) => Numbers { rows: shift.dims()[0], values: values(shift.clone()) },
        Modulation::ScaleShift { scale, shift } => {
            let both = Tensor::cat(vec![scale.clone(), shift.clone()], 1);
            Numbers { rows: both.dims()[0], values: values(both) }
        }
    };
    conditioning.modulations.iter().map(numbers).collect()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("converted to f32")
}

/// Writes layers down, in the order in which they run.
struct Writer {
    activation: After,
    tape: Tape,
    /// Read one by one, so that a large network is not copied as a whole.
    weights: Vec<Box<dyn Fn() -> Vec<f32>>>,
    ids: Vec<ParamId>,
    modulations: usize,
}

impl Writer {
    fn new(activation: After) -> Self {
        Writer { activation, tape: Tape::default(), weights: Vec::new(), ids: Vec::new(), modulations: 0 }
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
    fn write(&self, writer: &mut Writer) {
        let config = self.config();
        let (scale, shift) = if config.center_input_sample { (2.0, -1.0) } else { (1.0, 0.0) };
        let x = writer.tape.input(config.in_channels, scale, shift);
        let x = writer.tape.spread(x, Resample::Keep, Halo::ONE);
        let mut x = writer.conv(x, &self.conv_in);
        let mut skips = vec![x];
        for block in &self.down_blocks {
            x = block.write(x, &mut skips, writer);
        }
        if let Some(block) = &self.mid_block {
            x = block.write(x, writer);
        }
        for block in &self.up_blocks {
            x = block.write(x, &mut skips, writer);
        }
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
