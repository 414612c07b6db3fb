//! The front door, on the small random-weight models of the test suite.

use std::ops::ControlFlow;
use std::thread;

use burn::tensor::TensorData;

use crate::sampler::{Noise, PictureNoise};
use crate::schedule::{Convention, Spacing};
use crate::{Batch, Error, Model, Options, device};

const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models");

fn model(name: &str) -> Model {
    Model::load(format!("{GOLDENS}/{name}"), &device::cpu()).expect("the golden models are in the repository")
}

fn with_classes() -> Model {
    model("classes_scale_shift")
}

fn draw(model: &Model, options: &Options) -> TensorData {
    model.sample(options).expect("a run").tensor().to_data()
}

/// Bit for bit: batches are cut anywhere, with classes in turn, noise at every step, and a plan that is longer
/// than a window of conditionings.
#[test]
fn a_picture_does_not_depend_on_its_batch() {
    let model = with_classes();
    for (steps, eta) in [(3, 0.0), (70, 1.0)] {
        let options = |batch_size| Options { steps, eta, count: 17, batch_size, ..Options::default() };
        let one_by_one = draw(&model, &options(1));
        for batch_size in [3, 16, 17] {
            assert_eq!(draw(&model, &options(batch_size)), one_by_one, "{steps} steps, batches of {batch_size}");
        }
    }
}

#[test]
fn several_threads_share_a_model() {
    let model = with_classes();
    let options = Options { steps: 3, eta: 0.5, count: 4, ..Options::default() };
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
        let batch = Batch { x, labels: vec![0, 4, 2], guidance: 1.0, padded_to };
        match model.draw(&plan, batch, &mut noise, |_| ControlFlow::Continue(())).expect("a run") {
            crate::sampler::Outcome::Finished(x) => x.into_data(),
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
        if progress.first_picture == 2 && progress.step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(error, Err(Error::Stopped { pictures: 2 })), "{error:?}");
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (0, 3), (2, 0), (2, 1)]);
}

#[test]
fn what_a_model_cannot_do_is_an_error_that_says_so() {
    let (classes, none) = (with_classes(), model("attention_one_layer"));
    let check = |model: &Model, options: Options, expected: &str| {
        let error = model.sample(&options).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let default = || Options { steps: 2, ..Options::default() };
    check(&classes, Options { classes: vec![5], ..default() }, "class 5 does not exist: the model has the classes 0 to 4");
    check(&none, Options { classes: vec![0], ..default() }, "the model has no classes");
    check(&classes, Options { guidance: 3.0, ..default() }, "guidance");
    check(&none, Options { eta: 1.2, ..default() }, "1.2");
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
        plan.steps().iter().map(|step| step.timestep).collect::<Vec<_>>()
    };
    let two = Options { steps: 2, ..Options::default() };
    assert_eq!(timesteps(&two), [500, 0], "a folder without a card means what diffusers means: leading");
    assert_eq!(timesteps(&Options { convention: Some(Convention::Exact), ..two.clone() }), [999, 499]);
    assert_eq!(timesteps(&Options { spacing: Some(Spacing::Linspace), ..two }), [999, 0]);
}
