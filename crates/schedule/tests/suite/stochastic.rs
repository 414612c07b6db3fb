//! Solvers with noise: what they draw has the distribution that theory gives.

#![allow(clippy::print_stdout, reason = "a test says how close it came")]

use ddim_schedule::Prediction;

use crate::oracle::{Data, GAUSSIAN, MIXTURE};
use crate::problem::{Problem, Start, Steps};

/// Solvers and their weak orders: how fast the distribution at the end of a run comes to that of the data.
/// MATH.md, "Orders of convergence", derives them. Churn ends below the noise level where the runs start, so that
/// the first step starts there, and without extra noise that no level accounts for (`churn_noise` 1).
const CASES: &[(&str, f64)] = &[
    ("ddim:eta=0.5", 1.0),
    ("ddim:eta=1", 1.0),
    ("ddpm", 1.0),
    // The two choices of DDPM's variance differ by a term of second order in the step.
    ("ddpm:variance=large", 1.0),
    ("ddim:eta=hat", 1.0),
    ("euler-a", 1.0),
    ("euler-a:eta=0.5", 1.0),
    ("euler:churn=4,churn_max=0.9", 1.0),
    ("euler:churn=4,churn_max=0.9,churn_at=after", 1.0),
    ("heun:churn=4,churn_max=0.9", 2.0),
    ("edm:churn=4,churn_max=0.9,churn_noise=1", 2.0),
    ("sde-dpm++:order=1", 1.0),
    ("sde-dpm++:order=2", 2.0),
    ("sde-dpm++:order=2,variant=heun", 2.0),
    ("sde-dpm++:order=3", 2.0),
    ("sde-dpm++:order=3,variant=exact", 2.0),
    ("sde-dpm:order=1", 1.0),
    ("sde-dpm:order=2", 2.0),
    ("sde-dpm:order=2,variant=heun", 2.0),
];

/// The solvers that are measured here.
pub(crate) fn solvers() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(solver, _)| *solver)
}

/// What a measured slope may differ from the order: as in convergence.rs.
const TOLERANCE: f64 = 0.1;

/// Pictures in a statistical test.
const PICTURES: usize = 40_000;

/// How often such a test would be wrong about a sampler that is right, if the seeds were drawn anew.
const FALSE_ALARM: f64 = 1e-6;

/// The distance between the distribution function of so many draws and that of their distribution which is
/// exceeded with a probability of [`FALSE_ALARM`] at most: `P(D > d) <= 2 exp(-2 N d^2)` for every N (Massart
/// 1990).
fn allowed_distance() -> f64 {
    ((2.0 / FALSE_ALARM).ln() / (2.0 * PICTURES as f64)).sqrt()
}

fn problem(solver: &str, n: usize) -> Problem {
    Problem::new(solver, Steps::Uneven, Start::Near, n, Prediction::Epsilon)
}

/// Mean and variance of what a run makes of the right distribution at its start, exactly and without a draw.
///
/// For Gaussian data a run is a linear map of its start and of every number of its noise. One "picture" is the run
/// on the mean without noise; each of the others has one input of 1 more, and so gives that input's coefficient.
fn law(problem: &Problem) -> (f64, f64) {
    let inputs = problem.calls() + 2;
    let unit = |one: usize| (0..inputs).map(move |i| f64::from(u8::from(i == one)));
    let start: Vec<f64> = unit(1).map(|one| GAUSSIAN.mean() + one).collect();
    let noise: Vec<Vec<f64>> = (0..problem.calls()).map(|call| unit(call + 2).collect()).collect();
    let ends = problem.run(&GAUSSIAN, &start, &noise);
    let gain = |i: usize| (ends[i] - ends[0]).powi(2);
    (ends[0], gain(1) * GAUSSIAN.variance(problem.from()) + (2..inputs).map(gain).sum::<f64>())
}

/// The mean is that of the data for any number of steps, since a state on the mean stays there; the error of the
/// variance falls with the weak order.
#[test]
fn every_solver_has_its_weak_order() {
    let mut wrong = Vec::new();
    for (solver, order) in CASES {
        let errors = [128, 256].map(|n| {
            let problem = problem(solver, n);
            let (mean, variance) = law(&problem);
            // Some hundred operations in f64 on numbers of up to 10.
            assert!((mean - GAUSSIAN.mean()).abs() < 1e-12, "{solver}, {n} steps: {mean}");
            (variance - GAUSSIAN.variance(problem.to())).abs()
        });
        let slope = (errors[0] / errors[1]).log2();
        let line = format!("{solver}: order {order}, measured {slope:.3}");
        println!("{line}");
        if (slope - order).abs() > TOLERANCE {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Of ten steps the pictures are not those of the data, but their distribution is known: it is the [`law`] of the
/// run. This holds the noise to its deviation, and to be independent from step to step, without any bias.
#[test]
fn few_steps_draw_from_their_own_law() {
    for solver in solvers() {
        let problem = problem(solver, 10);
        let (mean, variance) = law(&problem);
        let scale = (GAUSSIAN.variance(problem.to()) / variance).sqrt();
        let standard = |y: f64| GAUSSIAN.cdf(GAUSSIAN.mean() + (y - mean) * scale, problem.to());
        let distance = distance(&pictures(&problem, &GAUSSIAN, 1.0), standard);
        assert!(distance < allowed_distance(), "{solver}: {distance}");
    }
}

/// Of many steps the pictures are those of the data, also where the network is not linear. That the steps are
/// finite in number only makes the test more severe than its false-alarm rate says.
#[test]
fn many_steps_draw_the_data() {
    for solver in solvers() {
        let problem = problem(solver, 64);
        let distance = distance(&pictures(&problem, &MIXTURE, 1.0), |y| MIXTURE.cdf(y, problem.to()));
        assert!(distance < allowed_distance(), "{solver}: {distance}");
    }
}

/// The test can tell: it notices noise whose deviation is a fifth too large.
#[test]
fn wrong_noise_is_noticed() {
    let problem = problem("ddim:eta=1", 64);
    let draws = pictures(&problem, &MIXTURE, 1.2);
    let distance = distance(&draws, |y| MIXTURE.cdf(y, problem.to()));
    assert!(distance > allowed_distance(), "{distance}");
}

/// What runs of the plan draw with noise of this deviation, in batches that fit in a cache.
fn pictures(problem: &Problem, data: &Data, deviation: f64) -> Vec<f64> {
    const BATCH: usize = 500;
    let mut random = Random(0);
    let mut batch = |_| {
        let start: Vec<f64> =
            (0..BATCH).map(|_| data.draw(problem.from(), random.uniform(), random.normal())).collect();
        let noise: Vec<Vec<f64>> =
            (0..problem.calls()).map(|_| (0..BATCH).map(|_| deviation * random.normal()).collect()).collect();
        problem.run(data, &start, &noise)
    };
    (0..PICTURES / BATCH).flat_map(&mut batch).collect()
}

/// The largest distance between the distribution function of these draws and this one (Kolmogorov-Smirnov).
fn distance(draws: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let mut sorted = draws.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let apart = |(i, &y): (usize, &f64)| {
        let expected = cdf(y);
        (expected - i as f64 / n).abs().max((expected - (i + 1) as f64 / n).abs())
    };
    sorted.iter().enumerate().map(apart).fold(0.0, f64::max)
}

/// The same numbers every time: SplitMix64 (Steele, Lea & Flood 2014), and Box and Muller's transform.
struct Random(u64);

impl Random {
    /// In (0, 1).
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * f64::EPSILON / 2.0 + f64::EPSILON / 4.0
    }

    /// From N(0, 1).
    fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * self.uniform().ln()).sqrt(), std::f64::consts::TAU * self.uniform());
        radius * angle.cos()
    }
}
