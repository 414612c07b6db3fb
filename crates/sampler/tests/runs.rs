//! Runs as values: driven by hand, saved after any call and restored, corrected around a known part.

use std::ops::ControlFlow;
use std::sync::Arc;

use ddim_sampler::{
    Between, Call, Known, Langevin, Noise, Outcome, PictureNoise, Purpose, Run, SampleError, Saved, sample,
    sample_corrected, sample_edited,
};
use ddim_schedule::solvers::{self, Ddim, Ddpm};
use ddim_schedule::{
    BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Resampling, Settings, Solver, Variance, X0Limit,
};
use ddim_tensor::{Device, Tensor};

/// Two pictures of an odd number of values.
const SHAPE: [usize; 4] = [2, 3, 5, 3];

fn schedule() -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper")
}

fn plan(settings: Settings) -> Plan {
    Plan::new(&schedule(), &settings).unwrap_or_else(|error| panic!("{settings:?}: {error}"))
}

/// A network that is not linear, and changes with time.
fn network(x: Tensor, call: Call) -> Tensor {
    let slope = 0.4 + 0.2 * (0.01 * call.time).sin() as f32;
    let values = x.values().into_iter().map(|value| (slope * value).tanh() + 0.01 * value);
    Tensor::new(values.collect(), x.dims())
}

/// The same with variances behind, all between the two that the plan allows.
fn with_variances(x: Tensor, call: Call) -> Tensor {
    let fractions = x.values().into_iter().map(|value| value.sin()).collect();
    network(x.clone(), call).join_channels(&Tensor::new(fractions, x.dims()))
}

fn noise() -> PictureNoise {
    PictureNoise::new(5, [3, 8])
}

fn start(plan: &Plan) -> Tensor {
    noise().initial(SHAPE, &Device::Cpu) * plan.start_scale()
}

type Network = fn(Tensor, Call) -> Tensor;

fn pictures(outcome: Result<Outcome, SampleError>) -> Vec<f32> {
    match outcome {
        Ok(Outcome::Finished(x)) => x.into_values(),
        other => panic!("{other:?}"),
    }
}

/// Every solver and every method of the papers, in nine calls; orders, jumps, a learned variance, a limit.
fn plans() -> Vec<(String, Plan, Network)> {
    let of = |solver: Box<dyn Solver>, convention| Settings::new(convention, solver, 9);
    let mut plans: Vec<(String, Plan, Network)> = Vec::new();
    for convention in [Convention::Exact, Convention::Diffusers] {
        let texts = ["ddim:eta=0.7", "ddim:eta=hat", "dpm++:order=3", "unipc:order=3", "euler:churn=40"];
        let with_options = texts.map(|text| solvers::parse(text).expect("a solver"));
        let large = Ddpm { variance: Variance::FixedLarge }.into();
        for solver in solvers::all().into_iter().chain(with_options).chain([large]) {
            plans.push((format!("{solver:?}, {convention}"), plan(of(solver, convention)), network));
        }
    }
    let exact = Settings { n_steps: 9, ..Settings::default() };
    let jumps = Settings {
        solver: Ddim { eta: Eta::DDPM }.into(),
        resampling: Resampling::Jumps { length: 2, times: 2 },
        ..exact.clone()
    };
    let learned = Settings { solver: Ddpm { variance: Variance::LearnedRange }.into(), ..exact.clone() };
    let limit = X0Limit::DynamicThreshold { ratio: 0.9, max: 2.0 };
    let limited = Settings { solver: "deis".parse().expect("known"), limit, ..exact };
    plans.push(("jumps".to_owned(), plan(jumps), network));
    plans.push(("a learned variance".to_owned(), plan(learned), with_variances));
    plans.push(("a limit".to_owned(), plan(limited), network));
    plans
}

/// What is done between the steps of those that allow it: nothing; a known part; corrections; both.
fn betweens(plan: &Plan) -> Vec<Between> {
    let langevin = Langevin::new(2, 0.16).expect("in range");
    let picture = PictureNoise::new(1, 0..2).initial(SHAPE, &Device::Cpu) * 0.3;
    let known = || Some(Known::new(picture.clone(), Tensor::new(vec![0.0, 0.5, 1.0], [1, 1, 1, 3])));
    let mut betweens = vec![Between::default(), Between { langevin: None, known: known() }];
    if langevin.check(plan).is_ok() {
        betweens.push(Between { langevin: Some(langevin), known: None });
        betweens.push(Between { langevin: Some(langevin), known: known() });
    }
    betweens
}

/// One call.
fn call<P: std::borrow::Borrow<Plan>>(run: &mut Run<P>, network: Network) {
    let wanted = run.wants().expect("a call that is left");
    run.feed(network(wanted.x, wanted.call), &mut noise()).expect("finite");
}

/// Bit for bit, wherever a run is stopped: after every call, that is after every correction too. What was saved is
/// restored in a run of its own, with noise of its own, and says the same when it is saved again.
#[test]
fn a_saved_run_goes_on_with_the_same_bits() {
    let mut remembered = 0;
    for (name, plan, network) in plans() {
        for between in betweens(&plan) {
            let begun = Run::with(&plan, start(&plan), between.clone()).expect("a run");
            let whole = pictures(begun.clone().drive(network, &mut noise(), |_| ControlFlow::Continue(())));
            let calls = between.calls(plan.steps().len());
            let mut on_its_way = begun;
            for made in 0..=calls {
                let saved = on_its_way.save().expect("finite");
                remembered += usize::from(saved.start.is_some()) + saved.kept.len();
                let restored = Run::restored(&plan, between.clone(), saved.clone(), &Device::Cpu);
                let mut restored = restored.unwrap_or_else(|error| panic!("{name}, {made} calls: {error}"));
                assert_eq!(restored.save().expect("finite"), saved, "{name}, {made} calls");
                let rest = restored.drive(network, &mut noise(), |_| ControlFlow::Continue(()));
                assert_eq!(pictures(rest), whole, "{name}, {made} of {calls} calls");
                if made < calls {
                    call(&mut on_its_way, network);
                }
            }
            assert!(on_its_way.wants().is_none() && on_its_way.steps_taken() == plan.steps().len());
        }
    }
    assert!(remembered > 0, "some plans look back");
}

/// The functions that take a network are the same run.
#[test]
fn functions_are_runs() {
    let plan = plan(Settings::new(Convention::Exact, Ddim { eta: Eta::DDPM }, 5));
    let go_on = |_: &ddim_sampler::Observation| ControlFlow::Continue(());
    let by_hand = |between: &Between| {
        let mut run = Run::with(Arc::new(plan.clone()), start(&plan), between.clone()).expect("a run");
        while run.wants().is_some() {
            call(&mut run, network);
        }
        pictures(run.finish())
    };
    let [nothing, around, corrected, both] = &betweens(&plan)[..] else { panic!("nothing is kept") };
    let (x, known) = (start(&plan), around.known.as_ref().expect("a part"));
    let plain = pictures(sample(&plan, x.clone(), network, &mut noise(), go_on));
    assert_eq!(plain, by_hand(nothing));
    let put_back = |index, x, noise: &mut dyn Noise| known.put_back(&plan, index, x, noise);
    let edited = pictures(sample_edited(&plan, x.clone(), network, &mut noise(), put_back, go_on));
    assert_eq!(edited, by_hand(around));
    let langevin = corrected.langevin.expect("corrections");
    let of_function = pictures(sample_corrected(&plan, langevin, x, network, &mut noise(), go_on));
    assert_eq!(of_function, by_hand(corrected));
    let all = [plain, edited, of_function, by_hand(both)];
    assert!((0..4).all(|a| (0..a).all(|b| all[a] != all[b])), "four different runs");
}

/// What is wanted, call by call; a call that is asked for twice is the same.
#[test]
fn a_run_says_what_an_output_is_for() {
    let plan = plan(Settings::new(Convention::Exact, Ddim::default(), 3));
    let langevin = Some(Langevin::new(2, 0.16).expect("in range"));
    let mut run = Run::with(&plan, start(&plan), Between { langevin, known: None }).expect("a run");
    let mut wanted = Vec::new();
    while let Some(call) = run.wants() {
        let again = run.wants().expect("still");
        assert_eq!((again.call, again.purpose), (call.call, call.purpose));
        assert_eq!(again.x.values(), call.x.values());
        assert_eq!(call.call.time, plan.steps()[call.call.index].time);
        wanted.push((call.call.index, call.purpose));
        let taken = run.feed(network(call.x, call.call), &mut noise()).expect("finite");
        assert_eq!(taken.map(|taken| taken.index), (call.purpose == Purpose::Step).then_some(call.call.index));
    }
    let correction = |number| Purpose::Correction { number };
    let around = |index| [(index, correction(0)), (index, correction(1)), (index, Purpose::Step)];
    let expected: Vec<_> = [(0, Purpose::Step)].into_iter().chain([1, 2].into_iter().flat_map(around)).collect();
    assert_eq!(wanted, expected);
}

/// A run that has been left says where; one that has been fed something wrong wants the same again.
#[test]
fn a_run_can_be_left_and_survives_an_output_of_other_channels() {
    let plan = plan(Settings::new(Convention::Exact, Ddim { eta: Eta::DDPM }, 4));
    let mut run = Run::new(&plan, start(&plan));
    let before = run.x().values();
    let wrong = run.feed(Tensor::full(0.0, [2, 4, 5, 3]), &mut noise());
    assert!(matches!(wrong, Err(SampleError::Channels { found: 4, picture: 3, needed: 3 })), "{wrong:?}");
    assert_eq!((run.x().values(), run.steps_taken()), (before, 0));
    call(&mut run, network);
    let bad = run.feed(Tensor::full(f32::NAN, SHAPE), &mut noise());
    assert!(matches!(bad, Err(SampleError::NotFinite { step: 2, n_steps: 4, picture: 0, .. })), "{bad:?}");
    let mut run = Run::new(&plan, start(&plan));
    call(&mut run, network);
    let state = run.x().values();
    let Ok(Outcome::Stopped { x, steps_taken: 1 }) = run.finish() else { panic!("one step was taken") };
    assert_eq!(x.values(), state);
}

#[test]
#[should_panic(expected = "a finished run wants no output")]
fn a_finished_run_is_fed_nothing() {
    let plan = plan(Settings::new(Convention::Exact, Ddim::default(), 1));
    let mut run = Run::new(&plan, start(&plan));
    call(&mut run, network);
    let _ = run.feed(Tensor::full(0.0, SHAPE), &mut noise());
}

/// Not even where one number could stand for many.
#[test]
#[should_panic(expected = "the network's output must have the shape of its input")]
fn an_output_of_another_shape_is_no_output() {
    let plan = plan(Settings::new(Convention::Exact, Ddim::default(), 2));
    let _ = Run::new(&plan, start(&plan)).feed(Tensor::full(0.0, [1, 3, 5, 3]), &mut noise());
}

#[test]
fn what_was_saved_of_another_run_is_refused() {
    let plan = |text: &str| plan(Settings::new(Convention::Exact, solvers::parse(text).expect("known"), 4));
    let (looks_back, plain) = (plan("dpm++"), plan("ddim"));
    let saved = |plan: &Plan| {
        let mut run = Run::new(plan, start(plan));
        (0..2).for_each(|_| call(&mut run, network));
        run.save().expect("finite")
    };
    let refused = |plan: &Plan, saved: Saved, expected: &str| {
        let error = Run::restored(plan, Between::default(), saved, &Device::Cpu).expect_err(expected).to_string();
        assert!(error.starts_with("the saved run does not fit the plan: ") && error.contains(expected), "{error}");
    };
    refused(&looks_back, saved(&plain), "0 predictions were saved, and 2 steps leave 1");
    refused(&plain, saved(&looks_back), "1 predictions were saved, and 2 steps leave 0");
    refused(&plain, Saved { steps_taken: 5, ..saved(&plain) }, "5 steps were taken, and it has 4");
    refused(&plain, Saved { corrections: 1, ..saved(&plain) }, "1 corrections were made after step 2, of 0");
    refused(&plain, Saved { dims: [2, 3, 5, 4], ..saved(&plain) }, "90 numbers for a shape of [2, 3, 5, 4]");
    refused(&plain, Saved { dims: [usize::MAX; 4], ..saved(&plain) }, "90 numbers for a shape of");
    let start = Some(vec![0.0; 90]);
    refused(&plain, Saved { start, ..saved(&plain) }, "the state that the run began with was saved");
    let langevin = Some(Langevin::new(1, 0.16).expect("in range"));
    let corrected =
        Run::restored(&looks_back, Between { langevin, known: None }, saved(&looks_back), &Device::Cpu);
    assert!(matches!(corrected, Err(SampleError::RemembersThePast)), "{corrected:?}");
}

/// A server keeps runs, and hands them from thread to thread.
#[test]
fn a_run_can_be_kept_and_sent() {
    fn is_kept_and_sent<T: Send + Sync + 'static>() {}
    is_kept_and_sent::<Run>();
}
