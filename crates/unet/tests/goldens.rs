//! The networks of `tests/goldens/models`, whose outputs diffusers 0.42.1 computed.

mod support;

use burn::module::Module;
use burn::store::{KeyRemapper, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::Device;
use ddim_unet::{ClassEmbedType, Conditioning, Labels, UNet2D, UNet2DConfig};
use std::collections::BTreeMap;
use std::path::Path;
use support::{Golden, goldens, index_labels};

const MODELS: [&str; 3] = ["attention_one_layer", "classes_scale_shift", "no_attention_two_layers_odd_channels"];

const VARIANTS: [&str; 6] = [
    "attention_everywhere_padding_0_odd_width",
    "attention_resnet_resampling_scale_shift_gelu",
    "fourier_class_timestep_relu_centred",
    "learned_class_identity_no_middle",
    "one_level_table",
    "resnet_blocks_mish",
];

#[test]
fn forward_agrees_with_diffusers() {
    let cases = ["forward", "forward_one_timestep_for_all", "forward_float_timesteps", "forward_other_size"];
    let mut compared = 0;
    for model in MODELS {
        let unet = load_model(model);
        for case in cases {
            let path = goldens().join("outputs").join(model).join(format!("{case}.safetensors"));
            if !path.exists() {
                continue;
            }
            let golden = Golden::read(&path);
            let labels = golden.indices();
            let conditioning =
                unet.condition(&golden.numbers("timesteps"), &index_labels(&labels), &Device::flex());
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
        let unet = load_model(model);
        let golden = Golden::read(&goldens().join("outputs").join(model).join("forward_each_part.safetensors"));
        let labels = golden.indices();
        let conditioning = unet.condition(&golden.numbers("timesteps"), &index_labels(&labels), &Device::flex());
        let mut parts = BTreeMap::new();
        unet.forward_traced(golden.tensor("x"), &conditioning, &mut |part, x| {
            parts.insert(part.to_owned(), x.clone());
        });
        let expected: Vec<&str> = golden.names().filter(|name| name.starts_with("after.")).collect();
        assert!(expected.len() > 10, "{model}: {expected:?}");
        for name in expected {
            let part = name.trim_start_matches("after.");
            let out = parts.remove(part).unwrap_or_else(|| panic!("{model}: no part is named {part}"));
            golden.assert_close(name, out, &format!("{model}/{part}"));
        }
    }
}

#[test]
fn rare_blocks_and_options_agree_with_diffusers() {
    for variant in VARIANTS {
        let path = goldens().join("variants").join(format!("{variant}.safetensors"));
        let golden = Golden::read(&path);
        let config = UNet2DConfig::from_json(golden.metadata("config")).expect("a configuration of the reference");
        let remapper = KeyRemapper::new().add_pattern(r"^weights\.", "").expect("a regular expression");
        let inputs = ["x", "eps", "timesteps", "class_labels"].map(String::from);
        let unet = load(&config, SafetensorsStore::from_file(&path).remap(remapper), &inputs);

        let times = golden.numbers("timesteps");
        let device = Device::flex();
        let (values, indices);
        let labels = match config.class_embed_type {
            Some(ClassEmbedType::Identity) => Labels::Embedding(golden.tensor("class_labels")),
            Some(ClassEmbedType::Timestep) => {
                values = golden.numbers("class_labels");
                Labels::Value(&values)
            }
            None => {
                indices = golden.indices();
                index_labels(&indices)
            }
        };
        let out = unet.forward(golden.tensor("x"), &unet.condition(&times, &labels, &device));
        golden.assert_close("eps", out, variant);
    }
}

#[test]
fn rows_of_a_plan_are_the_same_as_single_conditionings() {
    let unet = load_model("classes_scale_shift");
    let device = Device::flex();
    let golden = Golden::read(&goldens().join("outputs/classes_scale_shift/forward.safetensors"));
    let plan = unet.condition(&[7.0, 371.0, 999.0, 0.0], &Labels::Index(&[1, 4, 0, 2]), &device);
    assert_eq!(plan.len(), 4);

    let selected = unet.forward(golden.tensor("x"), &plan.select(&[3, 1, 3]));
    let single = unet.condition(&[0.0, 371.0, 0.0], &Labels::Index(&[2, 4, 2]), &device);
    assert_eq!(selected.into_data(), unet.forward(golden.tensor("x"), &single).into_data());

    let joined = Conditioning::cat(&[plan.rows(3..4), plan.rows(1..2), plan.rows(3..4)]);
    assert_eq!(joined.len(), 3);
    assert_eq!(
        unet.forward(golden.tensor("x"), &joined).into_data(),
        unet.forward(golden.tensor("x"), &single).into_data()
    );

    let row = unet.forward(golden.tensor("x"), &plan.rows(1..2));
    let for_all = unet.condition(&[371.0], &Labels::Index(&[4, 4, 4]), &device);
    assert_eq!(for_all.len(), 3);
    assert_eq!(row.into_data(), unet.forward(golden.tensor("x"), &for_all).into_data());
}

fn load_model(model: &str) -> UNet2D {
    let folder = goldens().join(model).join("unet");
    let json = std::fs::read_to_string(folder.join("config.json")).expect("config.json");
    let config = UNet2DConfig::from_json(&json).expect("a configuration of the reference");
    assert_eq!(UNet2DConfig::from_json(&config.to_json()).as_ref(), Ok(&config));
    let weights: &Path = &folder.join("diffusion_pytorch_model.safetensors");
    let unet = load(&config, SafetensorsStore::from_file(weights), &[]);
    // The parameter counts in the README of the goldens.
    let parameters = [117_643, 108_098, 125_726][MODELS.iter().position(|name| *name == model).expect("listed")];
    assert_eq!(unet.num_params(), parameters);
    unet
}

/// A network with each of its tensors loaded, and none left over but `others`.
fn load(config: &UNet2DConfig, store: SafetensorsStore, others: &[String]) -> UNet2D {
    let mut unet = config.init(&Device::flex()).expect("a configuration of the reference");
    let mut store = store.with_from_adapter(PyTorchToBurnAdapter).skip_enum_variants(true);
    let result = unet.load_from(&mut store).expect("weights");
    assert!(result.missing.is_empty(), "{result:?}");
    assert!(result.unused.iter().all(|name| others.contains(name)), "{result:?}");
    unet
}
