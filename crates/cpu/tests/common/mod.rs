//! What the tests of this crate share.

#![allow(dead_code, reason = "no test uses all of it")]

use ddim_cpu::{Activation, Conv, Halo, Modulation, Norm, Order, Parameter, Part, Tape, Value};

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
