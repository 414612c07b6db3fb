//! Against pytorch-fid and torch-fidelity, with weights that tests/goldens/eval/inception/make.py makes of the
//! same hash.

use super::*;
use ddim_checkpoint::Slot;
use safetensors::{Dtype, View};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

fn golden() -> Value {
    let text =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/eval/inception/golden.json"));
    serde_json::from_str(text).expect("JSON")
}

/// SplitMix64 (Steele et al. 2014, figure 16).
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a.
fn key(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The weights of that name, as `weights` of the script makes them.
fn weights(slot: &Slot) -> Vec<f32> {
    let (name, shape) = (slot.name.as_str(), &slot.shape);
    let head = name.starts_with("fc.");
    let each: usize = shape.iter().skip(1).product();
    let (centre, spread) = match name.rsplit('.').next() {
        _ if shape.len() >= 2 => (0.0, (if head { 3.0 } else { 6.0 } / each as f64).sqrt()),
        _ if head => (0.0, 0.5),
        Some("weight") => (1.0, 0.25),
        Some("running_var") => (1.0, 0.5),
        _ => (0.0, 0.25),
    };
    let unit = |k: u64| (mix(key(name) ^ mix(k)) >> 40) as f64 / f64::from(1 << 23) - 1.0;
    (0..shape.iter().product::<usize>() as u64).map(|k| (centre + spread * unit(k)) as f32).collect()
}

/// `picture` of the script.
fn picture(height: usize, width: usize, channels: usize) -> Picture {
    let level = |k: usize| {
        let (y, x, c) = (k / channels / width, k / channels % width, k % channels);
        let noise = (mix(k as u64) >> 57) as usize;
        ((160 * x / width + 60 * y / height * (c + 1) / channels) % 129 + noise) as u8
    };
    Picture { width, height, channels, pixels: (0..height * width * channels).map(level).collect() }
}

/// The largest difference from the golden samples, in units of the root mean square of all values.
fn difference(golden: &Value, values: &[f32]) -> f64 {
    assert_eq!(golden["size"], values.len());
    let expected = golden["values"].as_array().expect("samples");
    let differences = (0..).zip(expected).map(|(k, expected)| {
        let found = f64::from(values[(mix(k) % values.len() as u64) as usize]);
        (found - expected.as_f64().expect("a number")).abs()
    });
    differences.fold(0.0, f64::max) / golden["rms"].as_f64().expect("a number")
}

/// A tensor of a file.
struct Stored(Vec<usize>, Vec<u8>);

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.0
    }
    fn data(&self) -> Cow<'_, [u8]> {
        (&self.1).into()
    }
    fn data_len(&self) -> usize {
        self.1.len()
    }
}

fn slots() -> Vec<Slot> {
    source::slots(&network::graph())
}

fn write(path: &Path, slots: &[Slot]) {
    let stored = |slot: &Slot| {
        let bytes = weights(slot).iter().flat_map(|value| value.to_le_bytes()).collect();
        (slot.name.clone(), Stored(slot.shape.clone(), bytes))
    };
    safetensors::serialize_to_file(slots.iter().map(stored), None, path).expect("writable");
}

/// Every layer in f32, with batch normalisation folded in, against float64: sums of up to 4000 products of random
/// sign, 2^-24 each, through 20 layers that keep the size of errors, stay below 2e-5 of a layer's root mean square
/// (5e-6 was found). A pool that counted its padding would be off by a third of a border.
#[test]
fn every_layer_is_that_of_the_published_programs() {
    let (golden, folder, device) = (golden(), tempfile::tempdir().expect("a folder"), Device::Cpu);
    let path = folder.path().join("weights.safetensors");
    write(&path, &slots());
    let load = |logits| {
        let options = InceptionOptions { logits, ..InceptionOptions::default() };
        Inception::load(&path, options, &device).expect("all tensors")
    };
    let (inception, biased) = (load(Logits::Unbiased), load(Logits::Biased));
    let x = inception.tensor(&[picture(32, 32, 3)]).expect("a picture");
    let names: Vec<String> = inception.engine.graph().points().iter().map(|point| point.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Observed { output, points } = inception.engine.observe(x.clone(), &inception.conditioning, &names);
    let layers = names.iter().map(|name| (*name).to_owned()).zip(points.iter().map(Tensor::values));
    let mut found: BTreeMap<String, Vec<f32>> = layers.filter(|(name, _)| !name.contains('.')).collect();
    found.insert("unbiased".to_owned(), output.values());
    found.insert("logits".to_owned(), biased.engine.forward(x, &biased.conditioning).values());
    let seen = inception.extract(&[picture(32, 32, 3)]).expect("finite");
    found.insert("spatial".to_owned(), seen.spatial.expect("a map").values);
    assert_eq!(seen.pooled.values, found["pooled"]);
    let layers = golden["layers"].as_object().expect("layers");
    assert_eq!(layers.len(), found.len());
    for (name, layer) in layers {
        let difference = difference(layer, &found[name]);
        assert!(difference < 2e-5, "{name}: {difference}");
    }

    let probabilities = seen.probabilities.expect("classes");
    // A sum of 1008 f32 numbers that is 1.
    assert!((probabilities.values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    let identity = inception.identity();
    assert!(identity.ends_with("prepared as torch-fidelity, logits unbiased"), "{identity}");
    let two = inception.extract(&[picture(8, 8, 1), picture(9, 8, 2)]).expect_err("two channels");
    assert_eq!(two, EvalError::PictureChannels { picture: 1, found: 2 });
}

/// Levels are up to 255 and f32 in the published programs: some operations of 2^-24 of 2 each. A wrong pixel would
/// be off by 1/128. torch-fidelity multiplies coordinates up to 350 in f32, which moves a place by 350 * 2^-24 =
/// 2e-5 of a step between pixels of up to 2; the others do so too.
#[test]
fn pictures_are_prepared_as_the_published_programs_do() {
    for case in golden()["prepared"].as_array().expect("cases") {
        let side = |key: &str| case[key].as_u64().expect("a number") as usize;
        let preparation: Preparation = case["name"].as_str().expect("a name").parse().expect("known");
        let values = preparation.values(&picture(side("height"), side("width"), 3));
        let difference = difference(case, &values) * case["rms"].as_f64().expect("a number");
        assert!(difference < 5e-5, "{} {}x{}: {difference}", case["name"], case["height"], case["width"]);
    }
}

#[test]
fn grey_is_the_same_as_grey_in_rgb() {
    let grey = picture(5, 7, 1);
    let rgb = Picture { channels: 3, pixels: grey.pixels.iter().flat_map(|p| [*p; 3]).collect(), ..grey };
    let values = Preparation::PytorchFid.values(&rgb);
    let [red, rest @ ..] = values.as_chunks::<{ prepare::SIDE * prepare::SIDE }>().0 else { unreachable!() };
    assert!(rest.iter().all(|channel| channel == red));
}

#[test]
fn other_networks_are_refused_and_their_tensors_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.safetensors");
    let slot = |name: &str, shape: &[usize]| Slot { name: name.to_owned(), shape: shape.to_vec() };
    write(
        &path,
        &[
            slot("Conv2d_1a_3x3.conv.weight", &[32, 1, 3, 3]),
            slot("Conv2d_1a_3x3.bn.num_batches_tracked", &[]),
            slot("AuxLogits.fc.bias", &[8]),
        ],
    );
    let error = Inception::load(&path, InceptionOptions::default(), &Device::Cpu).expect_err("another network");
    let text = error.to_string();
    assert!(
        text.contains("other.safetensors holds another network than the Inception-v3 of 2015-12-05"),
        "{text}"
    );
    assert!(text.contains("missing: Conv2d_1a_3x3.bn.weight, "), "{text}");
    assert!(text.contains("1 not used: AuxLogits.fc.bias\n"), "{text}");
    assert!(text.contains("Conv2d_1a_3x3.conv.weight should be [32, 3, 3, 3] and is [32, 1, 3, 3]"), "{text}");
    let error = Inception::load(Path::new("absent.pth"), InceptionOptions::default(), &Device::Cpu);
    assert!(error.expect_err("no file").to_string().starts_with("absent.pth: "));
}

/// What the network of ImageNet's 1008 classes is known to have, by pytorch-fid's `state_dict`: 94 convolutions of
/// five tensors each, one linear layer; 23.9 million numbers.
#[test]
fn the_tensors_are_those_of_the_published_files() {
    let slots = slots();
    assert_eq!(slots.len(), 94 * 5 + 2);
    let numbers: usize = slots.iter().map(|slot| slot.shape.iter().product::<usize>()).sum();
    assert_eq!(numbers, 23_885_392);
}

#[test]
fn conventions_are_read_by_name() {
    for (name, preparation) in Preparation::NAMES {
        assert_eq!((preparation.name(), name.parse::<Preparation>().expect(name)), (name, preparation));
    }
    let error = "bicubic".parse::<Preparation>().expect_err("unknown").to_string();
    assert_eq!(error, "preparation is bicubic; it must be torch-fidelity, pytorch-fid, clean-fid");
}
