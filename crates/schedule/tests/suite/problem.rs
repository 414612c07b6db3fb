//! The runs that the oracle's data is put through: a plan on levels that are chosen here, not by a spacing.

use ddim_schedule::solvers::{self, Ddpm};
use ddim_schedule::{BetaSchedule, Convention, Direction, FinalAlphaBar, LastNoise, Level};
use ddim_schedule::{NoiseSchedule, Plan, Prediction, Settings, Solver, Spacing, Variance};

use crate::oracle::Data;
use crate::scalar::run;

/// How the levels lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Steps {
    /// Equal steps in lambda.
    Even,
    /// In lambda, short and long steps in turn, the long ones twice as long. A graded list would not do: there
    /// neighbouring steps become alike as n grows, and coefficients that are wrong for unlike steps pass.
    Uneven,
    /// Equal steps in the noise level.
    EvenNoise,
}

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// At noise level 1, where the picture already takes shape: all steps count, those of the warm-up too.
    Near,
    /// At a noise level so high that hardly anything happens in the first steps: their error is smaller by
    /// `(deviation/noise level)^2`, and what is seen is the order of the steps that follow.
    Far,
}

/// A plan, and the model that it is for.
pub(crate) struct Problem {
    schedule: NoiseSchedule,
    plan: Plan,
}

impl Problem {
    /// The solver with `n` steps; its text is one that [`solvers::parse`] reads, or one of those of the papers'
    /// own methods in [`method`].
    pub(crate) fn new(solver: &str, steps: Steps, start: Start, n: usize, prediction: Prediction) -> Self {
        let schedule = schedule(&steps.noise_levels(n, start.noise_level(steps)));
        Self::of(schedule, &Settings { prediction, ..settings(method(solver), n) })
    }

    /// DDIM's inversion with `n` steps: it starts where the others end.
    pub(crate) fn inverse(steps: Steps, start: Start, n: usize) -> Self {
        let schedule = schedule(&steps.noise_levels(n, start.noise_level(steps)));
        Self::of(schedule, &Settings { direction: Direction::Encode, ..settings(method("ddim"), n) })
    }

    fn of(schedule: NoiseSchedule, settings: &Settings) -> Self {
        let plan = Plan::new(&schedule, settings).unwrap();
        Self { schedule, plan }
    }

    /// The noise level where a run starts.
    pub(crate) fn from(&self) -> f64 {
        noise_level(self.plan.steps()[0].alpha_bar)
    }

    /// The noise level where it ends.
    pub(crate) fn to(&self) -> f64 {
        noise_level(self.plan.steps()[self.calls() - 1].alpha_bar_prev)
    }

    /// How many calls of the network, and so rows of noise, it takes.
    pub(crate) fn calls(&self) -> usize {
        self.plan.steps().len()
    }

    /// Runs the plan from these `y`; what it ends with is `y` again.
    pub(crate) fn run(&self, data: &Data, y: &[f64], noise: &[Vec<f64>]) -> Vec<f64> {
        let (from, to) = (self.signal(self.from()), self.signal(self.to()));
        let x = y.iter().map(|y| y * from).collect();
        let network = data.network(&self.schedule, self.plan.prediction());
        let last = run(&self.plan, x, y.len(), noise, network).x.pop().unwrap();
        last.iter().map(|x| x / to).collect()
    }

    /// What `y` is multiplied with in the plan's coordinates: in those of a state that explodes, nothing.
    fn signal(&self, noise_level: f64) -> f64 {
        let exploding = self.plan.start().signal == 1.0;
        if exploding { 1.0 } else { Level::at_noise_level(0.0, noise_level).signal() }
    }
}

/// Where the runs end: finite in lambda, so that every step is of the same kind.
const END: f64 = 0.1;

impl Start {
    /// In equal steps of the noise level a run from very far would need very many of them.
    fn noise_level(self, steps: Steps) -> f64 {
        match (self, steps) {
            (Self::Near, _) => 1.0,
            (Self::Far, Steps::EvenNoise) => 20.0,
            (Self::Far, _) => 3000.0,
        }
    }
}

impl Steps {
    /// The noise levels of `n` steps, clean to noisy, with the middle of each step between its ends.
    fn noise_levels(self, n: usize, from: f64) -> Vec<f64> {
        let place = |i: usize| match self {
            Self::Even | Self::EvenNoise => i as f64 / (2 * n) as f64,
            // A pair of steps is 3 parts long, and has its levels and their middles here.
            Self::Uneven => {
                let (pair, within) = (i / 4, [0.0, 0.5, 1.0, 2.0][i % 4]);
                (3.0 * pair as f64 + within) / (3 * n / 2) as f64
            }
        };
        let level = |u: f64| match self {
            Self::EvenNoise => END + u * (from - END),
            Self::Even | Self::Uneven => END * (u * (from / END).ln()).exp(),
        };
        (0..=2 * n).map(|i| level(place(i))).collect()
    }
}

fn noise_level(alpha_bar: f64) -> f64 {
    Level { time: 0.0, alpha_bar }.noise_level()
}

/// A run over every second level of [`schedule`], down to its first.
fn settings(solver: impl Into<Box<dyn Solver>>, n: usize) -> Settings {
    Settings {
        spacing: Spacing::Explicit((1..=n).rev().map(|i| 2 * i).collect()),
        final_alpha_bar: FinalAlphaBar::First,
        // The last step does not end at a picture, but at a state that is as noisy as its level says.
        last_noise: LastNoise::UnlessTimestepZero,
        ..Settings::new(Convention::Exact, solver, n)
    }
}

/// A model that was trained at these noise levels and no others. A run visits every second of them, so that its
/// times are whole numbers, and its levels exactly these.
fn schedule(noise_levels: &[f64]) -> NoiseSchedule {
    let alpha_bars = noise_levels.iter().map(|&s| Level::at_noise_level(0.0, s).alpha_bar);
    let mut before = 1.0;
    let betas = alpha_bars.map(|alpha_bar| 1.0 - alpha_bar / std::mem::replace(&mut before, alpha_bar));
    NoiseSchedule::new(&BetaSchedule::Given(betas.collect()), noise_levels.len()).unwrap()
}

/// The method that a text names.
fn method(text: &str) -> Box<dyn Solver> {
    match text {
        "ddpm:variance=large" => Ddpm { variance: Variance::FixedLarge }.into(),
        _ => solvers::parse(text).unwrap(),
    }
}
