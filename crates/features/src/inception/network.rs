//! How the blocks follow each other.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ddim_checkpoint::{CheckpointError, Slot, Weights};

use super::Logits;
use super::blocks::{BlockA, BlockB, BlockC, BlockD, BlockE, Pool, Unit, halve};
use super::source::Source;

/// All weights, batch normalisation folded into them.
#[derive(Module, Debug)]
pub(super) struct Network {
    stem: Vec<Unit>,
    wide: Vec<BlockA>,
    to_middle: BlockB,
    middle: Vec<BlockC>,
    to_narrow: BlockD,
    narrow: Vec<BlockE>,
    /// \[1008, 2048\].
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// What the network makes of n pictures.
pub(super) struct Outputs {
    /// \[n, 17 * 17 * 7\], channels innermost, as TensorFlow lays them out.
    pub(super) spatial: Tensor<2>,
    /// \[n, 2048\].
    pub(super) pooled: Tensor<2>,
}

const ARCHITECTURE: &str = "the Inception-v3 of 2015-12-05 in the layout of pytorch-fid or torch-fidelity";

const CLASSES: usize = 1008;

/// Channels of the map that sFID takes.
const SPATIAL: usize = 7;

impl Network {
    /// The network of a file, which must hold its tensors and no others. PyTorch's count of the batches that a
    /// normalisation has seen means nothing here, and may be there or not.
    pub(super) fn read(weights: &Weights, device: &Device) -> Result<Self, CheckpointError> {
        let slots = Self::slots(device)?;
        weights.expect(ARCHITECTURE, &slots, |name| name.ends_with(".bn.num_batches_tracked"))?;
        Self::new(&mut Source::file(weights, device))
    }

    /// Every tensor of the network.
    pub(super) fn slots(device: &Device) -> Result<Vec<Slot>, CheckpointError> {
        let mut listing = Source::listing(device);
        Self::new(&mut listing)?;
        Ok(listing.slots)
    }

    fn new(source: &mut Source) -> Result<Self, CheckpointError> {
        Ok(Network {
            stem: vec![
                source.valid("Conv2d_1a_3x3", [3, 32], 2)?,
                source.valid("Conv2d_2a_3x3", [32, 32], 1)?,
                source.same("Conv2d_2b_3x3", [32, 64], [3, 3])?,
                source.same("Conv2d_3b_1x1", [64, 80], [1, 1])?,
                source.valid("Conv2d_4a_3x3", [80, 192], 1)?,
            ],
            wide: vec![
                BlockA::new(source, "Mixed_5b", 192, 32)?,
                BlockA::new(source, "Mixed_5c", 256, 64)?,
                BlockA::new(source, "Mixed_5d", 288, 64)?,
            ],
            to_middle: BlockB::new(source, "Mixed_6a", 288)?,
            middle: vec![
                BlockC::new(source, "Mixed_6b", 128)?,
                BlockC::new(source, "Mixed_6c", 160)?,
                BlockC::new(source, "Mixed_6d", 160)?,
                BlockC::new(source, "Mixed_6e", 192)?,
            ],
            to_narrow: BlockD::new(source, "Mixed_7a")?,
            narrow: vec![BlockE::new(source, "Mixed_7b", 1280)?, BlockE::new(source, "Mixed_7c", 2048)?],
            weight: source.tensor("fc.weight", [CLASSES, 2048])?,
            bias: source.tensor("fc.bias", [CLASSES])?,
        })
    }

    /// From \[n, 3, 299, 299\]; `look` is shown what each layer of that name gives.
    pub(super) fn forward(&self, x: Tensor<4>, mut look: impl FnMut(&str, &Tensor<4>)) -> Outputs {
        let mut seen = |name: &str, x: Tensor<4>| {
            look(name, &x);
            x
        };
        let [conv1a, conv2a, conv2b, conv3b, conv4a] = self.stem.as_slice() else { unreachable!("five units") };
        let x = seen("Conv2d_1a_3x3", conv1a.forward(x));
        let x = seen("Conv2d_2a_3x3", conv2a.forward(x));
        let x = halve(seen("Conv2d_2b_3x3", conv2b.forward(x)));
        let x = seen("Conv2d_3b_1x1", conv3b.forward(x));
        let x = halve(seen("Conv2d_4a_3x3", conv4a.forward(x)));
        let wide = self.wide.iter().zip(["Mixed_5b", "Mixed_5c", "Mixed_5d"]);
        let x = wide.fold(x, |x, (block, name)| seen(name, block.forward(x)));
        let x = seen("Mixed_6a", self.to_middle.forward(x));
        let [b, c, d, e] = self.middle.as_slice() else { unreachable!("four blocks") };
        let x = seen("Mixed_6b", b.forward(x));
        let x = seen("Mixed_6c", c.forward(x));
        let x = seen("Mixed_6d", d.forward(x));
        // The first branch of this block, which lies in front, is TensorFlow's mixed_6/conv.
        let spatial = x.clone().slice_dim(1, 0..SPATIAL).permute([0, 2, 3, 1]).flatten(1, 3);
        let x = seen("Mixed_6e", e.forward(x));
        let x = seen("Mixed_7a", self.to_narrow.forward(x));
        let [first, last] = self.narrow.as_slice() else { unreachable!("two blocks") };
        let x = seen("Mixed_7b", first.forward(x, Pool::Average));
        let x = seen("Mixed_7c", last.forward(x, Pool::Maximum));
        let [n, channels, height, width] = x.dims();
        let pooled = x.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels]);
        Outputs { spatial, pooled }
    }

    /// The scores of the classes, \[n, 1008\].
    pub(super) fn logits(&self, pooled: Tensor<2>, logits: Logits) -> Tensor<2> {
        let unbiased = pooled.matmul(self.weight.val().transpose());
        match logits {
            Logits::Unbiased => unbiased,
            Logits::Biased => unbiased + self.bias.val().unsqueeze(),
        }
    }
}
