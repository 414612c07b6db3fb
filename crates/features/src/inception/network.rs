//! How the blocks follow each other.

use ddim_graph::{Builder, Convolution, Graph, Pooling, Value};

use super::blocks::Writer;

const CLASSES: usize = 1008;

/// Where the map that sFID takes can be observed, the first branch of its block: TensorFlow's mixed_6/conv.
pub(super) const SPATIAL: &str = "Mixed_6d.branch1x1";
/// Where the features can be observed.
pub(super) const POOLED: &str = "pooled";

/// From pictures \[n, 3, 299, 299\] to the scores of the classes, \[n, 1008, 1, 1\]; each layer can be observed by
/// the name that it has in PyTorch's ports.
pub(super) fn graph() -> Graph {
    let mut writer = Writer { builder: Builder::new() };
    let x = writer.builder.input(3);
    let x = stem(&mut writer, x);
    let seen = |writer: &mut Writer, name: &str, x: Value| {
        writer.builder.observe(name, x);
        x
    };
    let wide = [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)];
    let x = wide.into_iter().fold(x, |x, (name, pooled)| {
        let x = writer.block_a(x, name, pooled);
        seen(&mut writer, name, x)
    });
    let x = writer.block_b(x, "Mixed_6a");
    let x = seen(&mut writer, "Mixed_6a", x);
    let middle = [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)];
    let x = middle.into_iter().fold(x, |x, (name, inner)| {
        let x = writer.block_c(x, name, inner);
        seen(&mut writer, name, x)
    });
    let x = writer.block_d(x, "Mixed_7a");
    let x = seen(&mut writer, "Mixed_7a", x);
    let x = writer.block_e(x, "Mixed_7b", Pooling::Mean);
    let x = seen(&mut writer, "Mixed_7b", x);
    let x = writer.block_e(x, "Mixed_7c", Pooling::Maximum);
    let x = seen(&mut writer, "Mixed_7c", x);
    let x = writer.builder.mean(x);
    writer.builder.observe(POOLED, x);
    let logits = writer.builder.convolve(x, Convolution::linear([("fc".to_owned(), CLASSES)]));
    writer.builder.finish(logits)
}

/// From 299x299 to 35x35.
fn stem(writer: &mut Writer, x: Value) -> Value {
    let x = writer.valid(x, "Conv2d_1a_3x3", 32, 2);
    writer.builder.observe("Conv2d_1a_3x3", x);
    let x = writer.valid(x, "Conv2d_2a_3x3", 32, 1);
    writer.builder.observe("Conv2d_2a_3x3", x);
    let x = writer.same(x, "Conv2d_2b_3x3", 64, [3, 3]);
    writer.builder.observe("Conv2d_2b_3x3", x);
    let x = writer.halve(x);
    let x = writer.same(x, "Conv2d_3b_1x1", 80, [1, 1]);
    writer.builder.observe("Conv2d_3b_1x1", x);
    let x = writer.valid(x, "Conv2d_4a_3x3", 192, 1);
    writer.builder.observe("Conv2d_4a_3x3", x);
    writer.halve(x)
}
