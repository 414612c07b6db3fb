//! What can be observed on the way.

mod common;

use common::{Case, conv3, each_isa, farthest, given};
use ddim_cpu::{Convolution, Precision};
use ddim_graph::{Activation, Builder, Graph, Resample, Watched};

/// Points at values with and without a border, at a value under two names, before an activation, at a row, and out
/// of order.
fn observed() -> Graph {
    let mut builder = Builder::new();
    let x = builder.scaled_input(3, 2.0, -1.0);
    builder.observe("input", x);
    let first = builder.convolve(x, conv3("first", 9));
    let row = builder.given(18);
    builder.observe_row("row", row);
    let modulation = builder.modulation(row);
    let normed = builder.normalize(first, "norm", 3, 1e-5, Some(modulation), Activation::Silu);
    builder.observe_before_activation("before", normed);
    builder.observe("behind", normed);
    let dropped = builder.dropout(normed, 0.5);
    builder.observe("dropped", dropped);
    let second = builder.convolve(dropped, conv3("second", 10).stride(2));
    let by = given(&mut builder, 1);
    let times = builder.multiply(second, by);
    builder.observe("times", times);
    builder.observe("first", first);
    let double = builder.resample(times, Resample::Double);
    builder.observe("double", double);
    let last = builder.convolve(double, conv3("last", 3));
    builder.observe("last", last);
    builder.finish(last)
}

#[test]
fn what_is_observed_is_what_the_definition_says() {
    let case = Case::new(observed(), 0.4, 3, [8, 6]);
    let (values, before) = case.plain();
    for (isa, convolution) in each_isa([Convolution::Winograd, Convolution::Direct]) {
        let network = case.network(isa, convolution, Precision::F32);
        let mut seen = Vec::new();
        let out = network.forward_traced(&case.x, case.shape, &case.rows(), &mut |name, values, shape| {
            seen.push((name.to_string(), values.to_vec(), shape));
        });
        assert_eq!(out, case.forward(&network), "{isa:?}");
        let points = case.graph.points().iter().filter_map(|point| match point.watched {
            Watched::Row(_) => None,
            Watched::Value(value) => Some((&point.name, &values[value.index()])),
            Watched::BeforeActivation(value) => Some((&point.name, before[value.index()].as_ref()?)),
        });
        let points: Vec<_> = points.collect();
        let names: Vec<&str> = seen.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["input", "before", "behind", "dropped", "times", "first", "double", "last"]);
        for ((name, got, shape), (named, expected)) in seen.iter().zip(&points) {
            assert_eq!((name, shape), (*named, &expected.shape));
            let off = farthest(got, &expected.values);
            assert!(off < 1e-5, "{isa:?} {name}: {off}");
        }
        assert_eq!(seen.len(), points.len());
        let some = network.observe(&case.x, case.shape, &case.rows(), &["double", "before", "double"]);
        assert_eq!(some.output, out);
        let of = |name: &str| {
            seen.iter().find(|(named, ..)| named == name).map(|(_, values, shape)| (values.clone(), *shape))
        };
        let expected = ["double", "before", "double"].map(|name| of(name).expect("a point"));
        assert_eq!(some.points, expected, "{isa:?}");
        assert_eq!(seen.last().map(|(_, values, _)| values), Some(&out));
    }
}

#[test]
#[should_panic(expected = "no layer can be seen as row")]
fn what_is_no_layer_cannot_be_observed() {
    let case = Case::new(observed(), 0.4, 3, [8, 6]);
    let network = case.network(ddim_cpu::Isa::detect(), Convolution::Direct, Precision::F32);
    network.observe(&case.x, case.shape, &case.rows(), &["row"]);
}

/// In as many parts as threads are there and more.
#[test]
fn what_is_observed_of_many_pictures_is_in_their_order() {
    let (case, some) = (Case::new(observed(), 0.4, 19, [8, 6]), ["before", "first"]);
    let network = case.network(ddim_cpu::Isa::detect(), Convolution::Winograd, Precision::F32);
    let seen = network.observe(&case.x, case.shape, &case.rows(), &some);
    for n in [0, 7, 18] {
        let one = case.some(n..n + 1);
        let alone = network.observe(&one.x, one.shape, &one.rows(), &some);
        for ((all, _), (values, shape)) in seen.points.iter().zip(&alone.points) {
            assert_eq!(shape[0], 1);
            assert_eq!(all[n * values.len()..][..values.len()], values[..], "picture {n}");
        }
    }
}

/// Behind each cut: with its own features the same bits, with other features what the definition says.
#[test]
fn what_was_kept_stands_for_what_leads_to_it() {
    let mut builder = Builder::new();
    let x = builder.scaled_input(3, 2.0, -1.0);
    let first = builder.convolve(x, conv3("first", 9));
    let half = builder.convolve(first, conv3("half", 10).stride(2));
    builder.observe("half", half);
    let normed = builder.normalize(half, "norm", 5, 1e-5, None, Activation::Relu);
    builder.observe("normed", normed);
    let inner = builder.convolve(normed, conv3("inner", 11));
    let double = builder.resample(inner, Resample::Double);
    builder.observe("double", double);
    let joined = builder.join(double, first);
    let thin = builder.convolve(double, conv3("thin", 4));
    builder.observe("thin", thin);
    let wide = builder.convolve(joined, conv3("wide", 4).residual(thin));
    builder.observe("wide", wide);
    let case = Case::new(builder.finish(wide), 0.4, 19, [8, 6]);
    let other = Case { x: common::numbers(case.x.len(), 77), ..case.clone() };
    let cuts = case.graph.cuts();
    let names: Vec<&str> = cuts.iter().map(ddim_graph::Cut::name).collect();
    assert_eq!(names, ["half", "normed", "double", "thin"]);
    for (isa, convolution) in each_isa([Convolution::Winograd, Convolution::Direct]) {
        let network = case.network(isa, convolution, Precision::F32);
        for cut in &cuts {
            let kept =
                |case: &Case| network.observe(&case.x, case.shape, &case.rows(), &[cut.name()]).points.remove(0).0;
            let behind = |case: &Case, values: &[f32]| {
                network.forward_behind(&case.x, case.shape, &case.rows(), ddim_cpu::Kept { cut, values })
            };
            assert_eq!(behind(&case, &kept(&case)), case.forward(&network), "{isa:?} {}", cut.name());
            let features = other.plain().0.swap_remove(cut.value().index());
            let expected = case.plain_with(Some((cut.value(), &features))).0.pop().expect("a layer").values;
            let off = farthest(&behind(&case, &kept(&other)), &expected);
            assert!(off < 1e-4, "{isa:?} {}: {off}", cut.name());
        }
    }
}

#[test]
#[should_panic(expected = "values kept for 2 pictures")]
fn what_was_kept_of_fewer_pictures_is_refused() {
    let mut builder = Builder::new();
    let x = builder.input(3);
    let inner = builder.convolve(x, conv3("inner", 9));
    builder.observe("inner", inner);
    let joined = builder.join(inner, x);
    let out = builder.convolve(joined, conv3("out", 3));
    let case = Case::new(builder.finish(out), 0.4, 2, [8, 6]);
    let network = case.network(ddim_cpu::Isa::detect(), Convolution::Direct, Precision::F32);
    let cut = case.graph.cut("inner").expect("a cut");
    let kept = ddim_cpu::Kept { cut: &cut, values: &[0.0; 9 * 48] };
    network.forward_behind(&case.x, case.shape, &case.rows(), kept);
}
