//! What the four conventions choose, and where they part.

use ddim_schedule::solvers::{Ddim, Ddpm, SigmaHat};
use ddim_schedule::{BetaSchedule, Convention, EpsSource, Eta, FinalAlphaBar, LastNoise, NoiseSchedule, Plan};
use ddim_schedule::{Predecessor, Settings, Solver, Spacing, StepNoise, Variance, X0Limit};

const DDIM: Ddim = Ddim { eta: Eta::DDIM };
const LARGE: Ddpm = Ddpm { variance: Variance::FixedLarge };

fn plan(settings: &Settings) -> Plan {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    Plan::new(&schedule, settings).unwrap()
}

fn timesteps(settings: &Settings) -> Vec<usize> {
    plan(settings).steps().iter().map(|step| step.time as usize).collect()
}

/// Four conventions, four lists for 20 steps: published code agrees on nothing.
#[test]
fn first_and_last_timesteps_of_twenty() {
    let ends = Convention::ALL.map(|convention| {
        let list = timesteps(&Settings::new(convention, DDIM, 20));
        (list.len(), list[0], list[19])
    });
    assert_eq!(ends, [(20, 999, 49), (20, 950, 0), (20, 950, 0), (20, 950, 0)]);
    assert_eq!(timesteps(&Settings::new(Convention::OpenAi, LARGE, 20))[0], 999, "sections reach the end");
}

/// How often diffusers' `t - T/n` is not the next timestep of its own list, among the inner steps; counted
/// with another program.
#[test]
fn where_the_stride_leaves_the_list() {
    let disagreements = |spacing: Spacing, n_steps: usize| {
        let settings = Settings { spacing, ..Settings::new(Convention::Diffusers, DDIM, n_steps) };
        let listed = Settings { predecessor: Predecessor::InList, ..settings.clone() };
        let (by_stride, by_list) = (plan(&settings), plan(&listed));
        let pairs = by_stride.steps().iter().zip(by_list.steps()).take(n_steps - 1);
        pairs.filter(|(a, b)| a.alpha_bar_prev != b.alpha_bar_prev).count()
    };
    assert_eq!(disagreements(Spacing::Leading { offset: 0 }, 30), 0);
    assert_eq!(disagreements(Spacing::Trailing, 20), 0, "20 divides 1000");
    assert_eq!(disagreements(Spacing::Linspace, 10), 9);
    assert_eq!(disagreements(Spacing::Linspace, 50), 19);
    assert_eq!(disagreements(Spacing::Trailing, 30), 10);
    assert_eq!(disagreements(Spacing::Trailing, 15), 9);
}

/// diffusers' DDPM looks its predecessor up.
#[test]
fn predecessors() {
    let predecessor = |convention, solver: &dyn Solver| Settings::new(convention, solver.cloned(), 10).predecessor;
    assert_eq!(predecessor(Convention::Diffusers, &DDIM), Predecessor::Stride);
    assert_eq!(predecessor(Convention::Diffusers, &LARGE), Predecessor::InList);
    for convention in [Convention::Exact, Convention::ErmonGroup, Convention::OpenAi] {
        assert_eq!(predecessor(convention, &DDIM), Predecessor::InList);
    }
}

/// Three different pictures from one checkpoint: who clips, and who re-derives eps.
#[test]
fn limits() {
    let limits = |convention, solver: &dyn Solver| {
        let settings = Settings::new(convention, solver.cloned(), 10);
        (settings.limit, settings.eps_source)
    };
    let clip = X0Limit::Clip { range: 1.0 };
    assert_eq!(limits(Convention::Exact, &DDIM).0, X0Limit::Free);
    assert_eq!(limits(Convention::Diffusers, &DDIM), (clip, EpsSource::Network));
    assert_eq!(limits(Convention::OpenAi, &DDIM), (clip, EpsSource::Rederived));
    assert_eq!(limits(Convention::ErmonGroup, &DDIM).0, X0Limit::Free);
    assert_eq!(limits(Convention::ErmonGroup, &LARGE).0, clip);
}

/// With fixed-large variance and a list that ends above 0, diffusers adds noise to the finished picture.
#[test]
fn noise_on_the_finished_picture() {
    let settings =
        Settings { spacing: Spacing::Leading { offset: 1 }, ..Settings::new(Convention::Diffusers, LARGE, 10) };
    let last = plan(&settings).steps()[9].clone();
    let StepNoise::Fixed { sigma } = last.noise else { panic!("{last:?}") };
    assert!((sigma - (1.0 - last.alpha_bar).sqrt()).abs() < 1e-15, "sqrt(beta) at alpha_bar_prev = 1");
    let at_zero = Settings { spacing: Spacing::Leading { offset: 0 }, ..settings.clone() };
    assert_eq!(plan(&at_zero).steps()[9].noise, StepNoise::None);
    let never = Settings { last_noise: LastNoise::Never, ..settings };
    assert_eq!(plan(&never).steps()[9].noise, StepNoise::None);
}

/// sigma-hat keeps eta 1's deterministic part and has fixed-large's noise.
/// It draws DDPM's noise: whoever treats DDIM otherwise than DDPM treats it as DDPM.
#[test]
fn sigma_hat_has_the_habits_of_ddpm() {
    for convention in Convention::ALL {
        let (hat, ddpm) =
            (Settings::new(convention, SigmaHat, 20), Settings::new(convention, Ddpm::default(), 20));
        assert_eq!(Settings { solver: Ddpm::default().into(), ..hat.clone() }, ddpm, "{convention}");
        let ddim = Settings::new(convention, Ddim::default(), 20);
        let apart = Settings { solver: Ddim::default().into(), ..hat } != ddim;
        assert_eq!(apart, convention != Convention::Exact, "{convention}");
    }
}

#[test]
fn sigma_hat_is_a_mixture() {
    let of = |solver: &dyn Solver| plan(&Settings::new(Convention::Exact, solver.cloned(), 50));
    let (hat, one, large) = (of(&SigmaHat), of(&Ddim { eta: Eta::DDPM }), of(&LARGE));
    for ((hat, one), large) in hat.steps().iter().zip(one.steps()).zip(large.steps()) {
        assert_eq!((hat.c_x, hat.c_x0, hat.c_eps), (one.c_x, one.c_x0, one.c_eps));
        assert_eq!(hat.noise, large.noise);
    }
    assert_eq!(hat.steps()[49].noise, StepNoise::None);
}

/// The two ends of the learned range are the two fixed variances.
#[test]
fn learned_range_lies_between_the_fixed_ones() {
    let of = |variance| plan(&Settings::new(Convention::Exact, Ddpm { variance }, 25));
    let (range, small, large) = (of(Variance::LearnedRange), of(Variance::FixedSmall), of(Variance::FixedLarge));
    for i in 0..24 {
        let StepNoise::LearnedRange { log_small, log_large } = range.steps()[i].noise else { panic!() };
        for (log, fixed) in [(log_small, small.steps()[i].noise), (log_large, large.steps()[i].noise)] {
            let StepNoise::Fixed { sigma } = fixed else { panic!() };
            assert!(((0.5 * log).exp() / sigma - 1.0).abs() < 1e-12);
        }
    }
    assert!(range.is_stochastic());
    assert_eq!(range.steps()[24].noise, StepNoise::None);
}

/// A learned variance is the network's business: as a variance, or as its logarithm.
#[test]
fn learned_variances_are_left_to_the_network() {
    for (variance, noise) in
        [(Variance::Learned, StepNoise::Learned), (Variance::LearnedLog, StepNoise::LearnedLog)]
    {
        let plan = plan(&Settings::new(Convention::Exact, Ddpm { variance }, 3));
        let drawn: Vec<StepNoise> = plan.steps().iter().map(|step| step.noise).collect();
        assert_eq!(drawn, [noise, noise, StepNoise::None]);
    }
}

/// A last step that ends above the clean picture and may draw no noise puts all of the rest into eps.
#[test]
fn a_quiet_last_step_still_ends_at_its_level() {
    let settings = Settings {
        final_alpha_bar: FinalAlphaBar::First,
        ..Settings::new(Convention::Exact, Ddim { eta: Eta::DDPM }, 10)
    };
    let last = plan(&settings).steps()[9].clone();
    assert_eq!((last.alpha_bar_prev, last.noise), (0.9999, StepNoise::None));
    assert!((last.c_x0.powi(2) + last.c_eps.powi(2) - 1.0).abs() < 1e-15);
}

/// At the clean end the posterior's variance is 0; diffusers holds it at 1e-20.
#[test]
fn fixed_small_is_harmless_on_the_finished_picture() {
    let small = Ddpm { variance: Variance::FixedSmall };
    let settings =
        Settings { spacing: Spacing::Leading { offset: 1 }, ..Settings::new(Convention::Diffusers, small, 10) };
    assert_eq!(plan(&settings).steps()[9].noise, StepNoise::Fixed { sigma: 1e-10 });
}
