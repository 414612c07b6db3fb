//! What a model's scheduler configuration and a request come to.

use ddim_checkpoint::{SchedulerClass, SchedulerConfig};

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
/// let settings = ddim::settings(&scheduler, Convention::Diffusers, ddim, 50, None);
/// assert_eq!(settings.spacing, Spacing::Leading { offset: 0 });
/// ```
pub fn settings(
    scheduler: &SchedulerConfig,
    convention: Convention,
    method: Method,
    n_steps: usize,
    spacing: Option<Spacing>,
) -> Settings {
    let defaults = match convention {
        // The file says more than the convention does: offsets, clip range, thresholding.
        Convention::Diffusers => Settings { method: method.clone(), ..published(scheduler, &method, n_steps) },
        own => Settings { prediction: scheduler.prediction(), ..Settings::new(own, method, n_steps) },
    };
    match spacing {
        None => defaults,
        Some(spacing) => {
            Settings { predecessor: predecessor(defaults.predecessor, &spacing), spacing, ..defaults }
        }
    }
}

/// What diffusers does with this configuration in the scheduler of that method.
fn published(scheduler: &SchedulerConfig, method: &Method, n_steps: usize) -> Settings {
    let class_name = match method {
        Method::Ddim { .. } | Method::SigmaHat | Method::Solver(_) => SchedulerClass::Ddim,
        Method::Ddpm { .. } => SchedulerClass::Ddpm,
    };
    let scheduler = SchedulerConfig { class_name, ..scheduler.clone() };
    scheduler.settings(n_steps).expect("both classes have a method")
}

/// A fixed stride means something only for the spacings it was written for.
fn predecessor(published: Predecessor, spacing: &Spacing) -> Predecessor {
    match spacing {
        Spacing::Leading { .. } | Spacing::Trailing | Spacing::Linspace => published,
        _ => Predecessor::InList,
    }
}
