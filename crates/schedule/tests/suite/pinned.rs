//! Numbers that diffusers pins in its own tests, recomputed in f64, and facts of the usual schedules.
//!
//! There the start is `i/768` for `i` in `0..768`, and the network is `x t/(t+1)`.

use ddim_schedule::solvers::Ddim;
use ddim_schedule::{BetaSchedule, Convention, FinalAlphaBar, NoiseSchedule, Plan};
use ddim_schedule::{Prediction, Settings};

use crate::scalar::{Output, run};

pub(crate) fn dummy_start() -> Vec<f64> {
    (0..768).map(|i| f64::from(i) / 768.0).collect()
}

pub(crate) fn dummy_network(x: &[f64], t: f64) -> Output {
    Output { prediction: x.iter().map(|x| x * t / (t + 1.0)).collect(), spread: vec![] }
}

/// The sum of absolute values after 10 steps without noise.
fn sum_after_ten_steps(beta_start: f64, change: impl FnOnce(Settings) -> Settings) -> f64 {
    let betas = BetaSchedule::Linear { start: beta_start, end: 0.02 };
    let schedule = NoiseSchedule::new(&betas, 1000).unwrap();
    let settings = Settings::new(Convention::Diffusers, Ddim::default(), 10);
    let plan = Plan::new(&schedule, &change(settings)).unwrap();
    let run = run(&plan, dummy_start(), 4, &[], dummy_network);
    run.x[10].iter().map(|v| v.abs()).sum()
}

/// Pinned there as 172.0067, 52.5302, 149.8295 and 149.0784 (float32); the values here were recomputed in
/// f64 with another program, to five decimals.
#[test]
fn ddim_sums() {
    let close = |sum: f64, expected: f64| assert!((sum - expected).abs() < 1e-5, "{sum}, not {expected}");
    close(sum_after_ten_steps(1e-4, |settings| settings), 172.00652);
    close(sum_after_ten_steps(1e-4, |s| Settings { prediction: Prediction::V, ..s }), 52.53012);
    close(sum_after_ten_steps(0.01, |settings| settings), 149.82946);
    let to_first = |s| Settings { final_alpha_bar: FinalAlphaBar::First, ..s };
    close(sum_after_ten_steps(0.01, to_first), 149.07843);
}

/// Recomputed in f64 by other programs, to the digits given.
#[test]
fn usual_schedules() {
    let level = |schedule: &NoiseSchedule| ((1.0 - schedule.alpha_bar(999)) / schedule.alpha_bar(999)).sqrt();
    let ddpm = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    assert!((ddpm.alpha_bar(800) - 1.50752e-3).abs() < 5e-9);
    assert!((ddpm.alpha_bar(999) - 4.03583e-5).abs() < 5e-11);
    assert!((level(&ddpm) - 157.4073).abs() < 5e-5);
    let latent = BetaSchedule::ScaledLinear { start: 0.00085, end: 0.012 };
    let latent = NoiseSchedule::new(&latent, 1000).unwrap();
    assert!((latent.alpha_bar(999) - 4.66010e-3).abs() < 5e-9);
    assert!((level(&latent) - 14.61464).abs() < 5e-6);
    let cosine = NoiseSchedule::new(&BetaSchedule::SquaredCosCapV2, 1000).unwrap();
    assert!((cosine.alpha_bar(999) - 2.4288e-9).abs() < 5e-14);
}

/// diffusers' published list for offset 1 and 5 steps.
#[test]
fn leading_with_offset() {
    let spacing: ddim_schedule::Spacing = "leading+1".parse().unwrap();
    assert_eq!(spacing.tau(5, 1000).unwrap().as_slice(), [801, 601, 401, 201, 1]);
}
