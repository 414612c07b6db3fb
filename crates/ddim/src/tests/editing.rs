//! Starting from pictures: image-to-image, inpainting, and guidance in some of the steps.

use burn::tensor::Tensor;

use super::{draw, tiny, untrained};
use crate::sampler::{Guidance, GuidanceInterval, Noise, PictureNoise};
use crate::schedule::{Eta, Method, Resampling};
use crate::unet::UNet2DConfig;
use crate::{Model, Options, Start, device};

/// A model whose labels 0 and 1 are classes and 2 means any.
fn guided_model() -> Model {
    let config = UNet2DConfig { num_class_embeds: Some(3), ..tiny() };
    untrained(&config, Some(2)).expect("a model")
}

/// 1x8x8 pictures, all different, within what a clipped run can give.
fn some_pictures(count: usize) -> Tensor<4> {
    PictureNoise::new(77, 0..count as u64).initial([count, 1, 8, 8], &device::cpu()) * 0.25
}

/// The right half is repainted, but for a column that is half and half.
fn right_half() -> Tensor<4> {
    let row = Tensor::<1>::from_floats([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0], &device::cpu());
    row.reshape([1, 1, 1, 8]).expand([1, 1, 8, 8])
}

fn starts() -> [(Start, f64, Resampling); 4] {
    let inpainting = || Start::Inpainting { pictures: some_pictures(3), mask: right_half() };
    let repaint = Resampling::Jumps { length: 2, times: 3 };
    [
        (Start::Pictures(some_pictures(3)), 0.6, Resampling::Once),
        (inpainting(), 1.0, Resampling::Once),
        (inpainting(), 1.0, repaint),
        (inpainting(), 0.6, repaint),
    ]
}

/// Bit for bit, with guidance in some steps only: noisy starts, known parts and jumps.
#[test]
fn an_edited_picture_does_not_depend_on_its_batch() {
    let model = guided_model();
    let interval = GuidanceInterval::NoiseLevels { above: 0.5, up_to: 5.0 };
    let guidance = Guidance { interval, rescale: 0.7, ..Guidance::from(3.0) };
    for (start, strength, resampling) in starts() {
        for eta in [0.0, 1.0] {
            let options = |batch_size| Options {
                steps: 5,
                method: Method::Ddim { eta: Eta::new(eta).expect("in [0, 1]") },
                count: 7,
                batch_size,
                guidance,
                start: start.clone(),
                strength,
                resampling,
                ..Options::default()
            };
            let one_by_one = draw(&model, &options(1));
            for batch_size in [3, 7] {
                assert_eq!(draw(&model, &options(batch_size)), one_by_one, "{start:?} {strength} {resampling:?}");
            }
        }
    }
}

/// Every known pixel is bit for bit what it was, and every other one is not.
#[test]
fn what_is_known_stays() {
    let (model, given) = (untrained(&tiny(), None).expect("a model"), some_pictures(3));
    let start = Start::Inpainting { pictures: given.clone(), mask: right_half() };
    let drawn = draw(&model, &Options { steps: 4, count: 4, start, ..Options::default() });
    let given: Vec<f32> = given.into_data().iter::<f32>().collect();
    for (at, value) in drawn.iter::<f32>().enumerate() {
        let before = given[at % given.len()]; // the fourth picture begins with the first
        assert_eq!(value == before, at % 8 < 4, "{at}: {before} {value}");
    }
}

/// In a whole run what lies under the mask has no influence; in a part of one it has.
#[test]
fn what_lies_under_the_mask_is_not_seen() {
    let model = untrained(&tiny(), None).expect("a model");
    let mask = || -> Tensor<4> { right_half().greater_elem(0.0).float() };
    let hidden: Tensor<4> = some_pictures(1) * (1.0 - mask()) + mask() * 0.75;
    let run = |pictures, strength| {
        let start = Start::Inpainting { pictures, mask: mask() };
        draw(&model, &Options { steps: 4, start, strength, ..Options::default() })
    };
    assert_eq!(run(some_pictures(1), 1.0), run(hidden.clone(), 1.0));
    assert_ne!(run(some_pictures(1), 0.5), run(hidden, 0.5));
}

/// Guidance of no scale but in an interval without levels of this plan is no guidance; in one with all it is all.
#[test]
fn guidance_acts_in_its_interval_only() {
    let model = guided_model();
    let run = |guidance: Guidance| draw(&model, &Options { steps: 4, count: 2, guidance, ..Options::default() });
    let within = |above, up_to| Guidance {
        interval: GuidanceInterval::NoiseLevels { above, up_to },
        ..Guidance::from(4.0)
    };
    assert_eq!(run(within(1e4, 1e5)), run(Guidance::OFF));
    assert_eq!(run(within(0.0, f64::INFINITY)), run(4.0.into()));
    assert_ne!(run(within(0.5, 5.0)), run(4.0.into()));
    assert_ne!(run(within(0.5, 5.0)), run(Guidance::OFF));
    assert_ne!(run(Guidance { rescale: 1.0, ..4.0.into() }), run(4.0.into()));
}

#[test]
fn a_start_that_does_not_fit_is_an_error_that_says_so() {
    let model = guided_model();
    let refused = |options: Options, expected: &str| {
        let error = model.sample(&options).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let default = || Options { steps: 4, ..Options::default() };
    let from = |start| Options { start, ..default() };
    let zeros = |shape: [usize; 4]| Tensor::zeros(shape, model.device());
    refused(from(Start::Pictures(zeros([2, 3, 8, 8]))), "pictures of shape [2, 3, 8, 8] cannot begin a run");
    refused(from(Start::Pictures(zeros([0, 1, 8, 8]))), "m at least 1");
    let mask = zeros([1, 1, 8, 7]);
    refused(from(Start::Inpainting { pictures: some_pictures(1), mask }), "it must be [1, 1, 8, 8]");
    refused(Options { strength: 0.5, ..default() }, "strength 0.5 without pictures");
    refused(Options { strength: 0.0, ..from(Start::Pictures(some_pictures(1))) }, "strength 0");
    let guided = |guidance| Options { guidance, ..default() };
    refused(guided(Guidance { rescale: 1.5, ..3.0.into() }), "guidance rescale 1.5");
    let interval = GuidanceInterval::NoiseLevels { above: 2.0, up_to: 1.0 };
    refused(guided(Guidance { interval, ..3.0.into() }), "above noise level 2 and up to 1");
}
