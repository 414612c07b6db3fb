//! Runs that share the network's calls.

use std::ops::ControlFlow;

use ddim_tensor::Tensor;

use super::with_classes;
use crate::sampler::{Langevin, Outcome, Wanted};
use crate::schedule::Tolerance;
use crate::{Begun, Drawn, Error, Labels, Model, Observer, Options, Run, Seen, Start, Streams, device};

/// A run among others.
struct Guest<'m> {
    run: Run<'m>,
    batch: Begun,
    /// Calls of the others before it comes.
    comes_after: usize,
}

impl<'m> Guest<'m> {
    fn new(model: &'m Model, solver: &str, steps: usize, labels: &[usize], comes_after: usize) -> Self {
        let corrector = (solver == "ddpm").then(|| Langevin::new(1, 0.16).expect("in range"));
        let solver = solver.parse().expect("known");
        let options = Options { steps, solver, labels: labels.to_vec().into(), corrector, ..Options::default() };
        let noise = Streams::Listed((0..labels.len()).map(|k| (steps as u64, 7 * k as u64)).collect());
        let run = Run { noise, pictures: labels.len(), ..model.run(&options).expect("a run") };
        let batch = run.begin(&(0..labels.len()).collect::<Vec<_>>()).expect("a batch");
        Self { run, batch, comes_after }
    }

    /// The same run by itself, the usual way.
    fn alone(&self) -> Vec<f32> {
        self.run.all(|_, _| ControlFlow::Continue(())).expect("a run").0.tensor().values()
    }
}

/// One call of the network for all of these, each with a time of its own.
fn shared_call(model: &Model, guests: &mut [&mut Guest]) {
    let wanted: Vec<Wanted> = guests.iter().map(|guest| guest.batch.steps.wants().expect("a call")).collect();
    let times: Vec<f64> = wanted.iter().flat_map(|wanted| vec![wanted.call.time; wanted.x.dims()[0]]).collect();
    let classes = guests.iter().flat_map(|guest| guest.batch.labels.classes().to_vec());
    let labels: Labels = classes.collect::<Vec<_>>().into();
    let x = Tensor::cat(&wanted.into_iter().map(|wanted| wanted.x).collect::<Vec<_>>());
    let out = model.network_at_times(x.dims(), &labels).expect("a label a picture")(x, &times);
    let mut first = 0;
    for guest in guests {
        let rows = first..first + guest.batch.labels.len();
        first = rows.end;
        guest.batch.feed(out.pictures(rows)).expect("finite");
    }
}

/// Bit for bit: solvers, lengths, pictures and corrections differ, they come and go, and are in another place of
/// the batch in every call.
#[test]
fn runs_that_share_calls_get_the_bits_of_each_alone() {
    let model = with_classes();
    let mut guests = [
        Guest::new(&model, "ddpm", 7, &[0, 4], 0),
        Guest::new(&model, "unipc", 5, &[2], 0),
        Guest::new(&model, "dpm++:order=3", 9, &[1, 1, 3], 3),
    ];
    let alone: Vec<Vec<f32>> = guests.iter().map(Guest::alone).collect();
    let (mut calls, mut together) = (0, 0);
    loop {
        let mut here: Vec<&mut Guest> = guests
            .iter_mut()
            .filter(|guest| guest.comes_after <= calls && guest.batch.steps.wants().is_some())
            .collect();
        let Some(last) = here.len().checked_sub(1) else { break };
        here.rotate_left(calls % (last + 1));
        together = together.max(here.len());
        shared_call(&model, &mut here);
        calls += 1;
    }
    assert_eq!((calls, together), (13, 3));
    for (guest, alone) in guests.into_iter().zip(alone) {
        let Ok(Outcome::Finished(x)) = guest.batch.steps.finish() else { panic!("all calls were made") };
        assert_eq!(x.into_values(), alone);
    }
}

/// Saved after any call, and taken up by a run that was made anew: with noise, labels, corrections, and a part
/// that stays.
#[test]
fn a_saved_batch_goes_on_with_the_same_bits() {
    let model = with_classes();
    let [c, h, w] = model.shape().expect("a size");
    let start = Start::Inpainting {
        pictures: Tensor::full(0.25, [1, c, h, w]),
        mask: Tensor::new((0..h * w).map(|k| (k % 2) as f32).collect(), [1, 1, h, w]),
    };
    let corrector = Some(Langevin::new(1, 0.16).expect("in range"));
    let solver = "ddpm".parse().expect("known");
    let options = Options { steps: 4, solver, count: 5, start, corrector, seed: 3, ..Options::default() };
    let run = || model.run(&options).expect("a run");
    let whole = run().only(&[4, 1]).all(|_, _| ControlFlow::Continue(())).expect("a run").0.tensor().values();
    for saved_after in 0..7 {
        let mut batch = run().begin(&[4, 1]).expect("a batch");
        let labels = batch.labels.clone();
        let network = model.network([2, c, h, w], &labels).expect("its labels");
        for call in 0..7 {
            if call == saved_after {
                let saved = batch.steps.save().expect("finite");
                batch = run().resume(&[4, 1], saved).expect("of this run");
            }
            let wanted = batch.steps.wants().expect("seven calls");
            batch.feed(network(wanted.x, wanted.call.time)).expect("finite");
        }
        assert!(batch.steps.wants().is_none());
        assert_eq!(batch.steps.x().values(), whole, "saved after {saved_after} calls");
    }
}

/// Notes what it is shown.
#[derive(Default)]
struct Notes {
    seen: Vec<String>,
    /// The batch after which it has enough.
    enough: Option<usize>,
}

impl Observer for Notes {
    type Error = Error;

    fn see(&mut self, pictures: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        self.seen.push(match seen {
            Seen::Start(_) => format!("{pictures:?}"),
            Seen::Step(step) => format!("{}", step.index),
            Seen::Attempt(_) => "attempt".to_owned(),
        });
        ControlFlow::Continue(())
    }

    fn take(&mut self, Drawn { indices, x, .. }: Drawn) -> Result<ControlFlow<()>, Error> {
        assert_eq!(x.dims()[0], indices.len());
        self.seen.push(format!("done {indices:?}"));
        let is_enough = self.enough.is_some_and(|enough| indices.contains(&enough));
        Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

#[test]
fn a_walk_shows_each_start_step_and_batch_in_order() {
    let model = with_classes();
    let run = model.run(&Options { steps: 2, count: 9, batch_size: 2, ..Options::default() }).expect("a run");
    let walk = |enough| {
        let mut notes = Notes { enough, ..Notes::default() };
        let ended = run.walk(&[7, 2, 5], &mut notes).expect("a run");
        (notes.seen.join(" "), ended.is_break())
    };
    let first = "[7, 2] 0 1 done [7, 2]";
    assert_eq!(walk(None), (format!("{first} [5] 0 1 done [5]"), false));
    assert_eq!(walk(Some(2)), (first.to_owned(), true));
    // Enough of the last is the end.
    assert_eq!(walk(Some(5)), (format!("{first} [5] 0 1 done [5]"), false));
}

#[test]
fn a_run_to_a_tolerance_has_no_steps_to_put_anything_in() {
    let model = with_classes();
    let tolerance = Tolerance::new(0.1, 0.1).expect("in range");
    let run = model.run_to_tolerance(&Options::default(), tolerance).expect("a run");
    assert!(matches!(run.begin(&[0]), Err(Error::NeedsSteps)));
    let [c, h, w] = model.shape().expect("a size");
    let pictures = Run { start: Start::Pictures(Tensor::full(0.0, [1, c, h, w])), ..run.clone() };
    let corrected = Run { corrector: Langevin::new(1, 0.16).ok(), ..run };
    for refused in [pictures, corrected] {
        let drawn = refused.all(|_, _| ControlFlow::Continue(()));
        assert!(matches!(drawn, Err(Error::NeedsSteps)));
    }
}

/// Bit for bit, with guidance, corrections and labels that differ.
#[test]
fn a_run_that_answers_itself_a_call_at_a_time_draws_what_the_walk_draws() {
    let model = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
    for (solver, corrections, scale) in [("ddpm", 2, 1.0), ("unipc", 0, 3.0), ("heun", 0, 1.0)] {
        let corrector = (corrections > 0).then(|| Langevin::new(corrections, 0.16).expect("in range"));
        let (solver, guidance) = (solver.parse().expect("known"), scale.into());
        let labels = vec![0, 4].into();
        let options = Options { steps: 5, count: 3, solver, labels, corrector, guidance, ..Options::default() };
        let run = model.run(&options).expect("a run");
        let mut batch = run.begin(&[2, 0]).expect("a batch");
        let mut steps = 0;
        while let Some(taken) = batch.step(&model).expect("finite") {
            steps += 1;
            assert_eq!(taken.x0.dims(), batch.steps.x().dims());
            if steps == 3 {
                let saved = batch.steps.save().expect("finite");
                batch = run.resume(&[2, 0], saved).expect("of this run");
            }
        }
        assert_eq!(steps, run.route.plan().expect("a plan").steps().len());
        let whole = run.all(|_, _| ControlFlow::Continue(())).expect("a run").0;
        assert_eq!(batch.steps.x().values(), whole.tensor().select(&[2, 0]).values());
    }
}
