//! Pictures that are made to be looked at: enlarged ones and moving ones hold the pixels of the run.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, ImageReader, RgbImage};

use crate::program::{Ran, ddim, finish, folder, golden, sample};

const MODEL: &str = "attention_one_layer";

fn picture(path: &Path) -> RgbImage {
    ImageReader::open(path).expect("there").decode().expect("a picture").into_rgb8()
}

fn frames(path: &Path) -> Vec<RgbImage> {
    let file = BufReader::new(File::open(path).expect("there"));
    let decoder = PngDecoder::new(file).expect("a PNG").apng().expect("animated").into_frames();
    let frames = decoder.collect_frames().expect("frames");
    frames.into_iter().map(|frame| image::DynamicImage::from(frame.into_buffer()).into_rgb8()).collect()
}

fn interpolate(folder: &Path, words: &str) -> Ran {
    let mut command = ddim(folder);
    command.args(["interpolate", "--device", "cpu", "--model"]).arg(golden(MODEL)).args(words.split_whitespace());
    finish(command)
}

/// Each pixel of `small` is a square of `large`.
fn assert_enlarged(large: &RgbImage, small: &RgbImage, times: u32) {
    assert_eq!(large.dimensions(), (small.width() * times, small.height() * times));
    assert!(large.enumerate_pixels().all(|(x, y, pixel)| pixel == small.get_pixel(x / times, y / times)));
}

/// The picture at a place of a grid whose pictures are so large.
fn cell(sheet: &RgbImage, side: u32, [column, row]: [u32; 2]) -> RgbImage {
    image::imageops::crop_imm(sheet, 2 + column * (side + 2), 2 + row * (side + 2), side, side).to_image()
}

#[test]
fn scale_turns_pixels_into_squares_in_every_file() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let draw = |words: &str| sample(folder.path(), MODEL, &format!("--num 4 --steps 2 {words}")).expect_success();
    draw("--out raw");
    draw("--out large --scale 3");
    draw("--out large.png --scale 3 --animate large.apng");
    let (sheet, grid) = (picture(&path("large.png")), picture(&path("large/grid.png")));
    assert_eq!(sheet, grid, "a folder has the grid that a file is");
    let moving = frames(&path("large.apng"));
    for k in 0..4 {
        let raw = picture(&path(&format!("raw/00000{k}.png")));
        assert_eq!(raw.dimensions(), (16, 16));
        assert_enlarged(&picture(&path(&format!("large/00000{k}.png"))), &raw, 3);
        assert_enlarged(&cell(&sheet, 48, [k % 2, k / 2]), &raw, 3);
        assert_enlarged(&cell(moving.last().expect("a frame"), 48, [k % 2, k / 2]), &raw, 3);
    }
}

/// A third of a normal number's values lie beyond -1 and 1, and are black or white. Solvers whose state is far
/// larger than a picture show the same noise.
#[test]
fn an_animation_begins_with_the_noise_and_ends_with_the_pictures() {
    let folder = folder();
    for solver in ["ddim", "euler"] {
        let words =
            format!("--num 1 --steps 6 --solver {solver} --scale 1 --out {solver}.png --animate {solver}.apng");
        sample(folder.path(), MODEL, &words).expect_success();
        let moving = frames(&folder.path().join(format!("{solver}.apng")));
        assert_eq!(moving.len(), 7);
        assert_eq!(moving[6], picture(&folder.path().join(format!("{solver}.png"))), "{solver}");
        let ends = moving[0].as_raw().iter().filter(|level| [0, 255].contains(*level)).count();
        let share = ends as f64 / moving[0].as_raw().len() as f64;
        // 1 - erf(1/sqrt(2)) = 0.317; five standard errors of 768 values are 0.084.
        assert!((share - 0.317).abs() < 0.084, "{solver}: {share}");
    }
    assert_eq!(
        frames(&folder.path().join("ddim.apng"))[0],
        frames(&folder.path().join("euler.apng"))[0],
        "one seed, one noise"
    );
}

#[test]
fn an_interpolation_walks_from_picture_to_picture() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    interpolate(folder.path(), "--seeds 1,2 --count 5 --steps 2 --out line --animate line.apng").expect_success();
    let moving = frames(&path("line.apng"));
    assert_eq!(moving.len(), 5);
    for (k, frame) in moving.iter().enumerate() {
        assert_enlarged(frame, &picture(&path(&format!("line/00000{k}.png"))), 16);
    }
    let grid = "--corners 1,2,3,4 --grid 3 --steps 2 --out grid --scale 1 --animate grid.apng";
    interpolate(folder.path(), grid).expect_success();
    for (frame, k) in frames(&path("grid.apng")).iter().zip([0, 1, 2, 5, 4, 3, 6, 7, 8]) {
        assert_eq!(*frame, picture(&path(&format!("grid/00000{k}.png"))), "there in one row, back in the next");
    }
}
