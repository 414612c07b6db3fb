//! What a model's scheduler configuration and a request come to.

use ddim_checkpoint::{SchedulerConfig, SchedulerConfigError};

use crate::schedule::{Convention, Method, Predecessor, Settings, Spacing};

/// The settings of a run of `n_steps` steps by `method`, for a model trained as `scheduler` says; without a
/// spacing they have the convention's.
///
/// The configuration says what the network predicts. Under [`Convention::Diffusers`] it also says how diffusers
/// would limit x0, choose timesteps and end the run with that method, whichever class it names.
///
/// ```
/// use ddim::checkpoint::SchedulerConfig;
/// use ddim::schedule::{Convention, Eta, Method, Spacing};
///
/// let (scheduler, ddim) = (SchedulerConfig::default(), Method::Ddim { eta: Eta::DDIM });
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
    method: Method,
    n_steps: usize,
    spacing: Option<Spacing>,
) -> Result<Settings, SchedulerConfigError> {
    let defaults = match convention {
        // The file says more than the convention does: offsets, clip range, thresholding.
        Convention::Diffusers => scheduler.settings_of(method, n_steps)?,
        own => Settings { prediction: scheduler.prediction(), ..Settings::new(own, method, n_steps) },
    };
    Ok(match spacing {
        None => defaults,
        Some(spacing) => {
            Settings { predecessor: predecessor(defaults.predecessor, &spacing), spacing, ..defaults }
        }
    })
}

/// A fixed stride means something only for the spacings it was written for.
fn predecessor(published: Predecessor, spacing: &Spacing) -> Predecessor {
    match spacing {
        Spacing::Leading { .. } | Spacing::Trailing | Spacing::Linspace => published,
        _ => Predecessor::InList,
    }
}
