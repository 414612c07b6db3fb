//! Distances against the reference implementations, on the same features (`tests/goldens/eval`).

use std::path::{Path, PathBuf};

use ddim_data::{Array, Values, read_array};
use ddim_eval::{
    Features, Frechet, KernelOptions, Neighbourhoods, SlicedWasserstein, Statistics, inception_score,
    kernel_distance,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/eval").join(name)
}

fn array(name: &str) -> Array {
    read_array(&golden("distances.npz"), name).expect("readable").expect("a golden")
}

fn features(name: &str) -> Features {
    match array(name) {
        Array { shape, values: Values::F32(values) } => Features { width: shape[1], values },
        other => panic!("{name}: {other:?}"),
    }
}

fn numbers(name: &str) -> Vec<f64> {
    match array(name).values {
        Values::F64(values) => values,
        other => panic!("{name}: {other:?}"),
    }
}

fn first(features: &Features, count: usize) -> Features {
    Features { width: features.width, values: features.values[..count * features.width].to_vec() }
}

fn assert_near(found: &[f64], name: &str, relative: f64) {
    let expected = numbers(name);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found / expected - 1.0).abs() < relative, "{name}: {found}, expected {expected}");
    }
}

fn statistics(features: &Features) -> Statistics {
    Statistics::of(features, "random").expect("finite")
}

#[test]
fn frechet_is_that_of_pytorch_fid() {
    let (one, other) = (features("first"), features("second"));
    let found = Frechet::between(&statistics(&one), &statistics(&other)).expect("covariances");
    // Both in f64, with sums of a few hundred terms: ten digits are left.
    assert_near(&[found.distance], "frechet", 1e-10);
    let short = Frechet::between(&statistics(&first(&one, 15)), &statistics(&other)).expect("covariances");
    // Ten eigenvalues are 0, whose roots the reference takes as found: up to sqrt(1e-16) each.
    assert_near(&[short.distance], "frechet_short", 1e-7);
}

#[test]
fn published_statistics_are_those_of_the_features() {
    let array = |name| read_array(&golden("statistics.npz"), name).expect("readable").expect("published");
    let published = Statistics::from_arrays(&array("mu"), &array("sigma"), None, None).expect("a covariance");
    let own = statistics(&features("second"));
    let largest = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    // Sums of 240 numbers of size 1, rounded.
    assert!(largest(published.mean(), own.mean()) < 240.0 * f64::EPSILON);
    assert!(largest(published.covariance(), own.covariance()) < 240.0 * 10.0 * f64::EPSILON);
    let found = Frechet::between(&statistics(&features("first")), &published).expect("covariances");
    assert_near(&[found.distance], "frechet", 1e-10);
}

#[test]
fn kernel_distance_is_that_of_torch_fidelity() {
    let (one, other) = (first(&features("first"), 240), features("second"));
    let options = KernelOptions { subset_size: 240, subsets: 2, seed: 0 };
    let found = kernel_distance(&one, &other, options).expect("fits");
    assert_near(&[found.distance], "kernel", 1e-10);
    // The subset is the set, in any order.
    assert!(found.subset_spread < 1e-12, "{found:?}");
}

#[test]
fn neighbourhoods_are_those_of_torch_fidelity_and_prdc() {
    let found = Neighbourhoods::between(&features("first"), &features("second")).expect("many");
    // Counts over 300 and 240, which the first reference rounds to f32.
    assert_near(&[found.precision.mean, found.recall.mean], "precision_recall", 1e-6);
    assert_near(&[found.density.mean, found.coverage.mean], "density_coverage", 1e-12);
}

#[test]
fn inception_score_is_that_of_torch_fidelity() {
    let found = inception_score(&features("probabilities"), 10).expect("three hundred");
    // Probabilities are rounded to f32 here and taken from logits in f64 there.
    assert_near(&[found.score, found.split_spread], "inception_score", 1e-5);
}

#[test]
fn sliced_distances_are_those_of_scipy() {
    let found = SlicedWasserstein::between(&features("projected_first"), &features("projected_second"));
    let found = found.expect("fits");
    assert_near(&[found.order_1.mean, found.order_2.mean], "sliced", 1e-12);
}
