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
pub use ddim::{Ddim, SigmaHat};
pub use ddpm::{Ddpm, Variance};
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

use crate::{ScheduleError, Solver};

/// Every solver, with its usual options, those of the two papers first. [`SigmaHat`] is not among them, which is
/// asked for as DDIM with an eta of its own.
pub fn all() -> Vec<Box<dyn Solver>> {
    vec![
        Box::new(Ddim::default()),
        Box::new(Ddpm::default()),
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
/// values, as in `dpm++:order=3,variant=heun`. `ddim:eta=hat` is [`SigmaHat`].
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
/// assert_eq!(solvers::parse("ddim:eta=hat")?.name(), "sigma_hat");
/// let error = solvers::parse("eulr").unwrap_err().to_string();
/// assert!(error.starts_with("there is no solver \"eulr\": choose one of ddim, ddpm, "));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
pub fn parse(text: &str) -> Result<Box<dyn Solver>, ScheduleError> {
    let text = elsewhere::translated(text)?;
    let (name, options) = text.split_once(':').unwrap_or((&text, ""));
    let Some(mut solver) = all().into_iter().find(|solver| solver.name() == name) else {
        return Err(ScheduleError::UnknownSolver { text: name.to_owned(), known: names().join(", ") });
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (option, value) = option.split_once('=').unwrap_or((option, ""));
        match (name, option.trim(), value.trim()) {
            ("ddim", "eta", "hat") => solver = SigmaHat.into(),
            (_, option, value) => solver.set(option, value)?,
        }
    }
    Ok(solver)
}

/// The names of all methods, those of the two papers first.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|solver| solver.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_solver_is_read_from_what_it_writes() {
        let texts = ["ddim", "ddim:eta=0.5", "ddim:eta=1", "ddim:eta=hat", "dpm++:order=3", "euler:churn=40"];
        for text in texts.into_iter().chain(names()) {
            let solver = parse(text).expect("a solver");
            assert_eq!(solver.to_string(), text);
            assert!(parse(&solver.to_string()).expect("a solver") == solver, "{text}");
        }
        assert_eq!(parse("ddim:eta=0").expect("a solver").to_string(), "ddim");
        assert_eq!(parse("sigma_hat").expect("its name in records").to_string(), "ddim:eta=hat");
    }

    #[test]
    fn solvers_with_other_options_are_others() {
        let large: Box<dyn Solver> = Ddpm { variance: Variance::FixedLarge }.into();
        assert!(!large.equals(&Ddpm::default()) && large == large.clone());
        assert!(parse("euler:churn=1") != parse("euler") && parse("heun") != parse("edm:churn=0"));
    }

    #[test]
    fn an_option_of_ddim_is_eta() {
        let error = |text: &str| parse(text).expect_err("refused").to_string();
        assert_eq!(error("ddim:mix=1"), "solver ddim has no option mix=1: it has eta=0 to 1 or hat");
        assert_eq!(error("ddim:eta=1.5"), "solver ddim has no option eta=1.5: it has eta=0 to 1 or hat");
        assert_eq!(error("ddpm:eta=1"), "solver ddpm has no option eta=1: it has none");
    }
}
