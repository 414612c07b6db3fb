//! What can go wrong in a run.

use ddim_tensor::DeviceError;

/// A run that gave no pictures.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The network's output, or noise given to the run, made a picture infinite or undefined.
    #[error(
        "picture {picture} of the batch is not finite after step {step} of {n_steps} (timestep {time}); \
         check the weights and any noise that was given, or draw in f32 if a shorter float was asked for"
    )]
    NotFinite {
        /// The step, counted from 1.
        step: usize,
        /// The steps of the run.
        n_steps: usize,
        /// The time the network was called with.
        time: f64,
        /// The picture's place in its batch, counted from 0.
        picture: usize,
    },
    /// The same in a run that chooses its steps as it goes.
    #[error(
        "picture {picture} of the batch is not finite near timestep {time}, after {calls} network calls; check \
         the weights and any noise that was given, or draw in f32 if a shorter float was asked for"
    )]
    NotFiniteFlow {
        /// Network calls made for the picture.
        calls: usize,
        /// The time where the step began.
        time: f64,
        /// The picture's place in its batch, counted from 0.
        picture: usize,
    },
    /// No step is short enough for the tolerance.
    #[error(
        "picture {picture} of the batch cannot keep the tolerance near timestep {time}, however short the step \
         (after {calls} network calls): the network is not smooth enough there, or is rounded to a shorter float; \
         allow a larger tolerance"
    )]
    Tolerance {
        /// Network calls made for the picture.
        calls: usize,
        /// The time where the step began.
        time: f64,
        /// The picture's place in its batch, counted from 0.
        picture: usize,
    },
    /// The device could not compute what was asked of it, or has no memory for it.
    #[error("the device failed: {problem}; draw fewer pictures at once, or compute on the CPU")]
    Device {
        /// What it says.
        problem: String,
    },
    /// The network gives another number of channels than the plan's variance needs.
    #[error(
        "the network gives {found} channels for pictures of {picture} channels; this method needs {needed}, or \
         twice the picture's where the model has learned its variance; check `out_channels` in the model's \
         config.json against `variance_type` in scheduler_config.json"
    )]
    Channels {
        /// Channels of the network's output.
        found: usize,
        /// Channels of a picture.
        picture: usize,
        /// Channels that the plan needs at least.
        needed: usize,
    },
    /// Corrections that make no sense.
    #[error(
        "{steps} Langevin steps at a signal-to-noise ratio of {snr}: use 1 to 1023 steps and a ratio above 0, \
         such as 0.16, and at most 1"
    )]
    Langevin {
        /// Corrections before a step.
        steps: usize,
        /// Signal-to-noise ratio of each.
        snr: f64,
    },
    /// A plan that cannot be corrected on the way.
    #[error(
        "this solver looks back at states that a Langevin correction would move away from: correct a solver that \
         calls the network once a step and remembers nothing, such as ddim, ddpm or euler"
    )]
    RemembersThePast,
    /// A saved run of another plan, or one that was changed since.
    #[error(
        "the saved run does not fit the plan: {problem}; go on with the plan, and with what is between its steps, \
         that it was begun with"
    )]
    Saved {
        /// What does not fit.
        problem: String,
    },
}

impl From<DeviceError> for SampleError {
    fn from(error: DeviceError) -> Self {
        Self::device(&error.problem)
    }
}

impl SampleError {
    /// [`Device`](Self::Device), from what a runtime reports over many lines: causes, steps that were skipped
    /// because of them, stack traces.
    pub fn device(report: &str) -> Self {
        let is_news = |line: &&str| {
            !(line.is_empty()
                || line.ends_with(':')
                || line.starts_with("skipped ")
                || line.starts_with("No backtrace"))
        };
        let mut news: Vec<&str> = report.lines().map(str::trim).filter(is_news).collect();
        news.dedup();
        Self::Device { problem: news.join(": ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_a_line() {
        let report = "An error happened during execution\nCaused by:\n  An IO error happened\nCaused by:\n  \
                      can't allocate buffer of size: 200704000\nNo backtrace available\n  skipped `K`: it needed \
                      that";
        let line = "the device failed: An error happened during execution: An IO error happened: can't allocate \
                    buffer of size: 200704000; draw fewer pictures at once, or compute on the CPU";
        assert_eq!(SampleError::device(report).to_string(), line);
    }
}
