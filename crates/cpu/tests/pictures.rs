//! What a picture comes to does not depend on the others, and which pictures there can be.

mod common;

use common::{Case, each_isa, network, odd, run};
use ddim_cpu::{Convolution, Halo, Isa, Precision, Resample, Rows};

#[test]
fn a_picture_is_the_same_in_any_batch_and_on_any_threads() {
    let case = odd();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let pools = [1, 2, 5].map(pool);
    for (isa, precision) in each_isa([Precision::F32, Precision::Bf16]) {
        for shape in [[1, 1], [9, 7]] {
            let network = network(&case, isa, Convolution::Winograd, precision, shape);
            let all = pools[0].install(|| run(&case, &network, 0, 17, shape));
            for pool in &pools {
                assert!(all == pool.install(|| run(&case, &network, 0, 17, shape)), "{isa:?} {precision:?}");
            }
            let each = all.len() / 17;
            for (k, one) in all.chunks(each).enumerate() {
                let alone = pools[k % 3].install(|| run(&case, &network, k, 1, shape));
                assert!(one == alone, "{isa:?} {precision:?} picture {k}");
            }
        }
    }
}

#[test]
fn a_picture_that_is_not_finite_leaves_the_others_alone() {
    let (case, [h, w]) = (odd(), [9, 7]);
    for (isa, precision) in each_isa([Precision::F32, Precision::Bf16]) {
        let network = network(&case, isa, Convolution::Winograd, precision, [h, w]);
        let zeros: Vec<Vec<f32>> = case.widths.iter().map(|width| vec![0.0; *width]).collect();
        let rows: Vec<Rows> = zeros.iter().map(|values| Rows { values, rows: 1 }).collect();
        let mut x = common::numbers(3 * 3 * h * w, 1);
        let well = network.forward(&x, [3, 3, h, w], &rows);
        for bad in [f32::NAN, f32::INFINITY] {
            // In the middle of the second picture.
            x[4 * h * w + 17] = bad;
            let out = network.forward(&x, [3, 3, h, w], &rows);
            let each = out.len() / 3;
            assert!(out[..each] == well[..each] && out[2 * each..] == well[2 * each..], "{isa:?} {precision:?}");
            assert!(out[each..2 * each].iter().all(|y| y.is_nan()), "{isa:?} {precision:?}");
        }
    }
}

/// A way down and up again beside one that stays.
fn levels(resample: bool) -> Case {
    let mut case = Case::default();
    let input = case.tape.input(3, 1.0, 0.0);
    let down = match resample {
        true => case.tape.spread(input, Resample::Halve, Halo::NONE),
        false => {
            let x = case.tape.spread(input, Resample::Keep, Halo { before: 0, after: 1 });
            case.plain(x, 3, 3, 2, 1.0)
        }
    };
    let up = case.tape.spread(down, Resample::Double, Halo::NONE);
    case.tape.join(up, input);
    case
}

#[test]
fn pictures_that_the_levels_do_not_divide_are_refused() {
    for (resample, [h, w], message) in [
        (true, [1, 4], "pictures of 1x4 are too small for the network: halved to nothing"),
        (false, [4, 1], "pictures of 4x1 are too small for the network: halved to nothing"),
        (true, [5, 4], "pictures of 5x4 cannot be halved as often as the network does: 4x4 pixels meet 5x4"),
        (false, [4, 3], "pictures of 4x3 cannot be halved as often as the network does: 4x2 pixels meet 4x3"),
    ] {
        let case = levels(resample);
        // Made for pictures of a size that does not fit either: only these are refused.
        let network = network(&case, Isa::detect(), Convolution::Winograd, Precision::F32, [h, w]);
        let refused = std::panic::catch_unwind(|| network.forward(&vec![0.0; 3 * h * w], [1, 3, h, w], &[]));
        let said = refused.expect_err("a panic");
        assert_eq!(said.downcast_ref::<String>().map(String::as_str), Some(message));
        assert_eq!(network.forward(&[0.0; 48], [1, 3, 4, 4], &[]).len(), 96);
    }
}
