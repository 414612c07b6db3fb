//! The Gaussian oracle: for data N(0.3, 0.5^2) the best eps is known, and so is the distribution that the
//! plan's rows turn N(0, 1) into.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use ddim_sampler::{Call, Noise, Outcome, PictureNoise, sample};
use ddim_schedule::{BetaSchedule, Convention, Eta, Method, NoiseSchedule, Plan, Settings, StepNoise, Variance};

const MEAN: f64 = 0.3;
const VARIANCE: f64 = 0.25;
const PIXELS: usize = 64 * 64 * 16;

/// The best prediction of the noise in `x = sqrt(a) x0 + sqrt(1 - a) eps` is `slope x + offset`.
fn best_eps(alpha_bar: f64) -> (f64, f64) {
    let slope = (1.0 - alpha_bar).sqrt() / (alpha_bar * VARIANCE + 1.0 - alpha_bar);
    (slope, -slope * alpha_bar.sqrt() * MEAN)
}

/// Mean and variance after all rows, by the rule for affine maps of a normal number.
fn predicted(plan: &Plan) -> (f64, f64) {
    plan.steps().iter().fold((0.0, 1.0), |(mean, variance), step| {
        let (slope, offset) = best_eps(step.alpha_bar);
        let p = plan.prediction().coefficients(step.alpha_bar);
        let (x0_slope, x0_offset) = (p.x0_from_x + p.x0_from_out * slope, p.x0_from_out * offset);
        let gain = step.c_x + step.c_x0 * x0_slope + step.c_eps * slope;
        let shift = step.c_x0 * x0_offset + step.c_eps * offset;
        let sigma = if let StepNoise::Fixed { sigma } = step.noise { sigma } else { 0.0 };
        (gain * mean + shift, gain * gain * variance + sigma * sigma)
    })
}

fn drawn(schedule: &NoiseSchedule, plan: &Plan) -> (f64, f64) {
    let mut noise = PictureNoise::new(11, 0..16);
    let x = noise.initial([16, 1, 64, 64], &Device::flex());
    let network = |x: Tensor<4>, call: Call| {
        let (slope, offset) = best_eps(schedule.alpha_bar(call.time as usize));
        x * slope + offset
    };
    let outcome = sample(plan, x, network, &mut noise, |_| ControlFlow::Continue(())).expect("a run");
    let Outcome::Finished(x) = outcome else { panic!("nothing stops it") };
    let data = x.into_data();
    let mean = data.iter::<f32>().map(f64::from).sum::<f64>() / PIXELS as f64;
    let variance = data.iter::<f32>().map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / (PIXELS - 1) as f64;
    (mean, variance)
}

/// The seed is fixed, so this never fails by chance. The bounds are five standard errors of 65,536 independent
/// pixels: `sqrt(v / N)` for the mean and `v sqrt(2 / N)` for the variance.
#[test]
fn mean_and_variance_are_those_of_the_closed_form() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
    let ddim = |eta| Method::Ddim { eta: Eta::new(eta).expect("in [0, 1]") };
    let ancestral = Method::Ddpm { variance: Variance::FixedSmall };
    for method in [ddim(0.0), ddim(0.5), ddim(1.0), Method::SigmaHat, ancestral] {
        for n_steps in [1, 5, 20, 100] {
            let plan = Plan::new(&schedule, &Settings::new(Convention::Exact, method, n_steps)).expect("a plan");
            let ((m, v), (mean, variance)) = (predicted(&plan), drawn(&schedule, &plan));
            let n = PIXELS as f64;
            assert!((mean - m).abs() <= 5.0 * (v / n).sqrt() + 1e-6, "{method:?} {n_steps}: mean {mean}, not {m}");
            let error = 5.0 * v * (2.0 / n).sqrt() + 1e-6;
            assert!((variance - v).abs() <= error, "{method:?} {n_steps}: variance {variance}, not {v}");
        }
    }
}

/// With all steps the ancestral sampler draws the data itself, up to what 1000 steps leave open.
#[test]
fn a_thousand_ancestral_steps_draw_the_data() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
    let settings = Settings::new(Convention::Exact, Method::Ddim { eta: Eta::DDPM }, 1000);
    let (mean, variance) = predicted(&Plan::new(&schedule, &settings).expect("a plan"));
    assert!((mean - MEAN).abs() < 2e-3, "{mean}");
    assert!((variance - VARIANCE).abs() < 5e-3, "{variance}");
}
