//! The blocks, by the names of PyTorch's ports; each ends by laying its branches side by side.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use ddim_checkpoint::CheckpointError;

use super::source::Source;

type Built<T> = Result<T, CheckpointError>;

/// max(0, normalised convolution), the normalisation folded in.
#[derive(Module, Debug)]
pub(super) struct Unit {
    pub(super) conv: Conv2d,
}

impl Unit {
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(self.conv.forward(x))
    }
}

/// One after the other.
fn chain(units: &[Unit], x: Tensor<4>) -> Tensor<4> {
    units.iter().fold(x, |x, unit| unit.forward(x))
}

/// The mean over 3x3 pixels; beyond the border there are none, so that a corner is the mean of four.
fn average(x: Tensor<4>) -> Tensor<4> {
    let options = AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]);
    avg_pool2d(x, options.with_count_include_pad(false))
}

/// The maximum of 3x3 pixels at every second one.
pub(super) fn halve(x: Tensor<4>) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]))
}

/// 35x35: 1x1, 5x5, two 3x3 and a pool.
#[derive(Module, Debug)]
pub(super) struct BlockA {
    one: Unit,
    five: Vec<Unit>,
    three: Vec<Unit>,
    pool: Unit,
}

impl BlockA {
    pub(super) fn new(source: &mut Source, name: &str, from: usize, pooled: usize) -> Built<Self> {
        let mut same = |branch, channels, side| source.same(&format!("{name}.{branch}"), channels, [side; 2]);
        Ok(BlockA {
            one: same("branch1x1", [from, 64], 1)?,
            five: vec![same("branch5x5_1", [from, 48], 1)?, same("branch5x5_2", [48, 64], 5)?],
            three: vec![
                same("branch3x3dbl_1", [from, 64], 1)?,
                same("branch3x3dbl_2", [64, 96], 3)?,
                same("branch3x3dbl_3", [96, 96], 3)?,
            ],
            pool: same("branch_pool", [from, pooled], 1)?,
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let pool = self.pool.forward(average(x.clone()));
        let (five, three) = (chain(&self.five, x.clone()), chain(&self.three, x.clone()));
        Tensor::cat(vec![self.one.forward(x), five, three, pool], 1)
    }
}

/// From 35x35 to 17x17.
#[derive(Module, Debug)]
pub(super) struct BlockB {
    three: Unit,
    double: Vec<Unit>,
}

impl BlockB {
    pub(super) fn new(source: &mut Source, name: &str, from: usize) -> Built<Self> {
        Ok(BlockB {
            three: source.valid(&format!("{name}.branch3x3"), [from, 384], 2)?,
            double: vec![
                source.same(&format!("{name}.branch3x3dbl_1"), [from, 64], [1, 1])?,
                source.same(&format!("{name}.branch3x3dbl_2"), [64, 96], [3, 3])?,
                source.valid(&format!("{name}.branch3x3dbl_3"), [96, 96], 2)?,
            ],
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let double = chain(&self.double, x.clone());
        Tensor::cat(vec![self.three.forward(x.clone()), double, halve(x)], 1)
    }
}

/// 17x17: 1x1, 7x7 in a row and a column, the same twice, and a pool.
#[derive(Module, Debug)]
pub(super) struct BlockC {
    one: Unit,
    seven: Vec<Unit>,
    double: Vec<Unit>,
    pool: Unit,
}

impl BlockC {
    pub(super) fn new(source: &mut Source, name: &str, inner: usize) -> Built<Self> {
        let mut same = |branch, channels, kernel| source.same(&format!("{name}.{branch}"), channels, kernel);
        let (row, column) = ([1, 7], [7, 1]);
        Ok(BlockC {
            one: same("branch1x1", [768, 192], [1, 1])?,
            seven: vec![
                same("branch7x7_1", [768, inner], [1, 1])?,
                same("branch7x7_2", [inner, inner], row)?,
                same("branch7x7_3", [inner, 192], column)?,
            ],
            double: vec![
                same("branch7x7dbl_1", [768, inner], [1, 1])?,
                same("branch7x7dbl_2", [inner, inner], column)?,
                same("branch7x7dbl_3", [inner, inner], row)?,
                same("branch7x7dbl_4", [inner, inner], column)?,
                same("branch7x7dbl_5", [inner, 192], row)?,
            ],
            pool: same("branch_pool", [768, 192], [1, 1])?,
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let pool = self.pool.forward(average(x.clone()));
        let (seven, double) = (chain(&self.seven, x.clone()), chain(&self.double, x.clone()));
        Tensor::cat(vec![self.one.forward(x), seven, double, pool], 1)
    }
}

/// From 17x17 to 8x8.
#[derive(Module, Debug)]
pub(super) struct BlockD {
    three: Vec<Unit>,
    seven: Vec<Unit>,
}

impl BlockD {
    pub(super) fn new(source: &mut Source, name: &str) -> Built<Self> {
        let name = |branch| format!("{name}.{branch}");
        Ok(BlockD {
            three: vec![
                source.same(&name("branch3x3_1"), [768, 192], [1, 1])?,
                source.valid(&name("branch3x3_2"), [192, 320], 2)?,
            ],
            seven: vec![
                source.same(&name("branch7x7x3_1"), [768, 192], [1, 1])?,
                source.same(&name("branch7x7x3_2"), [192, 192], [1, 7])?,
                source.same(&name("branch7x7x3_3"), [192, 192], [7, 1])?,
                source.valid(&name("branch7x7x3_4"), [192, 192], 2)?,
            ],
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        Tensor::cat(vec![chain(&self.three, x.clone()), chain(&self.seven, x.clone()), halve(x)], 1)
    }
}

/// 8x8: 1x1, a row and a column side by side, the same behind a 3x3, and a pool.
#[derive(Module, Debug)]
pub(super) struct BlockE {
    one: Unit,
    three: Unit,
    three_ends: Vec<Unit>,
    double: Vec<Unit>,
    double_ends: Vec<Unit>,
    pool: Unit,
}

/// How the last branch of [`BlockE`] pools: the published network has the mean in the first and the maximum in the
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    Average,
    Maximum,
}

impl BlockE {
    pub(super) fn new(source: &mut Source, name: &str, from: usize) -> Built<Self> {
        let mut same = |branch, channels, kernel| source.same(&format!("{name}.{branch}"), channels, kernel);
        let (row, column, inner) = ([1, 3], [3, 1], [384, 384]);
        Ok(BlockE {
            one: same("branch1x1", [from, 320], [1, 1])?,
            three: same("branch3x3_1", [from, 384], [1, 1])?,
            three_ends: vec![same("branch3x3_2a", inner, row)?, same("branch3x3_2b", inner, column)?],
            double: vec![
                same("branch3x3dbl_1", [from, 448], [1, 1])?,
                same("branch3x3dbl_2", [448, 384], [3, 3])?,
            ],
            double_ends: vec![same("branch3x3dbl_3a", inner, row)?, same("branch3x3dbl_3b", inner, column)?],
            pool: same("branch_pool", [from, 192], [1, 1])?,
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>, pool: Pool) -> Tensor<4> {
        let pooled = match pool {
            Pool::Average => average(x.clone()),
            Pool::Maximum => {
                max_pool2d(x.clone(), MaxPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]))
            }
        };
        let three = self.three.forward(x.clone());
        let double = chain(&self.double, x.clone());
        let mut branches = vec![self.one.forward(x)];
        branches.extend(self.three_ends.iter().map(|end| end.forward(three.clone())));
        branches.extend(self.double_ends.iter().map(|end| end.forward(double.clone())));
        branches.push(self.pool.forward(pooled));
        Tensor::cat(branches, 1)
    }
}
