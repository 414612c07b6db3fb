//! The compiled network against the tensor operations that it is compiled from, on shapes that divide by nothing.

use burn::tensor::{Device, Distribution, Tensor};
use ddim_unet::{
    Activation, Convolution, DownBlockType, Labels, Precision, ResampleType, TimeScaleShift, UNet2DConfig,
    UpBlockType,
};

/// A small network with odd numbers of channels.
fn odd() -> UNet2DConfig {
    UNet2DConfig {
        in_channels: 3,
        out_channels: 5,
        block_out_channels: vec![6, 15, 33],
        down_block_types: vec![DownBlockType::Plain, DownBlockType::Attention, DownBlockType::Attention],
        up_block_types: vec![UpBlockType::Attention, UpBlockType::Attention, UpBlockType::Plain],
        layers_per_block: 1,
        norm_num_groups: 3,
        attention_head_dim: Some(4),
        num_class_embeds: Some(4),
        ..UNet2DConfig::default()
    }
}

/// The largest difference of the two over the largest value.
fn difference(config: &UNet2DConfig, [n, h, w]: [usize; 3]) -> f32 {
    let device = Device::flex();
    device.seed(7);
    let unet = config.init(&device).expect("a network");
    let compiled = unet.compile(Convolution::Winograd, Precision::F32).expect("nothing that cannot be compiled");
    let labels: Vec<usize> = (0..n).map(|k| k % 4).collect();
    let labels = if config.num_class_embeds.is_some() { Labels::Index(&labels) } else { Labels::None };
    let times: Vec<f64> = (0..n).map(|k| 17.0 + 50.0 * k as f64).collect();
    let conditioning = unet.condition(&times, &labels, &device);
    let x = Tensor::<4>::random([n, config.in_channels, h, w], Distribution::Normal(0.0, 1.0), &device);
    let plain = unet.forward(x.clone(), &conditioning);
    let fast = compiled.forward(x, &conditioning);
    assert_eq!(plain.dims(), fast.dims());
    let size: f32 = plain.clone().abs().max().into_scalar();
    let off: f32 = (plain - fast).abs().max().into_scalar();
    off / size
}

/// Two orders of adding up some hundred products a layer, over some twenty layers: 2^-24 times a few dozen.
const TOLERANCE: f32 = 1e-5;

#[test]
fn every_batch_and_size() {
    for shape in [[1, 4, 4], [17, 8, 12], [2, 28, 20], [3, 16, 16]] {
        let off = difference(&odd(), shape);
        assert!(off < TOLERANCE, "{shape:?}: {off}");
    }
}

#[test]
fn every_kind_of_block() {
    let plain = UNet2DConfig {
        down_block_types: vec![DownBlockType::Plain; 3],
        up_block_types: vec![UpBlockType::Plain; 3],
        downsample_padding: 0,
        add_attention: false,
        num_class_embeds: None,
        ..odd()
    };
    let resnet = UNet2DConfig {
        down_block_types: vec![DownBlockType::Resnet; 3],
        up_block_types: vec![UpBlockType::Resnet; 3],
        resnet_time_scale_shift: TimeScaleShift::ScaleShift,
        ..odd()
    };
    let attention = UNet2DConfig {
        downsample_type: ResampleType::Resnet,
        upsample_type: ResampleType::Resnet,
        mid_block_scale_factor: 1.5,
        center_input_sample: true,
        attention_head_dim: None,
        layers_per_block: 2,
        ..odd()
    };
    let bare = UNet2DConfig { mid_block_type: None, act_fn: Activation::Relu, ..odd() };
    for (name, config) in [("plain", plain), ("resnet", resnet), ("attention", attention), ("bare", bare)] {
        let off = difference(&config, [2, 8, 12]);
        assert!(off < TOLERANCE, "{name}: {off}");
    }
}

/// Threads, chunks and neighbours change nothing, to the last bit.
#[test]
fn a_picture_is_the_same_in_every_batch() {
    let device = Device::flex();
    device.seed(8);
    let config = odd();
    let unet = config.init(&device).expect("a network");
    let compiled = unet.compile(Convolution::Winograd, Precision::F32).expect("nothing that cannot be compiled");
    let x = Tensor::<4>::random([35, 3, 8, 8], Distribution::Normal(0.0, 1.0), &device);
    let conditioning = unet.condition(&[250.0], &Labels::Index(&[1]), &device);
    let whole = compiled.forward(x.clone(), &conditioning).into_data();
    for size in [1, 2, 3, 17] {
        let parts = x.clone().split(size, 0).into_iter().map(|part| compiled.forward(part, &conditioning));
        assert_eq!(Tensor::cat(parts.collect(), 0).into_data(), whole, "in batches of {size}");
    }
}

#[test]
fn what_cannot_be_compiled_is_not() {
    let device = Device::flex();
    for config in [
        UNet2DConfig { act_fn: Activation::Gelu, ..odd() },
        UNet2DConfig { act_fn: Activation::Mish, ..odd() },
        UNet2DConfig { dropout: 0.1, ..odd() },
    ] {
        assert!(config.init(&device).expect("a network").compile(Convolution::Winograd, Precision::F32).is_none());
    }
}
