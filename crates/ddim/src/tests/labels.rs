//! Labels that are numbers, or rows of them.

use std::ops::ControlFlow;
use std::path::Path;

use ddim_tensor::Tensor;
use serde_json::Value;

use super::{GOLDENS, draw, model, tiny, untrained};
use crate::checkpoint::{Card, Checkpoint, Denoiser, SchedulerConfig};
use crate::schedule::solvers::Ddim;
use crate::schedule::{Eta, Tolerance};
use crate::unet::{ClassEmbedType, TimeEmbeddingType, UNet2DConfig};
use crate::{Error, LabelKind, LabelRows, Labels, Model, Options, TuneOptions, device};

fn told(kind: ClassEmbedType) -> Model {
    untrained(&UNet2DConfig { class_embed_type: Some(kind), ..tiny() }, None).expect("a model")
}

/// Labels that differ, some twice.
fn labels(model: &Model, count: usize) -> Labels {
    match model.label_kind() {
        LabelKind::Rows { width } => {
            let row = |k: usize| (0..width).map(|i| ((k % 4 * width + i) as f32 * 78.233).sin()).collect();
            LabelRows::new(&(0..count).map(row).collect::<Vec<_>>()).expect("equally long").into()
        }
        _ => (0..count).map(|k| 0.5 + 30.0 * (k % 4) as f64).collect::<Vec<_>>().into(),
    }
}

fn options(labels: Labels, count: usize) -> Options {
    let solver = Ddim { eta: Eta::new(0.5).expect("in [0, 1]") }.into();
    Options { steps: 3, solver, count, labels, ..Options::default() }
}

/// Bit for bit: the batches are cut anywhere, and one label for all is a label for each.
#[test]
fn a_label_is_that_of_its_picture_whatever_its_batch() {
    for kind in [ClassEmbedType::Timestep, ClassEmbedType::Identity] {
        let model = told(kind);
        let five = labels(&model, 5);
        let all = draw(&model, &options(five.clone(), 7));
        for batch_size in [1, 3] {
            assert_eq!(draw(&model, &Options { batch_size, ..options(five.clone(), 7) }), all, "{kind:?}");
        }
        let each: Vec<Vec<f32>> = (0..7)
            .map(|k| {
                let alone = draw(&model, &options(five.in_turn([k]), 7));
                picture(&alone, k)
            })
            .collect();
        let values: Vec<Vec<f32>> = (0..7).map(|k| picture(&all, k)).collect();
        assert_eq!(values, each, "{kind:?}");
    }
}

#[test]
fn the_picture_follows_its_label() {
    for kind in [ClassEmbedType::Timestep, ClassEmbedType::Identity] {
        let model = told(kind);
        let drawn = [0, 1, 2].map(|label| draw(&model, &options(labels(&model, 3).in_turn([label]), 1)));
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2] && drawn[0] != drawn[2], "{kind:?}");
    }
}

fn picture(all: &[f32], k: usize) -> Vec<f32> {
    all[k * 64..][..64].to_vec()
}

#[test]
fn every_way_of_drawing_takes_them() {
    for kind in [ClassEmbedType::Timestep, ClassEmbedType::Identity] {
        let model = told(kind);
        let labels = labels(&model, 3);
        let tolerance = Tolerance::new(0.05, 0.05).expect("in range");
        let of = |labels: &Labels, batch_size| {
            let options = Options { batch_size, ..options(labels.clone(), 3) };
            model.sample_adaptive(&options, tolerance).expect("a run").pictures.tensor().values()
        };
        assert_eq!(of(&labels, 3), of(&labels, 1), "{kind:?}");
        assert_ne!(of(&labels, 3), of(&labels.in_turn([1]), 3), "{kind:?}");
        let tune = TuneOptions { labels, pictures: 1, held_out: 1, rounds: 0, ..TuneOptions::default() };
        assert_eq!(model.tune(&[2], &tune, |_| ControlFlow::Continue(())).expect("a tuning").len(), 1);
        assert!(model.compare_networks(&told(kind).uncompiled(), 12, 0).expect("a size").is_within(1e-4));
    }
}

#[test]
fn what_is_no_label_of_the_model_is_refused() {
    let refused = |model: &Model, labels: Labels, expected: &str| {
        let error = model.check_labels(&labels).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let (numbers, rows) = (told(ClassEmbedType::Timestep), told(ClassEmbedType::Identity));
    assert_eq!((numbers.label_kind(), rows.label_kind()), (LabelKind::Numbers, LabelKind::Rows { width: 16 }));
    assert_eq!((numbers.label_count(), rows.class_count()), (0, 0));
    refused(
        &numbers,
        Labels::NONE,
        "takes a number for each picture (class_embed_type timestep): give some labels",
    );
    refused(&numbers, vec![1_usize].into(), "and got classes: give");
    refused(&numbers, vec![1.0, f64::NAN].into(), "label 1 has the number NaN, and the network takes only finite");
    refused(&rows, vec![1.0].into(), "takes a row of 16 numbers for each picture (class_embed_type identity)");
    let short = LabelRows::new(&[vec![0.0; 15]]).expect("a row");
    refused(&rows, short.into(), "label 0 has 15 numbers, and 16 are needed");
    refused(&model("classes_scale_shift"), vec![1.0].into(), "the model takes classes, and got a number");
    refused(&untrained(&tiny(), None).expect("a model"), vec![1.0].into(), "the model takes no labels, and got");
    let of = |embedding| UNet2DConfig {
        class_embed_type: Some(ClassEmbedType::Timestep),
        time_embedding_type: embedding,
        num_train_timesteps: Some(1000),
        ..tiny()
    };
    let logarithmic = untrained(&of(TimeEmbeddingType::Fourier), None).expect("a model");
    refused(&logarithmic, vec![0.0].into(), "label 0 has the number 0, and the network takes only those above 0");
    let table = untrained(&of(TimeEmbeddingType::Learned), None).expect("a model");
    refused(
        &table,
        vec![3.0, 1000.0].into(),
        "label 1 has the number 1000, and the network takes only whole ones",
    );
    assert!(matches!(numbers.sample(&options(Labels::NONE, 3)), Err(Error::NoLabels(LabelKind::Numbers))));
    assert!(matches!(rows.sample(&options(vec![1.0].into(), 3)), Err(Error::LabelKind { .. })));
    for model in [numbers, rows] {
        let options = Options { guidance: 3.0.into(), ..options(labels(&model, 1), 1) };
        assert!(matches!(model.sample(&options), Err(Error::NoNullLabel(_))));
        let config = model.checkpoint().denoiser.config().as_unet();
        let kind = config.expect("a UNet").class_embed_type;
        let with_null = UNet2DConfig { class_embed_type: kind, num_class_embeds: Some(3), ..tiny() };
        assert!(matches!(untrained(&with_null, Some(1)), Err(Error::NullClass { labels: 0, .. })));
    }
}

/// The numbers of diffusers: the engines' own tests have them too, and here they come through the front door.
#[test]
fn the_network_says_what_diffusers_says() {
    for name in ["fourier_class_timestep_relu_centred", "learned_class_identity_no_middle"] {
        let golden = Golden::read(&Path::new(GOLDENS).join(format!("variants/{name}.safetensors")));
        let model = golden.model();
        let labels: Labels = match model.label_kind() {
            LabelKind::Rows { width } => {
                let values = golden.values("class_labels");
                LabelRows::new(&values.chunks(width).map(<[f32]>::to_vec).collect::<Vec<_>>())
                    .expect("rows")
                    .into()
            }
            _ => golden.values("class_labels").into_iter().map(f64::from).collect::<Vec<_>>().into(),
        };
        let x = Tensor::new(golden.values("x"), [2, 2, 4, 4]).to(model.device());
        let network = model.network_at_times([2, 2, 4, 4], &labels).expect("two pictures");
        let out = network(x, &golden.times()).into_values();
        let pairs = out.into_iter().zip(golden.values("eps"));
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // tests/goldens/models/README.md: 1e-5 of the largest, and rounding of the reference.
        let largest = golden.values("eps").into_iter().fold(1.0, |most: f32, value| most.max(value.abs()));
        assert!(difference <= 1.5e-5 * largest, "{name}: {difference:e} of {largest}");
    }
}

/// A safetensors file: the length of its header, the header, and the numbers.
struct Golden {
    header: Value,
    numbers: Vec<u8>,
}

impl Golden {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("it is in the repository");
        let (length, rest) = bytes.split_first_chunk().expect("a length");
        let (header, numbers) = rest.split_at(u64::from_le_bytes(*length) as usize);
        Self { header: serde_json::from_slice(header).expect("JSON"), numbers: numbers.to_vec() }
    }

    fn bytes(&self, name: &str) -> (&str, &[u8]) {
        let entry = &self.header[name];
        let at = |k: usize| entry["data_offsets"][k].as_u64().expect("a place") as usize;
        (entry["dtype"].as_str().expect("a type"), &self.numbers[at(0)..at(1)])
    }

    fn values(&self, name: &str) -> Vec<f32> {
        let (dtype, bytes) = self.bytes(name);
        assert_eq!(dtype, "F32", "{name}");
        bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
    }

    /// Floats, or whole numbers for a table.
    fn times(&self) -> Vec<f64> {
        match self.bytes("timesteps") {
            ("I64", bytes) => bytes.as_chunks().0.iter().map(|word| i64::from_le_bytes(*word) as f64).collect(),
            _ => self.values("timesteps").into_iter().map(f64::from).collect(),
        }
    }

    fn model(&self) -> Model {
        let config = self.header["__metadata__"]["config"].as_str().expect("a configuration");
        let config = UNet2DConfig::from_json(config).expect("a configuration of the reference");
        let graph = config.graph().expect("a configuration of the reference");
        let weights = graph.parameters().iter().map(|info| self.values(&format!("weights.{}", info.name)));
        let unet = Denoiser::new(config.clone(), weights.collect()).expect("the same network");
        let (scheduler, card) = (SchedulerConfig::default(), Card::default());
        let checkpoint = Checkpoint { denoiser: unet, first_stage: None, scheduler, card, warnings: Vec::new() };
        Model::from_checkpoint(checkpoint, &device::cpu()).expect("a model")
    }
}
