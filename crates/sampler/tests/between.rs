//! Corrections around a known part, on pictures whose pixels hang together in pairs: one of each pair is known,
//! the score is known, and so is what steps, corrections and replacement make of means and covariances. What is
//! expected is written down here anew.

use std::ops::ControlFlow;

use ddim_sampler::{Between, Call, Known, Langevin, Noise, Outcome, PictureNoise, Run};
use ddim_schedule::solvers::Ddim;
use ddim_schedule::solvers::Euler;
use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Resampling, Settings, Solver};
use ddim_tensor::{Device, Tensor};

/// The mean of each pixel, their variance, and the covariance of the two of a pair.
const MEAN: f64 = 0.2;
const VARIANCE: f64 = 0.5;
const COVARIANCE: f64 = 0.45;
/// The value of each pair's second pixel, which is known.
const SEEN: f64 = 0.9;
/// Large pictures: the norms that decide a correction are then known to a few percent.
const SHAPE: [usize; 4] = [16, 1, 64, 64];

/// What the first pixel should be, given the second: mean and variance.
const RIGHT: (f64, f64) =
    (MEAN + COVARIANCE / VARIANCE * (SEEN - MEAN), VARIANCE - COVARIANCE * COVARIANCE / VARIANCE);

fn schedule() -> NoiseSchedule {
    NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper")
}

/// The best eps of a pixel is `own x + other (the other of its pair) + offset`.
fn best_eps(a: f64) -> [f64; 3] {
    let (variance, covariance) = (a * VARIANCE + 1.0 - a, a * COVARIANCE);
    let scale = (1.0 - a).sqrt() / (variance * variance - covariance * covariance);
    let (own, other) = (scale * variance, -scale * covariance);
    [own, other, -(own + other) * a.sqrt() * MEAN]
}

fn network(x: Tensor, call: Call) -> Tensor {
    let [own, other, offset] = best_eps(schedule().alpha_bar(call.time as usize));
    let swapped = x.values().chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    x.clone() * own + Tensor::new(swapped, x.dims()) * other + offset
}

/// Mean and covariance of a pair of pixels.
#[derive(Clone, Copy, Debug)]
struct Pair {
    mean: [f64; 2],
    covariance: [[f64; 2]; 2],
}

impl Pair {
    /// `x' = A x + b + n z`, with noise of its own for each pixel.
    fn mapped(self, by: [[f64; 2]; 2], plus: [f64; 2], noise: [f64; 2]) -> Self {
        let pixels = [0, 1];
        let mean = pixels.map(|i| by[i][0] * self.mean[0] + by[i][1] * self.mean[1] + plus[i]);
        let product = |i: usize, j: usize| {
            let terms = pixels.map(|k| pixels.map(|l| by[i][k] * self.covariance[k][l] * by[j][l]));
            terms.iter().flatten().sum::<f64>()
        };
        let covariance =
            pixels.map(|i| pixels.map(|j| product(i, j) + if i == j { noise[i].powi(2) } else { 0.0 }));
        Self { mean, covariance }
    }

    /// The known pixel with fresh noise.
    fn with_known(self, p: f64) -> Self {
        let variance = self.covariance[0][0];
        Self { mean: [self.mean[0], p.sqrt() * SEEN], covariance: [[variance, 0.0], [0.0, 1.0 - p]] }
    }

    /// DDIM's Eq. (12) and (16) from `a` to `p`.
    fn step(self, eta: f64, a: f64, p: f64) -> Self {
        let [own, other, offset] = best_eps(a);
        let sigma = eta * ((1.0 - p) / (1.0 - a)).sqrt() * (1.0 - a / p).sqrt();
        let eps = (1.0 - p - sigma * sigma).sqrt() - (p / a).sqrt() * (1.0 - a).sqrt();
        let (own, other) = ((p / a).sqrt() + eps * own, eps * other);
        self.mapped([[own, other], [other, own]], [eps * offset; 2], [sigma; 2])
    }

    /// A correction of the first pixel, while the second stands still. The norms are those of all pixels.
    fn corrected(self, a: f64, snr: f64) -> Self {
        let [own, other, offset] = best_eps(a);
        let eps = self.mapped([[own, other], [other, own]], [offset; 2], [0.0; 2]);
        let square = |i: usize| eps.covariance[i][i] + eps.mean[i].powi(2);
        let ratio = snr * (2.0 / (square(0) + square(1))).sqrt();
        let s = (1.0 - a).sqrt();
        let drift = -2.0 * ratio * ratio * s;
        let by = [[1.0 + drift * own, drift * other], [0.0, 1.0]];
        self.mapped(by, [drift * offset, 0.0], [2.0 * ratio * s, 0.0])
    }
}

/// Mean and variance of the repainted pixels. Levels left to go are `floor(T i / n)` timesteps each.
fn expected(eta: f64, n_steps: usize, corrections: usize, snr: f64) -> (f64, f64) {
    let schedule = schedule();
    let alpha_bar = |left: usize| if left == 0 { 1.0 } else { schedule.alpha_bar(1000 * left / n_steps - 1) };
    let noise = Pair { mean: [0.0; 2], covariance: [[1.0, 0.0], [0.0, 1.0]] };
    let end = (1..=n_steps).rev().fold(noise.with_known(alpha_bar(n_steps)), |x, left| {
        let made = if left == n_steps { 0 } else { corrections };
        let x = (0..made).fold(x, |x, _| x.corrected(alpha_bar(left), snr));
        x.step(eta, alpha_bar(left), alpha_bar(left - 1)).with_known(alpha_bar(left - 1))
    });
    (end.mean[0], end.covariance[0][0])
}

/// The same of a run, whose known pixels must be what they were.
fn drawn(settings: &Settings, langevin: Option<Langevin>) -> (f64, f64) {
    let plan = Plan::new(&schedule(), settings).expect("a plan");
    let mut noise = PictureNoise::new(5, 0..SHAPE[0] as u64);
    let seen = Tensor::new([-7.0, SEEN as f32].repeat(SHAPE.iter().product::<usize>() / 2), SHAPE);
    let repaint = Tensor::new([1.0, 0.0].repeat(SHAPE[3] / 2), [1, 1, 1, SHAPE[3]]);
    let known = Known::new(seen, repaint);
    let x = known.start(&plan, noise.initial(SHAPE, &Device::Cpu));
    let run = Run::with(&plan, x, Between { langevin, known: Some(known) }).expect("a run");
    let outcome = run.drive(network, &mut noise, |_| ControlFlow::Continue(()));
    let Ok(Outcome::Finished(x)) = outcome else { panic!("{outcome:?}") };
    let pixels = x.into_values();
    assert!(pixels.chunks(2).all(|pair| pair[1] == SEEN as f32), "the known pixel is exact at the end");
    let values: Vec<f64> = pixels.chunks(2).map(|pair| f64::from(pair[0])).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

/// Every method on the levels that DDIM has.
fn settings(solver: impl Into<Box<dyn Solver>>, n_steps: usize) -> Settings {
    let ddim = Settings::new(Convention::Exact, Ddim::default(), n_steps);
    Settings { solver: solver.into(), ..ddim }
}

fn ddim(eta: f64) -> Ddim {
    Ddim { eta: Eta::new(eta).expect("in [0, 1]") }
}

fn langevin(steps: usize, snr: f64) -> Option<Langevin> {
    (steps > 0).then(|| Langevin::new(steps, snr).expect("in range"))
}

/// Five standard errors of the 32768 pairs: a wrong alarm once in 10^6 seeds, and the seed is fixed.
fn assert_close((mean, variance): (f64, f64), (m, v): (f64, f64), what: &str) {
    let pairs = SHAPE.iter().product::<usize>() as f64 / 2.0;
    assert!((mean - m).abs() <= 5.0 * (v / pairs).sqrt(), "{what}: mean {mean}, not {m}");
    assert!((variance - v).abs() <= 5.0 * v * (2.0 / pairs).sqrt(), "{what}: variance {variance}, not {v}");
}

#[test]
fn corrections_around_a_known_part_have_the_moments_of_the_recursion() {
    for (eta, n_steps, corrections, snr) in
        [(0.0, 10, 0, 0.16), (0.0, 10, 1, 0.16), (1.0, 10, 4, 0.16), (0.0, 50, 2, 0.16), (1.0, 20, 2, 0.3)]
    {
        let found = drawn(&settings(ddim(eta), n_steps), langevin(corrections, snr));
        let what = format!("eta {eta}, {n_steps} steps, {corrections} corrections of {snr}");
        assert_close(found, expected(eta, n_steps, corrections, snr), &what);
    }
    // In coordinates that grow with the noise they are the same.
    let euler = drawn(&settings(Euler::default(), 10), langevin(3, 0.16));
    assert_close(euler, expected(0.0, 10, 3, 0.16), "euler");
}

/// Exact, in f64: replacement alone is off by 0.31 in the mean, and corrections bring it to 0.07 with eight and to
/// 0.013 with thirty; a chain that forgot to put the known part back would not come nearer.
#[test]
fn corrections_approach_the_conditional_distribution() {
    let errors = [0, 1, 2, 4, 8, 30].map(|corrections| {
        let (mean, variance) = expected(0.0, 50, corrections, 0.16);
        ((mean - RIGHT.0).abs(), (variance - RIGHT.1).abs())
    });
    assert!(errors.is_sorted_by(|fewer, more| more.0 < fewer.0 && more.1 < fewer.1), "{errors:?}");
    assert!(errors[4].0 < errors[0].0 / 4.0 && errors[5].0 < errors[0].0 / 20.0, "{errors:?}");
}

/// The known part has one noise a level: corrections leave it bit for bit where it is, also where a run jumps
/// back.
#[test]
fn what_is_known_stands_still_under_corrections() {
    let resampling = Resampling::Jumps { length: 1, times: 2 };
    let plan = Plan::new(&schedule(), &Settings { resampling, ..settings(ddim(1.0), 4) }).expect("a plan");
    let shape = [2, 1, 4, 4];
    let repaint = Tensor::new([0.0, 1.0].repeat(2), [1, 1, 1, 4]);
    let known = Some(Known::new(Tensor::full(0.3, shape), repaint));
    let mut noise = PictureNoise::new(0, 0..2);
    let x = noise.initial(shape, &Device::Cpu);
    let between = Between { langevin: langevin(3, 0.16), known };
    let mut run = Run::with(&plan, x, between).expect("a run");
    let known = |x: &Tensor| x.values().into_iter().step_by(2).collect::<Vec<_>>();
    let mut corrections = 0;
    while let Some(wanted) = run.wants() {
        let before = run.x().values();
        let out = network(wanted.x, wanted.call);
        if run.feed(out, &mut noise).expect("finite").is_none() {
            corrections += 1;
            assert_eq!(known(run.x()), before.iter().copied().step_by(2).collect::<Vec<_>>());
            assert_ne!(run.x().values(), before);
        }
    }
    assert_eq!(corrections, 3 * (plan.steps().len() - 1));
    assert_eq!(known(run.x()), vec![0.3; 16]);
}
