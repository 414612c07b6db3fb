//! Networks with scaled inputs and outputs: EDM's, score networks, and those of this crate's other predictions as
//! Karras et al. 2022 write them, Table 1.

use ddim_schedule::solvers::{Dpm2, Euler, EulerAncestral, Heun, Iddim, Ipndm, Lms, Pndm};
use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Prediction, Settings};
use ddim_schedule::{Solver, Spacing, Step};

use crate::scalar::{Output, run};

const EDM: Prediction = Prediction::Edm { sigma_data: 0.5 };

/// A plan on noise levels of EDM's range, for a state of either kind.
fn plan(prediction: Prediction, solver: impl Solver + 'static) -> Plan {
    let settings = Settings {
        prediction,
        spacing: Spacing::Karras { rho: 7.0 },
        ..Settings::new(Convention::Exact, solver, 8)
    };
    Plan::new(&NoiseSchedule::of_noise_levels(0.02, 80.0, 1000).unwrap(), &settings).unwrap()
}

/// `c_skip`, `c_out`, `c_in` and `c_noise` of a step whose state is `y = x0 + noise_level eps`, and the noise
/// level.
fn constants(step: &Step) -> [f64; 5] {
    let from = step.prediction;
    [from.x0_from_x, from.x0_from_out, step.input_scale, step.time, step.marginal.noise]
}

/// The noise level itself is known to 1e-16/noise_level^2, 3e-13.
fn assert_close(found: [f64; 4], expected: [f64; 4]) {
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{found}, not {expected}");
    }
}

/// Table 1, last column.
#[test]
fn edm() {
    for step in plan(EDM, Euler::default()).steps() {
        let [c_skip, c_out, c_in, c_noise, s] = constants(step);
        let root = (s * s + 0.25_f64).sqrt();
        assert_close(
            [c_skip, c_out, c_in, c_noise],
            [0.25 / (root * root), s * 0.5 / root, 1.0 / root, s.ln() / 4.0],
        );
    }
}

/// Table 1, first column, for networks that predict eps: `c_skip` 1, `c_out` `-s`, `c_in` `1/sqrt(s^2 + 1)`, and
/// `c_noise` the timestep, here `999 log(s/0.02)/log(80/0.02)`. The second column is the score's, whose `c_out` is
/// `s` for an output that was multiplied by `s` before; here that factor is ours.
#[test]
fn variance_preserving_and_exploding() {
    let time = |s: f64| 999.0 * (s / 0.02).ln() / 4000_f64.ln();
    for step in plan(Prediction::Epsilon, Euler::default()).steps() {
        let [c_skip, c_out, c_in, c_noise, s] = constants(step);
        assert_close([c_skip, c_out, c_in, 0.0], [1.0, -s, 1.0 / (s * s + 1.0).sqrt(), 0.0]);
        // One timestep is 0.8 percent of a noise level.
        assert!((c_noise - time(s)).abs() < 1e-10);
    }
    for step in plan(Prediction::Score, Euler::default()).steps() {
        let [c_skip, c_out, c_in, c_noise, s] = constants(step);
        assert_close([c_skip, c_out, c_in, c_noise], [1.0, s * s, 1.0, s]);
    }
}

/// A state that keeps its variance is `y` times the signal, and the network is told the same.
#[test]
fn both_coordinates_ask_the_same() {
    for prediction in [EDM, Prediction::Score, Prediction::Epsilon, Prediction::X0, Prediction::V] {
        let (exploding, preserving) =
            (plan(prediction, Euler::default()), plan(prediction, Iddim::new(0.0).unwrap()));
        for (exploding, preserving) in exploding.steps().iter().zip(preserving.steps()) {
            let (from, signal) = (preserving.prediction, preserving.alpha_bar.sqrt());
            let of_y =
                [from.x0_from_x * signal, from.x0_from_out, preserving.input_scale * signal, preserving.time];
            let [c_skip, c_out, c_in, c_noise, _] = constants(exploding);
            assert_close(of_y, [c_skip, c_out, c_in, c_noise]);
        }
    }
}

/// The best network for pictures from `N(0.3, 0.5^2)`: `E[x0 | y] = (0.25 y + 0.3 s^2)/(0.25 + s^2)`, given as
/// what the prediction stands for.
fn best_output(prediction: Prediction, input: f64, time: f64) -> f64 {
    let denoised = |y: f64, s: f64| (0.25 * y + 0.3 * s * s) / (0.25 + s * s);
    match prediction {
        Prediction::Edm { .. } => {
            let s = (4.0 * time).exp();
            let root = (s * s + 0.25).sqrt();
            let y = input * root;
            (denoised(y, s) - 0.25 / (root * root) * y) * root / (0.5 * s)
        }
        Prediction::Score => (denoised(input, time) - input) / (time * time),
        _ => {
            let s = 0.02 * (time / 999.0 * 4000_f64.ln()).exp();
            let y = input * (1.0 + s * s).sqrt();
            (y - denoised(y, s)) / s
        }
    }
}

/// With the best network each of them takes every solver to the same pictures: all that differs is rounding, of
/// states of 80 and of eps at noise levels down to 0.02, where x0 is known to 1e-13.
#[test]
fn predictions_agree_on_gaussian_pictures() {
    fn check<S: Solver + Clone + 'static>(solver: S) {
        let ends = [Prediction::Epsilon, EDM, Prediction::Score].map(|prediction| {
            let plan = plan(prediction, solver.clone());
            let start = [-1.0, 0.1, 0.7].map(|z| z * plan.start_scale()).to_vec();
            let noise = vec![vec![0.4, -1.2, 0.3]; plan.steps().len()];
            let network = |x: &[f64], t: f64| Output {
                prediction: x.iter().map(|&x| best_output(prediction, x, t)).collect(),
                spread: vec![],
            };
            run(&plan, start, 1, &noise, network).x.pop().unwrap()
        });
        for end in &ends[1..] {
            for (end, eps) in end.iter().zip(&ends[0]) {
                assert!((end - eps).abs() < 1e-10, "{}: {end} and {eps}", solver.name());
            }
        }
    }
    check(Euler::default());
    check(EulerAncestral::default());
    check(Heun::default());
    check(Heun::edm());
    check(Dpm2::default());
    check(Lms::default());
    check(Ipndm::default());
    check(Pndm::plms());
    check(Pndm::runge_kutta());
    check(Iddim::default());
}

/// Noise levels from end to end in equal ratios, and times that lead back.
#[test]
fn schedules_of_noise_levels() {
    let schedule = NoiseSchedule::of_noise_levels(0.002, 80.0, 256).unwrap();
    for t in 0..256 {
        let (found, expected) =
            (schedule.noise_level_at(f64::from(t)), 0.002 * 40_000_f64.powf(f64::from(t) / 255.0));
        assert!((found / expected - 1.0).abs() < 1e-10, "known to 1e-16/0.002^2 from alpha_bar");
        // One timestep is 4 percent of a noise level.
        assert!((schedule.time_at(expected) - f64::from(t)).abs() < 1e-8);
    }
    for (min, max) in [(0.0, 1.0), (2.0, 1.0), (1e-9, 1.0), (1.0, 1.0 + 1e-15), (1.0, 1e300), (f64::NAN, 1.0)] {
        let error = NoiseSchedule::of_noise_levels(min, max, 100).unwrap_err().to_string();
        assert!(error.starts_with(&format!("noise levels from {min} to {max}: ")), "{error}");
    }
    assert!(NoiseSchedule::of_noise_levels(0.1, 1.0, 1).is_err());
}

/// A zero terminal SNR has no largest noise level.
#[test]
fn spacings_in_an_infinite_noise_level_are_refused() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap().rescaled_to_zero_snr();
    for spacing in ["karras", "logsnr", "log-linear", "linspace-real", "beta"] {
        let spacing: Spacing = spacing.parse().unwrap();
        let settings = Settings { spacing: spacing.clone(), prediction: Prediction::V, ..Settings::default() };
        let error = Plan::new(&schedule, &settings).unwrap_err().to_string();
        assert!(error.starts_with(&format!("spacing {spacing} begins at timestep 999, where alpha_bar is 0")));
        // diffusers' solvers hold its alpha_bar at 2^-24.
        let settings = Settings {
            spacing,
            prediction: Prediction::V,
            ..Settings::new(Convention::Diffusers, Euler::default(), 10)
        };
        let start = Plan::new(&schedule, &settings).unwrap().steps()[0].marginal.noise;
        assert!((start - 4096.0).abs() < 1e-3, "{start}");
    }
}
