//! Encoder and decoder of `AutoencoderKL` and `VQModel`, written down once (Esser et al. 2021, arXiv:2012.09841,
//! table 7).

use ddim_graph::{Activation, Border, Builder, Convolution, Graph, Resample, Value};

use crate::blocks::Levels;
use crate::{DownBlockType, UpBlockType};

/// Added to each variance.
const EPSILON: f64 = 1e-6;

/// What goes in and comes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Channels that come in.
    pub(crate) from: usize,
    /// Channels between the network and its projection, which is nearer to the latents.
    pub(crate) inner: usize,
    /// Channels that go out.
    pub(crate) to: usize,
    /// Whether a convolution of one pixel lies between the network and the latents.
    pub(crate) is_projected: bool,
}

/// From pictures to what describes their latents.
pub(crate) fn encoder(levels: &Levels, ends: Ends) -> Graph {
    let mut writer = Writer { levels, graph: Builder::new(), part: "encoder" };
    let x = writer.graph.input(ends.from);
    let mut x = writer.convolve(x, "conv_in", levels.channels[0]);
    for (level, kind) in levels.down.iter().enumerate() {
        x = writer.down_block(x, level, *kind);
    }
    let x = writer.middle(x);
    let x = writer.out(x, ends.inner);
    let x = if ends.is_projected { writer.project(x, "quant_conv", ends.to) } else { x };
    writer.graph.finish(x)
}

/// From latents to pictures.
pub(crate) fn decoder(levels: &Levels, ends: Ends) -> Graph {
    let mut writer = Writer { levels, graph: Builder::new(), part: "decoder" };
    let x = writer.graph.input(ends.from);
    let x = if ends.is_projected { writer.project(x, "post_quant_conv", ends.inner) } else { x };
    let coarsest = levels.channels[levels.channels.len() - 1];
    let x = writer.convolve(x, "conv_in", coarsest);
    let mut x = writer.middle(x);
    for (index, kind) in levels.up.iter().enumerate() {
        x = writer.up_block(x, index, *kind);
    }
    let x = writer.out(x, ends.to);
    writer.graph.finish(x)
}

/// Writes the layers down, in the order in which they run.
struct Writer<'a> {
    levels: &'a Levels<'a>,
    graph: Builder,
    /// What the names of its parameters begin with.
    part: &'static str,
}

impl Writer<'_> {
    /// The block of level `level`, 0 being the finest.
    fn down_block(&mut self, mut x: Value, level: usize, kind: DownBlockType) -> Value {
        let name = self.block(&format!("down_blocks.{level}"));
        for layer in 0..self.levels.layers {
            x = self.residual(x, &format!("{name}.resnets.{layer}"), self.levels.channels[level]);
            if kind == DownBlockType::Attention {
                x = self.attention(x, &format!("{name}.attentions.{layer}"));
            }
        }
        if level + 1 < self.levels.channels.len() {
            let halved = format!("{name}.downsamplers.0");
            // One row below and one column to the right, as in the DDPM code.
            let conv = Convolution::new(format!("{halved}.conv"), self.graph.channels(x)).kernel(3);
            x = self.graph.convolve(x, conv.stride(2).border(Border::behind(1)));
            self.graph.observe(halved, x);
        }
        self.graph.observe(name, x);
        x
    }

    fn middle(&mut self, x: Value) -> Value {
        let name = self.block("mid_block");
        let channels = self.graph.channels(x);
        let mut x = self.residual(x, &format!("{name}.resnets.0"), channels);
        if self.levels.mid_attention {
            x = self.attention(x, &format!("{name}.attentions.0"));
        }
        let x = self.residual(x, &format!("{name}.resnets.1"), channels);
        self.graph.observe(name, x);
        x
    }

    /// The `index`-th block of a decoder, 0 being the coarsest.
    fn up_block(&mut self, mut x: Value, index: usize, kind: UpBlockType) -> Value {
        let name = self.block(&format!("up_blocks.{index}"));
        let level = self.levels.channels.len() - 1 - index;
        for layer in 0..=self.levels.layers {
            x = self.residual(x, &format!("{name}.resnets.{layer}"), self.levels.channels[level]);
            if kind == UpBlockType::Attention {
                x = self.attention(x, &format!("{name}.attentions.{layer}"));
            }
        }
        if level > 0 {
            let doubled = format!("{name}.upsamplers.0");
            x = self.graph.resample(x, Resample::Double);
            let channels = self.graph.channels(x);
            x = self.graph.convolve(x, conv3x3(format!("{doubled}.conv"), channels));
            self.graph.observe(doubled, x);
        }
        self.graph.observe(name, x);
        x
    }

    /// shortcut(x) + conv2(act(norm2(conv1(act(norm1(x)))))).
    fn residual(&mut self, x: Value, name: &str, to: usize) -> Value {
        let activation = self.levels.activation.into();
        let h = self.normalize(x, &format!("{name}.norm1"), activation);
        let h = self.graph.convolve(h, conv3x3(format!("{name}.conv1"), to));
        let h = self.normalize(h, &format!("{name}.norm2"), activation);
        let shortcut = match self.graph.channels(x) == to {
            true => x,
            false => self.graph.convolve(x, Convolution::new(format!("{name}.conv_shortcut"), to)),
        };
        let x = self.graph.convolve(h, conv3x3(format!("{name}.conv2"), to).residual(shortcut));
        self.graph.observe(name, x);
        x
    }

    /// x + to_out(attention of to_q, to_k and to_v of the normalised x): one head of all channels.
    fn attention(&mut self, x: Value, name: &str) -> Value {
        let channels = self.graph.channels(x);
        let h = self.normalize(x, &format!("{name}.group_norm"), Activation::Identity);
        let inner = ["to_q", "to_k", "to_v"].map(|part| (format!("{name}.{part}"), channels));
        let qkv = self.graph.convolve(h, Convolution::linear(inner));
        let attended = self.graph.attend(qkv, 1, channels);
        let out = Convolution::linear([(format!("{name}.to_out.0"), channels)]);
        let x = self.graph.convolve(attended, out.residual(x));
        self.graph.observe(name, x);
        x
    }

    /// Normalisation, SiLU whatever the others are, and the last convolution.
    fn out(&mut self, x: Value, to: usize) -> Value {
        let name = format!("{}.conv_norm_out", self.part);
        self.graph.block(&name);
        let x = self.normalize(x, &name, Activation::Silu);
        self.graph.observe_before_activation(name, x);
        self.convolve(x, "conv_out", to)
    }

    fn convolve(&mut self, x: Value, name: &str, to: usize) -> Value {
        let name = self.block(name);
        let x = self.graph.convolve(x, conv3x3(name.clone(), to));
        self.graph.observe(name, x);
        x
    }

    fn project(&mut self, x: Value, name: &str, to: usize) -> Value {
        self.graph.block(name);
        let x = self.graph.convolve(x, Convolution::new(name, to));
        self.graph.observe(name, x);
        x
    }

    fn normalize(&mut self, x: Value, name: &str, activation: Activation) -> Value {
        self.graph.normalize(x, name, self.levels.groups, EPSILON, None, activation)
    }

    /// Begins a block of the part, and gives its whole name.
    fn block(&mut self, name: &str) -> String {
        let name = format!("{}.{name}", self.part);
        self.graph.block(&name);
        name
    }
}

/// A 3x3 convolution that keeps the size.
fn conv3x3(name: String, to: usize) -> Convolution {
    Convolution::new(name, to).kernel(3).border(Border::even(1))
}
