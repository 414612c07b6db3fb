//! Models that were made for some steps, as students of `ddim distill` are.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use ddim_bench::units;
use ddim_checkpoint::MadeFor;
use ddim_schedule::{Plan, Solver};

use super::Training;

/// The steps that a model was made for.
pub(super) fn steps(training: &Training) -> Option<usize> {
    training.made_for.as_ref().map(|made_for| made_for.timesteps.len())
}

/// The same, and says so: nobody has typed a number.
pub(super) fn told_steps(training: &Training) -> Option<usize> {
    let steps = steps(training)?;
    tracing::info!("the model was made for {}: so many are taken", units::steps(steps));
    Some(steps)
}

/// Says it where a plan is not what the model was made for: of other steps it has not learned what to say.
pub(super) fn check(plan: &Plan, made_for: Option<&MadeFor>) {
    if made_for.is_some_and(|made_for| !is_its_own(plan, made_for)) {
        warn(made_for, ": leave the options of the method out");
    }
}

/// Says what the model was made for, once, and what to do: something else is asked of it.
pub(super) fn warn(made_for: Option<&MadeFor>, advice: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(MadeFor { solver, timesteps }) = made_for else { return };
    let listed: Vec<String> = timesteps.iter().map(ToString::to_string).collect();
    let text = format!(
        "the model was made for {} of {solver}, at {}, and has not learned what to say elsewhere{advice}",
        units::steps(timesteps.len()),
        listed.join(", ")
    );
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
        tracing::warn!("{text}");
    }
}

/// Whether a plan goes the way that a model was made for, or a last part of it.
fn is_its_own(plan: &Plan, made_for: &MadeFor) -> bool {
    let solver = made_for.solver.parse::<Box<dyn Solver>>();
    let times = plan.steps().iter().map(|step| step.time);
    let own: Vec<f64> = made_for.timesteps.iter().map(|timestep| *timestep as f64).collect();
    solver.is_ok_and(|solver| solver.equals(&*plan.settings().solver)) && own.ends_with(&times.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use ddim_schedule::solvers::Ddim;
    use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Settings, Spacing};

    use super::*;

    #[test]
    fn its_own_way_is_known_from_others() {
        let schedule = NoiseSchedule::new(&BetaSchedule::SquaredCosCapV2, 1000).expect("a schedule");
        let made_for = MadeFor { solver: "ddim".to_owned(), timesteps: vec![999, 749, 499, 249] };
        let settings = |steps| Settings::new(Convention::Exact, Ddim::default(), steps);
        let own = |settings: Settings| is_its_own(&Plan::new(&schedule, &settings).expect("a plan"), &made_for);
        assert!(own(settings(4)));
        assert!(own(Settings { strength: 0.5, ..settings(4) }), "a last part of it");
        assert!(!own(settings(2)) && !own(settings(8)));
        assert!(!own(Settings { spacing: Spacing::Quad, ..settings(4) }));
        assert!(!own(Settings { solver: Ddim { eta: Eta::DDPM }.into(), ..settings(4) }));
    }
}
