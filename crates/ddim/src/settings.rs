//! What a model's scheduler configuration and a request come to.

use ddim_checkpoint::{SchedulerConfig, SchedulerConfigError};

use crate::schedule::solvers::{Ddim, Ddpm};
use crate::schedule::{Convention, Predecessor, Settings, Solver, Spacing};

/// The settings of a run of `n_steps` steps by `method`, for a model trained as `scheduler` says; without a
/// spacing they have the convention's.
///
/// The configuration says what the network predicts. Under [`Convention::Diffusers`] it also says how diffusers
/// would limit x0, choose timesteps and end the run with that method, whichever class it names.
///
/// ```
/// use ddim::checkpoint::SchedulerConfig;
/// use ddim::schedule::{Convention, Eta, Spacing, Solver, solvers::Ddim};
///
/// let (scheduler, ddim) = (SchedulerConfig::default(), Ddim::default());
/// let settings = ddim::settings(&scheduler, Convention::Diffusers, ddim, 50, None)?;
/// assert_eq!(settings.spacing, Spacing::Leading { offset: 0 });
/// # Ok::<(), ddim::checkpoint::SchedulerConfigError>(())
/// ```
///
/// # Errors
///
/// Options of the configuration that only this method has, with values it cannot have.
pub fn settings(
    scheduler: &SchedulerConfig,
    convention: Convention,
    solver: impl Into<Box<dyn Solver>>,
    n_steps: usize,
    spacing: Option<Spacing>,
) -> Result<Settings, SchedulerConfigError> {
    let defaults = match convention {
        // The file says more than the convention does: offsets, clip range, thresholding.
        Convention::Diffusers => scheduler.settings_of(solver, n_steps)?,
        own => Settings { prediction: scheduler.prediction(), ..Settings::new(own, solver, n_steps) },
    };
    Ok(match spacing {
        None => defaults,
        Some(spacing) => {
            Settings { predecessor: predecessor(defaults.predecessor, &spacing), spacing, ..defaults }
        }
    })
}

/// The solver of a request: the one that it names, that of the `eta` it asks for, or `own` where it says neither.
/// The variance of `ddpm` is the model's.
///
/// ```
/// use ddim::checkpoint::SchedulerConfig;
/// use ddim::schedule::{Solver, solvers::{self, Ddim, SigmaHat}};
///
/// let scheduler = SchedulerConfig::default();
/// let asked = |named: Option<&str>, eta| {
///     let named = named.map(|text| solvers::parse(text).expect("a solver"));
///     ddim::asked_solver(named, eta, Ddim::default().into(), &scheduler)
/// };
/// assert_eq!(asked(Some("ddim"), Some(SigmaHat.into())).expect("they agree").name(), "sigma_hat");
/// assert_eq!(asked(Some("heun"), Some(SigmaHat.into())).expect_err("heun has no eta").name(), "heun");
/// ```
///
/// # Errors
///
/// The solver that was named, where an `eta` stands beside another than plain `ddim`.
pub fn asked_solver(
    named: Option<Box<dyn Solver>>,
    eta: Option<Box<dyn Solver>>,
    own: Box<dyn Solver>,
    scheduler: &SchedulerConfig,
) -> Result<Box<dyn Solver>, Box<dyn Solver>> {
    match (named, eta) {
        (None, eta) => Ok(eta.unwrap_or(own)),
        (Some(named), Some(eta)) if named.equals(&Ddim::default()) => Ok(eta),
        (Some(named), Some(_)) => Err(named),
        (Some(named), None) if named.as_a::<Ddpm>().is_some() => {
            Ok(Ddpm { variance: scheduler.variance() }.into())
        }
        (Some(named), None) => Ok(named),
    }
}

/// A fixed stride means something only for the spacings it was written for.
fn predecessor(published: Predecessor, spacing: &Spacing) -> Predecessor {
    match spacing {
        Spacing::Leading { .. } | Spacing::Trailing | Spacing::Linspace => published,
        _ => Predecessor::InList,
    }
}
