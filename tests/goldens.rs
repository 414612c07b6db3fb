//! Whole pictures through the command line, number by number against diffusers 0.42.1.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::program::{MODELS, Ran, Tensors, folder, golden, sample};

/// One whole-picture golden: an entry under `pipeline` of a model's `index.json`.
struct Picture {
    model: &'static str,
    entry: Value,
}

/// Every golden of the methods that are built in.
fn pictures() -> Vec<Picture> {
    let mut found = Vec::new();
    for model in MODELS {
        let index = fs::read_to_string(golden(&format!("outputs/{model}/index.json"))).expect("an index");
        let index: Value = serde_json::from_str(&index).expect("JSON");
        for entry in index["pipeline"].as_array().expect("goldens") {
            if matches!(entry["scheduler"].as_str(), Some("DDIMScheduler" | "DDPMScheduler")) {
                found.push(Picture { model, entry: entry.clone() });
            }
        }
    }
    assert_eq!(found.len(), 15, "five for each of the three models");
    found
}

impl Picture {
    fn file(&self) -> Tensors {
        let name = self.entry["file"].as_str().expect("a file");
        Tensors::read(&golden(&format!("outputs/{}/{name}", self.model)))
    }

    /// Draws it with `ddim sample` into `out`.
    fn draw(&self, folder: &Path, out: &str) -> Ran {
        fs::write(folder.join("scheduler.json"), self.entry["config"].to_string()).expect("writable");
        let steps = &self.entry["num_inference_steps"];
        let noise = golden(&format!("outputs/{}/{}", self.model, self.entry["file"].as_str().expect("a file")));
        let mut words = format!(
            "--scheduler-config scheduler.json --steps {steps} --noise {} --out {out} --force",
            noise.display()
        );
        if let Some(eta) = self.entry["step_arguments"]["eta"].as_f64() {
            words.push_str(&format!(" --eta {eta}"));
        }
        if let Some((labels, _)) = self.file().get("class_labels") {
            let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
            words.push_str(&format!(" --class {}", labels.join(",")));
        }
        if out.ends_with(".safetensors") {
            words.push_str(" --trajectory");
        }
        sample(folder, self.model, &words).expect_success()
    }

    /// The rule of the goldens' README for f32 code.
    fn tolerance(&self) -> f64 {
        let number = |name: &str| self.entry[name].as_f64().expect("a number");
        1e-5 * number("largest_abs_value").max(1.0) + 4.0 * number("max_abs_difference_from_float64")
    }

    fn name(&self) -> String {
        format!("{}/{}", self.model, self.entry["name"].as_str().unwrap_or_default())
    }
}

#[test]
fn final_states_and_trajectories_match() {
    let folder = folder();
    for picture in pictures() {
        picture.draw(folder.path(), "ours.safetensors");
        let (ours, golden) = (Tensors::read(&folder.path().join("ours.safetensors")), picture.file());
        assert_eq!(ours.values("timesteps"), golden.values("timesteps"), "{}", picture.name());
        for name in ["final", "x"] {
            let Some((expected, shape)) = golden.get(name) else { continue };
            let (found, found_shape) = ours.get(name).expect("written");
            assert_eq!(found_shape, shape, "{} {name}", picture.name());
            let largest = largest_difference(&found, &expected);
            let tolerance = picture.tolerance();
            println!("{} {name}: largest difference {largest:.2e}, tolerance {tolerance:.2e}", picture.name());
            assert!(largest <= tolerance, "{} {name}: {largest:e} > {tolerance:e}", picture.name());
        }
    }
}

/// Where a golden's value lies within the tolerance of the border between two grey levels, either level is right.
#[test]
fn eight_bit_pictures_match() {
    let folder = folder();
    for picture in pictures() {
        picture.draw(folder.path(), "ours.npz");
        let ours = first_array(&folder.path().join("ours.npz"));
        let golden = picture.file();
        let (expected, shape) = golden.get("image_uint8_nhwc").expect("in every golden");
        let exact = levels_nhwc(&golden, &shape);
        assert_eq!(ours.len(), expected.len());
        for (i, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
            let border = (exact[i].fract() - 0.5).abs();
            let level_tolerance = 127.5 * picture.tolerance();
            let agree = f64::from(*ours) == *expected;
            let either = border <= level_tolerance && (f64::from(*ours) - expected).abs() <= 1.0;
            assert!(agree || either, "{} at {i}: {ours}, golden {expected} ({})", picture.name(), exact[i]);
        }
    }
}

/// The values of `arr_0`: all that follows the header, whose length stands in bytes 8 and 9. `ddim-data` reads image
/// sets only, and some goldens have two channels.
fn first_array(file: &Path) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(fs::File::open(file).expect("written")).expect("an archive");
    let mut npy = Vec::new();
    archive.by_name("arr_0.npy").expect("pictures").read_to_end(&mut npy).expect("unpacks");
    npy.split_off(10 + usize::from(u16::from_le_bytes([npy[8], npy[9]])))
}

/// The golden's picture times 255, before rounding, channels innermost.
fn levels_nhwc(golden: &Tensors, shape: &[usize]) -> Vec<f64> {
    let values = golden.values("image_0_to_1");
    let [pictures, height, width, channels] = *shape else { panic!("four axes") };
    let mut levels = Vec::with_capacity(values.len());
    for n in 0..pictures {
        for at in 0..height * width {
            levels.extend((0..channels).map(|c| 255.0 * values[(n * channels + c) * height * width + at]));
        }
    }
    levels
}

#[test]
fn a_class_in_another_order_is_another_picture() {
    let folder = folder();
    let noise = golden("outputs/classes_scale_shift/ddim_eta0_5steps.safetensors");
    let draw = |class: &str| {
        let words = format!("--steps 5 --noise {} --class {class} --out a.safetensors --force", noise.display());
        sample(folder.path(), "classes_scale_shift", &words).expect_success();
        Tensors::read(&folder.path().join("a.safetensors")).values("final")
    };
    assert!(largest_difference(&draw("0,1"), &draw("1,0")) > 0.01);
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
