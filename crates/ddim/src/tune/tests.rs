//! Tuning and adaptive runs on the small random-weight models.

use std::ops::ControlFlow;

use crate::schedule::Tolerance;
use crate::{Error, MeasuredOn, Model, Options, TuneOptions, TuneProgress, TuneStage, device};

fn model(name: &str) -> Model {
    let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models");
    Model::load(format!("{goldens}/{name}"), &device::cpu()).expect("the golden models are in the repository")
}

fn options(solvers: &[&str]) -> TuneOptions {
    TuneOptions {
        solvers: solvers.iter().map(|name| name.parse().expect("a method")).collect(),
        pictures: 3,
        held_out: 3,
        rounds: 2,
        tolerance: Tolerance::new(1e-2, 1e-2).expect("in range"),
        ..TuneOptions::default()
    }
}

fn go_on(_: &TuneProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The best list of the search never gets worse, and a seed gives the same result again.
#[test]
fn a_search_only_gets_better_and_repeats_itself() {
    let model = model("classes_scale_shift");
    let (mut searched, mut first_searched) = (f64::INFINITY, f64::NAN);
    let mut compared = Vec::new();
    let watch = |seen: &TuneProgress| {
        if let (TuneStage::Searching { .. }, Some(best)) = (seen.stage, seen.best) {
            first_searched = if first_searched.is_nan() { best } else { first_searched };
            assert!(best <= searched, "a search never goes back");
            searched = best;
        }
        if compared.last() != Some(&seen.stage) {
            compared.push(seen.stage);
        }
        ControlFlow::Continue(())
    };
    let found = model.tune(&[4], &options(&["ddim"]), watch).expect("a tuning");
    let measures = &found[0].measures;
    assert_eq!((found[0].tau.len(), measures.on, measures.pictures), (4, MeasuredOn::HeldOut, 3));
    assert!(measures.fixed.len() > 5 && measures.fixed.is_sorted_by(|a, b| a.1.mean <= b.1.mean));
    assert!(measures.tuned.mean > 0.0 && searched <= first_searched);
    assert_eq!(compared[1..3], [TuneStage::Comparing { n_steps: 4 }, TuneStage::Searching { n_steps: 4 }]);
    assert_eq!(model.tune(&[4], &options(&["ddim"]), go_on).expect("a tuning"), found);
}

#[test]
fn a_search_that_is_stopped_keeps_its_best() {
    let mut tries = 0;
    let stop = |seen: &TuneProgress| {
        tries += usize::from(matches!(seen.stage, TuneStage::Searching { .. }));
        if tries > 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = model("classes_scale_shift").tune(&[3, 4], &options(&["ddim"]), stop).expect("a tuning");
    assert_eq!(found.len(), 1, "the second number of steps was not come to");
    let measures = &found[0].measures;
    assert_eq!(measures.on, MeasuredOn::Searched);
    assert!(measures.fixed.iter().all(|(_, fixed)| measures.tuned.mean <= fixed.mean));
    let nothing = model("classes_scale_shift").tune(&[3], &options(&["ddim"]), |_| ControlFlow::Break(()));
    assert!(nothing.expect("no failure").is_empty());
}

#[test]
fn what_cannot_be_tuned_is_refused_before_a_picture_is_drawn() {
    let model = model("classes_scale_shift");
    let refusal = |n_steps: usize, options: &TuneOptions| {
        model.tune(&[n_steps], options, |_| panic!("nothing is drawn")).expect_err("refused")
    };
    for solver in ["ddpm", "heun", "euler-a"] {
        assert!(matches!(refusal(4, &options(&[solver])), Error::Untunable(_)), "{solver}");
    }
    assert!(matches!(refusal(4, &options(&[])), Error::Untunable(_)));
    assert!(matches!(refusal(1001, &options(&["ddim"])), Error::Schedule(_)));
    assert!(matches!(refusal(0, &options(&["ddim"])), Error::Schedule(_)));
    assert!(matches!(refusal(4, &TuneOptions { held_out: 0, ..options(&["ddim"]) }), Error::Untunable(_)));
}

/// Bit for bit, with classes in turn and with guidance, though pictures take different numbers of steps.
#[test]
fn an_adaptive_picture_does_not_depend_on_its_batch() {
    let model = model("classes_scale_shift");
    let tolerance = Tolerance::new(0.02, 0.02).expect("in range");
    let draw = |batch_size| {
        let options = Options { count: 7, batch_size, ..Options::default() };
        let drawn = model.sample_adaptive(&options, tolerance).expect("a run");
        (drawn.pictures.tensor().values(), drawn.effort)
    };
    let alone = draw(1);
    for batch_size in [3, 7] {
        assert_eq!(draw(batch_size), alone, "batches of {batch_size}");
    }
}
