//! What holds for solvers in log-SNR whatever the network, and how fast they converge.

use ddim_schedule::{BetaSchedule, Convention, FinalAlphaBar, NoiseSchedule, Plan, ScheduleError, Solver};
use ddim_schedule::{Settings, Spacing, Step, StepNoise, Times, solvers};

use crate::scalar::{Output, run};

/// Every solver in log-SNR, at every order, with every variant and every ending.
fn every_solver() -> Vec<String> {
    let mut texts = Vec::new();
    for order in 1..=3 {
        for ending in ["true", "false"] {
            let options = format!("order={order},lower_order_final={ending}");
            texts.push(format!("deis:{options}"));
            for name in ["dpm++", "dpm", "sde-dpm++", "sde-dpm", "dpm++-single", "dpm-single"] {
                for variant in ["midpoint", "heun", "exact"] {
                    texts.push(format!("{name}:{options},variant={variant}"));
                }
            }
            for (variant, predicts, off) in
                [("bh1", "x0", "none"), ("bh2", "eps", "all"), ("bh2", "x0", "0+2"), ("bh1", "eps", "none")]
            {
                texts.push(format!(
                    "unipc:{options},variant={variant},predicts={predicts},disable_corrector={off}"
                ));
            }
        }
    }
    texts
}

fn min_steps(solver: &str) -> usize {
    solvers::parse(solver).unwrap().min_steps()
}

fn method(solver: &str) -> Box<dyn Solver> {
    solvers::parse(solver).unwrap()
}

/// Where all pictures are one, x0 and eps do not change along the way, and every solver ends at that picture: with
/// as few steps as it can have, and with many.
#[test]
fn a_network_that_knows_the_picture_draws_it() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    for text in every_solver() {
        for n_steps in [1, 2, 3, 4, 7, 16].into_iter().filter(|n_steps| *n_steps >= min_steps(&text)) {
            // With noise and eps large steps leave far more noise than a level has, and only x0 itself is right.
            let first = (!text.starts_with("sde-dpm:")).then_some(FinalAlphaBar::First);
            for end in [FinalAlphaBar::One].into_iter().chain(first) {
                let settings = Settings::new(Convention::Exact, method(&text), n_steps);
                let settings = Settings { final_alpha_bar: end, ..settings };
                let plan = Plan::new(&schedule, &settings).unwrap();
                assert_eq!(plan.steps().len(), n_steps);
                let picture = 0.25;
                let mut at = plan.steps().iter();
                let noise = vec![vec![0.5]; n_steps];
                let run = run(&plan, vec![1.5], 1, &noise, |x, _| {
                    let q = at.next().unwrap().marginal;
                    Output { prediction: vec![(x[0] - q.signal * picture) / q.noise], spread: vec![] }
                });
                let last = &plan.steps()[n_steps - 1];
                // What is left of eps at timestep 0 is noise of 0.01 times a few.
                let allowed = if last.alpha_bar_prev == 1.0 { 1e-10 } else { 0.05 };
                let end = run.x[n_steps][0];
                assert!((end - picture).abs() < allowed, "{text}, {n_steps} steps: {end}");
            }
        }
    }
}

/// No row looks further back than there are calls.
#[test]
fn histories_are_no_longer_than_the_past() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    for text in every_solver() {
        for n_steps in min_steps(&text)..=20 {
            let plan = Plan::new(&schedule, &Settings::new(Convention::Exact, method(&text), n_steps)).unwrap();
            for (i, step) in plan.steps().iter().enumerate() {
                assert!(step.history.len() <= i && step.history.len() <= 3, "{text}, {n_steps} steps, {i}");
                assert!(is_finite(step), "{text}, {n_steps} steps, {i}: {step:?}");
            }
        }
    }
}

/// A spacing whose last level is where the run ends makes a step of no length.
#[test]
fn a_step_of_no_length_does_nothing() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    for text in every_solver() {
        let settings = Settings {
            spacing: Spacing::Karras { rho: 7.0 },
            times: Times::Whole,
            final_alpha_bar: FinalAlphaBar::First,
            ..Settings::new(Convention::Exact, method(&text), 16)
        };
        let plan = Plan::new(&schedule, &settings).unwrap();
        assert!(plan.steps().iter().all(is_finite), "{text}");
        let last = &plan.steps()[15];
        assert_eq!(last.noise, StepNoise::None, "{text}");
        // A singlestep leg begins before, and a corrector acts.
        if text.starts_with("dpm:") || text.starts_with("dpm++:") || text.starts_with("deis") {
            let others = last.c_x0.abs() + last.c_eps.abs() + last.history.iter().map(|c| c.abs()).sum::<f64>();
            assert!((last.c_x - 1.0).abs() + others < 1e-11, "{text}: {last:?}");
        }
    }
}

fn is_finite(step: &Step) -> bool {
    let sigma = if let StepNoise::Fixed { sigma } = step.noise { sigma } else { 0.0 };
    [step.c_x, step.c_x0, step.c_eps, sigma].iter().chain(&step.history).all(|c| c.is_finite())
}

/// How far from the exact end of the probability flow a run ends, for the best network of pictures from
/// N(0.3, 0.5^2): there `y - 0.3` shrinks with `sqrt(0.25 + noise_level^2)` (MATH.md, the Gaussian oracle).
fn error(solver: &str, n_steps: usize) -> f64 {
    let schedule = NoiseSchedule::of_noise_levels(0.01, 20.0, 1000).unwrap();
    let settings = Settings {
        spacing: Spacing::LogSnr,
        final_alpha_bar: FinalAlphaBar::First,
        ..Settings::new(Convention::Exact, method(solver), n_steps + 1)
    };
    let plan = Plan::new(&schedule, &settings).unwrap();
    let (mean, variance, start) = (0.3, 0.25, 7.0);
    let mut at = plan.steps().iter();
    let x = start * plan.start().signal;
    let run = run(&plan, vec![x], 1, &[], |x, _| {
        let q = at.next().unwrap().marginal;
        let spread = q.signal * q.signal * variance + q.noise * q.noise;
        Output { prediction: vec![q.noise / spread * (x[0] - q.signal * mean)], spread: vec![] }
    });
    let shrunk = (variance + 0.01_f64.powi(2)) / (variance + 20.0_f64.powi(2));
    let exact = mean + (start - mean) * shrunk.sqrt();
    let signal = plan.steps()[n_steps].alpha_bar_prev.sqrt();
    (run.x[n_steps + 1][0] / signal - exact).abs()
}

/// Twice as many steps divide the error by 2 to the order. A corrector adds one to it, and the multistep method of
/// order 3 as published has order 2.
#[test]
fn orders() {
    for (solver, expected) in [
        ("dpm++:order=1", 1.0),
        ("dpm++", 2.0),
        ("dpm++:variant=heun", 2.0),
        ("dpm", 2.0),
        ("dpm++:order=3", 2.0),
        ("dpm:order=3", 2.0),
        ("dpm++-single", 2.0),
        ("dpm++-single:order=3", 3.0),
        ("dpm++-single:order=3,variant=heun", 3.0),
        ("dpm-single:order=3", 3.0),
        ("dpm-single:order=3,variant=heun", 3.0),
        ("unipc:order=1", 2.0),
        ("unipc", 3.0),
        ("unipc:order=3", 4.0),
        ("unipc:order=3,predicts=eps", 4.0),
    ] {
        // Groups of 2 and 3 levels need numbers of steps that 6 divides.
        let order = (error(solver, 95) / error(solver, 191)).log2();
        // The next order's share of the error is some hundredths of it here.
        assert!((order - expected).abs() < 0.25, "{solver}: {order}");
    }
}

/// With all of its moments the multistep method of order 3 comes much closer; past a hundred steps what is left is
/// the error of the first two, which have fewer calls behind them.
#[test]
fn exact_moments_pay() {
    for (exact, published) in [
        ("dpm++:order=3,variant=exact", "dpm++:order=3"),
        ("dpm:order=3,variant=exact", "dpm:order=3"),
        ("deis:order=3", "dpm:order=3"),
    ] {
        assert!(error(exact, 80) < error(published, 80) / 20.0, "{exact}");
    }
}

/// A record of a solver's options makes the same solver again.
#[test]
fn options_read_back() {
    for text in every_solver() {
        let solver = solvers::parse(&text).unwrap();
        let options: Vec<String> =
            solver.options().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(method(&format!("{}:{}", solver.name(), options.join(","))), method(&text));
    }
}

/// What an option does not allow is refused, and the refusal says what it allows.
#[test]
fn refused_options() {
    for (text, allowed) in [
        ("dpm++:order=0", "order=1|2|3"),
        ("dpm:order=4", "order=1|2|3"),
        ("sde-dpm++:variant=bh1", "variant=midpoint|heun|exact"),
        ("dpm++-single:euler_at_final=true", "lower_order_final=true|false"),
        ("deis:variant=heun", "order=1|2|3"),
        ("unipc:predicts=v", "predicts=x0|eps"),
        ("unipc:disable_corrector=0+", "disable_corrector=none|all|0+1"),
    ] {
        let error = solvers::parse(text).unwrap_err().to_string();
        assert!(error.contains("has no option") && error.contains(allowed), "{error}");
    }
}

/// Where log-SNR is infinite there is no coefficient; nor for a past that is longer than the run.
#[test]
fn refused_levels() {
    let ddpm = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    let zero_snr = ddpm.clone().rescaled_to_zero_snr();
    for text in every_solver() {
        let settings = Settings {
            prediction: ddim_schedule::Prediction::V,
            spacing: Spacing::Uniform,
            lambda_min: f64::NEG_INFINITY,
            ..Settings::new(Convention::Exact, method(&text), 10)
        };
        let error = Plan::new(&zero_snr, &settings).unwrap_err();
        assert!(matches!(error, ScheduleError::InfiniteNoise { .. }), "{error}");
        let settings = Settings { n_steps: min_steps(&text) - 1, ..settings };
        let error = Plan::new(&ddpm, &settings).unwrap_err();
        assert!(matches!(error, ScheduleError::History { .. } | ScheduleError::StepCount { .. }), "{error}");
    }
}

/// Timesteps without enough signal are left out, and a bound that leaves none is refused.
#[test]
fn lowest_log_snr() {
    let schedule = NoiseSchedule::new(&BetaSchedule::SquaredCosCapV2, 1000).unwrap();
    let plan = |lambda_min, n_steps| {
        let settings = Settings::new(Convention::Exact, method("dpm++"), n_steps);
        Plan::new(&schedule, &Settings { lambda_min, ..settings })
    };
    let first = plan(-5.1, 10).unwrap().steps()[0].time as usize;
    let lambda = |t: usize| -((1.0 - schedule.alpha_bar(t)) / schedule.alpha_bar(t)).sqrt().ln();
    assert!(lambda(first) >= -5.1 && lambda(first + 1) < -5.1, "{first}");
    assert!(matches!(plan(-5.1, 1000).unwrap_err(), ScheduleError::StepCount { .. }));
    let error = plan(9.0, 10).unwrap_err().to_string();
    assert!(error.contains("lambda_min") && error.contains("-5.1"), "{error}");
}
