//! Every kind of block can be trained: shapes, random weights, gradients, and what a wrong call says.

mod support;

use burn::tensor::{Device, Tensor, TensorData};
use ddim_gpu::{Form, Network};
use ddim_graph::Labels;
use ddim_unet::{
    Activation, ClassEmbedType, DownBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2DConfig,
    UpBlockType,
};
use support::untrained;

fn small() -> UNet2DConfig {
    UNet2DConfig {
        in_channels: 2,
        out_channels: 3,
        block_out_channels: vec![4, 8],
        down_block_types: vec![DownBlockType::Plain, DownBlockType::Attention],
        up_block_types: vec![UpBlockType::Attention, UpBlockType::Plain],
        layers_per_block: 1,
        norm_num_groups: 2,
        attention_head_dim: None,
        ..UNet2DConfig::default()
    }
}

/// One configuration for each block and option.
fn variants() -> Vec<UNet2DConfig> {
    let resnet = UNet2DConfig {
        down_block_types: vec![DownBlockType::Resnet; 2],
        up_block_types: vec![UpBlockType::Resnet; 2],
        ..small()
    };
    let attention_resnet = UNet2DConfig {
        down_block_types: vec![DownBlockType::Attention; 2],
        up_block_types: vec![UpBlockType::Attention; 2],
        downsample_type: ResampleType::Resnet,
        upsample_type: ResampleType::Resnet,
        ..small()
    };
    vec![
        small(),
        resnet,
        attention_resnet,
        UNet2DConfig { resnet_time_scale_shift: TimeScaleShift::ScaleShift, ..small() },
        UNet2DConfig { time_embedding_type: TimeEmbeddingType::Fourier, ..small() },
        UNet2DConfig { time_embedding_type: TimeEmbeddingType::Learned, num_train_timesteps: Some(10), ..small() },
        UNet2DConfig { downsample_padding: 0, layers_per_block: 2, act_fn: Activation::Mish, ..small() },
        UNet2DConfig { mid_block_type: None, act_fn: Activation::Gelu, ..small() },
        UNet2DConfig { add_attention: false, act_fn: Activation::Relu, dropout: 0.25, ..small() },
        UNet2DConfig { num_class_embeds: Some(4), center_input_sample: true, ..small() },
        UNet2DConfig { class_embed_type: Some(ClassEmbedType::Timestep), ..small() },
        UNet2DConfig { class_embed_type: Some(ClassEmbedType::Identity), attention_head_dim: Some(3), ..small() },
    ]
}

/// Labels of the kind that a configuration takes, for two pictures.
fn labels(config: &UNet2DConfig) -> Labels<'static> {
    const ONES: [f32; 2 * 16] = [1.0; 32];
    match (config.class_embed_type, config.num_class_embeds) {
        (Some(ClassEmbedType::Timestep), _) => Labels::Value(&[1.0, 2.5]),
        (Some(ClassEmbedType::Identity), _) => Labels::Embedding { values: &ONES, width: 16 },
        (None, Some(_)) => Labels::Index(&[3, 0]),
        (None, None) => Labels::None,
    }
}

/// Numbers without a pattern, shape \[2, 2, 4, 6\].
fn pictures(device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..96).map(|i| (f64::from(i) * 1.7).sin() as f32).collect();
    Tensor::from_data(TensorData::new(values, [2, 2, 4, 6]), device)
}

#[test]
fn every_variant_has_finite_gradients_for_all_its_weights() {
    let device = Device::flex().autodiff();
    for config in variants() {
        let unet = untrained(&config, &device, Form::Trained);
        let conditioning = unet.condition(&[3.0, 9.0], &labels(&config));
        let out = unet.forward(pictures(&device), &conditioning);
        assert_eq!(out.dims(), [2, 3, 4, 6], "{config:?}");
        let gradient = unet.gradient(out.square().mean().backward());
        let (mut rest, mut moved) = (gradient.as_slice(), 0);
        for info in unet.graph().parameters().iter().filter(|info| info.trained) {
            let (values, behind) = rest.split_at(info.len());
            rest = behind;
            assert!(values.iter().all(|value| value.is_finite()), "{}: {values:?}", info.name);
            let is_moved = values.iter().any(|value| *value != 0.0);
            // A constant added to all keys shifts all scores of a pixel alike, and softmax does not see it.
            assert!(is_moved || info.name.ends_with("to_k.bias"), "{} of {config:?}", info.name);
            moved += usize::from(is_moved);
        }
        assert!(rest.is_empty() && moved > 40, "{moved} weights of {config:?}");
    }
}

#[test]
fn dropout_acts_in_training_only() {
    let config = UNet2DConfig { dropout: 0.5, ..small() };
    let run =
        |unet: &Network| unet.forward(pictures(unet.device()), &unet.condition(&[5.0], &Labels::None)).into_data();
    let training = Device::flex().autodiff();
    let unet = untrained(&config, &training, Form::Trained);
    assert_ne!(run(&unet), run(&unet));
    // Also where one differentiates without training.
    for device in [Device::flex(), training] {
        let unet = untrained(&config, &device, Form::default());
        assert_eq!(run(&unet), run(&unet));
    }
}

fn call(shape: [usize; 4], times: &[f64], labels: &Labels) {
    let device = Device::flex();
    let unet = untrained(&UNet2DConfig { num_class_embeds: Some(4), ..small() }, &device, Form::default());
    let _ = unet.forward(Tensor::zeros(shape, &device), &unet.condition(times, labels));
}

#[test]
#[should_panic(expected = "pictures of 5x6 cannot be halved as often as the network does")]
fn an_odd_height_is_refused() {
    call([1, 2, 5, 6], &[1.0], &Labels::Index(&[0]));
}

#[test]
#[should_panic(expected = "2 rows of conditioning for 3 pictures")]
fn another_number_of_rows_is_refused() {
    call([3, 2, 4, 4], &[1.0, 2.0], &Labels::Index(&[0]));
}

#[test]
#[should_panic(expected = "2 times and 3 labels")]
fn another_number_of_labels_is_refused() {
    call([3, 2, 4, 4], &[1.0, 2.0], &Labels::Index(&[0, 1, 2]));
}

#[test]
#[should_panic(expected = "class label 4 is outside the table of this network, which has 4 rows: 0 to 3")]
fn a_class_outside_the_table_is_refused() {
    call([1, 2, 4, 4], &[1.0], &Labels::Index(&[4]));
}

#[test]
#[should_panic(expected = "this network takes Labels::Index")]
fn labels_of_another_kind_are_refused() {
    call([1, 2, 4, 4], &[1.0], &Labels::None);
}

#[test]
fn one_network_serves_several_threads() {
    let device = Device::flex();
    let unet = untrained(&small(), &device, Form::default());
    let run = || unet.forward(pictures(&device), &unet.condition(&[5.0], &Labels::None)).into_data();
    let (first, second) = std::thread::scope(|scope| {
        let (first, second) = (scope.spawn(run), scope.spawn(run));
        (first.join().expect("no panic"), second.join().expect("no panic"))
    });
    assert_eq!(first, second);
}
