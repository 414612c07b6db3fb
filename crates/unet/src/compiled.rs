//! The network compiled for this machine's processor.

mod writer;

use std::borrow::Cow;
use std::collections::HashMap;

use burn::module::ParamId;
use burn::tensor::{Tensor, TensorData};
use ddim_cpu::{Activation as After, Convolution, Isa, Network, Parameter, Precision as Products, Rows};

use self::writer::Writer;
use crate::conditioning::{Conditioning, Modulation, OutputScale};
use crate::options::{Activation, SampleSize};
use crate::{Cost, Precision, UNet2D, UNet2DConfig};

/// A [`UNet2D`] with its weights packed for this machine's processor: the same numbers up to rounding, several times
/// faster than the tensor operations that it is compiled from.
///
/// Made by [`UNet2D::compile`]. It holds a copy of the weights: a network that is trained on has to be compiled anew.
pub struct CompiledUNet {
    network: Network,
    config: UNet2DConfig,
    /// The network's own parameter of each of the tape's.
    ids: Vec<ParamId>,
    /// The layer with which each block begins.
    blocks: Vec<(String, usize)>,
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
    /// `None` where it has what only the tensor operations can do: dropout, or an activation other than SiLU and ReLU; and
    /// for f16, in which processors do not multiply.
    pub fn compile(&self, convolution: Convolution, precision: Precision) -> Option<CompiledUNet> {
        let products = match precision {
            Precision::F32 => Products::F32,
            Precision::Bf16 => Products::Bf16,
            Precision::F16 => return None,
        };
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
        let network = Network::new(writer.tape, weight, Isa::detect(), convolution, products, size);
        Some(CompiledUNet { network, config: config.clone(), ids: writer.ids, blocks: writer.blocks })
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
    /// Bytes that [`forward`](Self::forward) takes at once for so many pictures of this size, besides its weights and the
    /// pictures; none for a size that it cannot take.
    pub fn memory(&self, pictures: usize, [height, width]: [usize; 2]) -> Option<u64> {
        self.network.memory([pictures, height, width])
    }

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
    /// As [`UNet2D::forward`]; a network compiled for [`Convolution::Winograd`] or in another precision than f32; a
    /// conditioning with another number of rows; a network with a Fourier embedding, whose output is scaled.
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
    pub fn profile(&self, shape: [usize; 4], conditioning: &Conditioning, repeats: usize) -> Vec<(&str, Cost)> {
        let modulations = modulations(conditioning);
        let rows: Vec<Rows> = modulations.iter().map(Numbers::rows).collect();
        let costs = self.network.profile(shape, &rows, repeats).into_iter().enumerate();
        costs.map(|(layer, cost)| (self.block(layer), cost)).collect()
    }

    /// The block that a layer belongs to.
    fn block(&self, layer: usize) -> &str {
        let begun = self.blocks.iter().rev().find(|(_, first)| *first <= layer);
        begun.map_or("", |(name, _)| name)
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
