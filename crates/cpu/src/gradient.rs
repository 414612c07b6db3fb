//! The way back: gradients of weights and modulations.

mod conv;
mod norm;
mod way;

use crate::isa::Isa;
use crate::kernel::{Kernel, Weights};
use crate::network::{Convolution, Network, Precision, Rows};
use crate::plan::{Keep, Plan};
use crate::product::{Packed, Split};
use crate::run::{Memory, Run};
use crate::tape::{Conv, Layer, Parameter, Work};
use way::{BackRoom, Way};

/// What a batch says about each number that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// As the parameters that [`Network::load`] was given.
    pub parameters: Vec<Vec<f32>>,
    /// As the modulations, a row a picture.
    pub modulations: Vec<Vec<f32>>,
}

/// Pictures that go forth and back together: few, so that what the way back needs is still in the cache.
const TOGETHER: usize = 2;

impl Network {
    /// Takes `x`, \[n, c, h, w\], through the network and back, on this thread.
    ///
    /// `slope` is told the number of the first picture of some, and their results \[k, c, h, w\]; it writes the
    /// gradient of the loss over them. Modulations have a row for each picture. Gradients are those of the sum over
    /// pictures.
    ///
    /// # Panics
    /// A network that was made for [`Convolution::Winograd`] or [`Precision::Bf16`]; values that are not of the shape;
    /// modulations of other widths than the tape says, or with another number of rows; pictures as in
    /// [`Network::forward`].
    pub fn gradients(
        &self,
        x: &[f32],
        [n, c, h, w]: [usize; 4],
        modulations: &[Rows],
        mut slope: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> Gradients {
        let made_for = (self.convolution, self.precision);
        let as_they_are = (Convolution::Direct, Precision::F32);
        assert_eq!(made_for, as_they_are, "the way back needs the weights as they are");
        self.check(x, [n, c, h, w], modulations);
        assert!(modulations.iter().all(|rows| rows.rows == n), "a row of each modulation for each picture");
        let back = Back::new(self);
        let mut sums = Sums::new(self, modulations);
        let (mut memory, mut room) = (Memory::default(), BackRoom::default());
        let mut plans: Option<(Plan, Plan)> = None;
        for first in (0..n).step_by(TOGETHER) {
            let pictures = TOGETHER.min(n - first);
            if plans.as_ref().is_none_or(|plans| plans.0.pictures != pictures) {
                let plan = Plan::new(&self.tape, pictures, [h, w], Keep::All);
                let slopes = plan.without_halos();
                plans = Some((plan, slopes));
            }
            let Some((plan, slopes)) = &plans else { unreachable!("made above") };
            let run = Run { network: self, plan, split: Split::Never, first, modulations };
            let last = &plan.layouts[plan.layouts.len() - 1];
            let len = last.channels * last.pixels();
            let mut out = vec![0.0; pictures * len];
            run.forward(&x[first * c * h * w..][..pictures * c * h * w], &mut memory, &mut out);
            let mut d_out = vec![0.0; out.len()];
            slope(first, &out, &mut d_out);
            let way = Way { back: &back, run: &run, slopes };
            way.back(&d_out, &mut memory, &mut room, &mut sums);
        }
        sums.finish(self)
    }
}

/// What the way back knows of a network.
struct Back {
    /// For each convolution, its weights with inputs and outputs exchanged and the kernel turned round.
    weights: Vec<Packed>,
}

/// Sums over pictures.
struct Sums {
    /// Of each layer: the right matrix of a convolution and then its bias, or gamma and beta.
    layers: Vec<Vec<f32>>,
    modulations: Vec<Vec<f32>>,
}

impl Back {
    fn new(network: &Network) -> Self {
        let kernels = network.tape.layers.iter().zip(&network.kernels);
        let weights = kernels.map(|(layer, kernel)| match (&layer.work, kernel) {
            (Work::Conv { conv, .. }, Some(Kernel::Floats(Weights::Direct(packed)))) => {
                turned(network.isa, conv, packed)
            }
            _ => Packed::default(),
        });
        Back { weights: weights.collect() }
    }
}

/// \[kernel turned round * out, in\] from \[kernel * in, out\].
fn turned(isa: Isa, conv: &Conv, packed: &Packed) -> Packed {
    let (to, taps) = (conv.to(), conv.kernel * conv.kernel);
    let plain = packed.plain();
    Packed::new(isa, [taps * to, conv.from], |place, column| {
        let (tap, out) = (place / to, place % to);
        plain[((taps - 1 - tap) * conv.from + column) * to + out]
    })
}

impl Sums {
    fn new(network: &Network, modulations: &[Rows]) -> Self {
        let layer = |layer: &Layer| match &layer.work {
            Work::Norm { x, .. } => vec![0.0; 2 * network.tape.channels(*x)],
            // The matrix, and the bias as its last row.
            Work::Conv { conv, .. } => vec![0.0; (conv.places() + 1) * conv.to()],
            _ => Vec::new(),
        };
        Sums {
            layers: network.tape.layers.iter().map(layer).collect(),
            modulations: modulations.iter().map(|rows| vec![0.0; rows.values.len()]).collect(),
        }
    }

    /// From the order of the layers to that of the parameters.
    fn finish(self, network: &Network) -> Gradients {
        let count = network.tape.parameters();
        let mut parameters = vec![Vec::new(); count];
        for (layer, sums) in network.tape.layers.iter().zip(&self.layers) {
            match &layer.work {
                Work::Norm { norm, .. } => {
                    let (gamma, beta) = sums.split_at(sums.len() / 2);
                    add(&mut parameters[norm.gamma.0], gamma);
                    add(&mut parameters[norm.beta.0], beta);
                }
                Work::Conv { conv, .. } => unpack(conv, sums, &mut parameters),
                _ => {}
            }
        }
        Gradients { parameters, modulations: self.modulations }
    }
}

fn add(total: &mut Vec<f32>, part: &[f32]) {
    total.resize(part.len(), 0.0);
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

fn unpack(conv: &Conv, sums: &[f32], parameters: &mut [Vec<f32>]) {
    let (to, taps) = (conv.to(), conv.kernel * conv.kernel);
    let (weights, bias) = sums.split_at(conv.places() * to);
    let mut first = 0;
    for part in &conv.parts {
        let mut weight = vec![0.0; part.to * conv.places()];
        for (place, row) in weights.chunks_exact(to).enumerate() {
            let (tap, channel) = (place / conv.from, place % conv.from);
            for column in 0..part.to {
                weight[part.at(column, channel, tap, conv.from, taps)] = row[first + column];
            }
        }
        add(&mut parameters[part.weight.0], &weight);
        if let Some(Parameter(place)) = part.bias {
            add(&mut parameters[place], &bias[first..first + part.to]);
        }
        first += part.to;
    }
}
