//! What a picture comes to does not depend on the others, and which pictures there can be.

mod common;

use common::{Case, conv3, each_isa, odd};
use ddim_cpu::{Convolution, Isa, Precision};
use ddim_graph::{Border, Builder, Convolution as Layer, Graph, Resample};

#[test]
fn a_picture_is_the_same_in_any_batch_and_on_any_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let pools = [1, 2, 5].map(pool);
    for (isa, precision) in each_isa([Precision::F32, Precision::Bf16]) {
        for size in [[1, 1], [9, 7]] {
            let case = Case::new(odd(), 0.3, 17, size);
            let network = case.network(isa, Convolution::Winograd, precision);
            let all = pools[0].install(|| case.forward(&network));
            for pool in &pools {
                assert!(all == pool.install(|| case.forward(&network)), "{isa:?} {precision:?}");
            }
            let each = all.len() / 17;
            for (k, one) in all.chunks(each).enumerate() {
                let alone = pools[k % 3].install(|| case.some(k..k + 1).forward(&network));
                assert!(one == alone, "{isa:?} {precision:?} picture {k}");
            }
        }
    }
}

#[test]
fn a_picture_that_is_not_finite_leaves_the_others_alone() {
    for (isa, precision) in each_isa([Precision::F32, Precision::Bf16]) {
        let mut case = Case::new(odd(), 0.3, 3, [9, 7]);
        let network = case.network(isa, Convolution::Winograd, precision);
        let well = case.forward(&network);
        for bad in [f32::NAN, f32::INFINITY] {
            // In the middle of the second picture.
            case.x[4 * 9 * 7 + 17] = bad;
            let out = case.forward(&network);
            let each = out.len() / 3;
            assert!(out[..each] == well[..each] && out[2 * each..] == well[2 * each..], "{isa:?} {precision:?}");
            assert!(out[each..2 * each].iter().all(|y| y.is_nan()), "{isa:?} {precision:?}");
        }
    }
}

#[test]
fn no_pictures_are_no_work() {
    let case = Case::new(odd(), 0.3, 3, [4, 4]).some(0..0);
    let network = case.network(Isa::detect(), Convolution::Winograd, Precision::F32);
    assert!(case.forward(&network).is_empty());
    assert!(network.forward_traced(&case.x, case.shape, &case.rows(), &mut |_, _, _| ()).is_empty());
}

#[test]
#[should_panic(expected = "2 rows of modulation 0 for 3 pictures")]
fn a_row_for_each_picture_or_one_for_all() {
    let case = Case::new(odd(), 0.3, 3, [4, 4]);
    let network = case.network(Isa::detect(), Convolution::Winograd, Precision::F32);
    let (one, two) = (case.some(0..1), case.some(0..2));
    let first: Vec<f32> = network.forward(&case.x, case.shape, &one.rows());
    assert_eq!(first[..first.len() / 3], one.forward(&network), "one row holds for all");
    network.forward(&case.x, case.shape, &two.rows());
}

#[test]
fn memory_is_that_of_what_lives_at_one_time() {
    let case = Case::new(odd(), 0.3, 1, [8, 8]);
    let network = case.network(Isa::detect(), Convolution::Winograd, Precision::F32);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
    let [one, four] = [1, 4].map(|n| pool.install(|| network.memory([n, 8, 8])).expect("a size that fits"));
    // Two copies of 13 channels in a border at least, and less than all values together.
    assert!(one > 4 * 2 * 13 * 100 && one < 4 * 64 * (3 + 13 * 5 + 45 + 15 + 37 * 3), "{one}");
    assert!(four > 3 * one && four <= 4 * one, "{four} and {one}");
    assert_eq!(network.memory([1, 0, 8]), None);
}

#[test]
fn costs_have_the_names_of_their_blocks() {
    let mut graph = Builder::new();
    let x = graph.input(3);
    graph.block("conv_in");
    let x = graph.convolve(x, conv3("conv_in", 4));
    graph.block("out");
    let x = graph.convolve(x, Layer::new("out", 3));
    let case = Case::new(graph.finish(x), 1.0, 2, [4, 6]);
    let network = case.network(Isa::detect(), Convolution::Direct, Precision::F32);
    let costs = network.profile(case.shape, &case.rows(), 2);
    let what: Vec<_> = costs.iter().map(|cost| (cost.block.as_str(), cost.kind, cost.shape, cost.flops)).collect();
    assert_eq!(
        what,
        [
            ("", "input", [4, 6, 3], 0.0),
            ("conv_in", "spread", [4, 6, 3], 0.0),
            ("conv_in", "conv", [4, 6, 4], 2.0 * 48.0 * 27.0 * 4.0),
            ("out", "linear", [4, 6, 3], 2.0 * 48.0 * 4.0 * 3.0),
        ]
    );
    assert!(costs.iter().all(|cost| cost.seconds.is_finite()));
}

/// A way down and up again beside one that stays.
fn levels(resample: bool) -> Graph {
    let mut graph = Builder::new();
    let input = graph.input(3);
    let down = match resample {
        true => graph.resample(input, Resample::Halve),
        false => graph.convolve(input, Layer::new("down", 3).kernel(3).stride(2).border(Border::behind(1))),
    };
    let up = graph.resample(down, Resample::Double);
    let joined = graph.join(up, input);
    graph.finish(joined)
}

#[test]
fn pictures_that_the_levels_do_not_divide_are_refused() {
    for (resample, [h, w], message) in [
        (true, [1, 4], "pictures of 1x4 are too small for the network: halved to nothing"),
        (false, [4, 1], "pictures of 4x1 are too small for the network: halved to nothing"),
        (true, [5, 4], "pictures of 5x4 cannot be halved as often as the network does: 4x4 pixels meet 5x4"),
        (false, [4, 3], "pictures of 4x3 cannot be halved as often as the network does: 4x2 pixels meet 4x3"),
    ] {
        // Made for pictures of a size that does not fit either: only these are refused.
        let case = Case::new(levels(resample), 1.0, 1, [h, w]);
        let network = case.network(Isa::detect(), Convolution::Winograd, Precision::F32);
        assert_eq!(network.memory([1, h, w]), None);
        let refused = std::panic::catch_unwind(|| case.forward(&network));
        let said = refused.expect_err("a panic");
        assert_eq!(said.downcast_ref::<String>().map(String::as_str), Some(message));
        assert_eq!(network.forward(&[0.0; 48], [1, 3, 4, 4], &[]).len(), 96);
    }
}
