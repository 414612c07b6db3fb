//! Requests that make no sense, and what the messages say to do instead.

use ddim_schedule::solvers::Ddim;
use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Prediction, ScheduleError};
use ddim_schedule::{Settings, Spacing, Tau, X0Limit};

fn ddpm() -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap()
}

fn message<T: std::fmt::Debug>(result: Result<T, ScheduleError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn noise_schedules() {
    let refusal = |betas: BetaSchedule, train_steps| message(NoiseSchedule::new(&betas, train_steps));
    assert_eq!(
        refusal(BetaSchedule::DDPM, 0),
        "0 training steps: choose between 1 and 1000000, most models have 1000"
    );
    assert!(refusal(BetaSchedule::Jsd, usize::MAX).starts_with("18446744073709551615 training steps: "));
    assert_eq!(
        refusal(BetaSchedule::Given(vec![0.1, 0.2]), 1000),
        "2 betas were given for 1000 training steps: give exactly one beta for each training step, or set \
         the number of training steps to 2"
    );
    for (betas, expected) in [
        (vec![0.1, 0.0], "beta at timestep 1 is 0: every beta must be at least 0.000000000001 and below 1"),
        (vec![0.1, f64::NAN], "beta at timestep 1 is NaN: "),
        (vec![0.1, 1.0, 0.1], "beta at timestep 1 is 1: "),
        (vec![1.0], "beta at timestep 0 is 1: "),
        (vec![-0.5], "beta at timestep 0 is -0.5: "),
    ] {
        let steps = betas.len();
        let message = refusal(BetaSchedule::Given(betas), steps);
        assert!(message.starts_with(expected), "{message}");
    }
    let vanished = refusal(BetaSchedule::Const { value: 0.999 }, 1000);
    assert!(vanished.starts_with("alpha_bar is 0 before timestep 108: "), "0.001^108 is not an f64: {vanished}");
}

#[test]
fn etas() {
    assert_eq!(
        message(Eta::new(1.2)),
        "eta is 1.2, it must lie in [0, 1]: 0 is DDIM (no noise), 1 is DDPM. Above 1 the square root in Eq. \
         (12) has no real value at every step; for the larger noise of the paper's last table row use the \
         method sigma-hat"
    );
    assert!(message(Eta::new(f64::NAN)).starts_with("eta is NaN, it must lie in [0, 1]"));
    assert_eq!(Eta::new(-0.0).unwrap().value().to_bits(), 0, "no negative zero in records");
}

#[test]
fn spacings() {
    assert_eq!(
        message(Spacing::ErmonQuad.tau(100, 1000)),
        "spacing ermon-quad cannot take 100 steps of 1000: it would visit timestep 0 twice; the nearest step \
         counts that work are 29, and spacing uniform takes any"
    );
    assert!(message(Spacing::ErmonQuad.tau(1, 1000)).contains("it is not defined for one step"));
    assert_eq!(
        message(Spacing::OpenAiSections(vec![600, 1]).tau(601, 1000)),
        "section 0 of the spacing asks for 600 steps but holds 500 of the 1000 training steps: ask for at \
         most 500 there"
    );
}

#[test]
fn lists() {
    let refusal = |list: &[usize]| message(Tau::new(list.to_vec(), 1000));
    assert_eq!(
        refusal(&[1000, 0]),
        "timestep 1000 does not exist: timesteps run from 0 to 999, the nearest is 999"
    );
    assert_eq!(
        refusal(&[500, 500, 900]),
        "timestep 500 follows 500: a list of timesteps runs from noisy to clean, each smaller than the one \
         before; sorted, yours is 900,500"
    );
    assert!(refusal(&[]).starts_with("0 steps: choose between 1 and 1000"));
    assert!(message(Tau::new(vec![], 0)).starts_with("0 training steps: "));
}

#[test]
fn limits_of_x0() {
    let with = |limit| Plan::new(&ddpm(), &Settings { limit, ..Settings::default() });
    for (limit, expected) in [
        (X0Limit::Clip { range: 0.0 }, "the range x0 is clipped to is 0: it must be above 0 and finite"),
        (X0Limit::Clip { range: f64::INFINITY }, "the range x0 is clipped to is inf: "),
        (X0Limit::DynamicThreshold { ratio: 1.5, max: 1.0 }, "the quantile for dynamic thresholding is 1.5: "),
        (
            X0Limit::DynamicThreshold { ratio: 0.9, max: 0.5 },
            "the largest threshold is 0.5: it must be at least 1",
        ),
    ] {
        let message = message(with(limit));
        assert!(message.starts_with(expected), "{message}");
    }
    assert!(with(X0Limit::DynamicThreshold { ratio: 0.995, max: 1.0 }).is_ok());
}

/// Zero terminal SNR: refused only where the list visits the timestep without signal.
#[test]
fn eps_without_signal() {
    let schedule = ddpm().rescaled_to_zero_snr();
    assert_eq!(
        message(Plan::new(&schedule, &Settings::default())),
        "at timestep 999 alpha_bar is 0 (zero terminal SNR): there x0 cannot be computed from a predicted \
         eps; use a model that predicts v or x0, a schedule that was not rescaled, or a spacing that stops \
         below 999, such as leading"
    );
    for prediction in [Prediction::V, Prediction::X0] {
        let plan = Plan::new(&schedule, &Settings { prediction, ..Settings::default() }).unwrap();
        let first = &plan.steps()[0];
        assert!([first.c_x, first.c_x0, first.c_eps].iter().all(|c| c.is_finite()), "{first:?}");
    }
    let below = Settings::new(Convention::Diffusers, Ddim { eta: Eta::DDPM }, 20);
    assert!(Plan::new(&schedule, &below).is_ok());
}

#[test]
fn words() {
    assert_eq!(
        message("edm".parse::<Convention>()),
        "there is no convention \"edm\": choose one of exact, diffusers, ermongroup, openai"
    );
    assert_eq!(
        message("noise".parse::<Prediction>()),
        "there is no prediction \"noise\": choose one of epsilon, x0, v, edm:0.5 (the deviation of the data), \
         score"
    );
    for convention in Convention::ALL {
        assert_eq!(convention.to_string().parse(), Ok(convention));
    }
    for prediction in [Prediction::Epsilon, Prediction::X0, Prediction::V] {
        assert_eq!(prediction.to_string().parse(), Ok(prediction));
    }
}
