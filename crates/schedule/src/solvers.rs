//! The solvers, one a file: from levels to rows of coefficients.

mod adams;
mod choices;
mod churn;
mod ddim;
mod ddpm;
mod deis;
mod dpm2;
mod dpm_singlestep;
mod dpm_solver;
mod elsewhere;
mod euler;
mod euler_ancestral;
mod exponential;
mod heun;
mod iddim;
mod inversion;
mod ipndm;
mod lms;
mod pndm;
mod unipc;

pub use choices::{Ending, Equation, Order, Predicted, Variant};
pub use churn::Churn;
pub use deis::Deis;
pub use dpm_singlestep::DpmSinglestep;
pub use dpm_solver::{DpmSolver, LastStep};
pub use dpm2::Dpm2;
pub use euler::{ChurnAt, Euler};
pub use euler_ancestral::EulerAncestral;
pub use heun::Heun;
pub use iddim::Iddim;
pub use ipndm::Ipndm;
pub use lms::Lms;
pub use pndm::{Averaged, Pndm};
pub use unipc::{Corrector, StepFunction, UniPc};

pub(crate) use ddim::{ddim, sigma_hat_step};
pub(crate) use ddpm::ddpm;
pub(crate) use elsewhere::translated;
pub(crate) use inversion::inversion;

use crate::{ScheduleError, Solver};

/// Every solver, with its usual options.
pub fn all() -> Vec<Box<dyn Solver>> {
    vec![
        Box::new(Euler::default()),
        Box::new(EulerAncestral::default()),
        Box::new(Heun::default()),
        Box::new(Heun::edm()),
        Box::new(Dpm2::default()),
        Box::new(Lms::default()),
        Box::new(Ipndm::default()),
        Box::new(Pndm::runge_kutta()),
        Box::new(Pndm::plms()),
        Box::new(Iddim::default()),
        Box::new(DpmSolver::new(Predicted::X0, Equation::Ode)),
        Box::new(DpmSolver::new(Predicted::Eps, Equation::Ode)),
        Box::new(DpmSolver::new(Predicted::X0, Equation::Sde)),
        Box::new(DpmSolver::new(Predicted::Eps, Equation::Sde)),
        Box::new(DpmSinglestep::new(Predicted::X0)),
        Box::new(DpmSinglestep::new(Predicted::Eps)),
        Box::new(UniPc::default()),
        Box::new(Deis::default()),
    ]
}

/// The solver that a text names: its name, here or in another program, and options of other than their usual
/// values, as in `dpm++:order=3,variant=heun`.
///
/// # Errors
/// For an unknown name, for that of a method which only others have, for an unknown option, and for a value that
/// the option cannot have.
///
/// ```
/// use ddim_schedule::solvers;
/// assert_eq!(solvers::parse("euler")?.name(), "euler");
/// assert_eq!(solvers::parse("k_euler_a")?.name(), "euler-a");
/// assert_eq!(solvers::parse("DPMSolverMultistepScheduler")?.name(), "dpm++");
/// let error = solvers::parse("eulr").unwrap_err().to_string();
/// assert!(error.starts_with("there is no solver \"eulr\": choose one of ddim, ddpm, "));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
pub fn parse(text: &str) -> Result<Box<dyn Solver>, ScheduleError> {
    let text = translated(text)?;
    let (name, options) = text.split_once(':').unwrap_or((&text, ""));
    let Some(mut solver) = all().into_iter().find(|solver| solver.name() == name) else {
        return Err(unknown(name, options));
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (option, value) = option.split_once('=').unwrap_or((option, ""));
        solver.set(option.trim(), value.trim())?;
    }
    Ok(solver)
}

/// Why a name is that of no solver: nobody has it, or its method is one that takes no options.
fn unknown(name: &str, options: &str) -> ScheduleError {
    let takes_none = (name == "ddpm").then_some("ddpm");
    match (takes_none, options.split(',').next().and_then(|option| option.split_once('='))) {
        (Some(solver), Some((option, value))) => {
            let (option, value) = (option.to_owned(), value.to_owned());
            ScheduleError::SolverOption { solver, option, value, known: "none".to_owned() }
        }
        _ => ScheduleError::UnknownSolver { text: name.to_owned(), known: names().join(", ") },
    }
}

/// The names of all methods, those of the two papers first.
pub fn names() -> Vec<&'static str> {
    ["ddim", "ddpm"].into_iter().chain(all().iter().map(|solver| solver.name())).collect()
}
