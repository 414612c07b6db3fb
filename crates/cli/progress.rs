//! Progress bars: on a terminal only, on stderr only.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar of `total` steps; `unit` is what they are called. Hidden where stderr is no terminal or `-q` was given.
///
/// # Panics
/// Never: the template is tested.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    bar.set_style(style(unit));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
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
            // Before the first step nothing is known; on a GPU kernels are compiled then.
            if state.pos() > 0 {
                // A terminal takes every text.
                let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
            }
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_valid() {
        super::style("steps");
    }
}
