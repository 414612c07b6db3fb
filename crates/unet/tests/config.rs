//! What a configuration may say, and how it is refused.

use ddim_unet::{
    Activation, ClassEmbedType, ConfigError, DownBlockType, SampleSize, TimeEmbeddingType, UNet2DConfig,
    UpBlockType,
};

/// A small valid configuration.
fn small() -> UNet2DConfig {
    UNet2DConfig {
        block_out_channels: vec![8, 16],
        down_block_types: vec![DownBlockType::Plain, DownBlockType::Attention],
        up_block_types: vec![UpBlockType::Attention, UpBlockType::Plain],
        norm_num_groups: 4,
        ..UNet2DConfig::default()
    }
}

fn refusal(json: &str) -> String {
    UNet2DConfig::from_json(json).expect_err(json).to_string()
}

fn invalid(change: impl Fn(&mut UNet2DConfig)) -> String {
    let mut config = small();
    change(&mut config);
    config.validate().expect_err("an impossible configuration").to_string()
}

#[test]
fn defaults_are_those_of_diffusers() {
    let config = UNet2DConfig::from_json("{}").expect("all options have defaults");
    assert_eq!(config, UNet2DConfig::default());
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.time_embed_dim(), 896);
    assert_eq!(config.size_multiple(), 8);
}

#[test]
fn json_survives_a_round_trip() {
    let config = UNet2DConfig {
        sample_size: Some(SampleSize::Rectangle([8, 12])),
        act_fn: Activation::Mish,
        time_embedding_type: TimeEmbeddingType::Fourier,
        class_embed_type: Some(ClassEmbedType::Timestep),
        mid_block_type: None,
        ..small()
    };
    let json = config.to_json();
    assert!(json.contains(r#""_class_name": "UNet2DModel""#), "{json}");
    assert_eq!(UNet2DConfig::from_json(&json), Ok(config));
}

#[test]
fn remarks_and_other_spellings_are_read() {
    let json = r#"{ "_class_name": "UNet2DModel", "_anything": 3, "act_fn": "swish", "sample_size": 32,
                    "down_block_types": ["UNetResDownBlock2D"], "mid_block_scale_factor": 1 }"#;
    let config = UNet2DConfig::from_json(json).expect("diffusers reads it too");
    assert_eq!(config.act_fn, Activation::Silu);
    assert_eq!(config.down_block_types, [DownBlockType::Plain]);
    assert_eq!(config.sample_size.map(SampleSize::height_width), Some([32, 32]));
}

#[test]
fn what_is_not_understood_is_named() {
    assert!(refusal("not json").contains("not JSON"));
    assert!(refusal("[1]").contains("expected"));
    assert!(refusal(r#"{ "cross_attention_dim": 768 }"#).contains("unknown option `cross_attention_dim`"));
    for (json, key, value) in [
        (r#"{ "down_block_types": ["AttnSkipDownBlock2D"] }"#, "down_block_types", "AttnSkipDownBlock2D"),
        (r#"{ "up_block_types": ["CrossAttnUpBlock2D"] }"#, "up_block_types", "CrossAttnUpBlock2D"),
        (r#"{ "mid_block_type": "UNetMidBlock2DCrossAttn" }"#, "mid_block_type", "UNetMidBlock2DCrossAttn"),
        (r#"{ "resnet_time_scale_shift": "spatial" }"#, "resnet_time_scale_shift", "spatial"),
        (r#"{ "time_embedding_type": "rotary" }"#, "time_embedding_type", "rotary"),
        (r#"{ "class_embed_type": "projection" }"#, "class_embed_type", "projection"),
        (r#"{ "downsample_type": "fir" }"#, "downsample_type", "fir"),
        (r#"{ "act_fn": "tanh" }"#, "act_fn", "tanh"),
        (r#"{ "in_channels": -1 }"#, "in_channels", "-1"),
        (r#"{ "norm_num_groups": null }"#, "norm_num_groups", "null"),
        (r#"{ "dropout": "much" }"#, "dropout", "much"),
        (r#"{ "sample_size": [1, 2, 3] }"#, "sample_size", "[1,2,3]"),
    ] {
        let message = refusal(json);
        assert!(message.contains(&format!("`{key}`")) && message.contains(value), "{json}: {message}");
    }
}

#[test]
fn values_that_do_not_go_together_are_named() {
    assert!(invalid(|c| c.block_out_channels.clear()).contains("block_out_channels"));
    assert!(invalid(|c| c.block_out_channels[1] = 0).contains("from 1 to 65536"));
    assert!(invalid(|c| c.down_block_types.truncate(1)).contains("`down_block_types`"));
    assert!(invalid(|c| c.up_block_types.push(UpBlockType::Plain)).contains("2 entries"));
    // As the file has them.
    assert!(invalid(|c| c.down_block_types.truncate(1)).contains(r#"is ["DownBlock2D"]; "#));
    assert!(invalid(|c| c.sample_size = Some(SampleSize::of([0, 0]))).contains("is 0; it must be above 0"));
    assert!(invalid(|c| c.norm_num_groups = 3).contains("a divisor of 8"));
    assert!(invalid(|c| c.norm_num_groups = 0).contains("a divisor of 8"));
    assert!(invalid(|c| c.attn_norm_num_groups = Some(5)).contains("a divisor of 16"));
    assert!(invalid(|c| c.attention_head_dim = Some(17)).contains("from 1 to the 16 channels"));
    assert!(
        invalid(|c| c.attention_head_dim = Some(0))
            .contains("`attention_head_dim` of the UNet2DModel configuration is 0")
    );
    assert!(invalid(|c| c.downsample_padding = 2).contains("from 0 to 1"));
    assert!(invalid(|c| c.layers_per_block = 0).contains("`layers_per_block`"));
    assert!(invalid(|c| c.dropout = 1.0).contains("below 1"));
    assert!(invalid(|c| c.norm_eps = f64::NAN).contains("`norm_eps`"));
    assert!(invalid(|c| c.mid_block_scale_factor = 0.0).contains("not 0"));
    assert!(invalid(|c| c.freq_shift = 4).contains("below 4"));
    assert!(invalid(|c| c.time_embedding_type = TimeEmbeddingType::Learned).contains("`num_train_timesteps`"));
    assert!(invalid(|c| c.num_class_embeds = Some(0)).contains("`num_class_embeds`"));
    assert!(invalid(|c| c.time_embedding_dim = Some(0)).contains("`time_embedding_dim`"));
    assert!(invalid(|c| c.sample_size = Some(SampleSize::Square(0))).contains("`sample_size`"));
}

#[test]
fn sizes_that_the_levels_cannot_halve_are_refused() {
    let config = small();
    assert_eq!(config.check_size(6, 2), Ok(()));
    let error = config.check_size(6, 5).expect_err("5 is odd");
    assert_eq!(error, ConfigError::PictureSize { height: 6, width: 5, multiple: 2 });
    assert!(error.to_string().contains("multiples of 2"));
    assert!(config.check_size(0, 2).is_err());
}

/// A single level that attends: q, k and v lie in one tensor, three times as wide as the level.
#[test]
fn the_largest_tensor_may_be_that_of_an_attention() {
    let json = r#"{ "block_out_channels": [64], "norm_num_groups": 4, "attention_head_dim": null,
        "down_block_types": ["AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D"], "layers_per_block": 1 }"#;
    let config = UNet2DConfig::from_json(json).expect("it is understood");
    let graph = config.graph().expect("a network");
    assert_eq!(graph.largest_value([8, 8]), Ok(3 * 64 * 64));
    assert_eq!(graph.largest_value([32, 32]), Ok(1024 * 1024));
}
