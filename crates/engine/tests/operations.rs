//! Operation by operation: what the processor's engine says, and what tensor operations do.

mod support;

use std::sync::Arc;

use ddim_engine::{Engine, EngineOptions, Way};
use ddim_graph::{Activation, Asked, Border, Builder, Convolution, Labels, Pooling, Resample, Row, Value};
use ddim_tensor::Device;
use support::{Twin, off, random};

/// Checks a few layers on pictures of three channels: two ways through the same products.
fn check(what: &str, size: [usize; 2], layers: impl FnOnce(&mut Builder, Value) -> Value) {
    let mut builder = Builder::new();
    let x = builder.input(3);
    let result = layers(&mut builder, x);
    builder.observe("first", x);
    let graph = Arc::new(builder.finish(result));
    let numbers = |k: usize, len: usize| (0..len).map(move |i| ((1 + k) as f32 * 12.99 + i as f32 * 78.23).sin());
    let weights = graph.parameters().iter().enumerate().map(|(k, info)| numbers(k, info.len()).collect());
    let weights = Arc::new(weights.collect());
    let x = random([3, 3, size[0], size[1]], 3);
    let plain = Twin::new(&graph, &weights).forward(&x, &[1.0], &Labels::None);
    for way in [Way::Fast, Way::Plain] {
        let options = EngineOptions { way, size: Some(size), ..EngineOptions::default() };
        let engine = Engine::new(graph.clone(), Arc::clone(&weights), &Device::Cpu, &options).expect(what);
        let rows = engine.condition(&[1.0], &Labels::None);
        let seen = engine.observe(x.clone(), &rows, &["first"]);
        assert_eq!(seen.points[0].values(), x.values(), "{what}");
        assert_eq!(seen.output.values(), engine.forward(x.clone(), &rows).values(), "{what}");
        // A few orders of adding up a hundred products.
        let off = off(&seen.output, &plain);
        assert!(off < 3e-6, "{what} {way:?}: {off}");
    }
}

#[test]
fn pools() {
    for by in [Pooling::Maximum, Pooling::Mean] {
        for window in [[3, 2, 0], [3, 1, 1], [2, 2, 1], [4, 3, 2], [5, 1, 2]] {
            check(&format!("{by:?} by {window:?}"), [7, 9], |builder, x| builder.pool(x, by, window));
        }
    }
}

#[test]
fn functions_sums_and_means() {
    use Activation::{Gelu, GeluTanh, Identity, LeakyRelu, Mish, Relu, Silu, Tanh};
    for activation in [Gelu, GeluTanh, Identity, Mish, Relu, Silu, LeakyRelu { slope: 0.1 }, Tanh] {
        check(&format!("{activation:?}"), [5, 7], |builder, x| builder.apply(x, activation));
    }
    check("a sum", [5, 7], |builder, x| {
        let y = builder.apply(x, Relu);
        builder.sum(x, y)
    });
    check("a mean", [5, 7], |builder, x| builder.mean(x));
}

/// Numbers of a time, as many as are asked for.
fn row(builder: &mut Builder, name: &str, width: usize) -> Row {
    let time = builder.waves(Asked::Time, vec![1.0, 0.3], 4, true);
    builder.linear(time, name, width)
}

#[test]
fn layers_of_tokens() {
    check("pixels normalised", [5, 7], |builder, x| builder.normalize_pixels(x, 1e-2, None));
    check("pixels normalised, scaled and shifted", [5, 7], |builder, x| {
        let x = builder.convolve(x, Convolution::new("wide", 20));
        let all = row(builder, "all", 60);
        let both = builder.take(all, vec![20..40, 0..20]);
        let both = builder.one_plus(both, 20);
        let both = builder.modulation(both);
        let y = builder.normalize_pixels(x, 1e-6, Some(both));
        let gate = builder.take(all, vec![40..60]);
        let gate = builder.modulation(gate);
        let y = builder.gate(y, gate, x);
        builder.gate(y, gate, y)
    });
    check("positions", [5, 7], |builder, x| {
        let x = builder.convolve(x, Convolution::new("wide", 20));
        builder.add_positions(x, [4, 3])
    });
    for side in [1, 2, 3] {
        check(&format!("squares of {side}"), [6, 12], |builder, x| {
            let x = builder.convolve(x, Convolution::new("patches", 20).kernel(side).stride(side));
            let x = builder.convolve(x, Convolution::linear([("pixels".to_string(), 5 * side * side)]));
            builder.resample(x, Resample::Unpatch(side))
        });
    }
}

#[test]
fn joins_resolutions_and_convolutions() {
    for by in [Resample::Double, Resample::Halve] {
        check(&format!("{by:?}"), [6, 8], |builder, x| builder.resample(x, by));
    }
    check("joins", [5, 7], |builder, x| {
        let y = builder.apply(x, Activation::Relu);
        let xy = builder.join(x, y);
        let all = builder.join(xy, x);
        builder.convolve(all, Convolution::new("conv", 5))
    });
    for (kernel, stride, border) in
        [([3, 3], 1, 1), ([3, 3], 1, 0), ([3, 3], 2, 0), ([5, 5], 1, 2), ([1, 1], 1, 0)]
    {
        check(&format!("{kernel:?} {stride} {border}"), [7, 9], |builder, x| {
            let conv = |name: &str| {
                Convolution::new(name, 17).rectangle(kernel).stride(stride).border(Border::even(border))
            };
            let x = builder.convolve(x, Convolution::new("wide", 9));
            let x = builder.convolve(x, conv("conv"));
            builder.apply(x, Activation::Relu)
        });
    }
    for (row, border) in [([1, 7], [0, 3]), ([7, 1], [3, 0])] {
        check(&format!("{row:?}"), [7, 9], |builder, x| {
            let [y, z] = border;
            let border = Border { top: y, bottom: y, left: z, right: z };
            builder.convolve(x, Convolution::new("conv", 17).rectangle(row).border(border))
        });
    }
}
