//! Every layer against its definition, with every instruction set at hand.

mod common;

use common::plain::activated;
use common::{ACTIVATIONS, Case, attention, conv3, everything, farthest, given, numbers, odd, transformer};
use ddim_cpu::{Convolution, Isa, Precision};
use ddim_graph::{Activation, Border, Builder, Convolution as Layer, Graph, Pooling, Resample, Value};

/// How far each instruction set is from the definition at most, with both ways to do convolutions.
fn check(case: &Case, tolerance: f64, what: &str) {
    let expected = case.expected();
    for isa in Isa::available() {
        for convolution in [Convolution::Winograd, Convolution::Direct] {
            let out = case.forward(&case.network(isa, convolution, Precision::F32));
            let off = farthest(&out, &expected);
            assert!(off < tolerance, "{what} {isa:?} {convolution:?}: {off} over {tolerance}");
        }
    }
}

/// A graph of a few layers on an input of so many channels.
fn graph(channels: usize, layers: impl FnOnce(&mut Builder, Value) -> Value) -> Graph {
    let mut builder = Builder::new();
    let x = builder.input(channels);
    let result = layers(&mut builder, x);
    builder.finish(result)
}

#[test]
fn convolutions_on_odd_sizes() {
    let one = Border::even(1);
    let uneven = Border { top: 0, left: 2, bottom: 1, right: 0 };
    for (n, size, from, to, kernel, stride, border) in [
        (1, [1, 1], 1, 1, [3, 3], 1, one),
        (3, [5, 7], 3, 5, [3, 3], 1, one),
        (17, [4, 4], 8, 33, [3, 3], 1, one),
        (2, [8, 6], 7, 17, [3, 3], 2, one),
        (2, [8, 6], 7, 70, [3, 3], 2, Border::behind(1)),
        (5, [3, 5], 19, 50, [1, 1], 1, Border::NONE),
        (2, [5, 4], 9, 11, [1, 1], 2, Border::NONE),
        (1, [28, 28], 16, 16, [3, 3], 1, one),
        (1, [32, 32], 20, 48, [3, 3], 1, one),
        (3, [7, 7], 70, 50, [3, 3], 1, one),
        (2, [6, 13], 8, 9, [3, 3], 1, one),
        (2, [9, 8], 8, 9, [3, 3], 1, Border::NONE),
        (2, [9, 8], 8, 9, [3, 3], 1, Border { bottom: 0, ..one }),
        (2, [9, 10], 5, 9, [1, 7], 1, Border { left: 3, right: 3, ..Border::NONE }),
        (2, [9, 10], 5, 9, [7, 1], 1, Border { top: 3, bottom: 3, ..Border::NONE }),
        (2, [9, 11], 5, 9, [2, 3], 3, uneven),
        (1, [11, 9], 3, 6, [5, 5], 4, Border::even(2)),
    ] {
        let graph = graph(from, |builder, x| {
            let shift = given(builder, to);
            let conv = Layer::new("conv", to).rectangle(kernel).stride(stride).border(border);
            builder.convolve(x, conv.shift(Some(shift)).scale(0.5))
        });
        // A sum of k products of numbers below 1 in f32 is off by less than k^(1/2) 2^-24 times its size k^(1/2),
        // twice that where products are rounded before they are added or Winograd's algorithm adds them.
        let tolerance = (kernel[0] * kernel[1] * from).max(8) as f64 * 12e-8;
        let what = format!("{size:?} {from}->{to}, {kernel:?}, stride {stride}, {border:?}");
        check(&Case::new(graph, 1.0, n, size), tolerance, &what);
    }
}

#[test]
fn normalisation_of_large_values() {
    for (n, channels, groups, size) in
        [(2, 6, 3, [5, 7]), (1, 64, 8, [7, 7]), (3, 33, 11, [1, 1]), (2, 16, 8, [28, 28])]
    {
        let graph = graph(channels, |builder, x| {
            let modulation = given(builder, 2 * channels);
            builder.normalize(x, "norm", groups, 1e-5, Some(modulation), Activation::Silu)
        });
        let mut case = Case::new(graph, 1.0, n, size);
        case.x.iter_mut().for_each(|x| *x = 3.0 * *x + 10.0);
        // A value of 13 has an error of 1e-6 in f32, divided by a deviation of 1.7; a 1x1 picture with one channel
        // more than once in its group has the same.
        check(&case, 1e-5, &format!("{channels} in {groups}, {size:?}"));
    }
}

#[test]
fn activations_everywhere() {
    for activation in ACTIVATIONS {
        for channels in [5, 16, 37] {
            let graph = graph(channels, |builder, x| builder.normalize(x, "norm", 1, 1e-5, None, activation));
            let mut case = Case::new(graph, 1.0, 1, [8, 8]);
            // From far below 0 to far above: what comes in is spread by the weights.
            case.parameters[0] = (0..channels).map(|channel| 2.0f32.powi(channel as i32 % 7 - 1)).collect();
            let (values, before) = case.plain();
            let before = before[1].as_ref().expect("a normalisation");
            let reach = before.values.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            assert!(reach > 20.0 || channels < 7, "values to {reach}");
            assert_eq!(values[1].values[3], activated(activation, before.values[3]));
            // 2^-24 of a value, a few times: of what is multiplied, of the exponential, of the result.
            check(&case, reach * 6e-7, &format!("{activation:?} of {channels}"));
        }
    }
}

/// Around 0 no digits of a tanh are lost: as many as an f32 has, of values of a millionth.
#[test]
fn small_values_keep_their_digits() {
    let graph = graph(16, |builder, x| builder.apply(x, Activation::Tanh));
    let mut case = Case::new(graph, 1.0, 1, [3, 5]);
    case.x.iter_mut().for_each(|x| *x *= 1e-6);
    check(&case, 1e-6 * 3e-7, "tanh");
}

#[test]
fn resolutions_joins_and_multiplications() {
    for (by, size) in [
        (Resample::Double, [1, 1]),
        (Resample::Double, [3, 5]),
        (Resample::Halve, [2, 2]),
        (Resample::Halve, [5, 7]),
        (Resample::Halve, [8, 6]),
    ] {
        // Alone, and where a convolution wants a border.
        check(&Case::new(graph(3, |b, x| b.resample(x, by)), 1.0, 3, size), 1e-6, &format!("{by:?} {size:?}"));
        let bordered = graph(3, |builder, x| {
            let x = builder.resample(x, by);
            builder.convolve(x, conv3("conv", 5))
        });
        check(&Case::new(bordered, 1.0, 3, size), 5e-6, &format!("{by:?} {size:?} in a border"));
    }
    let joined = graph(3, |builder, x| {
        let y = builder.convolve(x, Layer::new("conv", 7));
        let z = builder.join(x, y);
        builder.join(z, z)
    });
    check(&Case::new(joined, 1.0, 3, [4, 5]), 2e-6, "join");
    let multiplied = graph(3, |builder, x| {
        let by = given(builder, 1);
        let x = builder.multiply(x, by);
        let x = builder.convolve(x, conv3("conv", 7));
        let by = given(builder, 1);
        builder.multiply(x, by)
    });
    check(&Case::new(multiplied, 1.0, 3, [4, 5]), 5e-6, "multiply");
}

#[test]
fn pools_and_means_on_odd_sizes() {
    for by in [Pooling::Maximum, Pooling::Mean] {
        for (channels, size, window) in [
            (1, [1, 1], [1, 1, 0]),
            (3, [5, 7], [3, 1, 1]),
            (17, [5, 7], [3, 2, 0]),
            (16, [8, 6], [2, 2, 0]),
            (37, [9, 11], [3, 2, 1]),
            (5, [6, 7], [4, 3, 2]),
            (8, [1, 4], [2, 1, 1]),
        ] {
            let pool = |builder: &mut Builder, x| builder.pool(x, by, window);
            let what = format!("{by:?} of {channels} at {size:?} by {window:?}");
            check(&Case::new(graph(channels, pool), 1.0, 3, size), 1e-6, &what);
            // Where a convolution wants a border around what was pooled, and another gave it one before.
            let between = graph(channels, |builder, x| {
                let x = builder.convolve(x, conv3("before", 9));
                let x = builder.pool(x, by, window);
                builder.convolve(x, conv3("behind", 4))
            });
            // Two convolutions of up to 333 and of 81 products.
            check(&Case::new(between, 0.3, 2, size), 2e-5, &format!("{what}, between convolutions"));
        }
    }
    for (channels, size) in [(1, [1, 1]), (5, [3, 7]), (33, [8, 8])] {
        let graph = graph(channels, |builder, x| {
            let x = builder.mean(x);
            builder.convolve(x, Layer::linear([("linear".to_owned(), 7)]))
        });
        check(&Case::new(graph, 1.0, 3, size), 5e-6, &format!("mean of {channels} at {size:?}"));
    }
}

#[test]
fn functions_alone_and_behind_convolutions() {
    for activation in ACTIVATIONS {
        for (channels, size) in [(5, [3, 5]), (16, [7, 9]), (37, [4, 6])] {
            let chain = |residual: bool, stride: usize| {
                graph(channels, move |builder, x| {
                    let first = builder.apply(x, activation);
                    let conv = conv3("conv", channels).stride(stride);
                    let y = builder.convolve(first, if residual { conv.residual(x) } else { conv });
                    let y = builder.apply(y, activation);
                    let wide = Layer::new("wide", 9).kernel(5).border(Border::even(2));
                    let y = builder.convolve(y, wide);
                    let y = builder.apply(y, activation);
                    let z = builder.convolve(y, conv3("again", 9));
                    let z = builder.apply(z, activation);
                    let sum = builder.sum(y, z);
                    builder.sum(sum, sum)
                })
            };
            for (residual, stride) in [(false, 1), (true, 1), (false, 2)] {
                let case = Case::new(chain(residual, stride), 0.2, 3, size);
                // Values to ten, through three convolutions.
                check(&case, 3e-5, &format!("{activation:?} of {channels} at {size:?}, {residual} {stride}"));
            }
        }
    }
}

/// Channels that no vector divides, one pixel, and the lines that threads share.
#[test]
fn pixels_normalised_gated_and_placed() {
    for (n, channels, size) in [(3, 4, [1, 1]), (2, 20, [3, 5]), (1, 52, [4, 2]), (1, 64, [40, 30])] {
        let placed = graph(channels, |builder, x| {
            let modulation = given(builder, 2 * channels);
            let y = builder.normalize_pixels(x, 1e-5, Some(modulation));
            let z = builder.normalize_pixels(y, 1e-2, None);
            let by = given(builder, channels);
            let z = builder.gate(z, by, x);
            builder.add_positions(z, [3, 4])
        });
        let mut case = Case::new(placed, 1.0, n, size);
        case.x.iter_mut().for_each(|x| *x = 3.0 * *x + 10.0);
        // As of normalisations of large values, twice.
        check(&case, 2e-5, &format!("{channels} at {size:?}"));
    }
}

#[test]
fn channels_become_pixels() {
    for (side, to, size) in [(1, 3, [4, 5]), (2, 1, [1, 1]), (2, 5, [3, 4]), (3, 2, [2, 5])] {
        let channels = side * side * to;
        let by = Resample::Unpatch(side);
        let what = format!("{to} of {side} at {size:?}");
        check(&Case::new(graph(channels, |b, x| b.resample(x, by)), 1.0, 3, size), 1e-7, &what);
        let bordered = graph(channels, |builder, x| {
            let x = builder.resample(x, by);
            builder.convolve(x, conv3("conv", 5))
        });
        check(&Case::new(bordered, 1.0, 3, size), 5e-6, &format!("{what} in a border"));
    }
}

#[test]
fn joins_of_joins() {
    let graph = graph(3, |builder, x| {
        let y = builder.convolve(x, conv3("y", 7));
        let z = builder.convolve(x, conv3("z", 18));
        let xy = builder.join(x, y);
        let xyz = builder.join(xy, z);
        let twice = builder.join(xyz, xyz);
        builder.convolve(twice, conv3("out", 5))
    });
    check(&Case::new(graph, 0.3, 3, [5, 6]), 1e-5, "joins");
}

#[test]
fn attention_over_pixels() {
    for (size, heads, width) in [([1, 1], 1, 3), ([3, 5], 3, 5), ([8, 8], 2, 16), ([9, 7], 1, 33)] {
        let graph = graph(6, |builder, x| attention(builder, x, [heads, width]));
        // Scores near sqrt(width) times 6, of which e^score is off by as many 2^-24.
        check(&Case::new(graph, 0.5, 2, size), 1e-5, &format!("{heads} heads of {width} at {size:?}"));
    }
}

#[test]
fn the_result_may_come_from_any_layer() {
    let scaled = || {
        let mut builder = Builder::new();
        let x = builder.scaled_input(3, 2.0, -1.0);
        builder.finish(x)
    };
    check(&Case::new(scaled(), 1.0, 3, [4, 5]), 1e-6, "the input");
    let dropped = graph(3, |builder, x| {
        let y = builder.normalize(x, "norm", 1, 1e-5, None, Activation::Silu);
        builder.convolve(y, conv3("unread", 4));
        builder.dropout(y, 0.1)
    });
    check(&Case::new(dropped, 1.0, 3, [4, 5]), 1e-6, "a value read before, under another name");
    let given_away = graph(3, |builder, x| {
        let y = builder.convolve(x, conv3("early", 4));
        let z = builder.convolve(y, conv3("later", 4));
        builder.convolve(z, conv3("latest", 9));
        builder.dropout(y, 0.1)
    });
    check(&Case::new(given_away, 1.0, 3, [4, 5]), 3e-6, "a value that would have been given away");
}

#[test]
fn whole_networks() {
    // Values near 1 through some ten layers of sums.
    check(&Case::new(odd(), 0.3, 17, [5, 3]), 2e-5, "odd");
    check(&Case::new(odd(), 0.3, 2, [9, 11]), 2e-5, "odd");
    check(&Case::new(everything(), 0.5, 3, [8, 12]), 5e-5, "everything");
    check(&Case::new(transformer(2, [2, 6]), 0.5, 3, [6, 10]), 5e-5, "transformer");
    check(&Case::new(transformer(3, [1, 20]), 0.5, 1, [9, 6]), 5e-5, "transformer");
}

#[test]
fn dropout_is_nothing() {
    let of = |rate: f64| {
        graph(8, |builder, x| {
            let x = builder.normalize(x, "norm", 2, 1e-5, None, Activation::Silu);
            let x = builder.dropout(x, rate);
            builder.convolve(x, conv3("conv", 8))
        })
    };
    let [with, without] = [of(0.3), of(0.0)].map(|graph| {
        let case = Case::new(graph, 1.0, 2, [8, 8]);
        case.forward(&case.network(Isa::detect(), Convolution::Winograd, Precision::F32))
    });
    assert_eq!(with, without);
}

#[test]
fn a_wide_border_is_refused_by_name() {
    let graph = graph(3, |builder, x| builder.convolve(x, Layer::new("conv_in", 4).border(Border::even(1))));
    let refused = ddim_cpu::Network::new(
        graph,
        |_| numbers(0, 0).into(),
        Isa::detect(),
        Convolution::Direct,
        Precision::F32,
        [4, 4],
    );
    let said = refused.err().map(|unsupported| unsupported.to_string());
    let expected =
        "the processor cannot compute conv_in.weight: its border of 1 pixels is as wide as its kernel of 1x1";
    assert_eq!(said.as_deref(), Some(expected));
}
