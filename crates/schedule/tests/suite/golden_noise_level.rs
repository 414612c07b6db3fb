//! The reference's schedulers in the noise level, PNDM and DDIM's inverse as settings of this crate.

use ddim_schedule::solvers::Ddim;
use ddim_schedule::solvers::{Averaged, Churn, ChurnAt, Dpm2, Euler, EulerAncestral, Heun, Lms, Pndm};
use ddim_schedule::{Convention, Direction, EpsSource, FinalAlphaBar, Predecessor, Settings};
use ddim_schedule::{Solver, Spacing};
use serde_json::Value;

use crate::golden::{count, flag, float, limit, prediction, spacing, word};

/// The settings of a whole golden run.
pub(crate) fn settings(golden: &Value) -> Settings {
    let config = &golden["config"];
    let n_steps = count(&golden["num_inference_steps"]);
    match golden["scheduler"].as_str() {
        Some("DDIMInverseScheduler") => inverse(config, n_steps),
        Some("PNDMScheduler") => pndm(config, n_steps),
        _ => noise_level(golden, n_steps),
    }
}

fn inverse(config: &Value, n_steps: usize) -> Settings {
    Settings {
        prediction: prediction(config),
        spacing: spacing(config),
        limit: limit(config),
        final_alpha_bar: end(flag(config, "set_alpha_to_one", true)),
        direction: Direction::Encode,
        ..Settings::new(Convention::Diffusers, Ddim::default(), n_steps)
    }
}

fn pndm(config: &Value, n_steps: usize) -> Settings {
    let mut solver = if flag(config, "skip_prk_steps", false) { Pndm::plms() } else { Pndm::runge_kutta() };
    solver.average = Averaged::Outputs;
    Settings {
        prediction: prediction(config),
        spacing: spacing(config),
        final_alpha_bar: end(flag(config, "set_alpha_to_one", false)),
        predecessor: Predecessor::Stride,
        ..Settings::new(Convention::Diffusers, solver, n_steps)
    }
}

fn noise_level(golden: &Value, n_steps: usize) -> Settings {
    let (config, arguments) = (&golden["config"], &golden["step_arguments"]);
    let method = match golden["scheduler"].as_str() {
        Some("EulerDiscreteScheduler") => solver(Euler { churn: churn(arguments), churn_at: ChurnAt::After }),
        Some("EulerAncestralDiscreteScheduler") => solver(EulerAncestral::default()),
        Some("HeunDiscreteScheduler") => solver(Heun::default()),
        Some("KDPM2DiscreteScheduler") => solver(Dpm2::default()),
        Some("LMSDiscreteScheduler") => solver(Lms::new(float(arguments, "order", 4.0) as usize).unwrap()),
        other => panic!("scheduler {other:?}"),
    };
    let log_linear = word(config, "interpolation_type", "linear") == "log_linear";
    let to_zero = word(config, "final_sigmas_type", "zero") == "zero";
    Settings {
        prediction: prediction(config),
        spacing: noise_level_spacing(config, log_linear),
        limit: if flag(config, "clip_sample", false) { limit(config) } else { ddim_schedule::X0Limit::Free },
        eps_source: EpsSource::Rederived,
        final_alpha_bar: end(to_zero && !log_linear),
        ..Settings::new(Convention::Diffusers, method, n_steps)
    }
}

fn noise_level_spacing(config: &Value, log_linear: bool) -> Spacing {
    match word(config, "timestep_spacing", "linspace") {
        _ if flag(config, "use_karras_sigmas", false) => Spacing::Karras { rho: 7.0 },
        _ if flag(config, "use_exponential_sigmas", false) => Spacing::LogSnr,
        _ if flag(config, "use_beta_sigmas", false) => Spacing::Beta { alpha: 0.6, beta: 0.6 },
        _ if log_linear => Spacing::LogLinear,
        "linspace" => Spacing::LinspaceReal,
        _ => spacing(config),
    }
}

fn churn(arguments: &Value) -> Churn {
    Churn {
        amount: float(arguments, "s_churn", 0.0),
        min: float(arguments, "s_tmin", 0.0),
        max: float(arguments, "s_tmax", f64::INFINITY),
        noise: float(arguments, "s_noise", 1.0),
    }
}

fn end(to_one: bool) -> FinalAlphaBar {
    if to_one { FinalAlphaBar::One } else { FinalAlphaBar::First }
}

fn solver(solver: impl Solver + 'static) -> Box<dyn Solver> {
    solver.into()
}
