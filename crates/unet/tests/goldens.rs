//! The networks of `tests/goldens/models`, whose outputs diffusers 0.42.1 computed, part by part.

use burn::module::Module;
use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::{Device, Tensor, TensorData};
use ddim_unet::{Labels, UNet2D, UNet2DConfig};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::PathBuf;

const MODELS: [&str; 3] = ["attention_one_layer", "classes_scale_shift", "no_attention_two_layers_odd_channels"];

#[test]
fn forward_agrees_with_diffusers() {
    let cases = ["forward", "forward_one_timestep_for_all", "forward_float_timesteps", "forward_other_size"];
    let mut compared = 0;
    for model in MODELS {
        let unet = load(model);
        for case in cases {
            let Some(golden) = Golden::read(model, case) else { continue };
            let device = Device::flex();
            let conditioning = unet.condition(&golden.times(), &golden.labels(), &device);
            let out = unet.forward(golden.tensor("x"), &conditioning);
            golden.assert_close("eps", out, &format!("{model}/{case}"));
            compared += 1;
        }
    }
    assert_eq!(compared, 10, "files in tests/goldens/models/outputs");
}

#[test]
fn each_part_agrees_with_diffusers() {
    for model in MODELS {
        let unet = load(model);
        let golden = Golden::read(model, "forward_each_part").expect("present for each model");
        let conditioning = unet.condition(&golden.times(), &golden.labels(), &Device::flex());
        let mut parts = BTreeMap::new();
        unet.forward_traced(golden.tensor("x"), &conditioning, &mut |part, x| {
            parts.insert(part.to_owned(), x.clone());
        });
        let expected: Vec<&String> = golden.floats.keys().filter(|name| name.starts_with("after.")).collect();
        assert!(expected.len() > 10);
        for name in expected {
            let part = name.trim_start_matches("after.");
            let out = parts.remove(part).unwrap_or_else(|| panic!("{model}: no part is named {part}"));
            golden.assert_close(name, out, &format!("{model}/{part}"));
        }
    }
}

#[test]
fn rows_of_a_plan_are_the_same_as_single_conditionings() {
    let unet = load("classes_scale_shift");
    let device = Device::flex();
    let golden = Golden::read("classes_scale_shift", "forward").expect("present");
    let plan = unet.condition(&[7.0, 371.0, 999.0, 0.0], &Labels::Index(&[1, 4, 0, 2]), &device);
    let single = unet.condition(&[0.0, 371.0, 0.0], &Labels::Index(&[2, 4, 2]), &device);
    let selected = unet.forward(golden.tensor("x"), &plan.select(&[3, 1, 3]));
    let direct = unet.forward(golden.tensor("x"), &single);
    assert_eq!(selected.into_data(), direct.into_data());

    let row = unet.forward(golden.tensor("x"), &plan.rows(1..2));
    let same_for_all = unet.condition(&[371.0], &Labels::Index(&[4, 4, 4]), &device);
    let direct = unet.forward(golden.tensor("x"), &same_for_all);
    assert_eq!(row.into_data(), direct.into_data());
}

/// A model of the goldens, with each of its tensors loaded and none left over.
fn load(model: &str) -> UNet2D {
    let folder = goldens().join(model).join("unet");
    let json = std::fs::read_to_string(folder.join("config.json")).expect("config.json");
    let config = UNet2DConfig::from_json(&json).expect("a configuration of the reference");
    assert_eq!(UNet2DConfig::from_json(&config.to_json()).as_ref(), Ok(&config));
    let mut unet = config.init(&Device::flex()).expect("a configuration of the reference");
    let mut store = SafetensorsStore::from_file(folder.join("diffusion_pytorch_model.safetensors"))
        .with_from_adapter(PyTorchToBurnAdapter)
        .skip_enum_variants(true);
    let result = unet.load_from(&mut store).expect("weights");
    assert!(result.missing.is_empty() && result.unused.is_empty(), "{model}: {result:?}");
    assert!(unet.num_params() > 100_000);
    unet
}

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/models")
}

struct Golden {
    floats: BTreeMap<String, TensorData>,
    times: Vec<f64>,
    labels: Option<Vec<usize>>,
    /// How far the reference itself is from a float64 run.
    distance: f64,
}

impl Golden {
    fn read(model: &str, case: &str) -> Option<Golden> {
        let path = goldens().join("outputs").join(model).join(format!("{case}.safetensors"));
        let bytes = path.exists().then(|| std::fs::read(&path).expect("golden"))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("golden");
        let info = &header.metadata().as_ref().expect("metadata")["info"];
        let info: serde_json::Value = serde_json::from_str(info).expect("metadata is JSON");
        let file = SafeTensors::deserialize(&bytes).expect("golden");
        let numbers = |name: &str| file.tensor(name).ok().map(|tensor| read_numbers(&tensor));
        let floats = file.tensors().into_iter().filter(|(name, _)| name.starts_with("after.") || name == "eps" || name == "x");
        Some(Golden {
            floats: floats.map(|(name, tensor)| (name, read_floats(&tensor))).collect(),
            times: numbers("timesteps").expect("timesteps"),
            labels: numbers("class_labels").map(|labels| labels.iter().map(|label| *label as usize).collect()),
            distance: info["max_abs_difference_from_float64"].as_f64().unwrap_or(3e-6),
        })
    }

    fn times(&self) -> Vec<f64> {
        self.times.clone()
    }

    fn labels(&self) -> Labels<'_> {
        self.labels.as_deref().map_or(Labels::None, Labels::Index)
    }

    fn tensor(&self, name: &str) -> Tensor<4> {
        Tensor::from_data(self.floats[name].clone(), &Device::flex())
    }

    /// The rule of the goldens' README: 1e-5 max(1, largest) + 4 (distance of the reference from float64).
    fn assert_close(&self, name: &str, out: Tensor<4>, what: &str) {
        let expected: Vec<f32> = self.floats[name].iter::<f32>().collect();
        let out: Vec<f32> = out.into_data().iter::<f32>().collect();
        assert_eq!(out.len(), expected.len(), "{what}: size");
        let largest = expected.iter().fold(1.0, |largest: f32, value| largest.max(value.abs()));
        let allowed = 1e-5 * f64::from(largest) + 4.0 * self.distance;
        let difference = out.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        assert!(difference <= allowed, "{what}: differs by {difference:e}, allowed {allowed:e}");
    }
}

fn read_floats(tensor: &safetensors::tensor::TensorView) -> TensorData {
    assert_eq!(tensor.dtype(), Dtype::F32);
    let values: Vec<f32> = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    TensorData::new(values, tensor.shape().to_vec())
}

fn read_numbers(tensor: &safetensors::tensor::TensorView) -> Vec<f64> {
    match tensor.dtype() {
        Dtype::I64 => tensor.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as f64).collect(),
        Dtype::F32 => read_floats(tensor).iter::<f64>().collect(),
        other => panic!("unexpected type {other:?}"),
    }
}
