//! The blocks, by the names of PyTorch's ports; each ends by laying its branches side by side.

use ddim_graph::{Activation, Border, Builder, Convolution, Pooling, Value};

/// Writes the layers down. Names are those of the ports; what is normalised there has its normalisation in the
/// weights.
pub(super) struct Writer {
    pub(super) builder: Builder,
}

impl Writer {
    /// max(0, convolution) that keeps the size.
    pub(super) fn same(&mut self, x: Value, name: impl Into<String>, to: usize, kernel: [usize; 2]) -> Value {
        let [y, z] = kernel.map(|side| side / 2);
        let border = Border { top: y, left: z, bottom: y, right: z };
        self.unit(x, Convolution::new(name, to).rectangle(kernel).border(border))
    }

    /// max(0, 3x3 convolution) without a border.
    pub(super) fn valid(&mut self, x: Value, name: impl Into<String>, to: usize, stride: usize) -> Value {
        self.unit(x, Convolution::new(name, to).kernel(3).stride(stride))
    }

    fn unit(&mut self, x: Value, convolution: Convolution) -> Value {
        let x = self.builder.convolve(x, convolution);
        self.builder.apply(x, Activation::Relu)
    }

    /// The mean over 3x3 pixels; beyond the border there are none, so that a corner is the mean of four.
    fn average(&mut self, x: Value) -> Value {
        self.builder.pool(x, Pooling::Mean, [3, 1, 1])
    }

    /// The maximum of 3x3 pixels at every second one.
    pub(super) fn halve(&mut self, x: Value) -> Value {
        self.builder.pool(x, Pooling::Maximum, [3, 2, 0])
    }

    fn beside(&mut self, branches: impl IntoIterator<Item = Value>) -> Value {
        let joined = branches.into_iter().reduce(|a, b| self.builder.join(a, b));
        joined.expect("a block has branches")
    }
}

/// The blocks. A chain is (branch, channels, kernel), one behind the other.
impl Writer {
    fn chain(&mut self, x: Value, block: &str, units: &[(&str, usize, [usize; 2])]) -> Value {
        units.iter().fold(x, |x, (branch, to, kernel)| self.same(x, format!("{block}.{branch}"), *to, *kernel))
    }

    /// 35x35: 1x1, 5x5, two 3x3 and a pool.
    pub(super) fn block_a(&mut self, x: Value, name: &str, pooled: usize) -> Value {
        let one = self.chain(x, name, &[("branch1x1", 64, [1, 1])]);
        let five = self.chain(x, name, &[("branch5x5_1", 48, [1, 1]), ("branch5x5_2", 64, [5, 5])]);
        let three =
            [("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3]), ("branch3x3dbl_3", 96, [3, 3])];
        let three = self.chain(x, name, &three);
        let pool = self.average(x);
        let pool = self.chain(pool, name, &[("branch_pool", pooled, [1, 1])]);
        self.beside([one, five, three, pool])
    }

    /// From 35x35 to 17x17.
    pub(super) fn block_b(&mut self, x: Value, name: &str) -> Value {
        let three = self.valid(x, format!("{name}.branch3x3"), 384, 2);
        let double = self.chain(x, name, &[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3])]);
        let double = self.valid(double, format!("{name}.branch3x3dbl_3"), 96, 2);
        let pool = self.halve(x);
        self.beside([three, double, pool])
    }

    /// 17x17: 1x1, 7x7 in a row and a column, the same twice, and a pool. What the first branch gives can be
    /// observed as `NAME.branch1x1`.
    pub(super) fn block_c(&mut self, x: Value, name: &str, inner: usize) -> Value {
        let (row, column) = ([1, 7], [7, 1]);
        let one = self.chain(x, name, &[("branch1x1", 192, [1, 1])]);
        self.builder.observe(format!("{name}.branch1x1"), one);
        let seven = [("branch7x7_1", inner, [1, 1]), ("branch7x7_2", inner, row), ("branch7x7_3", 192, column)];
        let seven = self.chain(x, name, &seven);
        let double = [
            ("branch7x7dbl_1", inner, [1, 1]),
            ("branch7x7dbl_2", inner, column),
            ("branch7x7dbl_3", inner, row),
            ("branch7x7dbl_4", inner, column),
            ("branch7x7dbl_5", 192, row),
        ];
        let double = self.chain(x, name, &double);
        let pool = self.average(x);
        let pool = self.chain(pool, name, &[("branch_pool", 192, [1, 1])]);
        self.beside([one, seven, double, pool])
    }

    /// From 17x17 to 8x8.
    pub(super) fn block_d(&mut self, x: Value, name: &str) -> Value {
        let three = self.chain(x, name, &[("branch3x3_1", 192, [1, 1])]);
        let three = self.valid(three, format!("{name}.branch3x3_2"), 320, 2);
        let seven =
            [("branch7x7x3_1", 192, [1, 1]), ("branch7x7x3_2", 192, [1, 7]), ("branch7x7x3_3", 192, [7, 1])];
        let seven = self.chain(x, name, &seven);
        let seven = self.valid(seven, format!("{name}.branch7x7x3_4"), 192, 2);
        let pool = self.halve(x);
        self.beside([three, seven, pool])
    }

    /// 8x8: 1x1, a row and a column side by side, the same behind a 3x3, and a pool, which in the published
    /// network is the mean in the first of these blocks and the maximum in the second.
    pub(super) fn block_e(&mut self, x: Value, name: &str, pool: Pooling) -> Value {
        let (row, column) = ([1, 3], [3, 1]);
        let one = self.chain(x, name, &[("branch1x1", 320, [1, 1])]);
        let three = self.chain(x, name, &[("branch3x3_1", 384, [1, 1])]);
        let three = [("branch3x3_2a", row), ("branch3x3_2b", column)].map(|(end, kernel)| (three, end, kernel));
        let double = self.chain(x, name, &[("branch3x3dbl_1", 448, [1, 1]), ("branch3x3dbl_2", 384, [3, 3])]);
        let double =
            [("branch3x3dbl_3a", row), ("branch3x3dbl_3b", column)].map(|(end, kernel)| (double, end, kernel));
        let [a, b] = three.map(|(x, end, kernel)| self.chain(x, name, &[(end, 384, kernel)]));
        let [c, d] = double.map(|(x, end, kernel)| self.chain(x, name, &[(end, 384, kernel)]));
        let pool = self.builder.pool(x, pool, [3, 1, 1]);
        let pool = self.chain(pool, name, &[("branch_pool", 192, [1, 1])]);
        self.beside([one, a, b, c, d, pool])
    }
}
