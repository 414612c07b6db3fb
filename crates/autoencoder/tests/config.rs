//! What a configuration may say, and how it is refused.

use ddim_autoencoder::{
    AutoencoderConfig, AutoencoderKLConfig, AutoencoderTinyConfig, ConfigError, DownBlockType, VQModelConfig,
};

fn kl(json: &str) -> Result<(), ConfigError> {
    AutoencoderKLConfig::from_json(json)?.validate()
}

fn refusal(result: Result<(), ConfigError>) -> String {
    result.expect_err("an impossible configuration").to_string()
}

#[test]
fn defaults_are_those_of_diffusers() {
    let config = AutoencoderKLConfig::from_json("{}").expect("all options have defaults");
    assert_eq!(config, AutoencoderKLConfig::default());
    assert_eq!(config.validate(), Ok(()));
    assert_eq!((config.latent_channels, config.norm_num_groups, config.layers_per_block), (4, 32, 1));
    assert!(config.force_upcast && config.use_quant_conv && config.mid_block_add_attention);
    let vq = VQModelConfig::default();
    assert_eq!((vq.latent_channels, vq.num_vq_embeddings, vq.row()), (3, 256, 3));
    assert_eq!(vq.validate(), Ok(()));
    let tiny = AutoencoderTinyConfig::default();
    assert_eq!((tiny.scaling_factor, tiny.validate()), (1.0, Ok(())));
}

#[test]
fn json_survives_a_round_trip() {
    let kl = AutoencoderKLConfig {
        shift_factor: Some(0.5),
        latents_mean: Some(vec![0.0; 4]),
        down_block_types: vec![DownBlockType::Attention],
        ..AutoencoderKLConfig::default()
    };
    assert_eq!(AutoencoderKLConfig::from_json(&kl.to_json()), Ok(kl));
    let vq = VQModelConfig { vq_embed_dim: Some(6), ..VQModelConfig::default() };
    assert_eq!(VQModelConfig::from_json(&vq.to_json()), Ok(vq));
    let tiny = AutoencoderTinyConfig { block_out_channels: Some(vec![64; 4]), ..AutoencoderTinyConfig::default() };
    assert_eq!(AutoencoderTinyConfig::from_json(&tiny.to_json()), Ok(tiny));
}

#[test]
fn refusals_name_the_option_and_what_it_may_be() {
    for (json, named, allowed) in [
        (r#"{ "scaling_factor": 0 }"#, "scaling_factor", "a finite number above 0"),
        (r#"{ "scaling_factor": -0.2 }"#, "-0.2", "a finite number above 0"),
        (r#"{ "latents_mean": [0, 0], "latents_std": [1, 1] }"#, "latents_mean", "null or 4 numbers"),
        (r#"{ "latents_mean": [0, 0, 0, 0] }"#, "latents_std", "where latents_mean is"),
        (r#"{ "latents_mean": [0, 0, 0, 0], "latents_std": [1, 0, 1, 1] }"#, "latents_std", "above 0"),
        (r#"{ "norm_num_groups": 5 }"#, "norm_num_groups", "a divisor of 64"),
        (r#"{ "up_block_types": [] }"#, "up_block_types", "as long as block_out_channels"),
        (r#"{ "latent_channels": 0 }"#, "latent_channels", "from 1 to 65536"),
    ] {
        let error = refusal(kl(json));
        assert!(error.contains(named) && error.contains(allowed), "{json}: {error}");
    }
    assert!(refusal(kl(r#"{ "down_block_types": ["DownBlock2D"] }"#)).contains("DownEncoderBlock2D"));
    assert!(refusal(kl(r#"{ "colour": 1 }"#)).contains("unknown option `colour`"));
    let spatial = VQModelConfig::from_json(r#"{ "norm_type": "spatial" }"#).map(|_| ());
    assert!(refusal(spatial).contains("norm_type"));
    let narrowing = AutoencoderTinyConfig {
        encoder_block_out_channels: vec![64, 64, 32, 32],
        ..AutoencoderTinyConfig::default()
    };
    assert!(refusal(narrowing.validate()).contains("the same channels"));
    let fewer = AutoencoderTinyConfig { num_decoder_blocks: vec![1; 3], ..AutoencoderTinyConfig::default() };
    assert!(refusal(fewer.validate()).contains("num_decoder_blocks"));
}

/// The shapes of Stable Diffusion's first stage, whose parameters diffusers counts as 83,653,863.
#[test]
fn stable_diffusions_first_stage_has_as_many_weights() {
    let config = AutoencoderConfig::from(AutoencoderKLConfig {
        block_out_channels: vec![128, 256, 512, 512],
        layers_per_block: 2,
        ..AutoencoderKLConfig::with_levels(4)
    });
    let (encoder, decoder) = (config.encoder().expect("a network"), config.decoder().expect("a network"));
    assert_eq!(encoder.parameter_count() + decoder.parameter_count(), 83_653_863);
    assert_eq!(config.factor(), 8);
}
