//! Progress bars: on a terminal only, on stderr only.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, WeakProgressBar};

/// The bar that is shown, for whoever ends the program from elsewhere.
static SHOWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// A bar of `total` steps; `unit` is what they are called. Hidden where stderr is not a terminal or `-q` was given.
///
/// # Panics
/// Never: the template is tested.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    bar.set_style(style(unit));
    bar.enable_steady_tick(Duration::from_millis(250));
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
    bar
}

/// Takes the bar away, if one is shown.
pub(crate) fn clear() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown.and_then(|bar| bar.upgrade()) {
        bar.finish_and_clear();
    }
}

fn target() -> ProgressDrawTarget {
    if tracing::enabled!(tracing::Level::INFO) {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

fn style(unit: &str) -> ProgressStyle {
    ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {unit}{{left}}  {{msg}}"))
        .expect("the template is valid")
        .progress_chars("█▌ ")
        .with_key("left", |state: &ProgressState, text: &mut dyn Write| {
            // A terminal takes every text.
            let _ = text.write_str(&left(state.pos(), state.eta()));
        })
}

/// Nothing is known before the first step; on a GPU kernels are compiled then.
fn left(done: u64, time: Duration) -> String {
    if done == 0 { String::new() } else { format!(", {:#} left", HumanDuration(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_told_before_the_first_step() {
        let time = Duration::from_secs(5);
        assert_eq!((left(0, time), left(1, time)), (String::new(), ", 5s left".to_owned()));
    }

    #[test]
    fn the_template_is_valid() {
        style("steps");
    }
}
