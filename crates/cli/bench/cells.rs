//! What is measured: one cell for each method and number of steps.

use anyhow::Context;
use ddim::Reuse;
use ddim_bench::{Cell, Role, units};
use ddim_schedule::solvers::{Ddim, SigmaHat};
use ddim_schedule::{Eta, Plan, Spacing};

use crate::args::{BenchArgs, EtaChoice, SolverChoice, SpacingChoice, misused};
use crate::model::Model;
use crate::request::PlanRequest;
use crate::{plan, tuned};

/// Numbers of steps when nothing says otherwise: those of the DDIM paper's Table 1.
const STEPS: [usize; 5] = [10, 20, 50, 100, 1000];

/// Noise when nothing says otherwise: that of the same table.
const ETAS: [&str; 5] = ["0", "0.2", "0.5", "1", "hat"];

/// Those of `--frontier`.
const FEW: [usize; 11] = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50];

/// All cells in the order in which they are run: first the one that the others are compared with, DDPM in all steps
/// of the training.
pub(super) fn cells(args: &BenchArgs, model: &Model) -> anyhow::Result<Vec<Cell>> {
    let train_steps = model.inner.schedule().train_steps();
    let mut steps = match args.steps.as_slice() {
        [] if args.frontier => plan::usual_counts(&FEW, &model.training),
        [] => plan::usual_counts(&STEPS, &model.training),
        typed => typed.to_vec(),
    };
    steps.sort_unstable();
    steps.dedup();
    let mut cells: Vec<Cell> = Vec::new();
    for Asked { name, options, reuse, only } in asked(args, model)? {
        for &n_steps in steps.iter().filter(|steps| only.as_ref().is_none_or(|only| only.contains(steps))) {
            if cells.iter().any(|cell| (&cell.method, cell.steps) == (&name, n_steps)) {
                continue;
            }
            let plan = match resolved(args, model, options.clone(), n_steps) {
                Ok(plan) => plan,
                // A solver may be unable to take as many steps as the eta family, whose steps these are.
                Err(error) if n_steps <= train_steps && !is_eta(&name) => {
                    let steps = units::steps(n_steps);
                    tracing::warn!("{name} in {steps} is left out: {}", crate::ending::chain(&error));
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("{name} in {}", units::steps(n_steps))),
            };
            if let Some(error) = reuse.as_ref().and_then(|reuse| model.inner.check_reuse(reuse, &plan).err()) {
                // One that no plan could have is a mistake; too few calls are not.
                let ddim::Error::FullCalls { .. } = error else { return Err(error).context("--reuse") };
                tracing::warn!("{name} in {} is left out: {error}", units::steps(n_steps));
                continue;
            }
            let role =
                if (name.as_str(), n_steps) == (DDPM, train_steps) { reference(args, true) } else { Role::Asked };
            let (method, reuse, place) = (name.clone(), reuse.clone(), cells.len());
            cells.push(Cell { method, steps: n_steps, plan, reuse, role, place });
        }
    }
    let fits = |reuse: &&Reuse| cells.iter().any(|cell| cell.reuse.as_ref() == Some(reuse));
    if let Some(reuse) = args.reuse.iter().find(|reuse| !fits(reuse)) {
        misused!("--reuse {reuse}: none of the runs has calls for it; ask for more --steps, or other calls");
    }
    with_reference(cells, args, model)
}

/// The cells with the reference first, whether it was asked for or not.
fn with_reference(mut cells: Vec<Cell>, args: &BenchArgs, model: &Model) -> anyhow::Result<Vec<Cell>> {
    let train_steps = model.inner.schedule().train_steps();
    let found = match cells.iter().position(Cell::is_reference) {
        Some(place) => cells.remove(place),
        None => {
            let plan = resolved(args, model, of_eta(EtaChoice::Value(Eta::DDPM)), train_steps);
            let plan = plan.with_context(|| {
                format!("DDPM in {}, which the others are compared with", units::steps(train_steps))
            })?;
            let (method, place) = (DDPM.to_owned(), cells.len());
            Cell { method, steps: train_steps, plan, reuse: None, role: reference(args, false), place }
        }
    };
    cells.insert(0, found);
    Ok(cells)
}

/// Why the reference is measured: a frontier needs its quality as well as its time.
fn reference(args: &BenchArgs, is_asked: bool) -> Role {
    match args.drawn {
        Some(_) => Role::DrawnReference,
        None if is_asked || args.frontier => Role::AskedReference,
        None => Role::Reference,
    }
}

/// The cells with one more behind the reference, if it is not there: DDIM without noise in all steps of the training, whose
/// pictures those of the others with the same noise are compared with. The same cells where every method draws noise of its
/// own, which leads to other pictures.
pub(super) fn with_target(mut cells: Vec<Cell>, args: &BenchArgs, model: &Model) -> anyhow::Result<Vec<Cell>> {
    if args.drawn.is_some() {
        misused!(
            "--drawn: here pictures are compared with those of all steps from the same noise, which says nothing of \
             DDPM's own; give --reference, a set of pictures to compare all with"
        );
    }
    let train_steps = model.inner.schedule().train_steps();
    let names_ddpm = args.eta.iter().any(|eta| eta_method(*eta).0 == DDPM);
    if args.frontier && !(names_ddpm && args.steps.contains(&train_steps)) {
        // Its quality is not measured here: a batch is enough for its time.
        cells[0].role = Role::Reference;
    }
    if cells.iter().all(|cell| cell.plan.is_stochastic()) {
        return Ok(cells);
    }
    let is_it = |cell: &Cell| (cell.method.as_str(), cell.steps) == (DDIM, train_steps);
    let target = match cells.iter().position(is_it) {
        Some(place) => Cell { role: Role::AskedTarget, ..cells.remove(place) },
        None => {
            let plan =
                resolved(args, model, of_eta(EtaChoice::Value(Eta::DDIM)), train_steps).with_context(|| {
                    format!("{DDIM} in {}, whose pictures the others are compared with", units::steps(train_steps))
                })?;
            let (method, place) = (DDIM.to_owned(), cells.len());
            Cell { method, steps: train_steps, plan, reuse: None, role: Role::Target, place }
        }
    };
    cells.insert(1, target);
    Ok(cells)
}

/// Whether a method is one of those that `--eta` names.
fn is_eta(name: &str) -> bool {
    name.starts_with("eta ") || name == SIGMA_HAT
}

/// The name of the larger variance of DDPM.
const SIGMA_HAT: &str = "sigma-hat";

/// The name of eta 0, which is DDIM without noise.
pub(super) const DDIM: &str = "eta 0";

/// The name of eta 1, which is DDPM.
const DDPM: &str = "eta 1";

/// A method that was asked for.
struct Asked {
    /// As people write it.
    name: String,
    /// As options of `ddim sample`.
    options: PlanRequest,
    /// What its calls keep.
    reuse: Option<Reuse>,
    /// The numbers of steps that it has; any, where that is not said.
    only: Option<Vec<usize>>,
}

/// The name of a method, the method as options of `ddim sample`, and the numbers of steps that it has; any, where that
/// is not said.
type Method = (String, PlanRequest, Option<Vec<usize>>);

/// Every method by itself, and then with each of `--reuse`.
fn asked(args: &BenchArgs, model: &Model) -> anyhow::Result<Vec<Asked>> {
    let methods = match args.frontier && args.eta.is_empty() && args.solver.is_empty() {
        true => of_frontier(args, model)?,
        false => methods(args).into_iter().map(|(name, options)| (name, options, None)).collect(),
    };
    let mut asked = Vec::new();
    for reuse in std::iter::once(None).chain(args.reuse.iter().map(Some)) {
        let with = reuse.map_or_else(String::new, |reuse| format!(", {reuse}"));
        asked.extend(methods.iter().cloned().map(|(name, options, only)| Asked {
            name: format!("{name}{with}"),
            options,
            reuse: reuse.cloned(),
            only,
        }));
    }
    Ok(asked)
}

/// The methods of `--frontier`: DDIM, the two solvers that are best in few steps where nothing is tuned, in steps that are
/// even in the logarithm of the signal-to-noise ratio unless others are typed, and what `ddim tune` has found.
fn of_frontier(args: &BenchArgs, model: &Model) -> anyhow::Result<Vec<Method>> {
    let solver = |name: &str| -> anyhow::Result<_> {
        let spacing = if args.spacing.is_none() { Some(SpacingChoice::Named("logsnr".parse()?)) } else { None };
        let with = spacing.as_ref().map_or_else(String::new, |spacing| format!(", {spacing}"));
        let solver = Some(SolverChoice::Planned(name.parse()?));
        Ok((format!("{name}{with}"), PlanRequest { solver, spacing, ..PlanRequest::default() }, None))
    };
    let (name, options) = eta_method(EtaChoice::Value(Eta::DDIM));
    let mut methods = vec![(name, options, None), solver("dpm++")?, solver("unipc")?];
    if let Some(tuned) = tuned::of(&model.training)? {
        let spacing = Some(SpacingChoice::Tuned(None));
        let counts = tuned.steps.keys().copied().collect();
        methods.push(("tuned".to_owned(), PlanRequest { spacing, ..PlanRequest::default() }, Some(counts)));
    }
    Ok(methods)
}

/// The methods that were typed, each with its name, and as options of `ddim sample`.
fn methods(args: &BenchArgs) -> Vec<(String, PlanRequest)> {
    let etas: Vec<EtaChoice> = match args.eta.as_slice() {
        [] if args.frontier => Vec::new(),
        [] => ETAS.map(|eta| eta.parse().expect("an eta")).into(),
        typed => typed.to_vec(),
    };
    let etas = etas.into_iter().map(eta_method);
    let solvers = args.solver.iter().map(|solver| {
        // The same cells as with --eta, under the same name: they are measured once.
        if let Some(Ddim { eta }) = solver.as_a() {
            return eta_method(EtaChoice::Value(*eta));
        }
        if solver.equals(&SigmaHat) {
            return eta_method(EtaChoice::Hat);
        }
        let name = solver.to_string();
        let solver = Some(SolverChoice::Planned(solver.clone()));
        (name, PlanRequest { solver, ..PlanRequest::default() })
    });
    etas.chain(solvers).collect()
}

fn eta_method(eta: EtaChoice) -> (String, PlanRequest) {
    let name = match eta {
        EtaChoice::Value(value) => format!("eta {}", value.value()),
        EtaChoice::Hat => SIGMA_HAT.to_owned(),
    };
    (name, of_eta(eta))
}

fn of_eta(eta: EtaChoice) -> PlanRequest {
    let solver = Some(SolverChoice::Planned(Ddim::default().into()));
    PlanRequest { eta: Some(eta), solver, ..PlanRequest::default() }
}

/// The reference as `ddim sample` is asked for it.
pub(super) fn ddpm(args: &BenchArgs, n_steps: usize) -> PlanRequest {
    options(args, of_eta(EtaChoice::Value(Eta::DDPM)), n_steps)
}

/// A method in so many steps, with what is typed for all of them.
fn options(args: &BenchArgs, method: PlanRequest, n_steps: usize) -> PlanRequest {
    let typed = args.spacing.clone().map(|spacing: Spacing| SpacingChoice::Named(spacing));
    let spacing = method.spacing.clone().or(typed);
    PlanRequest { steps: Some(n_steps), spacing, convention: args.convention, ..method }
}

fn resolved(args: &BenchArgs, model: &Model, method: PlanRequest, n_steps: usize) -> anyhow::Result<Plan> {
    let plan = plan::resolve(&options(args, method, n_steps), &model.training)?;
    model.inner.check_plan(&plan)?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ddim_tensor::Device;

    use super::*;
    use crate::args::{Cli, Command};

    fn of(options: &str) -> anyhow::Result<Vec<Cell>> {
        let words = ["ddim", "bench"].into_iter().chain(options.split_whitespace());
        let Command::Bench(args) = Cli::try_parse_from(words).expect("valid options").command else {
            panic!("another command")
        };
        cells(&args, &Model::load(&args.model.request(), &Device::Cpu).expect("the embedded model"))
    }

    #[test]
    fn without_options_they_are_the_table_of_the_paper() {
        let cells = of("").expect("the embedded model has 1000 steps");
        assert_eq!(cells.len(), 25);
        assert_eq!(
            (cells[0].method.as_str(), cells[0].steps, cells[0].role),
            ("eta 1", 1000, Role::AskedReference)
        );
        let mut in_table = cells.clone();
        in_table.sort_by_key(|cell| cell.place);
        let names: Vec<String> = in_table.iter().map(Cell::file_name).collect();
        assert_eq!((names[0].as_str(), names[5].as_str()), ("eta-0-10", "eta-0.2-10"));
        assert_eq!((names[19].as_str(), names[24].as_str()), ("eta-1-1000", "sigma-hat-1000"));
    }

    #[test]
    fn pictures_are_compared_with_those_of_all_steps_where_a_method_has_no_noise() {
        let list = |options: &str| -> Vec<(String, usize, Role)> {
            let words = ["ddim", "bench"].into_iter().chain(options.split_whitespace());
            let Command::Bench(args) = Cli::try_parse_from(words).expect("valid options").command else {
                panic!("another command")
            };
            let model = Model::load(&args.model.request(), &Device::Cpu).expect("the embedded model");
            let cells = with_target(cells(&args, &model).expect("plans"), &args, &model).expect("a plan");
            cells.into_iter().map(|cell| (cell.method, cell.steps, cell.role)).collect()
        };
        let cell = |method: &str, steps, role| (method.to_owned(), steps, role);
        let reference = cell("eta 1", 1000, Role::Reference);
        assert_eq!(
            list("--steps 10 --eta 0"),
            [reference.clone(), cell("eta 0", 1000, Role::Target), cell("eta 0", 10, Role::Asked)]
        );
        assert_eq!(
            list("--steps 10,1000 --eta 0"),
            [reference.clone(), cell("eta 0", 1000, Role::AskedTarget), cell("eta 0", 10, Role::Asked)]
        );
        assert_eq!(list("--steps 10 --eta 0.5"), [reference, cell("eta 0.5", 10, Role::Asked)]);
    }

    #[test]
    fn a_frontier_has_solvers_in_few_steps_and_what_was_tuned() {
        let cells = of("--frontier").expect("plans");
        assert_eq!((cells[0].method.as_str(), cells[0].role), ("eta 1", Role::AskedReference));
        let steps = |method: &str| -> Vec<usize> {
            cells.iter().filter(|cell| cell.method == method).map(|cell| cell.steps).collect()
        };
        assert_eq!(steps("eta 0"), FEW);
        assert_eq!(steps("unipc, logsnr"), FEW[1..]);
        assert_eq!(steps("tuned"), [3, 4, 5, 6, 8, 10, 15, 20]);
        let tuned = cells.iter().find(|cell| cell.method == "tuned").expect("several");
        assert!(tuned.plan.settings().spacing.own_count() == Some(3), "{:?}", tuned.plan.settings());
        let typed = of("--frontier --solver heun --spacing quad --steps 3").expect("plans");
        let names: Vec<&str> = typed.iter().map(|cell| cell.method.as_str()).collect();
        assert_eq!(names, ["eta 1", "heun"]);
        assert_eq!(of("--frontier --drawn folder").expect("plans")[0].role, Role::DrawnReference);
    }

    #[test]
    fn the_reference_is_there_even_if_nobody_asked() {
        let cells = of("--steps 20,10,20 --eta 0 --solver heun --solver dpm++:order=3").expect("plans");
        let list: Vec<_> = cells.iter().map(|cell| (cell.method.as_str(), cell.steps, cell.calls())).collect();
        assert_eq!(list[0], ("eta 1", 1000, 1000));
        assert_eq!(list[1..3], [("eta 0", 10, 10), ("eta 0", 20, 20)]);
        assert_eq!(
            list[3..],
            [("heun", 10, 19), ("heun", 20, 39), ("dpm++:order=3", 10, 10), ("dpm++:order=3", 20, 20)]
        );
        assert_eq!(cells[0].role, Role::Reference);
    }

    #[test]
    fn each_method_is_measured_with_what_is_kept_too() {
        let cells = of("--steps 1,4 --eta 0 --solver unipc --reuse up_blocks.1:2").expect("plans");
        let list: Vec<_> = cells.iter().map(|cell| (cell.method.as_str(), cell.steps)).collect();
        assert_eq!(
            list[1..],
            [("eta 0", 1), ("eta 0", 4), ("unipc", 4), ("eta 0, up_blocks.1:2", 4), ("unipc, up_blocks.1:2", 4)]
        );
        let kept: Vec<bool> = cells.iter().map(|cell| cell.reuse.is_some()).collect();
        assert_eq!(kept, [false, false, false, false, true, true]);
        assert!(of("--steps 4 --eta 0 --reuse nothing:2").is_err());
        assert!(of("--steps 1 --eta 0 --reuse up_blocks.1:2").is_err());
    }

    #[test]
    fn a_cell_with_two_names_is_measured_once() {
        let list = |options: &str| -> Vec<(String, usize)> {
            of(options).expect("plans").into_iter().map(|cell| (cell.method, cell.steps)).collect()
        };
        assert_eq!(list("--steps 10 --eta 0 --solver ddim --solver ddim"), list("--steps 10 --eta 0"));
        assert_eq!(list("--steps 10 --eta 0 --solver unipc --solver unipc:order=2").len(), 3);
    }

    /// dpm++ under the embedded model's schedule has 996 steps at most.
    #[test]
    fn steps_that_only_a_solver_cannot_take_are_left_out() {
        let cells = of("--steps 10,1000 --eta 0 --solver dpm++").expect("plans");
        let list: Vec<_> = cells.iter().map(|cell| (cell.method.as_str(), cell.steps)).collect();
        assert_eq!(list, [("eta 1", 1000), ("eta 0", 10), ("eta 0", 1000), ("dpm++", 10)]);
        assert!(of("--steps 1001 --eta 0 --solver dpm++").is_err());
    }

    #[test]
    fn a_plan_that_cannot_be_had_is_named() {
        let error = of("--steps 10,1001 --eta 0").expect_err("1000 training steps");
        let text = format!("{error:#}");
        assert!(text.starts_with("eta 0 in 1001 steps: --steps: 1001 steps: choose between 1 and 1000"), "{text}");
    }
}
