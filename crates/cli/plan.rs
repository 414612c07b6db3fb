//! From what was typed and what the model was trained with to the plan of the run.

use anyhow::{Context, bail};
use ddim_checkpoint::{SchedulerClass, SchedulerConfig};
use ddim_schedule::{
    Convention, EpsSource, Eta, Method, NoiseSchedule, Plan, Predecessor, Settings, Spacing, X0Limit,
};
use serde_json::Value;

use crate::args::{EtaChoice, PlanArgs, Solver};

/// The number of steps when nothing says otherwise.
const DEFAULT_STEPS: usize = 20;

/// What the model says about its noise, and where that was found.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    /// Betas, prediction type and the rest.
    pub(crate) scheduler: SchedulerConfig,
    /// How pictures are meant to be drawn with it.
    pub(crate) meaning: Meaning,
}

/// How a scheduler configuration is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// As training only: the method is the user's choice, its habits those of this convention.
    Betas(Convention),
    /// As a request for the method of its class (`--scheduler-config`).
    Request,
}

/// A plan and what it was made from.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedPlan {
    /// The plan.
    pub(crate) plan: Plan,
    /// The number of training steps.
    pub(crate) train_steps: usize,
    timesteps: Vec<usize>,
}

impl ResolvedPlan {
    /// The timesteps, in order of use.
    pub(crate) fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// What decides the run, as JSON.
    pub(crate) fn summary(&self) -> Value {
        let mut summary = ddim::settings_json(&self.plan);
        summary["timesteps"] = self.timesteps.clone().into();
        summary
    }
}

/// Makes the plan.
///
/// # Errors
/// When options contradict each other or the library refuses them.
pub(crate) fn resolve(args: &PlanArgs, training: &Training) -> anyhow::Result<ResolvedPlan> {
    let schedule = training.scheduler.noise_schedule()?;
    let settings = settings(args, training)?;
    let plan = Plan::new(&schedule, &settings).with_context(|| refused(args))?;
    Ok(resolved(plan, &schedule))
}

fn resolved(plan: Plan, schedule: &NoiseSchedule) -> ResolvedPlan {
    let timesteps = plan.steps().iter().map(|step| step.timestep).collect();
    ResolvedPlan { plan, train_steps: schedule.train_steps(), timesteps }
}

/// The options that a refused plan came from.
fn refused(args: &PlanArgs) -> &'static str {
    match (&args.timesteps, &args.spacing, args.steps) {
        (Some(_), _, _) => "--timesteps",
        (None, Some(_), Some(_)) => "--spacing and --steps",
        (None, Some(_), None) => "--spacing",
        (None, None, _) => "--steps",
    }
}

fn settings(args: &PlanArgs, training: &Training) -> anyhow::Result<Settings> {
    let spacing = args.timesteps.clone().map(Spacing::Explicit).or_else(|| args.spacing.clone());
    let own_count = spacing.as_ref().and_then(Spacing::own_count);
    let n_steps = args.steps.or(own_count).unwrap_or(DEFAULT_STEPS);
    let convention = args.convention.unwrap_or(match training.meaning {
        Meaning::Betas(convention) => convention,
        Meaning::Request => Convention::Diffusers,
    });
    let mut settings = with_method(args, training, convention, n_steps)?;
    if let Some(spacing) = spacing {
        settings.predecessor = predecessor(settings.predecessor, &spacing);
        settings.spacing = spacing;
    }
    if args.clip {
        settings.limit = X0Limit::Clip { range: training.scheduler.clip_sample_range };
    }
    if args.no_clip {
        settings.limit = X0Limit::Free;
    }
    if args.rederive_eps {
        settings.eps_source = EpsSource::Rederived;
    }
    Ok(settings)
}

/// The settings of the convention for the method asked for.
fn with_method(
    args: &PlanArgs,
    training: &Training,
    convention: Convention,
    n_steps: usize,
) -> anyhow::Result<Settings> {
    let solver = solver(args, training);
    let class_name = match (solver, training.scheduler.class_name) {
        (Some(Solver::Ddim), _) => SchedulerClass::Ddim,
        (Some(Solver::Ddpm), _) => SchedulerClass::Ddpm,
        (None, class) => class,
    };
    let scheduler = SchedulerConfig { class_name, ..training.scheduler.clone() };
    let published = scheduler.settings(n_steps)?;
    let method = match (published.method, args.eta) {
        (Method::Ddpm { .. }, Some(_)) => bail!("--eta belongs to --solver ddim; leave it out with --solver ddpm"),
        (Method::Ddim { .. }, Some(EtaChoice::Value(eta))) => Method::Ddim { eta },
        (Method::Ddim { .. }, Some(EtaChoice::Hat)) => Method::SigmaHat,
        (Method::Ddim { .. }, None) => Method::Ddim { eta: Eta::DDIM },
        (method, _) => method,
    };
    Ok(match convention {
        // The file says more than the convention does: offsets, clip range, thresholding.
        Convention::Diffusers => Settings { method, ..published },
        other => Settings { prediction: published.prediction, ..Settings::new(other, method, n_steps) },
    })
}

/// The solver typed; else DDIM, unless a scheduler's file was given to be followed.
fn solver(args: &PlanArgs, training: &Training) -> Option<Solver> {
    match (args.solver, training.meaning) {
        (Some(solver), _) => Some(solver),
        (None, Meaning::Request) if args.eta.is_none() => None,
        (None, _) => Some(Solver::Ddim),
    }
}

/// A fixed stride means something only for the spacings it was written for.
fn predecessor(published: Predecessor, spacing: &Spacing) -> Predecessor {
    match spacing {
        Spacing::Leading { .. } | Spacing::Trailing | Spacing::Linspace => published,
        _ => Predecessor::InList,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ddim_schedule::Variance;

    use super::*;
    use crate::args::{Cli, Command};

    fn typed(options: &str) -> PlanArgs {
        let words = ["ddim", "schedule"].into_iter().chain(options.split_whitespace());
        match Cli::try_parse_from(words).expect("valid options").command {
            Command::Schedule(args) => args.plan,
            other => panic!("{other:?}"),
        }
    }

    fn exact() -> Training {
        Training { scheduler: SchedulerConfig::default(), meaning: Meaning::Betas(Convention::Exact) }
    }

    fn request(class_name: SchedulerClass) -> Training {
        let scheduler = SchedulerConfig { class_name, ..SchedulerConfig::default() };
        Training { scheduler, meaning: Meaning::Request }
    }

    fn of(options: &str, training: &Training) -> Settings {
        settings(&typed(options), training).expect("settings")
    }

    #[test]
    fn without_options_it_is_ddim_in_20_steps() {
        assert_eq!(of("", &exact()), Settings::default());
    }

    #[test]
    fn a_scheduler_file_is_followed_unless_a_solver_or_eta_is_typed() {
        let ddpm = request(SchedulerClass::Ddpm);
        assert_eq!(of("", &ddpm).method, Method::Ddpm { variance: Variance::FixedSmall });
        assert_eq!(of("--solver ddim", &ddpm).method, Method::Ddim { eta: Eta::DDIM });
        assert_eq!(of("--eta 1", &ddpm).method, Method::Ddim { eta: Eta::DDPM });
        assert_eq!(of("", &ddpm).convention, Convention::Diffusers);
        assert_eq!(of("--eta hat", &exact()).method, Method::SigmaHat);
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
    }

    #[test]
    fn too_many_steps_name_the_option_and_the_range() {
        let error = resolve(&typed("--steps 1001"), &exact()).expect_err("too many");
        let text = format!("{error:#}");
        assert!(text.starts_with("--steps: 1001 steps: choose between 1 and 1000"), "{text}");
    }
}
