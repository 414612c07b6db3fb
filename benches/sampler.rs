//! What a step costs outside the network: `just bench sampler`.
//!
//! 16 pictures of 3x32x32 on the CPU. The "network" gives its input back, so all that is measured is the loop:
//! the row update, the noise, the check for infinities. An item is a step, so the figures to read are items a
//! second; threads are those of rayon (`RAYON_NUM_THREADS`).

use std::ops::ControlFlow;

use ddim::sampler::{Noise, Outcome, PictureNoise, sample};
use ddim::schedule::solvers::{self, Ddim, Ddpm};
use ddim::schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Settings, Solver, Variance};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const SHAPE: [usize; 4] = [16, 3, 32, 32];
const STEPS: usize = 50;

fn main() {
    divan::main();
}

fn schedule() -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper")
}

fn plan(convention: Convention, solver: impl Into<Box<dyn Solver>>) -> Plan {
    Plan::new(&schedule(), &Settings::new(convention, solver, STEPS)).expect("50 of 1000 steps")
}

fn run(bencher: Bencher, plan: &Plan) {
    let device = ddim::device::cpu();
    let start = PictureNoise::new(0, 0..SHAPE[0] as u64).initial(SHAPE, &device);
    bencher.counter(ItemsCount::new(STEPS)).bench_local(|| {
        let mut noise = PictureNoise::new(0, 0..SHAPE[0] as u64);
        let outcome = sample(plan, start.clone(), |x, _| x, &mut noise, |_| ControlFlow::Continue(()));
        let Ok(Outcome::Finished(x)) = black_box(outcome) else { panic!("the run ends") };
        x
    });
}

/// DDIM at eta 0, x0 clipped: no noise is drawn.
#[divan::bench]
fn step_eta_0(bencher: Bencher) {
    run(bencher, &plan(Convention::OpenAi, Ddim::default()));
}

/// DDIM at eta 1: noise is drawn at every step.
#[divan::bench]
fn step_eta_1(bencher: Bencher) {
    run(bencher, &plan(Convention::OpenAi, Ddim { eta: Eta::DDPM }));
}

/// DDPM ancestral sampling.
#[divan::bench]
fn step_ddpm(bencher: Bencher) {
    run(bencher, &plan(Convention::OpenAi, Ddpm { variance: Variance::FixedSmall }));
}

/// DPM-Solver++ of order 2: the x0 of the last call comes into every step.
#[divan::bench]
fn step_dpm_solver(bencher: Bencher) {
    run(bencher, &plan(Convention::Exact, solvers::parse("dpm++").expect("a solver")));
}

/// Adams-Bashforth of order 4 on eps: the eps of the last three calls come into every step.
#[divan::bench]
fn step_ipndm(bencher: Bencher) {
    run(bencher, &plan(Convention::Exact, solvers::parse("ipndm").expect("a solver")));
}

/// The noise alone.
#[divan::bench]
fn noise(bencher: Bencher) {
    let device = ddim::device::cpu();
    let mut noise = PictureNoise::new(0, 0..SHAPE[0] as u64);
    bencher.bench_local(|| black_box(noise.step(0, SHAPE, &device)));
}

/// Compiling a plan.
#[divan::bench]
fn compile_a_plan(bencher: Bencher) {
    let schedule = schedule();
    let settings = Settings::new(Convention::Exact, Ddim { eta: Eta::DDPM }, STEPS);
    bencher.bench(|| Plan::new(black_box(&schedule), black_box(&settings)));
}
