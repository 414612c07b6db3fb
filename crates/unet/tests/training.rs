//! Every kind of block can be trained: shapes, random weights, gradients, and what a wrong call says.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ddim_unet::{
    Activation, ClassEmbedType, DownBlockType, Labels, ResampleType, TimeEmbeddingType, TimeScaleShift, UNet2D,
    UNet2DConfig, UpBlockType,
};

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
fn labels(config: &UNet2DConfig, device: &Device) -> Labels<'static> {
    match (config.class_embed_type, config.num_class_embeds) {
        (Some(ClassEmbedType::Timestep), _) => Labels::Value(&[1.0, 2.5]),
        (Some(ClassEmbedType::Identity), _) => {
            Labels::Embedding(Tensor::ones([2, config.time_embed_dim()], device))
        }
        (None, Some(_)) => Labels::Index(&[3, 0]),
        (None, None) => Labels::None,
    }
}

/// Numbers without a pattern, shape \[2, 2, 4, 6\].
fn pictures(device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..96).map(|i| (f64::from(i) * 1.7).sin() as f32).collect();
    Tensor::from_data(TensorData::new(values, [2, 2, 4, 6]), device)
}

/// Counts the weights with a gradient that is finite and not all zero.
struct Gradients {
    gradients: burn::tensor::Gradients,
    moved: usize,
    still: Vec<String>,
    path: Vec<String>,
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, weight: &Param<Tensor<D>>) {
        let Some(gradient) = weight.val().grad(&self.gradients) else {
            return self.still.push(self.path.join("."));
        };
        let sizes = gradient.abs();
        let largest: f32 = sizes.max().into_scalar();
        assert!(largest.is_finite(), "{}: {largest}", self.path.join("."));
        if largest > 0.0 {
            self.moved += 1;
        } else {
            self.still.push(self.path.join("."));
        }
    }

    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
}

#[test]
fn every_variant_has_finite_gradients_for_all_its_weights() {
    let device = Device::flex().autodiff();
    for config in variants() {
        let unet = config.init(&device).expect("a valid configuration");
        let conditioning = unet.condition(&[3.0, 9.0], &labels(&config, &device), &device);
        let out = unet.forward(pictures(&device), &conditioning);
        assert_eq!(out.dims(), [2, 3, 4, 6], "{config:?}");
        let gradients = out.square().mean().backward();
        let mut found = Gradients { gradients, moved: 0, still: Vec::new(), path: Vec::new() };
        unet.visit(&mut found);
        // A constant added to all keys shifts all scores of a pixel alike, and softmax does not see it.
        found.still.retain(|name| !name.ends_with("to_k.bias"));
        let frozen = match config.time_embedding_type {
            TimeEmbeddingType::Fourier => vec!["time_proj.Fourier.weight"],
            TimeEmbeddingType::Positional | TimeEmbeddingType::Learned => vec![],
        };
        assert_eq!(found.still, frozen, "{config:?}");
        assert!(found.moved > 40, "{} weights of {config:?}", found.moved);
    }
}

#[test]
fn random_weights_are_those_of_pytorch() {
    let device = Device::flex();
    let unet = UNet2DConfig { num_class_embeds: Some(512), ..small() }.init(&device).expect("valid");
    let mut found = Spread::default();
    unet.visit(&mut found);
    // Conv2d and Linear: uniform in +-1 / sqrt(fan in), so the standard deviation is bound / sqrt(3): for 72
    // weights and more within three tenths, which is over five of its standard errors; for four biases anything but zero.
    for (name, fan_in, share) in [
        ("conv_in.weight", 18.0, 0.7..1.3),
        ("conv_in.bias", 18.0, 0.01..1.74),
        ("time_embedding.linear_2.weight", 16.0, 0.7..1.3),
    ] {
        let (largest, deviation) = found.of(name);
        let bound = 1.0 / f64::sqrt(fan_in);
        assert!(largest <= bound * 1.0001 && largest > 0.01 * bound, "{name}: {largest}, bound {bound}");
        assert!(share.contains(&(deviation * 3f64.sqrt() / bound)), "{name}: {deviation}, bound {bound}");
    }
    // Embedding: N(0, 1).
    let (_, deviation) = found.of("class_embedding.Table.weight");
    assert!((deviation - 1.0).abs() < 0.05, "{deviation}");
    assert_eq!(found.of("conv_norm_out.gamma"), (1.0, 1.0));
    assert_eq!(found.of("conv_norm_out.beta"), (0.0, 0.0));
}

/// Largest absolute value, and root of the mean square, of each weight.
#[derive(Default)]
struct Spread {
    weights: Vec<(String, f64, f64)>,
    path: Vec<String>,
}

impl Spread {
    fn of(&self, name: &str) -> (f64, f64) {
        let (_, largest, deviation) = self.weights.iter().find(|(path, ..)| path == name).expect(name);
        (*largest, *deviation)
    }
}

impl ModuleVisitor for Spread {
    fn visit_float<const D: usize>(&mut self, weight: &Param<Tensor<D>>) {
        let values: Vec<f64> = weight.val().into_data().iter::<f64>().collect();
        let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        self.weights.push((self.path.join("."), largest, square.sqrt()));
    }

    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
}

#[test]
fn dropout_acts_in_training_only() {
    let config = UNet2DConfig { dropout: 0.5, ..small() };
    let run = |unet: &UNet2D, device: &Device| {
        unet.forward(pictures(device), &unet.condition(&[5.0], &Labels::None, device)).into_data()
    };
    let training = Device::flex().autodiff();
    let unet = config.init(&training).expect("valid");
    assert_ne!(run(&unet, &training), run(&unet, &training));
    let (plain, unet) = (Device::flex(), unet.valid());
    assert_eq!(run(&unet, &plain), run(&unet, &plain));
}

fn call(shape: [usize; 4], times: &[f64], labels: &Labels) {
    let device = Device::flex();
    let unet = UNet2DConfig { num_class_embeds: Some(4), ..small() }.init(&device).expect("valid");
    let _ = unet.forward(Tensor::zeros(shape, &device), &unet.condition(times, labels, &device));
}

#[test]
#[should_panic(expected = "a picture of 5x6 does not fit this network: height and width must be multiples of 2")]
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
    let unet = small().init(&device).expect("valid");
    let run = || unet.forward(pictures(&device), &unet.condition(&[5.0], &Labels::None, &device)).into_data();
    let (first, second) = std::thread::scope(|scope| {
        let (first, second) = (scope.spawn(run), scope.spawn(run));
        (first.join().expect("no panic"), second.join().expect("no panic"))
    });
    assert_eq!(first, second);
}
