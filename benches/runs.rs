//! Whole runs by their number of steps, and the plans behind them: `just bench --bench runs`.
//!
//! The embedded model on the CPU, DDIM with eta 0, in this process: what a picture costs once the program has started.
//! An item is a picture; threads are those of rayon (`RAYON_NUM_THREADS`). `ddim bench` measures the same for any
//! model, device and method, with quality.

use ddim::schedule::solvers::{self, Ddim};
use ddim::schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Settings, Solver};
use ddim::{Model, Options};
use ddim_checkpoint::embedded_names;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Drawing a batch of 16, a label and a noise for each included.
#[divan::bench(args = [1, 10, 20, 50], sample_count = 10)]
fn batch_of_16(bencher: Bencher, steps: usize) {
    run(bencher, steps, 16);
}

/// Drawing a single picture.
#[divan::bench(args = [1, 10, 20, 50, 100], sample_count = 10)]
fn one_picture(bencher: Bencher, steps: usize) {
    run(bencher, steps, 1);
}

fn run(bencher: Bencher, steps: usize, pictures: usize) {
    let model = Model::embedded(embedded_names()[0], &ddim::device::cpu()).expect("the embedded model");
    let options = Options { steps, count: pictures, batch_size: pictures, ..Options::default() };
    let draw = || model.sample(&options).expect("pictures").to_u8();
    draw(); // the first run allocates
    bencher.counter(ItemsCount::new(pictures)).bench_local(|| black_box(draw()));
}

/// Compiling the plan of as many steps.
#[divan::bench(args = [10, 100, 1000])]
fn compile_ddim(bencher: Bencher, steps: usize) {
    compile(bencher, Ddim { eta: Eta::DDPM }, steps);
}

/// The same for a solver of order 3 with a corrector.
#[divan::bench(args = [10, 100, 1000])]
fn compile_unipc(bencher: Bencher, steps: usize) {
    compile(bencher, solvers::parse("unipc:order=3").expect("a solver"), steps);
}

fn compile(bencher: Bencher, solver: impl Into<Box<dyn Solver>>, steps: usize) {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
    let settings = Settings::new(Convention::Exact, solver, steps);
    bencher.bench(|| Plan::new(black_box(&schedule), black_box(&settings)).expect("at most 1000 steps"));
}
