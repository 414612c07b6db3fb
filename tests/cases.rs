//! Models as other programs write them: each of the folders in `tests/cases` with the picture that diffusers 0.42.1 draws
//! from the same noise. They share one file of weights, which lies in `base` and is put where and how each case has it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::program::{Ran, Tensors, copy, ddim, finish, folder};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn case(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(path)
}

/// A copy of a case, with the weights in its network's folder.
fn laid_out(name: &str, network: &str) -> tempfile::TempDir {
    let folder = folder();
    copy(&case(name), folder.path());
    fs::copy(case("base").join(WEIGHTS), folder.path().join(network).join(WEIGHTS)).expect("writable");
    folder
}

/// Draws a case with these words, and compares it with the right picture.
#[track_caller]
fn draw(folder: &Path, words: &str, right: &Path) -> Ran {
    let mut command = ddim(folder);
    command.args(["sample", "--device", "cpu", "--no-clip", "--out", "o.safetensors", "--noise"]);
    command.arg(case("base/noise.safetensors")).args(words.split_whitespace());
    let ran = finish(command).expect_success();
    let ours = Tensors::read(&folder.join("o.safetensors")).values("final");
    let right = npy(right);
    assert_eq!(ours.len(), right.len());
    let largest = right.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
    let difference = ours.iter().zip(&right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{words}: largest difference {difference:.2e}, of values up to {largest:.1}");
    // The goldens' rule for f32 code, without the part that only makes it wider.
    assert!(difference <= 1e-5 * largest, "{words}: {difference:e} of {largest}");
    ran
}

/// The f32 values of a .npy file.
fn npy(file: &Path) -> Vec<f64> {
    let bytes = fs::read(file).expect("readable");
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].as_chunks().0.iter().map(|word| f32::from_le_bytes(*word).into()).collect()
}

#[test]
fn an_ema_folder_alone_with_a_scheduler_from_elsewhere() {
    let folder = laid_out("ema-folder", "unet_ema");
    for scheduler in ["sched/scheduler_config.json", "sched"] {
        let words = format!("--model unet_ema --scheduler-config {scheduler} --steps 5 --force");
        let ran = draw(folder.path(), &words, &case("base/right.npy"));
        assert!(!ran.stderr.contains("passed over"), "{}", ran.stderr);
    }
    copy(&folder.path().join("unet_ema"), &folder.path().join("unet"));
    let ran = draw(folder.path(), "--model . --scheduler-config sched --steps 5 --force", &case("base/right.npy"));
    assert!(
        ran.stderr.contains("using the weights unet_ema; there is also unet (--weights unet"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.matches("there is also").count(), 1, "{}", ran.stderr);
}

#[test]
fn infinity_in_json_is_a_number_of_python() {
    let folder = laid_out("infinity-in-json", "model/unet");
    let words = "--model model --steps 6 --scheduler-config model/scheduler/scheduler_config.json";
    draw(folder.path(), words, &case("infinity-in-json/right.npy"));
}

#[test]
fn null_parts_are_absent() {
    let folder = laid_out("null-parts", "model/unet");
    draw(folder.path(), "--model model --steps 5", &case("base/right.npy"));
}

#[test]
fn unknown_options_are_named_and_passed_over() {
    let folder = laid_out("unknown-config-key", "model/unet");
    let ran = draw(folder.path(), "--model model --steps 5", &case("base/right.npy"));
    assert!(ran.stderr.contains("no class has such an option: resnet_eps, name_or_path"), "{}", ran.stderr);
}

#[test]
fn the_prefix_of_torch_compile_falls_away() {
    let folder = laid_out("torch-compile-prefix", "model/unet");
    let file = folder.path().join("model/unet").join(WEIGHTS);
    let bytes = fs::read(&file).expect("readable");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let renamed: Vec<(String, TensorView)> =
        tensors.iter().map(|(name, view)| (format!("_orig_mod.{name}"), view)).collect();
    safetensors::serialize_to_file(renamed, None, &file).expect("writable");
    draw(folder.path(), "--model model --steps 5", &case("base/right.npy"));
}

/// A model whose weights are a checkpoint of PyTorch 2.15, `state_dict` and `ema_state_dict` one and the same; only its
/// pickle is kept.
pub(crate) fn pickled() -> tempfile::TempDir {
    let folder = laid_out("two-names-one-tensor", "model/unet");
    let safetensors = folder.path().join("model/unet").join(WEIGHTS);
    let pickle = fs::read(folder.path().join("data.pkl")).expect("readable");
    let archive = archive(&pickle, &fs::read(&safetensors).expect("readable"));
    fs::remove_file(safetensors).expect("it was there");
    fs::write(folder.path().join("model/unet/last.ckpt"), archive).expect("writable");
    folder
}

#[test]
fn two_names_of_one_tensor_are_one_tensor() {
    let folder = pickled();
    for words in ["", " --weights state_dict", " --weights ema"] {
        let words = format!("--model model --steps 5 --force{words}");
        let ran = draw(folder.path(), &words, &case("base/right.npy"));
        let is_told = ran.stderr.contains("using the weights ema_state_dict; there is also state_dict");
        assert_eq!(is_told, !words.contains("--weights"), "{}", ran.stderr);
    }
}

/// The archive of a pickle, whose storages are numbered in the order in which it names their tensors.
fn archive(pickle: &[u8], weights: &[u8]) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(weights).expect("safetensors");
    let place = |name: &str| {
        let said = [&(name.len() as u32).to_le_bytes()[..], name.as_bytes()].concat();
        pickle.windows(said.len()).position(|window| window == said).expect("named in the pickle")
    };
    let mut named: Vec<(usize, Vec<u8>)> =
        tensors.iter().map(|(name, view)| (place(name), view.data().to_vec())).collect();
    named.sort();
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(name, stored).expect("in memory");
        zip.write_all(bytes).expect("in memory");
    };
    add("last/data.pkl".to_owned(), pickle);
    add("last/byteorder".to_owned(), b"little");
    for (key, (_, bytes)) in named.iter().enumerate() {
        add(format!("last/data/{key}"), bytes);
    }
    zip.finish().expect("in memory").into_inner()
}
