//! The front door, on the small random-weight models of the test suite.

mod both_ways;
#[cfg(feature = "images")]
mod editing;
pub(crate) mod golden;
mod labels;
mod reuse;
mod runs;
mod transformers;

use std::ops::ControlFlow;
use std::thread;

use ddim_tensor::Tensor;

use crate::checkpoint::{Card, Checkpoint, Denoiser, SchedulerConfig};
use crate::sampler::{Guidance, Noise, PictureNoise, SampleError};
use crate::schedule::solvers::Ddim;
use crate::schedule::{Convention, Eta, PixelRounding, Solver, Spacing};
use crate::unet::{DownBlockType, SampleSize, TimeEmbeddingType, UNet2DConfig, UpBlockType};
use crate::{Batch, Error, Model, Options, Pictures, device};

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models");

fn model(name: &str) -> Model {
    Model::load(format!("{GOLDENS}/{name}"), &device::cpu()).expect("the golden models are in the repository")
}

fn with_classes() -> Model {
    model("classes_scale_shift")
}

fn draw(model: &Model, options: &Options) -> Vec<f32> {
    model.sample(options).expect("a run").tensor().values()
}

/// Bit for bit: batches are cut anywhere, with classes in turn, noise at every step, and a plan that is longer
/// than a window of conditionings.
#[test]
fn a_picture_does_not_depend_on_its_batch() {
    let model = with_classes();
    for (steps, eta) in [(3, 0.0), (70, 1.0)] {
        let solver: Box<dyn Solver> = Ddim { eta: Eta::new(eta).expect("in [0, 1]") }.into();
        let options =
            |batch_size| Options { steps, solver: solver.clone(), count: 17, batch_size, ..Options::default() };
        let one_by_one = draw(&model, &options(1));
        for batch_size in [3, 16, 17] {
            assert_eq!(draw(&model, &options(batch_size)), one_by_one, "{steps} steps, batches of {batch_size}");
        }
    }
}

#[test]
fn several_threads_share_a_model() {
    let model = with_classes();
    let options = Options {
        steps: 3,
        solver: Ddim { eta: Eta::new(0.5).expect("in [0, 1]") }.into(),
        count: 4,
        ..Options::default()
    };
    let alone = draw(&model, &options);
    thread::scope(|scope| {
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| draw(&model, &options))).collect();
        for other in others {
            assert_eq!(other.join().expect("no panic"), alone);
        }
    });
}

#[test]
fn a_padded_batch_gives_the_same_pictures() {
    let model = with_classes();
    let plan = model.plan(&Options { steps: 3, ..Options::default() }).expect("a plan");
    let [c, h, w] = model.shape().expect("a size");
    let run = |padded_to| {
        let mut noise = PictureNoise::new(0, 0..3);
        let x = noise.initial([3, c, h, w], model.device());
        let batch = Batch { x, labels: vec![0, 4, 2].into(), guidance: Guidance::OFF, reuse: None, padded_to };
        match model.draw(&plan, batch, &mut noise, |_| ControlFlow::Continue(())).expect("a run") {
            crate::sampler::Outcome::Finished(x) => x.into_values(),
            stopped => panic!("{stopped:?}"),
        }
    };
    assert_eq!(run(8), run(0));
}

#[test]
fn an_observer_sees_every_step_and_can_stop() {
    let model = with_classes();
    let options = Options { steps: 4, count: 5, batch_size: 2, ..Options::default() };
    let mut seen = Vec::new();
    let error = model.sample_with(&options, |progress| {
        seen.push((progress.first_picture, progress.step.index));
        if progress.first_picture == 2 && progress.step.index == 1 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let Err(Error::Stopped { finished }) = error else { panic!("{error:?}") };
    let all = draw(&model, &options);
    assert_eq!(finished.tensor().values(), all[..all.len() / 5 * 2]);
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (0, 3), (2, 0), (2, 1)]);
}

#[test]
fn batches_are_the_run_in_parts_and_end_with_an_error() {
    let model = with_classes();
    let options = Options { steps: 3, count: 5, batch_size: 2, ..Options::default() };
    let batches: Vec<_> = model.batches(&options).expect("a run").collect::<Result<_, _>>().expect("finite");
    let parts: Vec<_> = batches.iter().map(|batch| batch.tensor().clone()).collect();
    assert_eq!(Tensor::cat(&parts).values(), draw(&model, &options));
    let mut stopped = model.batches(&options).expect("a run");
    let error = stopped.next_with(|_| ControlFlow::Break(()));
    assert!(matches!(error, Some(Err(Error::Stopped { finished })) if finished.is_empty()));
    assert!(stopped.next().is_none());
}

#[test]
fn pictures_are_read_without_tensors() {
    let pictures = model("attention_one_layer");
    let pictures = pictures.sample(&Options { steps: 2, count: 2, ..Options::default() }).expect("a run");
    assert_eq!((pictures.width(), pictures.height(), pictures.channels()), (16, 16, 3));
    assert_eq!([pictures.bytes(0), pictures.bytes(1)].concat(), pictures.to_u8());
    assert_eq!(pictures.rgb(1).expect("a colour picture"), pictures.bytes(1));
    let images: Vec<_> = pictures.images().collect::<Result<_, _>>().expect("colour pictures");
    assert_eq!(images[1].as_bytes(), pictures.bytes(1));
    let shown = format!("{pictures:?}");
    assert_eq!(shown, "Pictures { len: 2, width: 16, height: 16, channels: 3, .. }");
    let grey = Pictures::new(Tensor::full(1.0, [1, 1, 1, 2]), PixelRounding::HalfEven);
    assert_eq!((grey.bytes(0), grey.rgb(0).expect("grey")), (vec![255; 2], vec![255; 6]));
}

/// Programs pass errors between threads, and box them.
#[test]
fn errors_and_pictures_go_anywhere() {
    fn goes_anywhere<T: Send + Sync + 'static>() {}
    goes_anywhere::<Error>();
    goes_anywhere::<Pictures>();
    goes_anywhere::<Model>();
}

#[test]
fn what_a_model_cannot_do_is_an_error_that_says_so() {
    let (classes, none) = (with_classes(), model("attention_one_layer"));
    let check = |model: &Model, options: Options, expected: &str| {
        let error = model.sample(&options).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let default = || Options { steps: 2, ..Options::default() };
    check(
        &classes,
        Options { labels: vec![5].into(), ..default() },
        "class 5 does not exist: the model has the classes 0 to 4",
    );
    check(&none, Options { labels: vec![0].into(), ..default() }, "the model has no classes");
    check(&classes, Options { guidance: 3.0.into(), ..default() }, "guidance");
    check(&none, Options { steps: 0, ..default() }, "0 steps");
    check(&none, Options { batch_size: 0, ..default() }, "batch size 0");
}

#[test]
fn nothing_asked_for_is_nothing_drawn() {
    let pictures = with_classes().sample(&Options { count: 0, ..Options::default() }).expect("an empty run");
    assert!(pictures.is_empty());
}

#[test]
fn convention_and_spacing_reach_the_plan() {
    let model = model("attention_one_layer");
    let timesteps = |options: &Options| {
        let plan = model.plan(options).expect("a plan");
        plan.steps().iter().map(|step| step.time as usize).collect::<Vec<_>>()
    };
    let two = Options { steps: 2, ..Options::default() };
    assert_eq!(timesteps(&two), [500, 0], "a folder without a card means what diffusers means: leading");
    assert_eq!(timesteps(&Options { convention: Some(Convention::Exact), ..two.clone() }), [999, 499]);
    assert_eq!(timesteps(&Options { spacing: Some(Spacing::Linspace), ..two }), [999, 0]);
}

/// 1x8x8 pictures, two levels, no classes.
fn tiny() -> UNet2DConfig {
    UNet2DConfig {
        sample_size: Some(SampleSize::Square(8)),
        in_channels: 1,
        out_channels: 1,
        block_out_channels: vec![4, 8],
        norm_num_groups: 2,
        layers_per_block: 1,
        down_block_types: vec![DownBlockType::Plain; 2],
        up_block_types: vec![UpBlockType::Plain; 2],
        add_attention: false,
        ..UNet2DConfig::default()
    }
}

fn untrained(config: &UNet2DConfig, null_class: Option<usize>) -> Result<Model, Error> {
    let device = device::cpu();
    let graph = config.graph().expect("a valid configuration");
    // Numbers without a pattern: normalisations begin as they do in training.
    let numbers = |(k, info): (usize, &crate::graph::ParameterInfo)| match info.initial {
        crate::graph::Initial::Ones => vec![1.0; info.len()],
        _ => (0..info.len()).map(|i| 0.2 * ((1 + k) as f32 * 12.9898 + i as f32 * 78.233).sin()).collect(),
    };
    let weights = graph.parameters().iter().enumerate().map(numbers).collect();
    let unet = Denoiser::new(config.clone(), weights).expect("a valid configuration");
    let card = Card { null_class, ..Card::default() };
    Model::from_checkpoint(
        Checkpoint {
            denoiser: unet,
            first_stage: None,
            scheduler: SchedulerConfig::default(),
            card,
            warnings: Vec::new(),
        },
        &device,
    )
}

#[test]
fn a_model_that_cannot_draw_is_refused_when_it_is_made() {
    let refused = |config: UNet2DConfig, null_class, expected: &str| {
        let error = untrained(&config, null_class).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let odd = UNet2DConfig { sample_size: Some(SampleSize::Rectangle([8, 7])), ..tiny() };
    refused(odd, None, "a picture of 8x7 does not fit this network");
    refused(UNet2DConfig { num_class_embeds: Some(3), ..tiny() }, Some(3), "null_class in ddim.json is 3");
    refused(tiny(), Some(0), "the network has 0 labels");
}

#[test]
fn a_time_without_an_embedding_is_refused_before_the_run() {
    let check = |config: UNet2DConfig, (good, bad): (Vec<usize>, Vec<usize>), expected: &str| {
        let model = untrained(&config, None).expect("a model");
        let options = |list: Vec<usize>| Options {
            steps: list.len(),
            spacing: Some(Spacing::Explicit(list)),
            ..Options::default()
        };
        model.sample(&options(good)).expect("all times have an embedding");
        let error = model.sample(&options(bad)).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let fourier = UNet2DConfig { time_embedding_type: TimeEmbeddingType::Fourier, ..tiny() };
    check(fourier, (vec![999, 1], vec![500, 0]), "cannot take timestep 0, only those above 0");
    let learned =
        UNet2DConfig { time_embedding_type: TimeEmbeddingType::Learned, num_train_timesteps: Some(500), ..tiny() };
    check(learned, (vec![499, 0], vec![500, 0]), "cannot take timestep 500, only whole ones below 500");
}

#[test]
fn a_batch_that_does_not_fit_the_model_is_an_error() {
    let draw = |model: &Model, shape: [usize; 4], labels: &[usize]| {
        let plan = model.plan(&Options { steps: 1, ..Options::default() }).expect("a plan");
        let x = Tensor::full(0.0, shape).to(model.device());
        let batch =
            Batch { x, labels: labels.to_vec().into(), guidance: Guidance::OFF, reuse: None, padded_to: 0 };
        let mut noise = PictureNoise::new(0, 0..shape[0] as u64);
        model.draw(&plan, batch, &mut noise, |_| ControlFlow::Continue(()))
    };
    let plain = untrained(&tiny(), None).expect("a model");
    assert!(draw(&plain, [2, 1, 8, 12], &[]).is_ok());
    assert!(matches!(draw(&plain, [2, 1, 8, 9], &[]), Err(Error::Network(_))));
    assert!(matches!(draw(&plain, [2, 3, 8, 8], &[]), Err(Error::BatchShape { channels: 1, .. })));
    assert!(matches!(draw(&plain, [0, 1, 8, 8], &[]), Err(Error::BatchShape { .. })));
    assert!(matches!(draw(&plain, [1, 1, 8, 8], &[0]), Err(Error::NoClasses)));
    let config = UNet2DConfig { num_class_embeds: Some(3), ..tiny() };
    let classes = untrained(&config, None).expect("a model");
    assert!(draw(&classes, [2, 1, 8, 8], &[0, 2]).is_ok());
    for labels in [&[][..], &[1], &[0, 1, 2]] {
        let error = draw(&classes, [2, 1, 8, 8], labels).expect_err("two pictures");
        assert!(matches!(error, Error::LabelCount { found, pictures: 2 } if found == labels.len()), "{error}");
    }
}

#[test]
fn the_label_that_means_any_is_no_class() {
    let config = UNet2DConfig { num_class_embeds: Some(3), ..tiny() };
    let model = untrained(&config, Some(1)).expect("a model");
    assert_eq!((model.class_labels(), model.class_count(), model.label_count()), (vec![0, 2], 2, 3));
    let options = Options { steps: 1, count: 3, guidance: 2.0.into(), ..Options::default() };
    assert_eq!(model.sample(&options).expect("a run").len(), 3);
}

#[test]
fn a_broken_picture_is_named_by_its_place_in_the_run() {
    let source = SampleError::NotFinite { step: 1, n_steps: 2, time: 500.0, picture: 1 };
    let error = Error::Sample(source).in_batch(|place| 16 + place);
    assert!(matches!(error, Error::Picture { picture: 17, .. }));
    assert!(error.to_string().starts_with("picture 17 of the run: "), "{error}");
}
