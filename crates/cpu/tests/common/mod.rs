//! What the tests of this crate share.

#![allow(dead_code, reason = "no test uses all of it")]

use std::borrow::Cow;

use ddim_cpu::{
    Activation, Conv, Convolution, Halo, Isa, Modulation, Network, Norm, Order, Parameter, Part, Precision,
    Resample, Rows, Tape, Value,
};

/// Numbers in (-1, 1) that look random and are the same on every machine.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 23) as f32) - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A tape with the sizes of its parameters and the widths of its modulations.
#[derive(Default)]
pub(crate) struct Case {
    pub(crate) tape: Tape,
    pub(crate) sizes: Vec<usize>,
    pub(crate) widths: Vec<usize>,
}

impl Case {
    pub(crate) fn parameter(&mut self, size: usize) -> Parameter {
        self.sizes.push(size);
        Parameter(self.sizes.len() - 1)
    }

    pub(crate) fn modulation(&mut self, width: usize) -> Modulation {
        self.widths.push(width);
        Modulation(self.widths.len() - 1)
    }

    pub(crate) fn conv(&mut self, x: Value, to: usize, kernel: usize, stride: usize) -> Conv {
        let from = self.tape.channels(x);
        let weight = self.parameter(to * from * kernel * kernel);
        let bias = Some(self.parameter(to));
        Conv { kernel, stride, from, parts: vec![Part { to, weight, order: Order::OutIn, bias }] }
    }

    pub(crate) fn norm(
        &mut self,
        x: Value,
        groups: usize,
        activation: Activation,
        modulated: bool,
        halo: Halo,
    ) -> Value {
        let channels = self.tape.channels(x);
        let modulation = modulated.then(|| self.modulation(2 * channels));
        let (gamma, beta) = (self.parameter(channels), self.parameter(channels));
        self.tape.norm(x, Norm { groups, eps: 1e-5, gamma, beta, modulation, activation }, halo)
    }

    pub(crate) fn plain(&mut self, x: Value, to: usize, kernel: usize, stride: usize, scale: f32) -> Value {
        let conv = self.conv(x, to, kernel, stride);
        self.tape.conv(x, conv, None, None, scale)
    }
}

/// Each instruction set with each of some.
pub(crate) fn each_isa<T: Copy, const N: usize>(some: [T; N]) -> impl Iterator<Item = (Isa, T)> {
    Isa::available().into_iter().flat_map(move |isa| some.map(|one| (isa, one)))
}

/// Convolutions, a normalisation and attention, with channels that nothing divides; fit for a single pixel.
pub(crate) fn odd() -> Case {
    let mut case = Case::default();
    let input = case.tape.input(3, 2.0, -1.0);
    let x = case.tape.spread(input, Resample::Keep, Halo::ONE);
    let first = case.plain(x, 13, 3, 1, 1.0);
    let x = case.norm(first, 13, Activation::Silu, true, Halo::ONE);
    let conv = case.conv(x, 13, 3, 1);
    let shift = case.modulation(13);
    let x = case.tape.conv(x, conv, Some(shift), Some(first), 0.7);
    let y = case.norm(x, 1, Activation::Identity, false, Halo::NONE);
    let weights = [(); 3].map(|()| (case.parameter(13 * 15), Some(case.parameter(15))));
    let parts = weights.map(|(weight, bias)| Part { to: 15, weight, order: Order::InOut, bias }).to_vec();
    let qkv = case.tape.conv(y, Conv { kernel: 1, stride: 1, from: 13, parts }, None, None, 1.0);
    let y = case.tape.attend(qkv, 3, 5);
    let y = case.plain(y, 37, 1, 1, 1.0);
    let y = case.tape.spread(y, Resample::Keep, Halo::ONE);
    let y = case.plain(y, 11, 3, 1, 1.0);
    let y = case.tape.spread(y, Resample::Keep, Halo::ONE);
    case.plain(y, 3, 3, 2, 1.0);
    case
}

/// The network with small numbers for weights: what layers give is near 1.
pub(crate) fn network(
    case: &Case,
    isa: Isa,
    convolution: Convolution,
    precision: Precision,
    size: [usize; 2],
) -> Network {
    let weight = |k: Parameter| -> Cow<[f32]> {
        numbers(case.sizes[k.0], 10 + k.0 as u64).iter().map(|x| 0.3 * x).collect()
    };
    Network::new(case.tape.clone(), weight, isa, convolution, precision, size)
}

/// What it says about `n` pictures, picture `first + k` with the modulation of its number.
pub(crate) fn run(case: &Case, network: &Network, first: usize, n: usize, [h, w]: [usize; 2]) -> Vec<f32> {
    let x = numbers((first + n) * 3 * h * w, 1);
    let values = |(k, width): (u64, &usize)| numbers((first + n) * width, 90 + k)[first * width..].to_vec();
    let modulations: Vec<Vec<f32>> = (0..).zip(&case.widths).map(values).collect();
    let rows: Vec<Rows> = modulations.iter().map(|values| Rows { values, rows: n }).collect();
    network.forward(&x[first * 3 * h * w..], [n, 3, h, w], &rows)
}
