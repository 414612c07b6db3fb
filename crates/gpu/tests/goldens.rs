//! The networks of `tests/goldens/models`, whose outputs diffusers 0.42.1 computed.

mod support;

use ddim_gpu::{Conditioning, Network};
use ddim_graph::Labels;
use ddim_unet::{ClassEmbedType, UNet2DConfig};
use std::collections::BTreeMap;
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
            let conditioning = unet.condition(&golden.numbers("timesteps"), &index_labels(&labels));
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
        let conditioning = unet.condition(&golden.numbers("timesteps"), &index_labels(&labels));
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
        let inputs = ["x", "eps", "timesteps", "class_labels"];
        let graph = config.graph().expect("a configuration of the reference");
        let mut expected: Vec<String> =
            graph.parameters().iter().map(|info| format!("weights.{}", info.name)).collect();
        expected.sort();
        let found: Vec<&str> = golden.names().filter(|name| !inputs.contains(name)).collect();
        assert_eq!(found, expected, "{variant}");
        let unet = golden.network(graph, "weights.");

        let times = golden.numbers("timesteps");
        let (values, vectors, indices);
        let labels = match config.class_embed_type {
            Some(ClassEmbedType::Identity) => {
                vectors = golden.numbers("class_labels").iter().map(|value| *value as f32).collect::<Vec<f32>>();
                Labels::Embedding { values: &vectors, width: config.time_embed_dim() }
            }
            Some(ClassEmbedType::Timestep) => {
                values = golden.numbers("class_labels");
                Labels::Value(&values)
            }
            None => {
                indices = golden.indices();
                index_labels(&indices)
            }
        };
        let out = unet.forward(golden.tensor("x"), &unet.condition(&times, &labels));
        golden.assert_close("eps", out, variant);
    }
}

#[test]
fn rows_of_a_plan_are_the_same_as_single_conditionings() {
    let unet = load_model("classes_scale_shift");
    let golden = Golden::read(&goldens().join("outputs/classes_scale_shift/forward.safetensors"));
    let plan = unet.condition(&[7.0, 371.0, 999.0, 0.0], &Labels::Index(&[1, 4, 0, 2]));
    assert_eq!(plan.len(), 4);

    let selected = unet.forward(golden.tensor("x"), &plan.select(&[3, 1, 3]));
    let single = unet.condition(&[0.0, 371.0, 0.0], &Labels::Index(&[2, 4, 2]));
    assert_eq!(selected.into_data(), unet.forward(golden.tensor("x"), &single).into_data());

    let joined = Conditioning::cat(&[plan.rows(3..4), plan.rows(1..2), plan.rows(3..4)]);
    assert_eq!(joined.len(), 3);
    assert_eq!(
        unet.forward(golden.tensor("x"), &joined).into_data(),
        unet.forward(golden.tensor("x"), &single).into_data()
    );

    let row = unet.forward(golden.tensor("x"), &plan.rows(1..2));
    let for_all = unet.condition(&[371.0], &Labels::Index(&[4, 4, 4]));
    assert_eq!(for_all.len(), 3);
    assert_eq!(row.into_data(), unet.forward(golden.tensor("x"), &for_all).into_data());
}

fn load_model(model: &str) -> Network {
    let folder = goldens().join(model).join("unet");
    let json = std::fs::read_to_string(folder.join("config.json")).expect("config.json");
    let config = UNet2DConfig::from_json(&json).expect("a configuration of the reference");
    assert_eq!(UNet2DConfig::from_json(&config.to_json()).as_ref(), Ok(&config));
    let graph = config.graph().expect("a configuration of the reference");
    // The parameter counts in the README of the goldens.
    let parameters = [117_643, 108_098, 125_726][MODELS.iter().position(|name| *name == model).expect("listed")];
    assert_eq!(graph.parameter_count(), parameters);
    Golden::read(&folder.join("diffusion_pytorch_model.safetensors")).network(graph, "")
}
