//! A run on tensors of burn is the run in host memory, for every kind of step.

#![cfg(feature = "gpu")]

use std::ops::ControlFlow;

use ddim_sampler::{Call, Langevin, Noise, Observation, Outcome, PictureNoise, sample, sample_corrected};
use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, X0Limit, solvers};
use ddim_tensor::{Device, Tensor};

/// Weights of f32 in another order of operations, through ten steps of pictures of size 1.
const TOLERANCE: f32 = 2e-5;

fn run(plan: &Plan, device: &Device, langevin: Option<Langevin>) -> Vec<f32> {
    let mut noise = PictureNoise::new(3, 0..3);
    let x = noise.initial([3, 2, 7, 5], device) * plan.start_scale();
    let network =
        |x: Tensor, call: Call| x.clone() * 0.3 + (x.square() * (0.1 + call.time / 1e4)).clamp(-2.0, 2.0);
    let go_on = |_: &Observation| ControlFlow::Continue(());
    let outcome = match langevin {
        Some(langevin) => sample_corrected(plan, langevin, x, network, &mut noise, go_on),
        None => sample(plan, x, network, &mut noise, go_on),
    };
    let Ok(Outcome::Finished(x)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(x.device(), *device);
    x.values()
}

#[test]
fn a_run_is_the_same_on_tensors_of_burn() {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the paper's schedule");
    let there = Device::Burn(burn::tensor::Device::flex());
    let threshold = X0Limit::DynamicThreshold { ratio: 0.9, max: 3.0 };
    for (solver, limit, langevin) in [
        ("ddim", X0Limit::Clip { range: 1.0 }, None),
        ("ddim:eta=1", X0Limit::Free, None),
        ("ddim:eta=0.5", threshold, None),
        ("dpm++:order=3", X0Limit::Clip { range: 1.0 }, None),
        ("ddim:eta=1", X0Limit::Clip { range: 1.0 }, Some(Langevin::new(2, 0.16).expect("two steps"))),
    ] {
        let solver = solvers::parse(solver).expect("a solver");
        let settings = Settings { limit, ..Settings::new(Convention::Exact, solver, 10) };
        let plan = Plan::new(&schedule, &settings).expect("a plan");
        let (host, found) = (run(&plan, &Device::Cpu, langevin), run(&plan, &there, langevin));
        let largest = host.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
        let off = host.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= TOLERANCE * largest, "{:?} {limit:?}: {off} of {largest}", plan.settings().solver);
    }
}
