//! One forward pass.

use burn::tensor::module::{avg_pool2d, conv2d, interpolate, linear, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, InterpolateMode, InterpolateOptions, MaxPoolOptions};
use burn::tensor::{DType, Distribution, Tensor};
use ddim_graph::{
    Activation, Conv, Cut, Modulation, Norm, Operation, PixelNorm, Pool, Pooling, Resample, Value, Watched,
    positions,
};
use ddim_shaders::{GroupNorm, Size, convolve, group_norm, softmax};

use crate::conditioning::{self, Conditioning};
use crate::layer::Ready;
use crate::network::{Form, Network};
use crate::precision::{cast, dtype};
use crate::rows::activate;
use crate::weights::tensor;

/// Is told the name of a part and what came out of it.
pub(crate) type Trace<'a> = &'a mut dyn FnMut(&str, &Tensor<4>);

/// Pictures on their way through the layers.
pub(crate) struct Pass<'a> {
    network: &'a Network,
    conditioning: &'a Conditioning,
    trace: Option<Trace<'a>>,
    /// What will still be read.
    values: Vec<Option<Tensor<4>>>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(network: &'a Network, conditioning: &'a Conditioning, trace: Option<Trace<'a>>) -> Self {
        Pass { network, conditioning, trace, values: vec![None; network.graph().values()] }
    }

    /// What is kept of an earlier call is not computed.
    pub(crate) fn run(mut self, x: Tensor<4>, kept: Option<(&Cut, Tensor<4>)>) -> Tensor<4> {
        let graph = self.network.graph().clone();
        let mut input = Some(x);
        let cut = kept.map(|(cut, kept)| {
            self.values[cut.value().index()] = Some(cast(kept, self.dtype()));
            cut
        });
        for (k, layer) in graph.layers().iter().enumerate() {
            let is_needed = cut.is_none_or(|cut| cut.needed()[k]);
            if self.network.fused.layers[k].is_absorbed || !is_needed {
                continue;
            }
            let out = match &layer.operation {
                Operation::Input { scale, shift } => {
                    let x = input.take().expect("a graph has one input");
                    cast(scaled(x, *scale, *shift), self.dtype())
                }
                operation => self.layer(k, operation),
            };
            if self.trace.is_some() {
                self.report(k, &layer.operation, layer.output, &out);
            }
            self.forget(k, &layer.operation);
            self.values[layer.output.index()] = Some(out);
        }
        let out = self.values.pop().flatten().expect("the last layer writes the result");
        cast(out, DType::F32)
    }

    fn layer(&mut self, k: usize, operation: &Operation) -> Tensor<4> {
        match operation {
            Operation::Input { .. } => unreachable!("it is the first layer"),
            Operation::Resample { x, by: Resample::Double } => double(self.take(k, *x)),
            Operation::Resample { x, by: Resample::Halve } => {
                avg_pool2d(self.take(k, *x), AvgPoolOptions::new([2, 2]))
            }
            Operation::Resample { x, by: Resample::Unpatch(side) } => unpatch(self.take(k, *x), *side),
            Operation::Join { a, b } => {
                let first = if a == b { self.value(*a) } else { self.take(k, *a) };
                let second = self.take(k, *b);
                self.join(first, second)
            }
            Operation::Normalize(norm) => {
                let x = self.take(k, norm.x);
                self.normalize(k, norm, x, norm.activation)
            }
            Operation::NormalizePixels(norm) => {
                let x = self.take(k, norm.x);
                self.normalize_pixels(norm, x)
            }
            Operation::Convolve(conv) => self.convolve(k, conv),
            Operation::Attend { qkv, heads, width } => {
                let qkv = self.take(k, *qkv);
                self.attend(k, qkv, *heads, *width)
            }
            Operation::Dropout { x, rate } => {
                let x = self.take(k, *x);
                self.dropout(x, *rate)
            }
            Operation::Multiply { x, by } => {
                let out = cast(self.take(k, *x), DType::F32) * self.row(*by);
                let is_result = self.network.last_reads[k].is_none();
                if is_result { out } else { cast(out, self.dtype()) }
            }
            Operation::Gate { x, by, residual } => {
                let first = if x == residual { self.value(*x) } else { self.take(k, *x) };
                let residual = self.take(k, *residual);
                let dtype = residual.dtype();
                residual + first * cast(self.row(*by), dtype)
            }
            Operation::AddPositions { x, base } => {
                let x = self.take(k, *x);
                let ([_, channels, h, w], dtype) = (x.dims(), x.dtype());
                let table = tensor(positions(channels, [h, w], *base), [1, h, w, channels], self.network.device());
                x + cast(table.permute([0, 3, 1, 2]), dtype)
            }
            Operation::Pool(pool) => pooled(self.take(k, pool.x), pool),
            Operation::Mean { x } => mean(self.take(k, *x)),
            Operation::Activate { x, activation } => activate(*activation, self.take(k, *x)),
            Operation::Add { a, b } => {
                let first = if a == b { self.value(*a) } else { self.take(k, *a) };
                first + self.take(k, *b)
            }
        }
    }

    fn normalize(&self, k: usize, norm: &Norm, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let Ready::Norm { weight, bias } = &self.network.ready[k] else {
            unreachable!("a normalisation has weights")
        };
        // SiLU is part of the kernel.
        let (inside, behind) = match activation {
            Activation::Silu => (ddim_shaders::Activation::Silu, Activation::Identity),
            other => (ddim_shaders::Activation::Identity, other),
        };
        let shape = GroupNorm { groups: norm.groups, epsilon: norm.epsilon, activation: inside };
        let added = self.network.fused.layers[k].added.map(|added| self.row(added));
        let y = match norm.modulation.map(|modulation| &self.conditioning.modulations[modulation.index()]) {
            None => group_norm(&shape, x, added.as_ref(), weight, bias),
            // They join weight and bias before they meet the picture: s (w y + b) + t = (s w) y + (s b + t).
            Some(conditioning::Modulation::ScaleShift { scale, shift }) => {
                let weight = scale.clone() * weight.clone();
                let bias = scale.clone() * bias.clone() + shift.clone();
                group_norm(&shape, x, added.as_ref(), &weight, &bias)
            }
            Some(conditioning::Modulation::Row(_)) => {
                unreachable!("what a normalisation takes is scale and shift")
            }
        };
        activate(behind, y)
    }

    /// In f32 whatever the network computes in.
    fn normalize_pixels(&self, norm: &PixelNorm, x: Tensor<4>) -> Tensor<4> {
        let dtype = x.dtype();
        let x = cast(x, DType::F32);
        let mean = x.clone().mean_dim(1);
        let centred = x - mean;
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        let y = centred / (variance + norm.epsilon).sqrt();
        let y = match norm.modulation.map(|modulation| &self.conditioning.modulations[modulation.index()]) {
            None => y,
            Some(conditioning::Modulation::ScaleShift { scale, shift }) => y * scale.clone() + shift.clone(),
            Some(conditioning::Modulation::Row(_)) => {
                unreachable!("what a normalisation takes is scale and shift")
            }
        };
        cast(y, dtype)
    }

    fn convolve(&mut self, k: usize, conv: &Conv) -> Tensor<4> {
        let taken = &self.network.fused.layers[k];
        let from = taken.doubled.unwrap_or(conv.x);
        let residual = conv
            .residual
            .map(|residual| if residual == from { self.value(residual) } else { self.take(k, residual) });
        let size = if taken.doubled.is_some() { Size::Doubled } else { Size::Same };
        let x = self.take(k, from);
        let out = match &self.network.ready[k] {
            Ready::Same(kernels) => convolve(x, kernels, size, residual),
            Ready::Conv { weight, bias, options } => {
                let out = conv2d(x, weight.clone(), bias.clone(), options.clone());
                sum(out, residual)
            }
            Ready::Linear { weight, bias } => {
                let [batch, channels, height, width] = x.dims();
                // On a GPU the channels of a pixel lie side by side, and this changes nothing there.
                let pixels = x.permute([0, 2, 3, 1]).reshape([batch, height * width, channels]);
                let out = linear(pixels, weight.clone(), bias.clone());
                let to = out.dims()[2];
                sum(out.reshape([batch, height, width, to]).permute([0, 3, 1, 2]), residual)
            }
            _ => unreachable!("a convolution has weights"),
        };
        let out = match conv.shift.filter(|_| !taken.leaves_shift) {
            Some(shift) => {
                let dtype = out.dtype();
                out + cast(self.row(shift), dtype)
            }
            None => out,
        };
        if conv.scale == 1.0 { out } else { out * conv.scale }
    }

    fn attend(&self, k: usize, qkv: Tensor<4>, heads: usize, width: usize) -> Tensor<4> {
        let Ready::Attend { root } = self.network.ready[k] else { unreachable!("attention knows its scale") };
        let [batch, channels, rows, columns] = qkv.dims();
        let pixels = rows * columns;
        let all = qkv.permute([0, 2, 3, 1]).reshape([batch, pixels, channels]);
        let all = all.reshape([batch, pixels, 3 * heads, width]).swap_dims(1, 2);
        let [q, k, v] = [0, 1, 2].map(|part| all.clone().slice_dim(1, part * heads..(part + 1) * heads));
        let q = if root == 1.0 { q } else { q / root };
        let attended = softmax(q.matmul(k.transpose())).matmul(v);
        let attended = attended.swap_dims(1, 2).reshape([batch, rows, columns, heads * width]);
        attended.permute([0, 3, 1, 2])
    }

    fn join(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
        match self.network.form {
            // Channels innermost, as convolutions on a GPU leave and take them.
            Form::Prepared(_) => {
                let [a, b] = [a, b].map(|features| features.permute([0, 2, 3, 1]));
                Tensor::cat(vec![a, b], 3).permute([0, 3, 1, 2])
            }
            Form::Plain(_) | Form::Trained => Tensor::cat(vec![a, b], 1),
        }
    }

    fn dropout(&self, x: Tensor<4>, rate: f64) -> Tensor<4> {
        match self.network.form {
            Form::Trained => {
                let kept = x.random_like(Distribution::Bernoulli(1.0 - rate));
                x * kept * (1.0 / (1.0 - rate))
            }
            Form::Plain(_) | Form::Prepared(_) => x,
        }
    }

    /// A value for layer `k`, which lets go of it if no other reads it: what has one owner is computed on in
    /// place.
    fn take(&mut self, k: usize, value: Value) -> Tensor<4> {
        // Whoever observes may want to see it once more.
        if self.trace.is_some() || self.network.last_reads[value.index()] != Some(k) {
            return self.value(value);
        }
        self.values[value.index()].take().expect("a value is written before it is read")
    }

    fn value(&self, value: Value) -> Tensor<4> {
        self.values[value.index()].clone().expect("a value is written before it is read")
    }

    /// The numbers of a modulation, \[rows, channels, 1, 1\].
    fn row(&self, modulation: Modulation) -> Tensor<4> {
        match &self.conditioning.modulations[modulation.index()] {
            conditioning::Modulation::Row(row) => row.clone(),
            conditioning::Modulation::ScaleShift { scale, shift } => {
                Tensor::cat(vec![scale.clone(), shift.clone()], 1)
            }
        }
    }

    fn dtype(&self) -> DType {
        dtype(self.network.form.precision()).into()
    }

    /// Tells what was seen of a layer.
    fn report(&mut self, k: usize, operation: &Operation, output: Value, out: &Tensor<4>) {
        for point in self.network.graph().points() {
            let seen = match (point.watched, operation) {
                (Watched::Value(value), _) if value == output => out.clone(),
                (Watched::BeforeActivation(value), Operation::Normalize(norm)) if value == output => {
                    self.normalize(k, norm, self.value(norm.x), Activation::Identity)
                }
                _ => continue,
            };
            if let Some(trace) = &mut self.trace {
                trace(&point.name, &cast(seen, DType::F32));
            }
        }
    }

    /// Lets go of what nobody reads any more.
    fn forget(&mut self, k: usize, operation: &Operation) {
        let network = self.network;
        let reads = operation.reads().chain(network.fused.layers[k].doubled);
        for value in reads.filter(|value| network.last_reads[value.index()].is_none_or(|last| last <= k)) {
            self.values[value.index()] = None;
        }
    }
}

fn sum(x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
    match residual {
        Some(residual) => x + residual,
        None => x,
    }
}

fn scaled(x: Tensor<4>, scale: f64, shift: f64) -> Tensor<4> {
    let x = if scale == 1.0 { x } else { x * scale };
    if shift == 0.0 { x } else { x + shift }
}

/// Each pixel four times: \[n, c, h, w\] to \[n, c, 2h, 2w\].
fn double(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]))
}

/// The channels of each pixel as a square: \[n, side side c, h, w\] to \[n, c, side h, side w\].
fn unpatch(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [n, channels, h, w] = x.dims();
    let c = channels / (side * side);
    let apart: Tensor<6> = x.reshape([n, side, side, c, h, w]);
    apart.permute([0, 3, 4, 1, 5, 2]).reshape([n, c, side * h, side * w])
}

/// The maximum or the mean of the pixels of each window, without those that are not there.
fn pooled(x: Tensor<4>, &Pool { by, side, stride, border, .. }: &Pool) -> Tensor<4> {
    let ([side, stride], padding) = ([[side; 2], [stride; 2]], [border; 2]);
    match by {
        Pooling::Maximum => max_pool2d(x, MaxPoolOptions::new(side).with_stride(stride).with_padding(padding)),
        Pooling::Mean => {
            let options = AvgPoolOptions::new(side).with_stride(stride).with_padding(padding);
            avg_pool2d(x, options.with_count_include_pad(false))
        }
    }
}

/// Over all pixels, in f32: \[n, c, h, w\] to \[n, c, 1, 1\].
fn mean(x: Tensor<4>) -> Tensor<4> {
    let ([n, channels, height, width], dtype) = (x.dims(), x.dtype());
    let pixels = cast(x, DType::F32).reshape([n, channels, height * width, 1]);
    cast(pixels.mean_dim(2), dtype)
}
