//! Starting from pictures: image-to-image, inpainting, and guidance in some of the steps.

use std::io::Cursor;

use ddim_tensor::Tensor;
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};

use super::{draw, tiny, untrained};
use crate::data::{Fit, Resize};
use crate::sampler::{Guidance, GuidanceInterval, Langevin, Noise, PictureNoise};
use crate::schedule::solvers::Ddim;
use crate::schedule::{Eta, Resampling};
use crate::unet::UNet2DConfig;
use crate::{Model, Options, Start, Strength, device};

/// A model whose labels 0 and 1 are classes and 2 means any.
fn guided_model() -> Model {
    let config = UNet2DConfig { num_class_embeds: Some(3), ..tiny() };
    untrained(&config, Some(2)).expect("a model")
}

/// 1x8x8 pictures, all different, within what a clipped run can give.
fn some_pictures(count: usize) -> Tensor {
    PictureNoise::new(77, 0..count as u64).initial([count, 1, 8, 8], &device::cpu()) * 0.25
}

/// The right half is repainted, but for a column that is half and half.
fn right_half() -> Tensor {
    Tensor::new([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0].repeat(8), [1, 1, 8, 8])
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
                solver: Ddim { eta: Eta::new(eta).expect("in [0, 1]") }.into(),
                count: 7,
                batch_size,
                guidance,
                start: start.clone(),
                strength: strength.into(),
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
    let given: Vec<f32> = given.into_values();
    for (at, value) in drawn.into_iter().enumerate() {
        let before = given[at % given.len()]; // the fourth picture begins with the first
        assert_eq!(value == before, at % 8 < 4, "{at}: {before} {value}");
    }
}

/// Corrected runs too: known pixels stay, corrections change the others, and a picture is the same in any batch. A
/// solver that looks back is refused before anything is drawn.
#[test]
fn a_known_part_and_corrections_go_together() {
    let (model, given) = (untrained(&tiny(), None).expect("a model"), some_pictures(3));
    let options = |corrections, batch_size| Options {
        steps: 4,
        count: 4,
        batch_size,
        start: Start::Inpainting { pictures: given.clone(), mask: right_half() },
        corrector: (corrections > 0).then(|| Langevin::new(corrections, 0.16).expect("in range")),
        ..Options::default()
    };
    let [none, one, two] = [0, 1, 2].map(|corrections| draw(&model, &options(corrections, 4)));
    assert_eq!(draw(&model, &options(2, 1)), two);
    let given = given.values();
    for (at, value) in two.iter().enumerate() {
        assert_eq!(*value == given[at % given.len()], at % 8 < 4, "{at}");
    }
    assert!(none != one && one != two);
    let looks_back = Options { solver: "dpm++".parse().expect("known"), ..options(1, 4) };
    let error = model.batches(&looks_back).expect_err("it remembers").to_string();
    assert!(error.contains("this solver looks back"), "{error}");
}

/// In a whole run what lies under the mask has no influence; in a part of one it has.
#[test]
fn what_lies_under_the_mask_is_not_seen() {
    let model = untrained(&tiny(), None).expect("a model");
    let mask = || Tensor::new([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0].repeat(8), [1, 1, 8, 8]);
    let hidden: Tensor = some_pictures(1) * (1.0 - mask()) + mask() * 0.75;
    let run = |pictures, strength| {
        let start = Start::Inpainting { pictures, mask: mask() };
        draw(&model, &Options { steps: 4, start, strength: Strength::Share(strength), ..Options::default() })
    };
    assert_eq!(run(some_pictures(1), 1.0), run(hidden.clone(), 1.0));
    assert_ne!(run(some_pictures(1), 0.5), run(hidden, 0.5));
}

/// The middle square of a picture, scaled, in the model's colours: the same as if the caller had made it so.
#[test]
fn any_picture_can_be_the_start() {
    let model = untrained(&tiny(), None).expect("a model");
    let wide = RgbImage::from_fn(24, 16, |x, _| match x {
        0..4 | 20.. => Rgb([255, 0, 0]),
        4..12 => Rgb([0; 3]),
        _ => Rgb([255; 3]),
    });
    let mut file = Cursor::new(Vec::new());
    wide.write_to(&mut file, ImageFormat::Png).expect("room");
    let halves = Tensor::new([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0].repeat(8), [1, 1, 8, 8]);
    let fitted = model.fit(&wide.clone().into()).expect("a picture");
    // The two columns beside the edge are mixed where a picture is scaled.
    let sides = |x: Tensor| {
        let values = x.into_values();
        let columns = |range: std::ops::Range<usize>| {
            values.chunks_exact(8).flat_map(|row| row[range.clone()].to_vec()).collect::<Vec<_>>()
        };
        (columns(0..3), columns(5..8))
    };
    assert_eq!(sides(fitted.clone()), sides(halves));
    let drawn = |start| draw(&model, &Options { steps: 4, start, ..Options::default() });
    let of_tensor = drawn(Start::Pictures(fitted));
    assert_eq!(drawn(Start::image(&wide.clone().into(), &model).expect("a picture")), of_tensor);
    assert_eq!(drawn(Start::file(file.get_ref(), &model).expect("a PNG")), of_tensor);
    let padded =
        model.fit_with(&wide.clone().into(), Fit { resize: Resize::Pad, ground: [0; 3], ..Fit::default() });
    assert_eq!(padded.expect("a picture").values()[..8], [-1.0; 8]);
    let empty = model.fit(&image::DynamicImage::new_rgb8(0, 5)).expect_err("no pixels").to_string();
    assert_eq!(empty, "a picture of 0x5 pixels has none: both sides must be at least 1");
    let error = Start::file(b"no picture", &model).expect_err("no picture").to_string();
    assert!(error.contains("is not a picture"), "{error}");
}

#[test]
fn a_mask_picture_says_what_is_repainted() {
    let model = untrained(&tiny(), None).expect("a model");
    let picture = GrayImage::from_pixel(8, 8, Luma([77]));
    let mask = GrayImage::from_fn(8, 8, |x, _| Luma([if x < 4 { 0 } else { 255 }]));
    let start = Start::inpainting(&picture.into(), &mask.into(), &model).expect("pictures");
    let drawn = model.sample(&Options { steps: 4, start, ..Options::default() }).expect("a run").bytes(0);
    assert!(drawn.chunks(8).all(|row| row[..4] == [77; 4] && row[4..] != [77; 4]), "{drawn:?}");
}

/// Pictures keep something of themselves unless the caller says how much.
#[test]
fn the_usual_strength_depends_on_the_start() {
    let model = untrained(&tiny(), None).expect("a model");
    let steps = |start, strength| {
        model.plan(&Options { steps: 10, start, strength, ..Options::default() }).expect("a plan").steps().len()
    };
    assert_eq!(steps(Start::Pictures(some_pictures(1)), Strength::Usual), 6);
    assert_eq!(steps(Start::Pictures(some_pictures(1)), Strength::Share(0.3)), 3);
    assert_eq!(steps(Start::Noise, Strength::Usual), 10);
    let start = Start::Inpainting { pictures: some_pictures(1), mask: right_half() };
    assert_eq!(steps(start, Strength::Usual), 10);
}

/// Guidance of no scale but in an interval without levels of this plan is not guidance; in one with all it is all.
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
    let zeros = |shape: [usize; 4]| Tensor::full(0.0, shape).to(model.device());
    refused(from(Start::Pictures(zeros([2, 3, 8, 8]))), "pictures of shape [2, 3, 8, 8] cannot begin a run");
    refused(from(Start::Pictures(zeros([0, 1, 8, 8]))), "m at least 1");
    let mask = zeros([1, 1, 8, 7]);
    refused(from(Start::Inpainting { pictures: some_pictures(1), mask }), "it must be [1, 1, 8, 8]");
    refused(Options { strength: 0.5.into(), ..default() }, "strength 0.5 without pictures");
    refused(Options { strength: 0.0.into(), ..from(Start::Pictures(some_pictures(1))) }, "strength 0");
    let guided = |guidance| Options { guidance, ..default() };
    refused(guided(Guidance { rescale: 1.5, ..3.0.into() }), "guidance rescale 1.5");
    let interval = GuidanceInterval::NoiseLevels { above: 2.0, up_to: 1.0 };
    refused(guided(Guidance { interval, ..3.0.into() }), "above noise level 2 and up to 1");
}
