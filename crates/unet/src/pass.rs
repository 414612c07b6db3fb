//! What travels through the blocks during one forward pass.

use crate::conditioning::{Conditioning, Modulation};
use burn::tensor::Tensor;
use std::fmt::Arguments;
use std::slice::Iter;

/// The state of one forward pass beside the features: modulations still to come, features kept for the way up, and
/// whoever watches.
pub(crate) struct Pass<'a> {
    modulations: Iter<'a, Modulation>,
    skips: Vec<Tensor<4>>,
    observe: Observer<'a>,
}

/// Is told the name of a part and what came out of it.
pub(crate) type Observer<'a> = &'a mut dyn FnMut(Arguments, &Tensor<4>);

impl<'a> Pass<'a> {
    pub(crate) fn new(conditioning: &'a Conditioning, observe: Observer<'a>) -> Self {
        Pass { modulations: conditioning.modulations.iter(), skips: Vec::new(), observe }
    }

    /// The modulation of the next residual block.
    pub(crate) fn modulation(&mut self) -> &'a Modulation {
        self.modulations
            .next()
            .expect("a conditioning made by this network has a modulation for each residual block")
    }

    /// Keeps features for the way up.
    pub(crate) fn keep(&mut self, x: &Tensor<4>) {
        self.skips.push(x.clone());
    }

    /// Puts the features kept last behind the channels of `x`.
    pub(crate) fn join(&mut self, x: Tensor<4>) -> Tensor<4> {
        let skip = self.skips.pop().expect("the way up takes as many features as the way down kept");
        Tensor::cat(vec![x, skip], 1)
    }

    /// Reports what came out of a part.
    pub(crate) fn report(&mut self, part: Arguments, x: &Tensor<4>) {
        (self.observe)(part, x);
    }
}
