//! Features that calls keep for later ones.

use std::ops::ControlFlow;

use ddim_graph::CutError;

use super::golden::GOLDENS;
use super::{draw, with_classes};
use crate::sampler::{Guidance, GuidanceInterval, Langevin};
use crate::schedule::Tolerance;
use crate::{Error, FullCalls, Model, Options, Reuse, device};

fn reuse(text: &str) -> Option<Reuse> {
    Some(text.parse().expect("a part and its calls"))
}

/// Written down once more with the two calls of the engine, for solvers that remember, that add noise, and that
/// call twice a step.
#[test]
fn calls_between_full_ones_take_what_was_kept() {
    let model = with_classes();
    let graph = model.checkpoint().denoiser.graph().clone();
    let cut = graph.cut("up_blocks.0").expect("a cut");
    for solver in ["ddpm", "unipc", "heun"] {
        let options = Options {
            steps: 6,
            solver: solver.parse().expect("known"),
            labels: vec![3, 1].into(),
            count: 2,
            reuse: reuse("up_blocks.0:1,2,5"),
            ..Options::default()
        };
        let run = model.run(&options).expect("a run");
        let mut batch = run.begin(&[0, 1]).expect("a batch");
        let labels = batch.labels.clone();
        let (mut kept, mut behind) = (None, 0);
        while let Some(wanted) = batch.steps.wants() {
            let rows = model.engine().condition(&[wanted.call.time], &labels.asked());
            let out = match (wanted.call.index, kept.as_ref()) {
                (0 | 1 | 4, _) => {
                    let mut seen = model.engine().observe(wanted.x, &rows, &["up_blocks.0"]);
                    kept = seen.points.pop();
                    seen.output
                }
                (_, Some(kept)) => {
                    behind += 1;
                    model.engine().forward_behind(wanted.x, &rows, &cut, kept)
                }
                (_, None) => panic!("the first call is a full one"),
            };
            batch.feed(out).expect("finite");
        }
        let found = draw(&model, &options);
        assert_eq!(found, batch.steps.x().values(), "{solver}");
        assert_eq!(behind, run.route.plan().expect("a plan").steps().len() - 3);
        assert_ne!(found, draw(&model, &Options { reuse: None, ..options }), "{solver}");
    }
}

/// Bit for bit: with guidance of some steps, corrections, and any batch.
#[test]
fn what_is_kept_belongs_to_a_picture() {
    let model = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
    let interval = GuidanceInterval::NoiseLevels { above: 0.1, up_to: 3.0 };
    let options = |batch_size| Options {
        steps: 9,
        solver: "ddpm".parse().expect("known"),
        count: 5,
        guidance: Guidance { interval, ..2.0.into() },
        corrector: Langevin::new(1, 0.16).ok(),
        reuse: reuse("mid_block:4"),
        batch_size,
        ..Options::default()
    };
    let whole = draw(&model, &options(16));
    assert_eq!(draw(&model, &options(2)), whole);
    let run = model.run(&options(3)).expect("a run");
    let drawn = run.only(&[4, 1]).all(|_, _| ControlFlow::Continue(())).expect("a run").0;
    let each = whole.len() / 5;
    assert_eq!(drawn.tensor().values(), [&whole[4 * each..], &whole[each..2 * each]].concat());
}

/// The first guided call has nothing of the pictures without labels, whatever was listed; later calls without
/// guidance take the half that has labels.
#[test]
fn guidance_that_begins_later_needs_a_full_call() {
    let model = with_classes();
    let plan = model.plan(&Options { steps: 6, ..Options::default() }).expect("a plan");
    let level = |step: usize| (1.0 / plan.steps()[step].alpha_bar - 1.0).sqrt();
    let interval = GuidanceInterval::NoiseLevels { above: level(4) * 1.001, up_to: level(2) * 1.001 };
    let guidance = Guidance { interval, ..2.0.into() };
    let reuse = Reuse { cut: "mid_block".to_owned(), full: FullCalls::Every(5) };
    assert_eq!(reuse.full_calls(&plan, &guidance), [true, false, true, false, false, true]);
    assert_eq!(reuse.full_calls(&plan, &Guidance::OFF), [true, false, false, false, false, true]);
}

#[test]
fn a_saved_run_goes_on_at_a_full_call() {
    let model = with_classes();
    let options = Options { steps: 5, count: 2, reuse: reuse("up_blocks.0:3"), ..Options::default() };
    let run = model.run(&options).expect("a run");
    let whole = draw(&model, &options);
    let mut batch = run.begin(&[0, 1]).expect("a batch");
    for call in 1..=5 {
        let saved = batch.steps.save().expect("finite");
        match (run.resume(&[0, 1], saved), call) {
            (Ok(resumed), 1 | 4) => batch = resumed,
            (Err(Error::Kept { call: refused }), 2 | 3 | 5) => assert_eq!(refused, call),
            (other, _) => panic!("call {call}: {:?}", other.err()),
        }
        batch.step(&model).expect("finite");
    }
    assert_eq!(batch.steps.x().values(), whole);
}

/// The model keeps nothing of a call that somebody else answered: it runs in full then.
#[test]
fn a_run_that_others_began_goes_on() {
    let model = with_classes();
    let options =
        Options { steps: 3, labels: vec![1].into(), reuse: reuse("up_blocks.0:3"), ..Options::default() };
    let mut batch = model.run(&options).expect("a run").begin(&[0]).expect("a batch");
    let labels = batch.labels.clone();
    let wanted = batch.steps.wants().expect("three calls");
    let network = model.network(wanted.x.dims(), &labels).expect("its label");
    let out = network(wanted.x, wanted.call.time);
    batch.feed(out).expect("finite");
    while batch.step(&model).expect("finite").is_some() {}
    assert!(batch.steps.x().values().iter().all(|value| value.is_finite()));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let model = with_classes();
    let refused = |text: &str, steps| {
        let options = Options { steps, reuse: reuse(text), ..Options::default() };
        model.run(&options).expect_err(text)
    };
    assert!(
        matches!(refused("mid:2", 5), Error::Cut { problem: CutError::Unknown { .. }, known } if !known.is_empty())
    );
    assert!(matches!(refused("conv_in:2", 5), Error::Cut { problem: CutError::WithoutPicture { .. }, .. }));
    for (text, steps) in [("mid_block:2", 1), ("mid_block:1,2", 2), ("mid_block:1,6", 5)] {
        assert!(matches!(refused(text, steps), Error::FullCalls { calls, .. } if calls == steps), "{text}");
    }
    for text in
        ["", "mid_block", "mid_block:", ":2", "mid_block:1", "mid_block:0", "mid_block:2,3", "mid_block:1,3,3"]
    {
        assert!(text.parse::<Reuse>().is_err(), "{text}");
    }
    for text in ["mid_block:2", "a:b:1,2"] {
        assert_eq!(text.parse::<Reuse>().expect("a part and its calls").to_string(), text);
    }
    let options = Options { reuse: reuse("mid_block:2"), ..Options::default() };
    let tolerance = Tolerance::new(0.1, 0.1).expect("in range");
    assert!(matches!(model.run_to_tolerance(&options, tolerance), Err(Error::NeedsSteps)));
    let shares: Vec<f64> = model.cuts().iter().map(|cut| model.share_behind(cut).expect("a size")).collect();
    assert!(!shares.is_empty() && shares.iter().all(|share| (0.0..1.0).contains(share)), "{shares:?}");
}

/// Each block of a transformer reads what the one before it has written, and nothing else: only what goes beside
/// that can be kept.
#[test]
fn of_a_transformer_the_branches_of_a_block_can_be_kept() {
    let dit = Model::load(format!("{GOLDENS}/models/dit"), &device::cpu()).expect("it is in the repository");
    let of = |reuse: Option<Reuse>| Options { steps: 4, reuse, ..Options::default() };
    let error = dit.run(&of(reuse("transformer_blocks.1:2"))).expect_err("no cut").to_string();
    assert!(error.contains("reads the picture") && error.contains("transformer_blocks.1.ff"), "{error}");
    let drawn = draw(&dit, &of(reuse("transformer_blocks.1.attn1:2")));
    assert_ne!(drawn, draw(&dit, &of(None)));
}
