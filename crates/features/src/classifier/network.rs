//! The network: a few convolutions of stride 2, each with a residual one behind it.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use super::ClassifierConfig;

/// The weights of a classifier.
#[derive(Module, Debug)]
pub struct ClassifierNetwork {
    stages: Vec<Stage>,
    features: Linear,
    logits: Linear,
}

/// What the network makes of a batch of n pictures.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The map of the last stage but one, or of the only one: \[n, channels, height, width\].
    pub map: Tensor<4>,
    /// \[n, features\], before the activation: nearer to a normal distribution than behind it.
    pub features: Tensor<2>,
    /// \[n, classes\]; their softmax are the probabilities.
    pub logits: Tensor<2>,
}

/// y = act(norm(conv(x))) at half the resolution, then y + act(norm(conv(y))).
#[derive(Module, Debug)]
struct Stage {
    down: Conv2d,
    down_norm: GroupNorm,
    same: Conv2d,
    same_norm: GroupNorm,
}

impl ClassifierNetwork {
    /// A network with random weights.
    pub(super) fn new(config: &ClassifierConfig, device: &Device) -> Self {
        let shape = &config.network;
        let inputs = std::iter::once(config.channels).chain(shape.widths.iter().copied());
        let stages = inputs.zip(&shape.widths).map(|(from, to)| Stage::new(from, *to, shape.norm_groups, device));
        let last = *shape.widths.last().expect("a checked configuration has a stage");
        ClassifierNetwork {
            stages: stages.collect(),
            features: LinearConfig::new(last, shape.features).init(device),
            logits: LinearConfig::new(shape.features, config.classes.len()).init(device),
        }
    }

    /// Looks at pictures \[n, channels, height, width\] with values from -1 to 1.
    pub fn forward(&self, x: Tensor<4>) -> Seen {
        let (last, before) = self.stages.split_last().expect("a checked configuration has a stage");
        let map = before.iter().fold(x, |x, stage| stage.forward(x));
        let x = last.forward(map.clone());
        let map = if before.is_empty() { x.clone() } else { map };
        let [n, channels, height, width] = x.dims();
        let pooled = x.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels]);
        let features = self.features.forward(pooled);
        let logits = self.logits.forward(silu(features.clone()));
        Seen { map, features, logits }
    }
}

impl Stage {
    fn new(from: usize, to: usize, groups: usize, device: &Device) -> Self {
        let norm = || GroupNormConfig::new(groups, to).init(device);
        let conv = |from, stride| {
            let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
            Conv2dConfig::new([from, to], [3, 3]).with_stride([stride; 2]).with_padding(padding).init(device)
        };
        Stage { down: conv(from, 2), down_norm: norm(), same: conv(to, 1), same_norm: norm() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = silu(self.down_norm.forward(self.down.forward(x)));
        y.clone() + silu(self.same_norm.forward(self.same.forward(y)))
    }
}
