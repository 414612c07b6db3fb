//! Every solver's order, measured: the error against the exact solution falls with the slope that theory gives.
//!
//! MATH.md, "Orders of convergence", derives the orders. A new solver is a new line in [`CASES`], or, if it draws
//! noise, in stochastic.rs.

#![allow(clippy::print_stdout, reason = "a test says how close it came")]

use ddim_schedule::{Prediction, solvers};

use crate::oracle::{Data, GAUSSIAN, MIXTURE};
use crate::problem::{Problem, Start, Start::*, Steps, Steps::*};
use crate::stochastic;

/// A solver, the steps it takes, and the order it has on them.
struct Case {
    /// As [`Problem::new`] reads it.
    solver: &'static str,
    steps: Steps,
    start: Start,
    order: f64,
}

const fn case(solver: &'static str, steps: Steps, start: Start, order: u32) -> Case {
    Case { solver, steps, start, order: order as f64 }
}

/// What a measured slope may differ from the order. With an error of `C h^p (1 + c h)` it is off by
/// `c h/(2 ln 2)`: the longest steps are 0.01 in lambda, and 0.04 in the long runs of [`EvenNoise`], so there is
/// room for a `c` of 14, and of 3. The farthest of the slopes is off by 0.08; the next whole order is 1 away.
const TOLERANCE: f64 = 0.1;

const CASES: &[Case] = &[
    // One call a step.
    case("ddim", Even, Near, 1),
    case("ddim", Uneven, Near, 1),
    case("iddim:mix=0", Uneven, Near, 1),
    case("euler", Even, Near, 1),
    case("euler", Uneven, Near, 1),
    case("euler", EvenNoise, Near, 1),
    // Two calls a step.
    case("heun", Even, Near, 2),
    case("heun", Uneven, Near, 2),
    case("heun", EvenNoise, Near, 2),
    case("dpm2", Even, Near, 2),
    case("dpm2", Uneven, Near, 2),
    // Multistep methods begin with a step of Euler's, whose error is h^2: seen from near, none is above order 2.
    case("lms:order=1", Uneven, Near, 1),
    case("lms:order=2", Even, Near, 2),
    case("lms:order=2", Uneven, Near, 2),
    case("lms:order=3", Uneven, Near, 2),
    case("lms:order=3", Even, Far, 3),
    case("lms:order=3", Uneven, Far, 3),
    case("lms:order=4", Uneven, Near, 2),
    case("lms:order=4", Even, Far, 4),
    case("lms:order=4", Uneven, Far, 4),
    case("lms:order=4", EvenNoise, Far, 4),
    // Weights for steps that are equal in the noise level: order 2 on other smooth lists, and 1 on unlike steps.
    case("ipndm:order=2", EvenNoise, Near, 2),
    case("ipndm:order=3", EvenNoise, Far, 3),
    case("ipndm:order=4", EvenNoise, Near, 2),
    case("ipndm:order=4", EvenNoise, Far, 4),
    case("ipndm:order=4", Even, Near, 2),
    case("ipndm:order=4", Even, Far, 2),
    case("ipndm:order=4", Uneven, Far, 1),
    // The same weights; the first steps are of order 4 (Runge-Kutta) or 2 (a trapezoid, then two values).
    case("pndm", EvenNoise, Near, 4),
    case("pndm", Even, Near, 2),
    case("pndm", Uneven, Near, 1),
    case("plms", EvenNoise, Near, 3),
    case("plms", EvenNoise, Far, 4),
    case("plms", Even, Near, 2),
    case("plms", Uneven, Near, 1),
    // Exponential multistep methods.
    case("dpm++:order=1", Uneven, Near, 1),
    case("dpm++:order=2", Even, Near, 2),
    case("dpm++:order=2", Uneven, Near, 2),
    case("dpm++:order=2,variant=heun", Uneven, Near, 2),
    case("dpm++:order=2,euler_at_final=true", Uneven, Near, 2),
    case("dpm++:order=3,variant=exact", Uneven, Near, 2),
    case("dpm++:order=3,variant=exact", Even, Far, 3),
    case("dpm++:order=3,variant=exact", Uneven, Far, 3),
    case("dpm:order=1", Uneven, Near, 1),
    case("dpm:order=2", Uneven, Near, 2),
    case("dpm:order=2,variant=heun", Uneven, Near, 2),
    case("dpm:order=3,variant=exact", Uneven, Near, 2),
    case("dpm:order=3,variant=exact", Uneven, Far, 3),
    case("deis:order=1", Uneven, Near, 1),
    case("deis:order=2", Uneven, Near, 2),
    case("deis:order=3", Uneven, Near, 2),
    case("deis:order=3", Even, Far, 3),
    case("deis:order=3", Uneven, Far, 3),
    // Published programs take half the curvature at order 3, which leaves an error of h^3 in every step.
    case("dpm++:order=3", Uneven, Far, 2),
    case("dpm++:order=3,variant=heun", Uneven, Far, 2),
    case("dpm:order=3", Uneven, Far, 2),
    // Steps of several levels. At order 3 what the call at the first of them gives is right to h^2 only: the
    // method is of order 3 where this call has no weight, and that is where the levels are even.
    case("dpm++-single:order=1", Uneven, Near, 1),
    case("dpm++-single:order=2", Even, Near, 2),
    case("dpm++-single:order=2", Uneven, Near, 2),
    case("dpm++-single:order=2,variant=heun", Uneven, Near, 2),
    case("dpm++-single:order=3", Even, Near, 3),
    case("dpm++-single:order=3", Uneven, Near, 2),
    case("dpm++-single:order=3,variant=exact", Even, Near, 3),
    case("dpm++-single:order=3,variant=exact", Uneven, Near, 2),
    case("dpm++-single:order=3,variant=heun", Even, Near, 3),
    case("dpm++-single:order=3,lower_order_final=true", Even, Near, 2),
    case("dpm-single:order=1", Uneven, Near, 1),
    case("dpm-single:order=2", Uneven, Near, 2),
    case("dpm-single:order=3", Even, Near, 3),
    case("dpm-single:order=3", Uneven, Near, 2),
    case("dpm-single:order=3,variant=exact", Even, Near, 3),
    // The predictor alone.
    case("unipc:order=1,disable_corrector=all", Uneven, Near, 1),
    case("unipc:order=2,disable_corrector=all", Uneven, Near, 2),
    case("unipc:order=3,disable_corrector=all,lower_order_final=false", Uneven, Near, 2),
    case("unipc:order=3,disable_corrector=all,lower_order_final=false", Uneven, Far, 3),
    // The corrector adds one to the order, and takes the error of the first step down to h^3.
    case("unipc:order=1", Uneven, Near, 2),
    case("unipc:order=2,lower_order_final=false", Even, Near, 3),
    case("unipc:order=2,lower_order_final=false", Uneven, Near, 3),
    case("unipc:order=2,variant=bh1,lower_order_final=false", Uneven, Near, 3),
    case("unipc:order=2,predicts=eps,lower_order_final=false", Uneven, Near, 3),
    case("unipc:order=3,lower_order_final=false", Uneven, Near, 3),
    case("unipc:order=3,lower_order_final=false", Even, Far, 4),
    case("unipc:order=3,lower_order_final=false", Uneven, Far, 4),
    case("unipc:order=3,predicts=eps,lower_order_final=false", Uneven, Far, 4),
    // By default its last step is of order 1, is not corrected, and leaves an error of h^2.
    case("unipc:order=2", Uneven, Near, 2),
    case("unipc:order=3", Uneven, Far, 2),
];

#[test]
fn every_solver_has_its_order() {
    let mut wrong = Vec::new();
    for Case { solver, steps, start, order } in CASES {
        let n = count(*steps, *start);
        for (name, data) in [("Gaussian", &GAUSSIAN), ("mixture", &MIXTURE)] {
            let problem = |n| Problem::new(solver, *steps, *start, n, Prediction::Epsilon);
            let slope = slope([n, 2 * n].map(|n| error(data, &problem(n))));
            let line = format!("{solver} {steps:?} {start:?} {name}: order {order}, measured {slope:.3}");
            println!("{line}");
            if (slope - order).abs() > TOLERANCE {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// DDIM from a picture to its noise is of order 1 too (DDIM, section 4.3).
#[test]
fn inversion_has_its_order() {
    for (steps, data) in [(Even, &GAUSSIAN), (Uneven, &MIXTURE)] {
        let errors = [512, 1024].map(|n| error(data, &Problem::inverse(steps, Near, n)));
        assert!((slope(errors) - 1.0).abs() < TOLERANCE, "{steps:?}: {errors:?}");
    }
}

/// iDDIM does not solve the probability flow. With many steps the eps of its state becomes that of the first
/// state, whatever the share that is mixed in: what is left is `y = (1 - s/s_T) E[x0 | y] + (s/s_T) y_T`. For a
/// Gaussian, with `k = r^2/(r^2 + s^2)`, that is `y - m = (y_T - m) (s/s_T)/(1 - k (1 - s/s_T))`, and it is
/// approached with order 1.
#[test]
fn iddim_goes_to_a_limit_of_its_own() {
    let errors = [4096, 8192].map(|n| {
        let problem = Problem::new("iddim:mix=0.5", Even, Near, n, Prediction::Epsilon);
        let (mean, share) = (GAUSSIAN.mean(), problem.to() / problem.from());
        let shrink = GAUSSIAN.variance(0.0) / GAUSSIAN.variance(problem.to());
        let limit = mean + share / (1.0 - shrink * (1.0 - share));
        assert!((limit - GAUSSIAN.transported(mean + 1.0, problem.from(), problem.to())).abs() > 0.2);
        (problem.run(&GAUSSIAN, &[mean + 1.0], &[])[0] - limit).abs()
    });
    assert!((slope(errors) - 1.0).abs() < TOLERANCE, "{errors:?}");
}

/// What the network predicts is none of a solver's business: the same errors from eps, x0, v, F and the score.
#[test]
fn every_prediction_has_the_same_error() {
    for solver in ["ddim", "euler", "heun", "lms", "pndm", "dpm++:order=3", "dpm-single", "deis", "unipc"] {
        let error = |prediction| error(&MIXTURE, &Problem::new(solver, Uneven, Near, 64, prediction));
        let eps = error(Prediction::Epsilon);
        let edm = Prediction::Edm { sigma_data: 0.5 };
        for other in [Prediction::X0, Prediction::V, edm, Prediction::Score] {
            // Rounding of 64 steps, and of the times of which the network takes the exponential.
            assert!((error(other) - eps).abs() < 1e-12, "{solver}, {other}: {} {eps}", error(other));
        }
    }
}

/// No solver without a line.
#[test]
fn every_solver_is_measured() {
    let measured: Vec<_> = CASES.iter().map(|case| case.solver).chain(stochastic::solvers()).collect();
    for solver in solvers::all() {
        let name = solver.name();
        let is_it = |text: &&str| text.split(':').next() == Some(name);
        assert!(measured.iter().any(is_it), "{name} has no order in convergence.rs or stochastic.rs");
    }
}

/// So many steps that the leading term of the error is nearly all of it, and its rounding is not seen yet. They
/// can be divided by 2 and 3, so that singlestep methods have no steps left over.
fn count(steps: Steps, start: Start) -> usize {
    match (start, steps) {
        (Near, Even | Uneven) => 768,
        (Near, EvenNoise) => 1152,
        (Far, Even | Uneven) => 1536,
        (Far, EvenNoise) => 4608,
    }
}

/// The slope between a run and another with twice its steps.
fn slope([error, of_twice_the_steps]: [f64; 2]) -> f64 {
    (error / of_twice_the_steps).log2()
}

/// The error at the end of a run: root of the mean square over five paths that start at -2 to 2 deviations.
fn error(data: &Data, problem: &Problem) -> f64 {
    let (from, to) = (problem.from(), problem.to());
    let spread = data.variance(from).sqrt();
    let starts: Vec<f64> = (-2..=2).map(|i| data.mean() + f64::from(i) * spread).collect();
    let ends = problem.run(data, &starts, &[]);
    let square = |(&start, end): (&f64, f64)| (end - data.transported(start, from, to)).powi(2);
    (starts.iter().zip(ends).map(square).sum::<f64>() / starts.len() as f64).sqrt()
}
