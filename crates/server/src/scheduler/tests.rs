use std::time::Duration;

use ddim::solvers::Ddim;
use ddim::{Eta, Options, device};

use super::*;
use crate::progress::{Ticket, What};

fn model() -> Model {
    Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded")
}

fn options(steps: usize, solver: &str, seed: u64) -> Options {
    Options { steps, solver: solver.parse().expect("a solver"), seed, batch_size: 1, ..Options::default() }
}

fn add<'m>(scheduler: &mut Scheduler<'m>, options: &Options) -> Ticket {
    let run = scheduler.model.run(options).expect("a run");
    let steps = run.route.plan().expect("a plan").steps().len();
    let progress = Arc::new(Progress::new(options.count, steps, true));
    scheduler.add(run, Arc::clone(&progress));
    Ticket(progress)
}

fn finish(scheduler: &mut Scheduler<'_>) {
    while scheduler.len() > 0 {
        scheduler.tick();
    }
}

fn taken(ticket: &Ticket) -> usize {
    ticket.steps().0
}

/// Methods, lengths, classes, guidance, kept features, corrections: requests come while others are drawn.
#[test]
fn every_picture_is_that_of_the_request_alone() {
    let (model, stats) = (model(), Stats::default());
    let noisy = Options { solver: Ddim { eta: Eta::DDPM }.into(), count: 3, ..options(9, "ddim", 1) };
    let guided = Options { labels: vec![8].into(), guidance: 3.0.into(), count: 2, ..options(4, "ddim", 2) };
    let keeps = Options { reuse: "mid_block:2".parse().ok(), count: 2, ..options(6, "ddim", 3) };
    let corrected = Options { corrector: ddim::sampler::Langevin::new(1, 0.16).ok(), ..options(3, "ddim", 4) };
    let mixed = ["unipc", "heun", "ipndm", "dpm++", "ddpm"].into_iter().zip(3..);
    let mixed = mixed.map(|(solver, steps)| Options {
        labels: vec![steps, 0].into(),
        count: 2,
        ..options(steps, solver, steps as u64)
    });
    let all: Vec<Options> = mixed.chain([noisy, guided, keeps, corrected]).collect();
    for at_once in [1, 3, 64] {
        let mut scheduler = Scheduler::new(&model, &stats, at_once);
        let mut tickets = Vec::new();
        for options in &all {
            tickets.push(add(&mut scheduler, options));
            scheduler.tick();
        }
        finish(&mut scheduler);
        for (ticket, options) in tickets.iter().zip(&all) {
            let alone = model.sample(options).expect("pictures");
            assert_eq!(ticket.phase(), Phase::Finished);
            for (k, picture) in ticket.pictures().into_iter().enumerate() {
                assert_eq!(picture.expect("finished").pixels, alone.bytes(k), "{options:?}, {at_once} at once");
            }
        }
    }
}

#[test]
fn calls_are_full_as_long_as_there_are_rows() {
    let (model, stats) = (model(), Stats::default());
    let mut scheduler = Scheduler::new(&model, &stats, 4);
    let one = add(&mut scheduler, &Options { count: 3, ..options(2, "ddim", 0) });
    let other = add(&mut scheduler, &Options { count: 5, ..options(2, "unipc", 0) });
    finish(&mut scheduler);
    assert_eq!((one.phase(), other.phase()), (Phase::Finished, Phase::Finished));
    assert_eq!((stats.rows(), stats.calls(), stats.pictures()), (16, 4, 8));
}

#[test]
fn guidance_is_two_rows_of_one_call() {
    let (model, stats) = (model(), Stats::default());
    let mut scheduler = Scheduler::new(&model, &stats, 4);
    let guided = Options { labels: vec![1].into(), guidance: 2.0.into(), count: 3, ..options(1, "ddim", 0) };
    add(&mut scheduler, &guided).0.is_cancelled();
    let ticket = add(&mut scheduler, &guided);
    finish(&mut scheduler);
    // The first was dropped, which cancels it.
    assert_eq!((ticket.phase(), stats.rows(), stats.calls()), (Phase::Finished, 6, 2));
}

#[test]
fn what_is_cancelled_has_no_row_in_the_next_call() {
    let (model, stats) = (model(), Stats::default());
    let mut scheduler = Scheduler::new(&model, &stats, 8);
    let long = add(&mut scheduler, &Options { count: 4, ..options(50, "ddim", 0) });
    let other = add(&mut scheduler, &options(4, "ddim", 1));
    scheduler.tick();
    assert_eq!((taken(&long), taken(&other), stats.rows()), (4, 1, 5));
    long.cancel();
    scheduler.tick();
    assert_eq!((long.phase(), taken(&long), taken(&other), stats.rows()), (Phase::Cancelled, 4, 2, 6));
    finish(&mut scheduler);
    assert_eq!(other.phase(), Phase::Finished);
    assert_eq!([Outcome::Finished, Outcome::Cancelled].map(|outcome| stats.requests(outcome)), [1, 1]);
}

#[test]
fn the_shortest_goes_first() {
    let (model, stats) = (model(), Stats::default());
    let mut scheduler = Scheduler::new(&model, &stats, 1);
    let long = add(&mut scheduler, &options(20, "ddim", 0));
    scheduler.tick();
    let short = add(&mut scheduler, &options(3, "ddim", 1));
    (0..3).for_each(|_| scheduler.tick());
    assert_eq!((short.phase(), taken(&long)), (Phase::Finished, 1));
}

/// There is always a shorter one, and still the long one is done, in calls that the short ones can spare.
#[test]
fn the_longest_does_not_starve() {
    let (model, stats) = (model(), Stats::default());
    let mut scheduler = Scheduler::new(&model, &stats, 1);
    let long = add(&mut scheduler, &options(10, "ddim", 0));
    let mut others = Vec::new();
    let mut finished = [0, 0];
    for tick in 0..100 {
        others.push(add(&mut scheduler, &options(1, "ddim", tick)));
        scheduler.tick();
        finished[usize::from(tick >= 70)] +=
            others.iter().filter(|other| other.phase() == Phase::Finished).count();
        others.retain(|other| !other.phase().is_end());
        // It waits for as long as it must, and not for ever.
        assert!(tick >= 70 || !long.phase().is_end(), "{tick}");
    }
    assert_eq!((long.phase(), finished[0], finished[1]), (Phase::Finished, 70, 20));
}

#[test]
fn every_step_is_told_with_what_it_predicts() {
    let (model, stats) = (model(), Stats::default());
    let mut scheduler = Scheduler::new(&model, &stats, 2);
    let ticket = add(&mut scheduler, &Options { count: 2, ..options(3, "ddim", 5) });
    finish(&mut scheduler);
    let events = ticket.events_after(0, Duration::ZERO);
    let steps: Vec<(usize, usize)> = events
        .iter()
        .filter_map(|event| match &event.what {
            What::Step { picture, step, preview: Some(_) } => Some((*picture, *step)),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]);
    assert!(matches!(&events.last().expect("events").what, What::End(Phase::Finished)));
    // With eta 0 the last prediction is the picture.
    let last = events.iter().rev().find_map(|event| match &event.what {
        What::Step { picture: 1, preview, .. } => preview.clone(),
        _ => None,
    });
    assert_eq!(last.expect("a preview").pixels, ticket.pictures()[1].clone().expect("finished").pixels);
}
