//! From what was typed and what the model was trained with to the plan of the run.

use ddim::{RoundTrip, Route};
use ddim_bench::units;
use ddim_checkpoint::{MadeFor, SchedulerConfig};
use ddim_schedule::solvers::{Ddim, SigmaHat};
use ddim_schedule::{
    Convention, EpsSource, Flow, Plan, Resampling, ScheduleError, Settings, Solver, Spacing, X0Limit,
};

use crate::args::{EtaChoice, InpaintChoice, SolverChoice, SpacingChoice, WrongUsage, misused};
use crate::request::{LimitChoice, PlanRequest};
use crate::tuned::{self, Home};

mod made;

/// The number of steps when nothing says otherwise.
const DEFAULT_STEPS: usize = 20;

/// What the model says about its noise, and where that was found.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    /// Betas, prediction type and the rest.
    pub(crate) scheduler: SchedulerConfig,
    /// How pictures are meant to be drawn with it.
    pub(crate) meaning: Meaning,
    /// Where its tuned steps are.
    pub(crate) home: Home,
    /// A number that changes with its weights, where they were read.
    pub(crate) weights: Option<String>,
    /// The steps that it was made for, where its card says.
    pub(crate) made_for: Option<MadeFor>,
}

/// How a scheduler configuration is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// As training only: the method is the user's choice, its habits those of this convention.
    Betas(Convention),
    /// As a request for the method of its class (`--scheduler-config`).
    Request,
}

/// Refuses what is typed about a plan and changes nothing in it.
pub(crate) fn check_effect(args: &PlanRequest, settings: &Settings) -> Result<(), WrongUsage> {
    match settings.limit {
        X0Limit::Free if args.rederive_eps => Err(WrongUsage::no_effect(
            "rederive_eps",
            "takes the noise from the clipped picture, and nothing is clipped here: add --clip",
        )),
        _ => Ok(()),
    }
}

/// Makes the plan.
pub(crate) fn resolve(args: &PlanRequest, training: &Training) -> anyhow::Result<Plan> {
    let args = &planned(args, training)?;
    let settings = settings(args, training)?;
    let plan = Plan::new(&training.scheduler.noise_schedule()?, &settings).map_err(|error| blamed(error, args))?;
    made::check(&plan, training.made_for.as_ref());
    Ok(plan)
}

/// The options with tuned timesteps in them, where those were asked for.
fn planned(args: &PlanRequest, training: &Training) -> anyhow::Result<PlanRequest> {
    if let Some(SolverChoice::Adaptive(_)) = args.solver {
        misused!("--solver adaptive chooses its steps as it goes and has no plan; only `ddim sample` can use it");
    }
    let usual = made::steps(training).unwrap_or(DEFAULT_STEPS.min(training.scheduler.num_train_timesteps));
    tuned::resolved(args, &training.home, training.weights.as_deref(), usual)
}

/// The steps that are taken when nothing says otherwise: `usual`, or all that the model was trained with.
pub(crate) fn usual_steps(usual: usize, training: &Training) -> usize {
    match training.scheduler.num_train_timesteps {
        fewer if fewer < usual => {
            tracing::info!(
                "the model was trained with {}: so many are taken, in place of {usual}",
                units::steps(fewer)
            );
            fewer
        }
        _ => usual,
    }
}

/// The same for several numbers of steps: those that the model has, or all of its own.
pub(crate) fn usual_counts(usual: &[usize], training: &Training) -> Vec<usize> {
    let fitting: Vec<usize> =
        usual.iter().copied().filter(|steps| *steps <= training.scheduler.num_train_timesteps).collect();
    match (fitting.len(), usual.first()) {
        (0, Some(first)) => vec![usual_steps(*first, training)],
        _ => fitting,
    }
}

/// Makes the plans of both directions, in which nothing is clipped.
pub(crate) fn both_ways(args: &PlanRequest, training: &Training) -> anyhow::Result<RoundTrip> {
    let args = &planned(args, training)?;
    let settings = settings(args, training)?;
    let trip =
        RoundTrip::new(&training.scheduler.noise_schedule()?, &settings).map_err(|error| blamed(error, args))?;
    // Nobody makes a model for the way to noise.
    made::warn(training.made_for.as_ref(), "");
    Ok(trip)
}

/// The way of a command that can also run to a tolerance.
pub(crate) fn route(args: &PlanRequest, training: &Training) -> anyhow::Result<Route> {
    let Some(SolverChoice::Adaptive(tolerance)) = args.solver else {
        return resolve(args, training).map(Route::Plan);
    };
    let given = [
        (args.steps.is_some(), "--steps"),
        (args.spacing.is_some(), "--spacing"),
        (args.timesteps.is_some(), "--timesteps"),
        (args.eta.is_some(), "--eta"),
    ];
    if let Some((_, option)) = given.into_iter().find(|(given, _)| *given) {
        misused!(
            "{option} has no meaning with --solver adaptive, which takes as many steps as its tolerance needs: leave \
             it out, or set the tolerance as in --solver adaptive:rtol=1e-2,atol=1e-2"
        );
    }
    made::warn(training.made_for.as_ref(), ": leave --solver out");
    let flow = Flow::new(&training.scheduler.noise_schedule()?, &settings(args, training)?)?;
    Ok(Route::Flow { flow, tolerance })
}

/// The error of a refused plan: wrong usage of the options it came from, where they decide it.
fn blamed(error: ScheduleError, args: &PlanRequest) -> anyhow::Error {
    let is_about_steps = matches!(
        error,
        ScheduleError::StepCount { .. }
            | ScheduleError::Spacing { .. }
            | ScheduleError::SpacingCount { .. }
            | ScheduleError::Section { .. }
            | ScheduleError::TimestepRange { .. }
            | ScheduleError::TimestepOrder { .. }
    );
    let options = match error {
        ScheduleError::Strength { .. } => Some("--strength"),
        ScheduleError::Resampling { .. } => Some("--jump-length and --resample"),
        ScheduleError::OneWay { .. } => return WrongUsage::new(error).into(),
        _ => is_about_steps.then(|| step_options(args)),
    };
    match options {
        Some(options) => WrongUsage::new(format!("{options}: {error}")).into(),
        None => error.into(),
    }
}

/// The options that choose the timesteps.
fn step_options(args: &PlanRequest) -> &'static str {
    match (&args.timesteps, &args.spacing, args.steps) {
        (Some(_), _, _) => "--timesteps",
        (None, Some(_), Some(_)) => "--spacing and --steps",
        (None, Some(_), None) => "--spacing",
        (None, None, _) => "--steps",
    }
}

fn settings(args: &PlanRequest, training: &Training) -> anyhow::Result<Settings> {
    let named = match &args.spacing {
        Some(SpacingChoice::Named(spacing)) => Some(spacing.clone()),
        // Its list was put in the place of --timesteps.
        Some(SpacingChoice::Tuned(_)) | None => None,
    };
    let spacing = args.timesteps.clone().map(Spacing::Explicit).or(named);
    let own_count = spacing.as_ref().and_then(Spacing::own_count);
    let n_steps = args.steps.or(own_count).unwrap_or_else(|| match args.solver {
        Some(SolverChoice::Adaptive(_)) => DEFAULT_STEPS,
        _ => made::told_steps(training).unwrap_or_else(|| usual_steps(DEFAULT_STEPS, training)),
    });
    let convention = args.convention.unwrap_or(match training.meaning {
        Meaning::Betas(convention) => convention,
        Meaning::Request => Convention::Diffusers,
    });
    let solver = solver(args, training)?;
    let mut settings = ddim::settings(&training.scheduler, convention, solver, n_steps, spacing)?;
    match args.limit {
        Some(LimitChoice::Clip) => {
            settings.limit = X0Limit::Clip { range: training.scheduler.clip_sample_range };
        }
        Some(LimitChoice::Free) => settings.limit = X0Limit::Free,
        None => {}
    }
    if args.rederive_eps {
        settings.eps_source = EpsSource::Rederived;
    }
    if let Some(strength) = args.strength {
        settings.strength = strength;
    }
    settings.resampling = resampling(args, n_steps)?;
    Ok(settings)
}

/// How often the steps are taken.
fn resampling(args: &PlanRequest, n_steps: usize) -> anyhow::Result<Resampling> {
    match (args.inpaint, Resampling::repaint(n_steps)) {
        (Some(InpaintChoice::Repaint), Resampling::Jumps { length, times }) => Ok(Resampling::Jumps {
            length: args.jump_length.unwrap_or(length),
            times: args.resample.unwrap_or(times),
        }),
        _ if args.jump_length.is_some() || args.resample.is_some() => {
            misused!(
                "--jump-length and --resample belong to --inpaint repaint; leave them out with --inpaint replace"
            )
        }
        _ => Ok(Resampling::Once),
    }
}

/// The solver asked for.
fn solver(args: &PlanRequest, training: &Training) -> anyhow::Result<Box<dyn Solver>> {
    let named = match &args.solver {
        Some(SolverChoice::Planned(solver)) => Some(solver.clone()),
        // Of its settings those of steps are not used.
        Some(SolverChoice::Adaptive(_)) => return Ok(Ddim::default().into()),
        None => None,
    };
    let own = match training.meaning {
        // A scheduler's file was given to be followed.
        Meaning::Request if named.is_none() && args.eta.is_none() => training.scheduler.solver()?,
        Meaning::Request | Meaning::Betas(_) => Ddim::default().into(),
    };
    match ddim::asked_solver(named, args.eta.map(EtaChoice::solver), own, &training.scheduler) {
        Ok(solver) => Ok(solver),
        Err(asked) if asked.as_a::<Ddim>().is_some() || asked.equals(&SigmaHat) => {
            misused!("--eta and --solver {asked} both say how much noise a step adds: leave one of them out")
        }
        Err(asked) => misused!("--eta belongs to --solver ddim; leave it out with --solver {}", asked.name()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ddim::Options;
    use ddim_checkpoint::SchedulerClass;
    use ddim_schedule::solvers::Ddpm;
    use ddim_schedule::{Eta, Predecessor};
    use ddim_tensor::Device;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::model::{Model, training_of};
    use crate::request::ModelRequest;

    fn typed(options: &str) -> PlanRequest {
        let words = ["ddim", "schedule"].into_iter().chain(options.split_whitespace());
        match Cli::try_parse_from(words).expect("valid options").command {
            Command::Schedule(args) => args.plan.request(),
            other => panic!("{other:?}"),
        }
    }

    fn exact() -> Training {
        training(SchedulerConfig::default(), Meaning::Betas(Convention::Exact))
    }

    fn training(scheduler: SchedulerConfig, meaning: Meaning) -> Training {
        Training { scheduler, meaning, home: Home::Nowhere, weights: None, made_for: None }
    }

    fn request(class_name: SchedulerClass) -> Training {
        let scheduler = SchedulerConfig { class_name, ..SchedulerConfig::default() };
        training(scheduler, Meaning::Request)
    }

    fn of(options: &str, training: &Training) -> Settings {
        settings(&typed(options), training).expect("settings")
    }

    #[test]
    fn without_options_it_is_ddim_in_20_steps() {
        assert_eq!(of("", &exact()), Settings::default());
    }

    #[test]
    fn no_more_steps_than_the_model_has_are_taken_unasked() {
        let of_steps = |num_train_timesteps| {
            let scheduler = SchedulerConfig { num_train_timesteps, ..SchedulerConfig::default() };
            training(scheduler, Meaning::Betas(Convention::Exact))
        };
        assert_eq!((of("", &of_steps(10)).n_steps, of("", &of_steps(21)).n_steps), (10, 20));
        assert_eq!(resolve(&typed(""), &of_steps(1)).expect("a plan").steps().len(), 1);
        assert!(resolve(&typed("--steps 20"), &of_steps(10)).is_err(), "what is typed is not changed");
        assert_eq!(usual_counts(&[10, 20, 50], &of_steps(20)), [10, 20]);
        assert_eq!(usual_counts(&[10, 20, 50], &of_steps(7)), [7]);
    }

    #[test]
    fn a_model_that_was_made_for_some_steps_is_drawn_in_those() {
        let made_for = MadeFor { solver: "ddim".to_owned(), timesteps: vec![999, 749, 499, 249] };
        let student = Training { made_for: Some(made_for.clone()), ..exact() };
        let plan = resolve(&typed(""), &student).expect("a plan");
        let timesteps: Vec<usize> = plan.steps().iter().map(|step| step.time as usize).collect();
        assert_eq!(timesteps, made_for.timesteps);
        assert_eq!((of("--steps 7", &student).n_steps, of("--timesteps 900,3", &student).n_steps), (7, 2));
    }

    #[test]
    fn a_scheduler_file_is_followed_unless_a_solver_or_eta_is_typed() {
        let ddpm = request(SchedulerClass::Ddpm);
        assert!(of("", &ddpm).solver.equals(&Ddpm::default()));
        assert!(of("--solver ddim", &ddpm).solver.equals(&Ddim::default()));
        assert!(of("--eta 1", &ddpm).solver.equals(&Ddim { eta: Eta::DDPM }));
        assert_eq!(of("", &ddpm).convention, Convention::Diffusers);
        assert!(of("--eta hat", &exact()).solver.equals(&SigmaHat));
        assert_eq!(of("--solver ddim:eta=1", &ddpm), of("--eta 1", &ddpm));
        assert_eq!(of("--solver ddim:eta=hat", &exact()), of("--solver ddim --eta hat", &exact()));
    }

    #[test]
    fn single_switches_override_the_convention() {
        let settings = of("--convention diffusers --no-clip --spacing trailing --rederive-eps", &exact());
        assert_eq!(settings.limit, X0Limit::Free);
        assert_eq!(settings.spacing, Spacing::Trailing);
        assert_eq!(settings.eps_source, EpsSource::Rederived);
        assert_eq!(of("--convention diffusers --no-clip --clip", &exact()).limit, X0Limit::Clip { range: 1.0 });
    }

    #[test]
    fn a_list_brings_its_own_number_of_steps_and_its_own_pairs() {
        let settings = of("--convention diffusers --timesteps 900,500,1", &exact());
        assert_eq!((settings.n_steps, settings.predecessor), (3, Predecessor::InList));
        assert_eq!(of("--spacing ddim50", &exact()).n_steps, 50);
    }

    #[test]
    fn eta_and_ddpm_contradict_each_other() {
        let error = settings(&typed("--solver ddpm --eta 0.5"), &exact()).expect_err("a contradiction");
        assert!(error.to_string().contains("--eta belongs to --solver ddim"), "{error}");
        let error = settings(&typed("--solver ddim:eta=0.2 --eta 0.5"), &exact()).expect_err("a contradiction");
        assert!(error.to_string().starts_with("--eta and --solver ddim:eta=0.2 both say"), "{error}");
    }

    /// One folder means one plan, whoever asks: for folders of both scheduler classes and for the embedded model.
    #[test]
    fn the_command_line_plans_what_the_library_plans() {
        let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/models/");
        let folder = |name: &str| Some(format!("{goldens}{name}"));
        for name in [folder("attention_one_layer"), folder("classes_scale_shift"), None] {
            let args = ModelRequest { model: name.map(Into::into), ..ModelRequest::default() };
            let model = Model::load(&args, &Device::Cpu).expect("it is in the repository");
            for training in [&model.training, &training_of(&args).expect("it is in the repository")] {
                let check = |typed_options: &str, options: Options| {
                    let ours = resolve(&typed(typed_options), training).expect("a plan");
                    let theirs = model.inner.plan(&options).expect("a plan");
                    assert_eq!(ours, theirs, "{} {typed_options}", model.name);
                };
                let ten = || Options { steps: 10, ..Options::default() };
                check("", Options::default());
                check("--steps 10 --eta 1", Options { solver: Ddim { eta: Eta::DDPM }.into(), ..ten() });
                for convention in Convention::ALL {
                    let text = format!("--steps 10 --convention {convention}");
                    check(&text, Options { convention: Some(convention), ..ten() });
                    for spacing in [Spacing::Uniform, Spacing::Quad, Spacing::Trailing, Spacing::Linspace] {
                        let (text, convention) = (format!("{text} --spacing {spacing}"), Some(convention));
                        check(&text, Options { convention, spacing: Some(spacing), ..ten() });
                    }
                }
            }
        }
    }

    #[test]
    fn only_options_that_choose_steps_are_blamed_for_a_refused_plan() {
        let scheduler = SchedulerConfig { rescale_betas_zero_snr: true, ..SchedulerConfig::default() };
        let without_signal = Training { scheduler, ..exact() };
        let error = resolve(&typed("--steps 4"), &without_signal).expect_err("eps at alpha_bar 0");
        assert!(format!("{error:#}").starts_with("at timestep 999"), "{error:#}");
        let scheduler = SchedulerConfig { clip_sample_range: -1.0, ..SchedulerConfig::default() };
        let error = resolve(&typed("--clip"), &Training { scheduler, ..exact() }).expect_err("a limit below 0");
        assert!(!format!("{error:#}").contains("--steps"), "{error:#}");
    }

    #[test]
    fn too_many_steps_name_the_option_and_the_range() {
        let error = resolve(&typed("--steps 1001"), &exact()).expect_err("too many");
        let text = format!("{error:#}");
        assert!(text.starts_with("--steps: 1001 steps: choose between 1 and 1000"), "{text}");
    }
}
