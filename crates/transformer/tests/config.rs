//! What a configuration may say, and the tables of diffusers.

use ddim_graph::{positions, waves};
use ddim_transformer::{DiTConfig, Embedders, FeedForward, SampleSize, TimeFrequencies};
use serde_json::Value;

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent");

fn json(file: &str) -> Value {
    let text = std::fs::read_to_string(format!("{GOLDENS}/{file}")).expect("a golden file");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Off by rounding to f32 at most.
fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let far = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-7, "{what}: {far} away");
}

#[test]
fn positions_are_those_of_diffusers() {
    let tables = json("tables/positions.json");
    for table in tables["tables"].as_array().expect("tables") {
        let whole = |value: &Value| value.as_u64().expect("a whole number") as usize;
        let (channels, base) = (whole(&table["embed_dim"]), whole(&table["base_size"]));
        let size = [whole(&table["grid"][0]), whole(&table["grid"][1])];
        let rows: Vec<f64> = table["rows"].as_array().expect("rows").iter().flat_map(numbers).collect();
        assert_near(&positions(channels, size, [base; 2]), &rows, &format!("{channels} at {size:?} of {base}"));
    }
}

#[test]
fn times_are_told_as_by_either_program() {
    let tables = json("tables/dit_time_embedding.json");
    for row in tables["rows"].as_array().expect("rows") {
        let frequencies = match row["freq_shift"].as_u64() {
            Some(1) => TimeFrequencies::Diffusers,
            Some(0) => TimeFrequencies::Facebook,
            other => panic!("{other:?}"),
        };
        let time = row["t"].as_f64().expect("a time");
        let all = waves(&[time], &frequencies.values(), 256, true);
        let found: Vec<f32> = all.into_iter().step_by(16).collect();
        assert_near(&found, &numbers(&row["values_every_16th"]), &format!("{time} {frequencies:?}"));
    }
}

#[test]
fn what_is_read_is_written() {
    let text = r#"{ "num_attention_heads": 6, "attention_head_dim": 64, "num_layers": 12, "out_channels": 8,
        "activation_fn": "gelu", "attention_bias": false, "norm_eps": 0.01, "dropout": 0.1,
        "sample_size": [16, 24] }"#;
    let config = DiTConfig::from_json(text).expect("it is understood");
    assert_eq!((config.activation_fn, config.sample_size), (FeedForward::Gelu, SampleSize::Rectangle([16, 24])));
    assert_eq!(DiTConfig::from_json(&config.to_json()), Ok(config.clone()));
    let names: Vec<String> = config.graph().expect("valid").parameters().iter().map(|p| p.name.clone()).collect();
    assert!(
        !names.iter().any(|name| name.ends_with("to_q.bias"))
            && names.iter().any(|n| n.ends_with("to_out.0.bias"))
    );
}

/// One embedder for all blocks is as many parameters fewer as one has for each block but the first.
#[test]
fn embedders_are_kept_once_or_for_each_block() {
    let of = |embedders| {
        let config = DiTConfig { num_layers: 3, embedders, ..DiTConfig::default() };
        config.graph().expect("valid").parameter_count()
    };
    let width = 16 * 72;
    let one = 256 * width + width + width * width + width + 1001 * width;
    assert_eq!(of(Embedders::Each) - of(Embedders::Shared), 2 * one);
}

#[test]
fn what_makes_no_network_is_refused_by_name() {
    for (text, said) in [
        (
            r#"{ "activation_fn": "geglu" }"#,
            "`activation_fn` of the DiTTransformer2DModel configuration is \"geglu\"",
        ),
        (
            r#"{ "norm_type": "layer_norm" }"#,
            "`norm_type` of the DiTTransformer2DModel configuration is \"layer_norm\"",
        ),
        (r#"{ "num_embeds_ada_norm": null }"#, "`num_embeds_ada_norm`"),
        (r#"{ "norm_elementwise_affine": true }"#, "`norm_elementwise_affine` of the DiTTransformer2DModel"),
        (r#"{ "patch_size": 0 }"#, "`patch_size`"),
        (r#"{ "patch_size": 5 }"#, "a multiple of patch_size, which is 5"),
        (r#"{ "sample_size": 0 }"#, "`sample_size`"),
        (r#"{ "num_attention_heads": 1, "attention_head_dim": 6 }"#, "a multiple of 4 channels together"),
        (r#"{ "num_attention_heads": 65536, "attention_head_dim": 65536 }"#, "65536 at most"),
        (r#"{ "num_layers": 0 }"#, "`num_layers`"),
        (r#"{ "in_channels": 0 }"#, "`in_channels`"),
        (r#"{ "out_channels": 0 }"#, "`out_channels`"),
        (r#"{ "norm_eps": 0 }"#, "`norm_eps`"),
        (r#"{ "dropout": 1 }"#, "`dropout`"),
        (r#"{ "num_embeds_ada_norm": 0 }"#, "`num_embeds_ada_norm`"),
        (r#"{ "cross_attention_dim": 768 }"#, "unknown option `cross_attention_dim`"),
        (r#"{ "_class_name": "Transformer2DModel" }"#, "`norm_type`"),
        (
            r#"{ "_class_name": "Transformer2DModel", "norm_type": "ada_norm_zero", "cross_attention_dim": 768 }"#,
            "`cross_attention_dim` of the DiTTransformer2DModel configuration is 768; it must be null",
        ),
        ("[1]", "is not JSON"),
    ] {
        let refused = DiTConfig::from_json(text).and_then(|config| config.graph());
        let error = refused.expect_err(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}
