//! Pseudo numerical methods on DDIM's step (Liu et al. 2022).

use super::adams;
use crate::solver_option::Words;

use crate::{Kept, Level, Path, Predecessor, Row, ScheduleError, Solver, SolverOption};

/// DDIM's step with an eps that is averaged over calls, by Adams and Bashforth's weights for equal steps: all of
/// the method but its first steps (Liu et al. 2022, Eq. 9 and 12). It keeps its variance and steps in the
/// timestep.
///
/// `pndm` begins with three Runge-Kutta steps of four calls each, `n + 9` calls in all; `plms` takes its second
/// step's eps once more and averages, `n + 1` calls in all (diffusers' `skip_prk_steps`).
#[derive(Debug, Clone, PartialEq)]
pub struct Pndm {
    first: FirstSteps,
    /// What is averaged.
    pub average: Averaged,
}

/// How the values come about that the first steps lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstSteps {
    RungeKutta,
    Trapezoid,
}

/// What the weights of [`Pndm`] are applied to. For a network that predicts eps both are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Averaged {
    /// The eps of each call, limits and all, as in the paper.
    Eps,
    /// The outputs of the network, whose mean is then read at the level and the state where the step starts, as in
    /// diffusers with a network that predicts v. A limit of x0 does not reach the outputs of earlier calls.
    Outputs,
}

impl Words for Averaged {
    const WORDS: &'static [(&'static str, Self)] = &[("eps", Self::Eps), ("outputs", Self::Outputs)];
}

/// A step on calls since the last whole step: from where, called where, to where, by which weights, the latest
/// call's first.
struct Stage {
    from: Level,
    call: Level,
    to: Level,
    weights: Vec<f64>,
}

impl Pndm {
    /// With Runge-Kutta steps first.
    ///
    /// ```
    /// use ddim_schedule::{Solver, solvers::Pndm};
    /// assert_eq!(Pndm::runge_kutta().name(), "pndm");
    /// ```
    pub fn runge_kutta() -> Self {
        Self { first: FirstSteps::RungeKutta, average: Averaged::Eps }
    }

    /// Without.
    ///
    /// ```
    /// use ddim_schedule::{Solver, solvers::Pndm};
    /// assert_eq!(Pndm::plms().name(), "plms");
    /// ```
    pub fn plms() -> Self {
        Self { first: FirstSteps::Trapezoid, average: Averaged::Eps }
    }
}

impl Solver for Pndm {
    fn name(&self) -> &'static str {
        match self.first {
            FirstSteps::RungeKutta => "pndm",
            FirstSteps::Trapezoid => "plms",
        }
    }

    fn about(&self) -> &'static str {
        match self.first {
            FirstSteps::RungeKutta => "DDIM with Adams-Bashforth's eps after Runge-Kutta steps (Liu et al. 2022)",
            FirstSteps::Trapezoid => "DDIM with Adams-Bashforth's eps, pndm without Runge-Kutta steps",
        }
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        vec![SolverOption::word("average", &mut self.average)]
    }

    fn keeps(&self) -> Kept {
        match self.average {
            Averaged::Eps => Kept::Eps,
            Averaged::Outputs => Kept::Output,
        }
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let mut rows = Vec::new();
        // The calls whose values the later steps use.
        let mut remembered = Vec::new();
        let first = match self.first {
            FirstSteps::RungeKutta if path.n_steps() < 4 => {
                let problem = format!("needs at least 4 steps, not {}: use plms, which takes any", path.n_steps());
                return Err(ScheduleError::Solver { solver: "pndm", problem });
            }
            FirstSteps::RungeKutta => {
                for i in 0..3 {
                    remembered.push(rows.len());
                    rows.extend(self.rows_from_one_state(path, runge_kutta(path, i)));
                }
                3
            }
            FirstSteps::Trapezoid => {
                remembered.push(0);
                rows.extend(self.rows_from_one_state(path, trapezoid(path)));
                1
            }
        };
        for i in first..path.n_steps() {
            let weights = weights(rows.len(), &remembered);
            remembered.push(rows.len());
            let from = path.levels()[i];
            rows.extend(
                self.rows_from_one_state(path, vec![Stage { from, call: from, to: end(path, i), weights }]),
            );
        }
        Ok(rows)
    }
}

impl Pndm {
    /// Rows of steps that all lead away from one state `X`, each to `p X + q o` with `o` the weighted mean of the
    /// outputs. The state in between is `u = p1 X + q1 o1`, and `X` is not kept: `X = (u - q1 o1)/p1`.
    fn rows_from_one_state(&self, path: &Path, stages: Vec<Stage>) -> Vec<Row> {
        let (mut p_before, mut of_outputs_before) = (1.0, Vec::new());
        let row = |Stage { from, call, to, weights }| {
            let (p, q) = self.step(path, from, to);
            let of_outputs: Vec<f64> = weights.iter().map(|weight| q * weight).collect();
            let c_x = p / p_before;
            let mut total = of_outputs.clone();
            for (total, before) in total[1..].iter_mut().zip(&of_outputs_before) {
                *total -= c_x * before;
            }
            (p_before, of_outputs_before) = (p, of_outputs);
            // The output of this call enters through its eps = e_x u + e_o out.
            let [e_x, e_o] = self.eps_shares(path, call);
            let c_eps = total[0] / e_o;
            Row { c_x: c_x - c_eps * e_x, c_eps, history: total.split_off(1), ..Row::new(call, to) }
        };
        stages.into_iter().map(row).collect()
    }

    /// DDIM's step without noise as `p x + q o` (Liu et al. 2022, Eq. 9).
    fn step(&self, path: &Path, from: Level, to: Level) -> (f64, f64) {
        let gain = to.signal() / from.signal();
        let of_eps = to.noise() - gain * from.noise();
        let [e_x, e_o] = self.eps_shares(path, from);
        (gain + of_eps * e_x, of_eps * e_o)
    }

    /// How eps follows from the state and from what is averaged.
    fn eps_shares(&self, path: &Path, level: Level) -> [f64; 2] {
        match self.average {
            Averaged::Eps => [0.0, 1.0],
            Averaged::Outputs => path.eps_shares(level),
        }
    }
}

/// A step of the classical Runge-Kutta method from level `i`, with DDIM's step in the place of the straight line
/// (Liu et al. 2022, Eq. 13).
fn runge_kutta(path: &Path, i: usize) -> Vec<Stage> {
    let (from, to) = (path.levels()[i], path.levels()[i + 1]);
    let half = match path.predecessor() {
        Predecessor::InList => ((from.time - to.time) / 2.0).floor(),
        Predecessor::Stride => (path.stride() / 2) as f64,
    };
    let middle = path.at_time(to.time + half);
    let first_half = match path.predecessor() {
        Predecessor::InList => middle,
        Predecessor::Stride => path.at_time(from.time - half),
    };
    let stage = |call, to, weights: &[f64]| Stage { from, call, to, weights: weights.to_vec() };
    vec![
        stage(from, first_half, &[1.0]),
        stage(middle, middle, &[1.0, 0.0]),
        stage(middle, to, &[1.0, 0.0, 0.0]),
        stage(to, to, &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0]),
    ]
}

/// The first step, and the same once more with the mean of the values at its ends.
fn trapezoid(path: &Path) -> Vec<Stage> {
    let from = path.levels()[0];
    let first = Stage { from, call: from, to: end(path, 0), weights: vec![1.0] };
    if path.n_steps() == 1 {
        return vec![first];
    }
    let to = path.levels()[1];
    let from = match path.predecessor() {
        Predecessor::InList => from,
        Predecessor::Stride => path.at_time(to.time + path.stride() as f64),
    };
    vec![first, Stage { from, call: to, to, weights: vec![0.5, 0.5] }]
}

/// Where the step from level `i` ends.
fn end(path: &Path, i: usize) -> Level {
    match path.predecessor() {
        Predecessor::InList => path.levels()[i + 1],
        Predecessor::Stride => path.a_stride_below(path.levels()[i]),
    }
}

/// The weights of this call and of the calls before it, 0 for those that are not remembered.
fn weights(call: usize, remembered: &[usize]) -> Vec<f64> {
    let weights = adams::equal_steps(remembered.len() + 1);
    let mut all = vec![weights[0]];
    for (weight, earlier) in weights[1..].iter().zip(remembered.iter().rev()) {
        all.resize(call - earlier, 0.0);
        all.push(*weight);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BetaSchedule, Convention, NoiseSchedule, Plan, Prediction, Settings, Solver, solvers};

    fn plan(solver: Pndm, n_steps: usize) -> Result<Plan, ScheduleError> {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        Plan::new(&schedule, &Settings::new(Convention::Exact, Box::<dyn Solver>::from(solver), n_steps))
    }

    #[test]
    fn calls() {
        for n_steps in [4, 5, 20] {
            assert_eq!(plan(Pndm::runge_kutta(), n_steps).unwrap().steps().len(), n_steps + 9);
            assert_eq!(plan(Pndm::plms(), n_steps).unwrap().steps().len(), n_steps + 1);
        }
        assert_eq!(plan(Pndm::plms(), 1).unwrap().steps().len(), 1);
        let refusal = plan(Pndm::runge_kutta(), 3).unwrap_err().to_string();
        assert_eq!(refusal, "solver pndm: needs at least 4 steps, not 3: use plms, which takes any");
    }

    /// The second step looks back over the repeated call at the first one, the fourth at calls 3, 2 and 0.
    #[test]
    fn the_repeated_call_is_forgotten() {
        assert_eq!(weights(2, &[0]), [1.5, 0.0, -0.5]);
        assert_eq!(weights(4, &[0, 2, 3]), [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, 0.0, -9.0 / 24.0]);
        assert_eq!(weights(9, &[0, 2, 3, 4, 5, 6, 7, 8]).len(), 4);
    }

    /// A constant eps is carried exactly as by DDIM's step, whatever the weights: they have the sum 1. The outputs
    /// of a network that predicts x0 are constant with it.
    #[test]
    fn a_constant_eps_takes_the_straight_line() {
        let (x0, eps) = (0.25, -0.5);
        for (solver, prediction, kept) in [
            ("pndm", Prediction::Epsilon, eps),
            ("plms", Prediction::X0, eps),
            ("pndm:average=outputs", Prediction::Epsilon, eps),
            ("pndm:average=outputs", Prediction::X0, x0),
            ("plms:average=outputs", Prediction::X0, x0),
        ] {
            let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
            let method = solvers::parse(solver).unwrap();
            let settings = Settings { prediction, ..Settings::new(Convention::Exact, method, 10) };
            let plan = Plan::new(&schedule, &settings).unwrap();
            let mut x = plan.start().noisy(x0, eps);
            for step in plan.steps() {
                x = step.c_x * x + step.c_eps * eps + step.history.iter().sum::<f64>() * kept;
                let expected = step.alpha_bar_prev.sqrt() * x0 + (1.0 - step.alpha_bar_prev).sqrt() * eps;
                // At the noisy end coefficients of up to 160 cancel, in every one of 13 calls.
                assert!((x - expected).abs() < 1e-11, "{solver} {prediction}: {:e}", x - expected);
            }
        }
    }
}
