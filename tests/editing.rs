//! Pictures that are changed: what stays, what does not depend on the batch, and what a killed run keeps.

use std::fs;
use std::path::Path;

use image::{GrayImage, ImageReader, Luma};

use crate::program::{Tensors, folder, sample};

const MODEL: &str = "no_attention_two_layers_odd_channels";

/// Three pictures of 16x16 that differ, and a mask whose lower half is white.
fn lay_out(folder: &Path) {
    fs::create_dir(folder.join("in")).expect("writable");
    for k in 0..3 {
        let picture = GrayImage::from_fn(16, 16, |x, y| Luma([(k * 80 + 11 * x + y) as u8]));
        picture.save(folder.join(format!("in/{k}.png"))).expect("writable");
    }
    let mask = GrayImage::from_fn(16, 16, |_, y| Luma([if y < 8 { 0 } else { 255 }]));
    mask.save(folder.join("mask.png")).expect("writable");
}

fn pixels(path: &Path) -> Vec<u8> {
    let picture = ImageReader::open(path).expect("there").decode().expect("a picture");
    picture.into_luma8().into_raw()
}

/// Level by level, under every convention and so every rounding, the upper half is that of the file.
#[test]
fn the_kept_part_of_a_png_is_the_files() {
    let folder = folder();
    lay_out(folder.path());
    for convention in ["exact", "diffusers", "ermongroup", "openai"] {
        for method in ["replace", "repaint --jump-length 1 --resample 2"] {
            let words = format!(
                "--init {0}/in --mask {0}/mask.png --steps 4 --convention {convention} --inpaint {method} --out out --force",
                folder.path().display()
            );
            sample(folder.path(), MODEL, &words).expect_success();
            for k in 0..3 {
                let before = pixels(&folder.path().join(format!("in/{k}.png")));
                let after = pixels(&folder.path().join(format!("out/00000{k}.png")));
                assert_eq!(before[..128], after[..128], "{convention} {method}, picture {k}");
                assert_ne!(before[128..], after[128..], "{convention} {method}, picture {k}");
            }
        }
    }
}

/// Bit for bit, whatever the batch, and the same for the pictures that a broken file leaves.
#[test]
fn changed_pictures_do_not_depend_on_the_others() {
    let folder = folder();
    lay_out(folder.path());
    let run = |words: &str| {
        let (root, rest) = (folder.path().display(), "--num 5 --out run.safetensors --force");
        let words =
            format!("--init {root}/in --steps 4 {words} {rest}").replace("MASK", &format!("{root}/mask.png"));
        let ran = sample(folder.path(), MODEL, &words);
        (ran.code, Tensors::read(&folder.path().join("run.safetensors")).values("final"))
    };
    for words in
        ["--eta 1 --strength 0.5", "--mask MASK", "--mask MASK --inpaint repaint --jump-length 2 --eta 0.5"]
    {
        let alone = run(&format!("{words} --batch-size 1"));
        assert_eq!(alone.0, 0);
        assert_eq!(run(&format!("{words} --batch-size 3")), alone, "{words}");
        fs::write(folder.path().join("in/1.png"), "broken").expect("writable");
        let (code, some) = run(&format!("{words} --batch-size 3"));
        // Of the five pictures, 1 and 4 begin with the broken file.
        let left: Vec<f64> = [0, 2, 3].iter().flat_map(|k| &alone.1[k * 256..(k + 1) * 256]).copied().collect();
        assert_eq!((code, some), (1, left), "{words}");
        fs::remove_dir_all(folder.path().join("in")).expect("writable");
        lay_out(folder.path());
    }
}
