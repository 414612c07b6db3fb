//! What travels through the blocks during one forward pass.

use crate::attention::Attention;
use crate::conditioning::{Conditioning, Modulation};
use crate::prepared::Prepared;
use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use ddim_shaders::{Kernels, Size, convolve};
use std::borrow::Cow;
use std::fmt::Arguments;
use std::slice::Iter;

/// The state of one forward pass beside the features: modulations still to come, features kept for the way up,
/// what was made of the weights, and whoever watches.
pub(crate) struct Pass<'a> {
    modulations: Iter<'a, Modulation>,
    skips: Vec<Tensor<4>>,
    /// For a GPU.
    prepared: Option<&'a Prepared>,
    observer: Option<Observer<'a>>,
}

/// Is told the name of a part and what came out of it.
pub(crate) type Observer<'a> = &'a mut dyn FnMut(Arguments, &Tensor<4>);

impl<'a> Pass<'a> {
    pub(crate) fn new(
        conditioning: &'a Conditioning,
        prepared: Option<&'a Prepared>,
        observer: Option<Observer<'a>>,
    ) -> Self {
        Pass { modulations: conditioning.modulations.iter(), skips: Vec::new(), prepared, observer }
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
        if self.prepared.is_none() {
            return Tensor::cat(vec![x, skip], 1);
        }
        // Channels innermost, as convolutions on a GPU leave and take them.
        let [x, skip] = [x, skip].map(|features| features.permute([0, 2, 3, 1]));
        Tensor::cat(vec![x, skip], 3).permute([0, 3, 1, 2])
    }

    /// A 3x3 convolution that keeps the size.
    pub(crate) fn convolve(&self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        convolve(x, &self.kernels(conv), Size::Same, None)
    }

    /// The same, added to `sum`.
    pub(crate) fn convolve_onto(&self, sum: Tensor<4>, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        convolve(x, &self.kernels(conv), Size::Same, Some(sum))
    }

    /// Doubles the resolution, then convolves.
    pub(crate) fn convolve_doubled(&self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        convolve(x, &self.kernels(conv), Size::Doubled, None)
    }

    /// What was made of the weights, or what a network that is trained holds.
    fn kernels(&self, conv: &Conv2d) -> Cow<'a, Kernels> {
        match self.prepared {
            Some(prepared) => Cow::Borrowed(prepared.kernels(conv)),
            None => Cow::Owned(Kernels::plain(conv.weight.val(), conv.bias.as_ref().map(Param::val))),
        }
    }

    /// q, k and v of an attention in one, if they were joined.
    pub(crate) fn projection(&self, attention: &Attention) -> Option<&'a Linear> {
        self.prepared?.projection(attention)
    }

    /// Reports what came out of a part.
    pub(crate) fn report(&mut self, part: Arguments, x: &Tensor<4>) {
        if let Some(observe) = &mut self.observer {
            observe(part, x);
        }
    }

    /// Reports what a part would give that is not computed by itself.
    pub(crate) fn report_extra(&mut self, part: Arguments, x: impl FnOnce() -> Tensor<4>) {
        if let Some(observe) = &mut self.observer {
            observe(part, &x());
        }
    }
}
