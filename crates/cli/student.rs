//! The students of the embedded model, which draw in its place where so few steps are asked for that they do it better.

use ddim_bench::units;
use ddim_checkpoint::{embedded_names, embedded_student};
use ddim_schedule::Solver;
use ddim_schedule::solvers::Ddim;

use crate::args::SolverChoice;
use crate::request::{ModelRequest, PlanRequest, Request};

/// The request, drawn by a student where one was made for just this: nobody has named a model, and nothing is asked of the
/// way but a number of steps that one has. Says so.
pub(crate) fn in_place(request: Request) -> Request {
    let Some((teacher, student)) = found(&request) else { return request };
    tracing::info!(
        "model: {student}, distilled from {teacher} for {}; --model {teacher} takes the original",
        units::steps(request.plan.steps.unwrap_or_default())
    );
    let model = ModelRequest { model: Some(student.into()), ..ModelRequest::default() };
    Request { model, ..request }
}

/// The embedded model, and its student for this request.
fn found(request: &Request) -> Option<(&'static str, &'static str)> {
    let teacher = embedded_names().first()?;
    let is_usual = request.model == ModelRequest::default()
        && is_way_of_students(&request.plan)
        && request.init.is_empty()
        && request.corrector_steps.is_none()
        && request.reuse.is_none()
        && request.guidance.is_none_or(|scale| scale == 1.0);
    let student = is_usual.then(|| embedded_student(teacher, request.plan.steps?))?;
    Some((teacher, student?))
}

/// Whether nothing is asked for but some steps of DDIM at eta 0.
fn is_way_of_students(plan: &PlanRequest) -> bool {
    let own: Box<dyn Solver> = Ddim::default().into();
    let is_own = |solver: &SolverChoice| matches!(solver, SolverChoice::Planned(solver) if solver.equals(&*own));
    let rest = PlanRequest { steps: None, eta: None, solver: None, ..plan.clone() };
    let eta = plan.eta.map(|eta| SolverChoice::Planned(eta.solver()));
    rest == PlanRequest::default() && plan.solver.iter().chain(&eta).all(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};

    fn student_of(options: &str) -> Option<&'static str> {
        let words = ["ddim", "sample"].into_iter().chain(options.split_whitespace());
        match Cli::typed_as(words).expect("valid options").command {
            Command::Sample(args) => found(&args.request()).map(|(_, student)| student),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_student_draws_in_its_steps_where_nothing_else_is_asked() {
        assert_eq!(student_of("--steps 1"), Some("fashion-mnist-1-step"));
        assert_eq!(student_of("--steps 2 --eta 0 --seed 7 --class coat --num 3"), Some("fashion-mnist-2-steps"));
        assert_eq!(
            student_of("--steps 4 --solver ddim --guidance 1 --batch-size 2"),
            Some("fashion-mnist-4-steps")
        );
        for other in [
            "",
            "--steps 3",
            "--steps 2 --model fashion-mnist",
            "--steps 2 --weights ema",
            "--steps 2 --scheduler-config x.json",
            "--steps 2 --eta 0.5",
            "--steps 2 --eta hat",
            "--steps 2 --solver heun",
            "--steps 2 --spacing leading",
            "--steps 2 --convention openai",
            "--steps 2 --clip",
            "--steps 2 --guidance 2",
            "--steps 2 --init a.png",
            "--steps 2 --corrector-steps 1",
            "--steps 2 --reuse up_blocks.1:2",
            "--timesteps 999,499",
        ] {
            assert_eq!(student_of(other), None, "{other}");
        }
    }
}
