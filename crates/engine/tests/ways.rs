//! The processor's engine against tensor operations, on shapes that divide by nothing.

#[path = "../../gpu/tests/support/weights.rs"]
mod weights;

mod support;

use std::sync::Arc;

use ddim_engine::{Engine, EngineOptions, Precision, Way};
use ddim_graph::{Cut, Labels};
use ddim_tensor::{Device, Tensor};
use ddim_unet::{
    Activation, DownBlockType, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2DConfig, UpBlockType,
};
use support::{Twin, off, random};
use weights::weights;

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

fn engine(config: &UNet2DConfig, way: Way) -> Engine {
    engine_in(config, way, Precision::F32)
}

fn engine_in(config: &UNet2DConfig, way: Way, precision: Precision) -> Engine {
    let graph = Arc::new(config.graph().expect("a network"));
    let weights = Arc::new(weights(&graph));
    let options = EngineOptions { precision, way, size: None };
    Engine::new(graph, weights, &Device::Cpu, &options).expect("a network for the processor")
}

/// The largest difference from tensor operations over the largest value.
fn difference(config: &UNet2DConfig, way: Way, [n, h, w]: [usize; 3]) -> f32 {
    let labels: Vec<usize> = (0..n).map(|k| k % 4).collect();
    let labels = if config.num_class_embeds.is_some() { Labels::Index(&labels) } else { Labels::None };
    let times: Vec<f64> = (0..n).map(|k| 17.0 + 50.0 * k as f64).collect();
    let x = random([n, config.in_channels, h, w], 7);
    let engine = engine(config, way);
    let twin = Twin::new(engine.graph(), engine.weights());
    let found = engine.forward(x.clone(), &engine.condition(&times, &labels));
    off(&found, &twin.forward(&x, &times, &labels))
}

/// Two orders of adding up some hundred products a layer, over some twenty layers: 2^-24 times a few dozen.
const TOLERANCE: f32 = 1e-5;

#[test]
fn every_batch_and_size() {
    for shape in [[1, 4, 4], [17, 8, 12], [2, 28, 20], [3, 16, 16]] {
        for way in [Way::Fast, Way::Plain] {
            let off = difference(&odd(), way, shape);
            assert!(off < TOLERANCE, "{shape:?} {way:?}: {off}");
        }
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
    let mish = UNet2DConfig { act_fn: Activation::Mish, dropout: 0.1, ..odd() };
    let gelu = UNet2DConfig { act_fn: Activation::Gelu, ..odd() };
    let fourier = UNet2DConfig { time_embedding_type: TimeEmbeddingType::Fourier, ..odd() };
    for (name, config) in [
        ("plain", plain),
        ("resnet", resnet),
        ("attention", attention),
        ("bare", bare),
        ("mish", mish),
        ("gelu", gelu),
        ("fourier", fourier),
    ] {
        let off = difference(&config, Way::Fast, [2, 8, 12]);
        assert!(off < TOLERANCE, "{name}: {off}");
    }
}

/// Threads, chunks and neighbours change nothing, to the last bit.
#[test]
fn a_picture_is_the_same_in_every_batch() {
    let engine = engine(&odd(), Way::Fast);
    let x = random([35, 3, 8, 8], 7);
    let conditioning = engine.condition(&[250.0], &Labels::Index(&[1]));
    let whole = engine.forward(x.clone(), &conditioning).values();
    for size in [1, 2, 3, 17] {
        let parts = (0..35).step_by(size).map(|first| x.pictures(first..(first + size).min(35)));
        let parts: Vec<_> = parts.map(|part| engine.forward(part, &conditioning)).collect();
        assert_eq!(Tensor::cat(&parts).values(), whole, "in batches of {size}");
    }
}

/// With features of the same call nothing changes, to the last bit; with those of another picture and time both
/// engines say the same, and not what a whole call says.
#[test]
fn features_that_were_kept_stand_for_the_layers_before() {
    for (way, precision) in
        [(Way::Plain, Precision::F32), (Way::Fast, Precision::F32), (Way::Fast, Precision::Bf16)]
    {
        let (engine, n) = (engine_in(&odd(), way, precision), 5);
        let cuts = engine.graph().cuts();
        let names: Vec<&str> = cuts.iter().map(Cut::name).collect();
        assert!(names.contains(&"up_blocks.1") && !names.contains(&"conv_in"), "{names:?}");
        let twin = Twin::new(engine.graph(), engine.weights());
        let (x, other) = (random([n, 3, 8, 12], 7), random([n, 3, 8, 12], 8));
        let now = engine.condition(&[250.0], &Labels::Index(&[1]));
        let before = engine.condition(&[500.0], &Labels::Index(&[1]));
        let whole = engine.forward(x.clone(), &now);
        for cut in &cuts {
            let kept = |x: &Tensor, rows| engine.observe(x.clone(), rows, &[cut.name()]).points.remove(0);
            let same = engine.forward_behind(x.clone(), &now, cut, &kept(&x, &now));
            assert_eq!(same.values(), whole.values(), "{} {way:?} {precision}", cut.name());
            let kept = kept(&other, &before);
            let ours = engine.forward_behind(x.clone(), &now, cut, &kept);
            let theirs = twin.forward_behind(&x, &[250.0], cut, &kept);
            let allowed = if precision == Precision::F32 { TOLERANCE } else { 0.05 };
            let (apart, changed) = (off(&ours, &theirs), off(&ours, &whole));
            assert!(apart < allowed && changed > 5.0 * apart, "{}: {apart}, {changed}", cut.name());
        }
    }
}

/// Forth and back, beside automatic differentiation. A network for Winograd's algorithm or in bf16 goes back with
/// weights in f32 that it packs for that.
#[test]
fn every_way_leads_back() {
    for (way, precision) in
        [(Way::Plain, Precision::F32), (Way::Fast, Precision::F32), (Way::Fast, Precision::Bf16)]
    {
        for [n, h, w] in [[1, 8, 12], [5, 8, 8], [3, 28, 20]] {
            let (x, slope) = (random([n, 3, h, w], 7), random([n, 5, h, w], 8));
            let (engine, labels) = (engine_in(&odd(), way, precision), vec![1; n]);
            let conditioning = engine.condition(&[250.0], &Labels::Index(&labels));
            let ours = engine.pull_back(x.clone(), &conditioning, slope.clone());
            let twin = Twin::new(engine.graph(), engine.weights());
            let theirs = twin.pull_back(&x, &[250.0], &Labels::Index(&labels), &slope);
            let offs = [off(&ours.0, &theirs.0), off(&ours.1, &theirs.1)];
            assert!(
                offs[0] < TOLERANCE && offs[1] < 3.0 * TOLERANCE,
                "{way:?}, {precision}, {n} of {h}x{w}: {offs:?}"
            );
        }
    }
}

#[test]
fn a_slope_is_the_same_in_every_batch() {
    let engine = engine(&odd(), Way::Fast);
    let (x, slope) = (random([7, 3, 8, 8], 7), random([7, 5, 8, 8], 8));
    let conditioning = engine.condition(&[250.0], &Labels::Index(&[1]));
    let back = |range: std::ops::Range<usize>| {
        engine.pull_back(x.pictures(range.clone()), &conditioning, slope.pictures(range))
    };
    let whole = back(0..7);
    for size in [1, 2, 3] {
        let parts: Vec<_> = (0..7).step_by(size).map(|first| back(first..(first + size).min(7))).collect();
        let (outputs, rows): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        assert_eq!(Tensor::cat(&outputs).values(), whole.0.values(), "in batches of {size}");
        assert_eq!(Tensor::cat(&rows).values(), whole.1.values(), "in batches of {size}");
    }
}

#[test]
fn what_a_processor_cannot_is_refused() {
    let graph = odd().graph().expect("a network");
    let refused = Engine::check(&graph, &Device::Cpu, Precision::F16).expect_err("no f16");
    assert_eq!(refused.to_string(), "the device does not compute in f16");
    assert_eq!(Engine::check(&graph, &Device::Cpu, Precision::Bf16), Ok(()));
}

#[test]
#[should_panic(expected = "an output and its slope")]
fn a_slope_is_as_large_as_the_output() {
    let engine = engine(&odd(), Way::Fast);
    let conditioning = engine.condition(&[250.0], &Labels::Index(&[1]));
    engine.pull_back(random([1, 3, 8, 8], 7), &conditioning, random([1, 3, 8, 8], 8));
}
