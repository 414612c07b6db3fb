//! The network: a few convolutions of stride 2, each with a residual one behind it.

use ddim_graph::{Activation, Border, Builder, Convolution, Graph, Value};

use super::ClassifierConfig;

/// Where the map of the last stage but one, or of the only one, can be observed: \[n, channels, height, width\].
pub(super) const MAP: &str = "map";
/// Where the features can be observed, before their activation: nearer to a normal distribution than behind it.
pub(super) const FEATURES: &str = "features";

/// Added to the variance of a normalisation.
const EPSILON: f64 = 1e-5;

/// From pictures \[n, channels, height, width\] with values from -1 to 1 to \[n, classes, 1, 1\], whose softmax
/// are the probabilities.
pub(super) fn graph(config: &ClassifierConfig) -> Graph {
    let shape = &config.network;
    let mut builder = Builder::new();
    let mut x = builder.input(config.channels);
    for (k, to) in shape.widths.iter().enumerate() {
        x = stage(&mut builder, x, k, *to, shape.norm_groups);
        if k == shape.widths.len().saturating_sub(2) {
            builder.observe(MAP, x);
        }
    }
    let pooled = builder.mean(x);
    let features = builder.convolve(pooled, Convolution::linear([("features".to_owned(), shape.features)]));
    builder.observe(FEATURES, features);
    let active = builder.apply(features, Activation::Silu);
    let logits = builder.convolve(active, Convolution::linear([("logits".to_owned(), config.classes.len())]));
    builder.finish(logits)
}

/// y = act(norm(conv(x))) at half the resolution, then y + act(norm(conv(y))).
fn stage(builder: &mut Builder, x: Value, number: usize, to: usize, groups: usize) -> Value {
    let mut unit = |x: Value, name: &str, stride: usize| {
        let name = format!("stages.{number}.{name}");
        let conv = Convolution::new(&name, to).kernel(3).stride(stride).border(Border::even(1));
        let x = builder.convolve(x, conv);
        builder.normalize(x, &format!("{name}_norm"), groups, EPSILON, None, Activation::Silu)
    };
    let y = unit(x, "down", 2);
    let z = unit(y, "same", 1);
    builder.sum(y, z)
}
